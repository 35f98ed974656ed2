//! Follows the log: from memory while it keeps up, from the files otherwise.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::files::LogFile;
use super::frame::{self, Fault, Header};
use super::segment;
use super::shared::{Gather, Group, Segment, Shared, Source};
use super::{Envelope, LogBatch, LogError};

/// The least and the most that is read from a file at once. A frame is read
/// whole however large it is.
const CHUNK: std::ops::RangeInclusive<usize> = (64 << 10)..=(8 << 20);

/// Reads the log from a position on. Each record once, in order, and only what
/// is durable.
#[derive(Debug)]
pub struct LogReader {
    shared: Arc<Shared>,
    durable: watch::Receiver<i64>,
    position: i64,
    cursor: Option<Cursor>,
}

/// Where in the files the reader's position is; saves a search.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    base: i64,
    at: u64,
}

impl LogReader {
    pub(super) fn new(
        shared: Arc<Shared>,
        durable: watch::Receiver<i64>,
        from: i64,
    ) -> Result<Self, LogError> {
        shared.with(|s| s.check(from))?;
        Ok(Self {
            shared,
            durable,
            position: from,
            cursor: None,
        })
    }

    /// The offset of the next record to be read.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// The next batches: at least one, then as many as fit into `max_bytes`.
    /// Waits until one is durable. When it is dropped while it waits, nothing
    /// is lost: the position moves only with the answer. Once the log is
    /// closed and everything was read: [`LogError::Closed`].
    pub async fn next(&mut self, max_bytes: usize) -> Result<Vec<LogBatch>, LogError> {
        loop {
            let batches = self.try_next(max_bytes).await?;
            if !batches.is_empty() {
                return Ok(batches);
            }
            let position = self.position;
            if self.durable.wait_for(|end| *end > position).await.is_err() {
                return Err(LogError::Closed);
            }
        }
    }

    /// As [`LogReader::next`], but answers with nothing instead of waiting for
    /// a record. A file that must be read is waited for.
    pub async fn try_next(&mut self, max_bytes: usize) -> Result<Vec<LogBatch>, LogError> {
        let (batches, cursor) = match self.shared.locate(self.position, max_bytes)? {
            Source::Nothing => return Ok(Vec::new()),
            Source::Memory(groups) => self.read_memory(&groups, max_bytes)?,
            Source::File { segment } => self.read_files(segment, max_bytes).await?,
        };
        self.cursor = Some(cursor);
        self.position = batches.last().map_or(self.position, LogBatch::next);
        Ok(batches)
    }

    fn read_memory(
        &self,
        groups: &[Arc<Group>],
        max_bytes: usize,
    ) -> Result<(Vec<LogBatch>, Cursor), LogError> {
        let mut gather = Gather::new(self.position, max_bytes);
        let mut cursor = None;
        for group in groups {
            let end = gather.add_group(group).map_err(|fault| {
                LogError::damaged(&self.shared.path(group.base), group.position, fault)
            })?;
            let Some(at) = end else { break };
            cursor = Some(Cursor {
                base: group.base,
                at,
            });
        }
        let cursor = cursor.ok_or_else(|| {
            LogError::damaged(&self.shared.dir, 0, "a group in memory lost its records")
        })?;
        Ok((gather.batches, cursor))
    }

    async fn read_files(
        &self,
        segment: Segment,
        max_bytes: usize,
    ) -> Result<(Vec<LogBatch>, Cursor), LogError> {
        let at = match self.cursor {
            Some(cursor) if cursor.base == segment.base => cursor.at,
            _ => segment::HEADER,
        };
        let shared = Arc::clone(&self.shared);
        let gather = Gather::new(self.position, max_bytes);
        let path = self.shared.path(segment.base);
        let task = tokio::task::spawn_blocking(move || {
            let chunk = max_bytes.clamp(*CHUNK.start(), *CHUNK.end());
            let file = shared.files.open(&path);
            let file = file.map_err(|e| LogError::io("opening", &path, e))?;
            let span = at..segment.bytes;
            read_file(&*file, &path, span, chunk, gather)
        });
        match task.await {
            Ok(Ok((batches, at))) => {
                let base = segment.base;
                Ok((batches, Cursor { base, at }))
            }
            Ok(Err(error)) => {
                // A trim may have taken the file meanwhile; then that is the answer.
                self.shared.with(|s| s.check(self.position))?;
                Err(error)
            }
            // The runtime is going down.
            Err(_) => Err(LogError::Closed),
        }
    }
}

/// Reads batches from the frames in `span`. The answer is where the last frame
/// read ends.
fn read_file(
    file: &dyn LogFile,
    path: &Path,
    span: Range<u64>,
    chunk: usize,
    mut gather: Gather,
) -> Result<(Vec<LogBatch>, u64), LogError> {
    let (at, frame_len) = seek(file, path, span.clone(), gather.next())?;
    let want = (chunk as u64).max(frame_len).min(span.end - at);
    let mut buffer = vec![0; want as usize];
    file.read_at(&mut buffer, at)
        .map_err(|e| LogError::io("reading", path, e))?;
    let buffer = Bytes::from(buffer);
    let mut used = 0;
    while let Some(bytes) = buffer[used..].first_chunk::<{ frame::HEADER }>() {
        let here = at + used as u64;
        let damaged = |fault: Fault| LogError::damaged(path, here, fault);
        let header = Header::decode(bytes, here).map_err(damaged)?;
        let end = used + frame::HEADER + header.body_len();
        if end > buffer.len() || !gather.wants(header.body_len()) {
            break;
        }
        let body = buffer.slice(used + frame::HEADER..end);
        header.check_body(&body).map_err(damaged)?;
        if header.has_records() {
            let (found, expected) = (header.place.first, gather.next());
            if found > expected {
                return Err(damaged(Fault::Offset { found, expected }));
            }
            let (json, payloads) = frame::split(&body, header.count).map_err(damaged)?;
            let envelope: Envelope =
                serde_json::from_slice(&body[json]).map_err(|_| damaged(Fault::Content))?;
            gather.add(Arc::new(envelope), found, payloads);
        }
        used = end;
    }
    Ok((gather.batches, at + used as u64))
}

/// Hops from frame to frame to the one that holds `offset`. The answer is
/// where it begins and how long it is.
fn seek(
    file: &dyn LogFile,
    path: &Path,
    span: Range<u64>,
    offset: i64,
) -> Result<(u64, u64), LogError> {
    let mut at = span.start;
    loop {
        let mut bytes = [0; frame::HEADER];
        if at + bytes.len() as u64 > span.end {
            return Err(LogError::damaged(path, at, Fault::Short));
        }
        file.read_at(&mut bytes, at)
            .map_err(|e| LogError::io("reading", path, e))?;
        let header = Header::decode(&bytes, at).map_err(|f| LogError::damaged(path, at, f))?;
        let end = at + header.frame_len();
        if end > span.end {
            return Err(LogError::damaged(path, at, Fault::Short));
        }
        if header.next() > offset {
            return Ok((at, header.frame_len()));
        }
        at = end;
    }
}

#[cfg(test)]
mod tests;
