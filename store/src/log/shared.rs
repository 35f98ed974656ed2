//! What is durable: the list of segments, and the newest groups in memory.
//! The writer puts things here after their sync and at no other moment, so
//! nothing else has to ask what a reader may see.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::files::LogFiles;
use super::{Envelope, LogBatch, LogError, LogOptions, frame, segment};

/// One frame of a [`Group`].
#[derive(Debug)]
pub(super) struct Entry {
    /// The offset of its first record.
    pub(super) first: i64,
    /// Its number of records.
    pub(super) count: u32,
    /// Where its body begins in the group's bytes.
    pub(super) body: usize,
    /// Where it ends in the group's bytes.
    pub(super) end: usize,
    /// Its envelope.
    pub(super) envelope: Arc<Envelope>,
}

/// What one sync made durable, as it lies on the disk.
#[derive(Debug)]
pub(super) struct Group {
    /// The segment that it lies in.
    pub(super) base: i64,
    /// Where it begins in that segment.
    pub(super) position: u64,
    /// Its bytes.
    pub(super) bytes: Bytes,
    /// Its frames.
    pub(super) entries: Vec<Entry>,
}

impl Group {
    fn first(&self) -> i64 {
        self.entries.first().map_or(i64::MAX, |e| e.first)
    }
}

/// A segment in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its first offset.
    pub(super) base: i64,
    /// How many of its bytes are durable.
    pub(super) bytes: u64,
}

/// What is durable at this moment.
#[derive(Debug)]
pub(super) struct State {
    /// The segments in the order of their offsets; never empty. The last is
    /// the one being written.
    pub(super) segments: VecDeque<Segment>,
    /// The next offset after the last durable record.
    pub(super) next: i64,
    /// Why the last group could not be written; `None` when it could.
    pub(super) trouble: Option<LogError>,
    ring: VecDeque<Arc<Group>>,
    ring_bytes: usize,
}

/// What the handle, the writer and the readers have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) files: Arc<dyn LogFiles>,
    pub(super) dir: PathBuf,
    pub(super) options: LogOptions,
    state: Mutex<State>,
    /// Held through a trim: two at a time could remove segments out of order.
    pub(super) trimming: Mutex<()>,
}

/// Where a reader finds its next records.
#[derive(Debug)]
pub(super) enum Source {
    /// Nothing durable beyond the position yet.
    Nothing,
    /// In these groups, the first of which holds the position.
    Memory(Vec<Arc<Group>>),
    /// In a file.
    File {
        /// The segment, and how much of it is durable.
        segment: Segment,
    },
}

impl Shared {
    pub(super) fn new(
        files: Arc<dyn LogFiles>,
        dir: PathBuf,
        options: LogOptions,
        segments: VecDeque<Segment>,
        next: i64,
    ) -> Self {
        let state = State {
            segments,
            next,
            trouble: None,
            ring: VecDeque::new(),
            ring_bytes: 0,
        };
        Self {
            files,
            dir,
            options,
            state: Mutex::new(state),
            trimming: Mutex::new(()),
        }
    }

    /// Looks at or changes the state. Short: never held over a file operation.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock())
    }

    /// The path of a segment.
    pub(super) fn path(&self, base: i64) -> PathBuf {
        segment::path(&self.dir, base)
    }

    /// Where the records from `position` on are, about `max_bytes` of them.
    pub(super) fn locate(&self, position: i64, max_bytes: usize) -> Result<Source, LogError> {
        let state = self.state.lock();
        state.check(position)?;
        if position == state.next {
            return Ok(Source::Nothing);
        }
        if state.ring.front().is_some_and(|g| g.first() <= position) {
            let from = state.ring.partition_point(|g| g.first() <= position) - 1;
            let mut room = max_bytes;
            let mut groups = Vec::new();
            for group in state.ring.range(from..) {
                groups.push(Arc::clone(group));
                room = room.saturating_sub(group.bytes.len());
                if room == 0 {
                    break;
                }
            }
            return Ok(Source::Memory(groups));
        }
        let after = state.segments.partition_point(|s| s.base <= position);
        let segment = state.segments[after.saturating_sub(1)];
        Ok(Source::File { segment })
    }
}

impl State {
    /// The first offset kept.
    pub(super) fn start(&self) -> i64 {
        self.segments.front().map_or(self.next, |s| s.base)
    }

    /// Whether a reader may stand at `position`.
    pub(super) fn check(&self, position: i64) -> Result<(), LogError> {
        let (start, end) = (self.start(), self.next);
        if position < start {
            return Err(LogError::Trimmed {
                asked: position,
                start,
            });
        }
        if position > end {
            return Err(LogError::Ahead {
                asked: position,
                end,
            });
        }
        Ok(())
    }

    /// A new last segment, in place of the last where that has the same base.
    pub(super) fn begin(&mut self, base: i64) {
        if self.segments.back().is_some_and(|s| s.base == base) {
            self.segments.pop_back();
        }
        self.segments.push_back(Segment {
            base,
            bytes: segment::HEADER,
        });
    }

    /// A group has become durable at the end of the last segment.
    pub(super) fn publish(&mut self, group: Group, next: i64, ring_bytes: usize) {
        if let Some(last) = self.segments.back_mut() {
            last.bytes = group.position + group.bytes.len() as u64;
        }
        self.next = next;
        self.trouble = None;
        self.ring_bytes += group.bytes.len();
        self.ring.push_back(Arc::new(group));
        while self.ring_bytes > ring_bytes && self.ring.len() > 1 {
            let gone = self.ring.pop_front();
            self.ring_bytes -= gone.map_or(0, |g| g.bytes.len());
        }
    }
}

/// Gathers batches for a reader: whole frames, at least one, and no more than
/// `max_bytes` after the first.
#[derive(Debug)]
pub(super) struct Gather {
    from: i64,
    room: usize,
    /// What was gathered.
    pub(super) batches: Vec<LogBatch>,
}

impl Gather {
    /// From the offset `from` on.
    pub(super) fn new(from: i64, max_bytes: usize) -> Self {
        Self {
            from,
            room: max_bytes,
            batches: Vec::new(),
        }
    }

    /// The next offset to read.
    pub(super) fn next(&self) -> i64 {
        self.batches.last().map_or(self.from, LogBatch::next)
    }

    /// Whether a body of this size still has room.
    pub(super) fn wants(&self, body_len: usize) -> bool {
        self.batches.is_empty() || body_len <= self.room
    }

    /// Adds the records of a frame, without those before `from`.
    pub(super) fn add(&mut self, envelope: Arc<Envelope>, first: i64, mut payloads: Vec<Bytes>) {
        self.room = self
            .room
            .saturating_sub(payloads.iter().map(Bytes::len).sum());
        let skip = usize::try_from(self.from - first).unwrap_or(0);
        if skip > 0 {
            payloads.drain(..skip.min(payloads.len()));
        }
        if !payloads.is_empty() {
            self.batches.push(LogBatch {
                envelope,
                first: first.max(self.from),
                payloads,
            });
        }
    }

    /// Adds what has room of a group. The answer is where the last frame taken
    /// ends in its segment; `None` when nothing was taken.
    pub(super) fn add_group(&mut self, group: &Group) -> Result<Option<u64>, frame::Fault> {
        let mut end = None;
        for entry in &group.entries {
            if entry.first + i64::from(entry.count) <= self.from {
                continue;
            }
            if !self.wants(entry.end - entry.body) {
                break;
            }
            let body = group.bytes.slice(entry.body..entry.end);
            let (_, payloads) = frame::split(&body, entry.count)?;
            self.add(Arc::clone(&entry.envelope), entry.first, payloads);
            end = Some(group.position + entry.end as u64);
        }
        Ok(end)
    }
}
