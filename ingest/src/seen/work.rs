//! The index's own work, off the pipeline's thread: writing a full memtable
//! out, and merging runs.
//!
//! A [`Work`] owns all that it needs, so it can be moved to a blocking thread;
//! the index goes on answering meanwhile. It is bounded: one memtable, or one
//! merge of at most `max_run_entries` entries through a buffer of 64 KiB a run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::cut::Cut;
use super::error::SeenError;
use super::key::Entry;
use super::memtable::Memtable;
use super::run::{BLOCK, PER_BLOCK, Run, entry_of};
use super::write::{RunWriter, run_name};

/// Entries between two looks at the stop flag.
const STRIDE: usize = 1 << 14;
/// Blocks that a merge reads at once.
const READ_AHEAD: usize = 16;

/// A bounded piece of work. Run it anywhere, then hand its outcome to
/// [`SeenIndex::finish`](super::SeenIndex::finish). One that is dropped
/// instead must be given back there too: see [`Work::abandon`].
#[derive(Debug)]
pub struct Work {
    pub(super) id: u64,
    pub(super) folder: PathBuf,
    pub(super) task: Task,
    pub(super) stop: Arc<AtomicBool>,
    /// Keeps the folder locked until the work ends, also where the index is
    /// dropped before.
    pub(super) lock: Arc<File>,
}

#[derive(Clone, Debug)]
pub(super) enum Task {
    Flush(Arc<Memtable>),
    Merge(Vec<Arc<Run>>),
}

/// How a [`Work`] ended.
#[derive(Debug)]
#[must_use = "the index must learn of the outcome: call SeenIndex::finish"]
pub struct Done {
    pub(super) task: Task,
    pub(super) outcome: Result<Run, SeenError>,
    _lock: Arc<File>,
}

impl Work {
    /// Does the work. Blocks on the disk.
    pub fn run(self) -> Done {
        let outcome = match &self.task {
            Task::Flush(table) => self.flush(table),
            Task::Merge(inputs) => self.merge(inputs),
        };
        if outcome.is_err() {
            // Best effort: what stays is removed at the next open.
            for extension in ["tmp", "run"] {
                let _ = fs::remove_file(self.folder.join(run_name(self.id, extension)));
            }
        }
        self.done(outcome)
    }

    /// Gives the work back undone.
    pub fn abandon(self) -> Done {
        self.done(Err(SeenError::Stopped))
    }

    /// Whether it is a merge, which may wait, and not a flush, which frees memory.
    pub fn is_merge(&self) -> bool {
        matches!(self.task, Task::Merge(_))
    }

    fn done(self, outcome: Result<Run, SeenError>) -> Done {
        Done {
            task: self.task,
            outcome,
            _lock: self.lock,
        }
    }

    fn flush(&self, table: &Memtable) -> Result<Run, SeenError> {
        let mut writer = RunWriter::begin(&self.folder, self.id, table.len())?;
        for entry in table.sorted() {
            writer.push(entry)?;
        }
        writer.finish(table.from.clone(), table.ingest())
    }

    fn merge(&self, inputs: &[Arc<Run>]) -> Result<Run, SeenError> {
        let expected = inputs.iter().map(|run| run.len()).sum();
        let mut writer = RunWriter::begin(&self.folder, self.id, expected)?;
        let mut cursors: Vec<Cursor<'_>> = inputs.iter().map(|run| Cursor::new(run)).collect();
        let mut heads = BinaryHeap::with_capacity(cursors.len());
        for (number, cursor) in cursors.iter_mut().enumerate() {
            heads.extend(cursor.next()?.map(|entry| Reverse((entry, number))));
        }
        let mut count = 0;
        while let Some(Reverse((entry, number))) = heads.pop() {
            self.heed_stop(count)?;
            count += 1;
            writer.push(entry)?;
            heads.extend(
                cursors[number]
                    .next()?
                    .map(|entry| Reverse((entry, number))),
            );
        }
        let footers = || inputs.iter().map(|run| &run.footer);
        let low = footers().map(|f| f.min_ingest).min().unwrap_or_default();
        let high = footers().map(|f| f.max_ingest).max().unwrap_or_default();
        let from = inputs.iter().map(|run| run.from.clone());
        let from = from.reduce(|a, b| Cut::meet(&a, &b)).unwrap_or_default();
        writer.finish(from, (low, high))
    }

    fn heed_stop(&self, count: usize) -> Result<(), SeenError> {
        if count.is_multiple_of(STRIDE) && self.stop.load(Ordering::Relaxed) {
            return Err(SeenError::Stopped);
        }
        Ok(())
    }
}

/// Reads a run from its start to its end.
struct Cursor<'a> {
    run: &'a Run,
    next: usize,
    /// The blocks read ahead; they begin at entry `base`.
    blocks: Vec<u8>,
    base: usize,
}

impl<'a> Cursor<'a> {
    fn new(run: &'a Run) -> Self {
        Self {
            run,
            next: 0,
            blocks: Vec::new(),
            base: 0,
        }
    }

    fn next(&mut self) -> Result<Option<Entry>, SeenError> {
        if self.next == self.run.len() {
            return Ok(None);
        }
        if self.next == self.base + self.blocks.len() / BLOCK * PER_BLOCK {
            let first = self.next / PER_BLOCK;
            let left = self.run.len().div_ceil(PER_BLOCK) - first;
            self.blocks.resize(left.min(READ_AHEAD) * BLOCK, 0);
            self.run.read_blocks(first, &mut self.blocks)?;
            self.base = self.next;
        }
        let (blocks, _) = self.blocks.as_chunks::<BLOCK>();
        let index = self.next - self.base;
        self.next += 1;
        Ok(Some(entry_of(
            &blocks[index / PER_BLOCK],
            index % PER_BLOCK,
        )))
    }
}
