//! The handle of the log.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use super::files::{LogFiles, OsFiles};
use super::recover::{self, Recovery};
use super::shared::Shared;
use super::trim;
use super::writer::{Append, QUEUE, Request, Writer};
use super::{Envelope, LogError, LogOptions, LogReader, frame};

/// The name of the lock in the folder.
const LOCK: &str = "LOCK";

/// The embedded log. Clones are handles of the same log. When the last one is
/// dropped the log finishes what it accepted and stops; [`EmbeddedLog::close`]
/// also waits for that.
#[derive(Clone, Debug)]
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
    durable: watch::Receiver<i64>,
    recovery: Recovery,
}

impl EmbeddedLog {
    /// Opens the log in `dir`, which is made where it is missing, and verifies
    /// every byte of it. Blocks.
    pub fn open(dir: &Path, options: LogOptions) -> Result<Self, LogError> {
        Self::open_with(Arc::new(OsFiles), dir, options)
    }

    pub(super) fn open_with(
        files: Arc<dyn LogFiles>,
        dir: &Path,
        mut options: LogOptions,
    ) -> Result<Self, LogError> {
        // The format counts a frame's bytes in 32 bits.
        options.max_frame_bytes = options.max_frame_bytes.min(u32::MAX as usize);
        files
            .create_dir(dir)
            .map_err(|e| LogError::io("making the folder", dir, e))?;
        let lock = files.lock(&dir.join(LOCK)).map_err(|e| match e.kind() {
            io::ErrorKind::WouldBlock => LogError::InUse {
                dir: dir.to_owned(),
            },
            _ => LogError::io("locking", dir, e),
        })?;
        let found = recover::recover(&*files, dir, &options)?;
        let shared = Shared::new(files, dir.to_owned(), options, found.segments, found.next);
        let shared = Arc::new(shared);
        let (sender, durable) = watch::channel(found.next);
        let (requests, receiver) = mpsc::channel(QUEUE);
        let writer = Writer {
            shared: Arc::clone(&shared),
            durable: sender,
            tip: found.tip,
            next: found.next,
            lock,
        };
        // A thread of its own: it spends its life in fdatasync.
        std::thread::Builder::new()
            .name("cairn-log".to_owned())
            .spawn(move || writer.run(receiver))
            .map_err(|e| LogError::io("starting the writer of", dir, e))?;
        Ok(Self {
            shared,
            requests,
            durable,
            recovery: found.report,
        })
    }

    /// Makes the records durable, all or none, and answers their offsets. An
    /// empty list gives an empty range. May be called from many tasks; those
    /// that wait share one sync. After an error nothing was acknowledged, yet
    /// the records may turn up after a crash, as they may when the caller stops
    /// waiting: send again, and let admission drop what came twice.
    pub async fn append(
        &self,
        envelope: Envelope,
        payloads: Vec<Bytes>,
    ) -> Result<Range<i64>, LogError> {
        if payloads.is_empty() {
            let end = self.end();
            return Ok(end..end);
        }
        let json =
            serde_json::to_vec(&envelope).expect("an envelope is plain data that JSON can hold");
        let bytes = frame::len(&json, &payloads);
        let limit = self.shared.options.max_frame_bytes;
        if bytes > limit as u64 {
            return Err(LogError::TooLarge { bytes, limit });
        }
        let (answer, result) = oneshot::channel();
        let request = Request::Append(Append {
            envelope: Arc::new(envelope),
            json,
            payloads,
            answer,
        });
        let sent = self.requests.send(request).await;
        sent.map_err(|_| LogError::Closed)?;
        result.await.unwrap_or(Err(LogError::Closed))
    }

    /// The first offset kept.
    pub fn start(&self) -> i64 {
        self.shared.with(|s| s.start())
    }

    /// The next offset after the last durable record.
    pub fn end(&self) -> i64 {
        self.shared.with(|s| s.next)
    }

    /// Bytes on the disk.
    pub fn bytes(&self) -> u64 {
        self.shared
            .with(|s| s.segments.iter().map(|g| g.bytes).sum())
    }

    /// Why the last append failed; `None` when the last one went well.
    pub fn trouble(&self) -> Option<LogError> {
        self.shared.with(|s| s.trouble.clone())
    }

    /// What opening found.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Reads from the offset `from` on: [`LogError::Trimmed`] below
    /// [`EmbeddedLog::start`], [`LogError::Ahead`] beyond [`EmbeddedLog::end`].
    pub fn reader(&self, from: i64) -> Result<LogReader, LogError> {
        LogReader::new(Arc::clone(&self.shared), self.durable.clone(), from)
    }

    /// Removes the segments all of whose records lie below `below`, but never
    /// the last one. The answer is how many bytes that freed. The caller knows
    /// what every follower has dealt with; the log does not.
    pub async fn trim(&self, below: i64) -> Result<u64, LogError> {
        let shared = Arc::clone(&self.shared);
        let task = tokio::task::spawn_blocking(move || trim::trim(&shared, below));
        // It fails to answer only when the runtime is going down.
        task.await.unwrap_or(Err(LogError::Closed))
    }

    /// Finishes what was accepted, marks the end, and frees the folder. Appends
    /// that come later get [`LogError::Closed`]. An error here takes nothing
    /// back: what was acknowledged is durable.
    pub async fn close(&self) -> Result<(), LogError> {
        let (answer, result) = oneshot::channel();
        if self.requests.send(Request::Close(answer)).await.is_err() {
            // Closed already.
            return Ok(());
        }
        result.await.unwrap_or(Ok(()))
    }
}

#[cfg(test)]
mod tests;
