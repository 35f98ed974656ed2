//! The one writer: gathers the appends that wait, writes them with one write
//! and one sync, and only then shows and answers them.

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use super::files::LogFile;
use super::frame::{self, Place};
use super::segment::{self, Header, Previous};
use super::shared::{Entry, Group, Shared};
use super::{Envelope, LogError};

/// Appends wait here; when it is full, senders wait, and so do their clients.
pub(super) const QUEUE: usize = 1024;
/// A group is not made larger than this by waiting appends; one append may be.
/// It bounds the writer's memory, and how long the first of a group waits for
/// the last.
const GROUP_BYTES: u64 = 8 << 20;

/// What the handle asks of the writer.
#[derive(Debug)]
pub(super) enum Request {
    /// Make these records durable.
    Append(Append),
    /// Finish what was asked before, then stop.
    Close(oneshot::Sender<Result<(), LogError>>),
}

/// One append.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) envelope: Arc<Envelope>,
    /// The envelope as JSON.
    pub(super) json: Vec<u8>,
    pub(super) payloads: Vec<Bytes>,
    pub(super) answer: oneshot::Sender<Result<Range<i64>, LogError>>,
}

/// The end of the log.
#[derive(Debug)]
pub(super) struct Tip {
    /// The header of the last segment.
    pub(super) header: Header,
    /// How many of its bytes are durable.
    pub(super) bytes: u64,
    /// The file, as long as nothing has failed on it. `None`: it must never be
    /// written or synced again, and the next group needs a new segment.
    pub(super) file: Option<Arc<dyn LogFile>>,
    /// Whether the last frame is a closing mark.
    pub(super) closed: bool,
}

/// The writer's own things; they live on its thread.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) durable: watch::Sender<i64>,
    pub(super) tip: Tip,
    pub(super) next: i64,
    pub(super) lock: Box<dyn Any + Send>,
}

impl Writer {
    /// Runs until it is told to close or every handle is gone.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut closing = None;
        while let Some(request) = requests.blocking_recv() {
            let mut group = Vec::new();
            closing = gather(request, &mut requests, &mut group);
            if !group.is_empty() {
                self.commit(group);
            }
            if closing.is_some() {
                break;
            }
        }
        let outcome = self.close();
        // The folder is free before the answer: whoever waited may open it.
        drop(self.lock);
        if let Some(answer) = closing {
            // Nobody need be waiting for it any more.
            let _ = answer.send(outcome);
        }
    }

    fn commit(&mut self, appends: Vec<Append>) {
        match self.write(&appends) {
            Ok(ranges) => {
                for (append, range) in appends.into_iter().zip(ranges) {
                    // A caller that stopped waiting loses its receipt, not its records.
                    let _ = append.answer.send(Ok(range));
                }
            }
            Err(error) => {
                tracing::error!(error = %error, appends = appends.len(), "log write failed, nothing acknowledged");
                self.shared.with(|s| s.trouble = Some(error.clone()));
                for append in appends {
                    let _ = append.answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// Makes one group durable. After an error nothing of it is.
    fn write(&mut self, appends: &[Append]) -> Result<Vec<Range<i64>>, LogError> {
        let sizes = appends.iter().map(|a| frame::len(&a.json, &a.payloads));
        let total: u64 = sizes.sum();
        // 1. A file that may be written. A crash after it leaves an empty segment.
        let file = self.file_for(total)?;
        let (group, ranges, next) = self.encode(appends, total);
        // 2. The bytes. A crash leaves any part of them: a torn tail, which
        //    recovery cuts, or whole frames that nobody was told about, which
        //    it keeps.
        // 3. The sync. A crash before it comes back is like one at 2.
        if let Err(error) = file.write_at(&group.bytes, group.position) {
            return Err(self.give_up("writing", &*file, error));
        }
        if let Err(error) = file.sync_data() {
            return Err(self.give_up("syncing", &*file, error));
        }
        // 4. Durable: readers may see it, and then the senders hear of it.
        tracing::trace!(
            segment = self.tip.header.base,
            appends = appends.len(),
            bytes = total,
            "log group durable"
        );
        self.tip.bytes += total;
        self.tip.closed = false;
        self.next = next;
        let ring = self.shared.options.ring_bytes;
        self.shared.with(|s| s.publish(group, next, ring));
        self.durable.send_replace(next);
        Ok(ranges)
    }

    fn encode(&self, appends: &[Append], total: u64) -> (Group, Vec<Range<i64>>, i64) {
        let position = self.tip.bytes;
        let mut next = self.next;
        // The exact size: the one buffer of the group never moves, and readers
        // later share it.
        let mut bytes = Vec::with_capacity(total as usize);
        let mut entries = Vec::with_capacity(appends.len());
        let mut ranges = Vec::with_capacity(appends.len());
        for append in appends {
            let start = bytes.len();
            let place = Place {
                first: next,
                position: position + start as u64,
                group: position,
            };
            frame::encode(&mut bytes, place, &append.json, &append.payloads);
            entries.push(Entry {
                first: next,
                count: append.payloads.len() as u32,
                body: start + frame::HEADER,
                end: bytes.len(),
                envelope: Arc::clone(&append.envelope),
            });
            next += append.payloads.len() as i64;
            ranges.push(place.first..next);
        }
        let group = Group {
            base: self.tip.header.base,
            position,
            bytes: Bytes::from(bytes),
            entries,
        };
        (group, ranges, next)
    }

    /// The file that the next group goes to: the last segment, or a new one
    /// where that is full or has failed.
    fn file_for(&mut self, bytes: u64) -> Result<Arc<dyn LogFile>, LogError> {
        let limit = self.shared.options.segment_bytes;
        let full = self.tip.bytes > segment::HEADER
            && self.tip.bytes + bytes > limit
            && self.next > self.tip.header.base;
        if full {
            // From here on the old segment is never written again, not even
            // when the new one cannot be made: its header may be on the disk
            // already, and it says where the old one ends.
            self.tip.file = None;
        }
        if let Some(file) = &self.tip.file {
            return Ok(Arc::clone(file));
        }
        self.begin_segment()
    }

    fn begin_segment(&mut self) -> Result<Arc<dyn LogFile>, LogError> {
        // A segment that failed before it had a durable record has the name
        // that the new one needs. It is replaced.
        let header = if self.next == self.tip.header.base {
            self.tip.header
        } else {
            Header {
                base: self.next,
                previous: Some(Previous {
                    base: self.tip.header.base,
                    bytes: self.tip.bytes,
                }),
            }
        };
        let shared = &self.shared;
        let file = segment::create(&*shared.files, &shared.dir, header)
            .map_err(|e| LogError::io("making the segment", &shared.path(header.base), e))?;
        shared.with(|s| s.begin(header.base));
        self.tip = Tip {
            header,
            bytes: segment::HEADER,
            file: Some(Arc::clone(&file)),
            closed: false,
        };
        Ok(file)
    }

    /// Never touches this file again, but for taking back its broken tail. That
    /// helps a full disk and is not needed for safety: the next segment's
    /// header says where the durable part ends.
    fn give_up(
        &mut self,
        doing: &'static str,
        file: &dyn LogFile,
        error: std::io::Error,
    ) -> LogError {
        self.tip.file = None;
        let path = self.shared.path(self.tip.header.base);
        if let Err(second) = file.set_len(self.tip.bytes) {
            tracing::warn!(path = %path.display(), error = %second, "broken tail of a log segment stays for now");
        }
        LogError::io(doing, &path, error)
    }

    /// Marks the end, so that damage to the last group can be told from a torn
    /// write. Everything acknowledged is durable without it.
    fn close(&mut self) -> Result<(), LogError> {
        let Some(file) = self.tip.file.take().filter(|_| !self.tip.closed) else {
            return Ok(());
        };
        let mark = frame::closing_mark(Place {
            first: self.next,
            position: self.tip.bytes,
            group: self.tip.bytes,
        });
        let done = file
            .write_at(&mark, self.tip.bytes)
            .and_then(|()| file.sync_data());
        done.map_err(|e| LogError::io("closing", &self.shared.path(self.tip.header.base), e))
    }
}

/// Takes what waits, up to a group's size or a request to close.
fn gather(
    first: Request,
    requests: &mut mpsc::Receiver<Request>,
    group: &mut Vec<Append>,
) -> Option<oneshot::Sender<Result<(), LogError>>> {
    let mut bytes = 0;
    let mut request = first;
    loop {
        match request {
            Request::Close(answer) => return Some(answer),
            Request::Append(append) => {
                bytes += frame::len(&append.json, &append.payloads);
                group.push(append);
            }
        }
        if bytes >= GROUP_BYTES {
            return None;
        }
        match requests.try_recv() {
            Ok(next) => request = next,
            Err(_) => return None,
        }
    }
}
