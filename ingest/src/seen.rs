//! Duplicates, over the whole hot window: has this (account, event id) been
//! here before, and with the same bytes?
//!
//! History (the committed table) and the log are the truth. This index is
//! **derived**: its folder may be deleted at any time while Cairn is down, and
//! is then rebuilt from history.
//!
//! # Shape
//!
//! New entries go to a memtable of bounded size. A full one is written out as
//! a sorted immutable [`run`], whose tags stay in memory: 2.1 bytes an entry.
//! Runs of like size are merged, eight into one, and dropped whole once all
//! they hold has aged out. A new event costs a probe of the tags of each run
//! (about a dozen at 100 million events); a known one costs one read of 4 KiB
//! more.
//!
//! # Which event is the duplicate: the rule
//!
//! What is remembered is, for each (key, content), the place in the log of the
//! event that was admitted, and whether it was flagged. An event is judged by
//! the entries **before** it:
//!
//! * in its own partition: those at a lower (offset, item);
//! * in other partitions: those that were inserted earlier.
//!
//! Same content before: duplicate. Other contents only: conflict. Nothing: new.
//!
//! # What is on the disk, and what is in memory
//!
//! Several processes may judge for one history, each with an index of its own.
//! Whose event is the first is decided by history's commits alone. So **the disk
//! holds what history committed and nothing else**: a frozen memtable is written
//! out once the committed position has passed every place in it, and `covered`,
//! as the manifest states it, never exceeds that position. Entries beyond it
//! exist in the memory of one *incarnation* of the pipeline only, and end with
//! it: dropped and opened again, the index knows what history knows. Otherwise
//! two processes could each remember the other's copy of an event as the first,
//! and both drop theirs.
//!
//! What others commit is learned: [`begin_learning`](SeenIndex::begin_learning),
//! each of their rows through [`learn`](SeenIndex::learn), then
//! [`advance`](SeenIndex::advance). Where a row's key is held by an entry that
//! is not committed, the two collide: that entry's event was judged without the
//! row, so the incarnation has to end, and its events are judged again. Where
//! nothing collides, every entry in memory would be judged the same after the
//! row as before it.
//!
//! An entry at an event's own place is the event itself and is never "before"
//! it. So an incarnation may judge an event twice (after an error), and may be
//! told of a row that it knows.
//!
//! * **One partition, one process**: the answer is a function of the log up to
//!   the event. A new incarnation knows the committed part and replays the rest,
//!   in order.
//! * **Several partitions**: a replay may interleave them otherwise, and then
//!   admit the other of two copies. Each content of a key is admitted exactly
//!   once in every case; which of two contents carries the flag may differ
//!   between incarnations, but never from what history holds.
//!
//! Memory is bounded although a table waits for its commit: entries that are not
//! committed belong to open rows, one each at most, and the pipeline stops
//! reading when those take twice the size of a commit. So there are at most the
//! active table, the tables of that many entries, and one that is being written.
//!
//! # What the caller owes
//!
//! 1. After [`open`](SeenIndex::open): [`restore`](SeenIndex::restore) each row
//!    of history at or after [`covered`](SeenIndex::covered), in any order; then
//!    [`advance`](SeenIndex::advance) to history's committed position; then
//!    read the log from there.
//! 2. `advance` names a place only when everything below it has been inserted,
//!    or needs no entry.
//! 3. [`committed`](SeenIndex::committed) names a place only when history holds
//!    what this index admitted below it. Where another process committed a
//!    partition that this one judged too, the index is dropped instead.
//! 4. All partitions of one process go through one index.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cairn_schemas::{Partition, Position};

mod cut;
mod error;
mod key;
mod manifest;
mod memtable;
mod open;
mod run;
mod upkeep;
mod work;
mod write;

pub use error::SeenError;
pub use key::{Candidate, ContentId, Place, Seen, SeenKey, Slot};
pub use open::SetAside;
pub use work::{Done, Work};

use cut::Cut;
use key::Answer;
use memtable::Memtable;
use run::{BlockBuffer, Run};

/// Events that are looked up together: enough for the processor to overlap
/// the cache misses of the probes.
const CHUNK: usize = 1024;

/// How large the parts of the index may become.
#[derive(Clone, Debug)]
pub struct SeenOptions {
    /// Entries of a memtable. Two may exist at a time beside those that wait
    /// for history's commit, of about 56 bytes an entry, and a sorted copy of
    /// one while it is written.
    pub memtable_entries: usize,
    /// How many runs of like size are merged into one.
    pub fanout: usize,
    /// No merge makes a run of more entries than this: it bounds how long a
    /// merge takes, and how coarsely entries expire.
    pub max_run_entries: usize,
    /// Where history stands. Runs that know more are set aside. `None` takes
    /// the folder's word for it.
    pub committed: Option<Position>,
}

impl Default for SeenOptions {
    fn default() -> Self {
        Self {
            // What a hash table of 2^19 slots holds before it would grow.
            memtable_entries: (1 << 19) / 8 * 7,
            fanout: 8,
            max_run_entries: 1 << 25,
            committed: None,
        }
    }
}

/// Figures for metrics and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeenStats {
    /// Entries that are not durable yet.
    pub memory_entries: usize,
    /// Runs.
    pub runs: usize,
    /// Entries in runs.
    pub run_entries: u64,
    /// Bytes of memory that the runs' tags take.
    pub index_bytes: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Blocks of 4 KiB that look-ups have read since the index was opened.
    pub block_reads: u64,
}

/// The duplicate index. One owner, one thread; its heavy work can be done
/// elsewhere (see [`next_work`](SeenIndex::next_work)).
#[derive(Debug)]
pub struct SeenIndex {
    folder: PathBuf,
    options: SeenOptions,
    lock: Arc<File>,
    /// By slot; never shrinks while open.
    partitions: Vec<Partition>,
    slots: HashMap<Partition, Slot>,
    /// Everything below has been inserted.
    reached: Cut,
    /// History holds every entry below.
    committed: Cut,
    active: Memtable,
    /// Full tables on their way to the disk, oldest first. Still asked.
    frozen: VecDeque<Arc<Memtable>>,
    /// Oldest first.
    runs: Vec<Arc<Run>>,
    next_run: u64,
    /// A flush of `frozen[0]` is under way elsewhere.
    flushing: bool,
    /// The inputs of the merge that is under way elsewhere.
    merging: Vec<u64>,
    /// Files that may go once a manifest without them is durable.
    doomed: Vec<PathBuf>,
    buffer: BlockBuffer,
    set_aside: Vec<SetAside>,
    /// A run was lost while open: answers would have a hole.
    must_reopen: bool,
    stop: Arc<AtomicBool>,
}

impl SeenIndex {
    /// The number of `partition` in this index; given out at its first use.
    pub fn slot(&mut self, partition: &Partition) -> Result<Slot, SeenError> {
        if let Some(slot) = self.slots.get(partition) {
            return Ok(*slot);
        }
        let next = self.partitions.len();
        if next >= Slot::MOST {
            return Err(SeenError::TooManyPartitions);
        }
        let slot = Slot(next as u16);
        self.partitions.push(partition.clone());
        self.slots.insert(partition.clone(), slot);
        Ok(slot)
    }

    /// The partition of a place.
    pub fn partition(&self, slot: Slot) -> Option<&Partition> {
        self.partitions.get(slot.index())
    }

    /// Judges one event and remembers it; see [`check_batch`](Self::check_batch).
    pub fn check_and_insert(&mut self, event: Candidate) -> Result<Seen, SeenError> {
        let verdicts = self.check_batch(&[event])?;
        Ok(verdicts.first().copied().unwrap_or(Seen::New))
    }

    /// Judges events in the order of the log, each also by those before it in
    /// `events`, and remembers those that are admitted.
    ///
    /// May write a memtable out where the background has not kept up. After
    /// an error the same events may be given again: those that were taken
    /// already are not duplicates of themselves.
    pub fn check_batch(&mut self, events: &[Candidate]) -> Result<Vec<Seen>, SeenError> {
        let mut verdicts = Vec::with_capacity(events.len());
        for chunk in events.chunks(CHUNK.min(self.options.memtable_entries)) {
            self.make_room(chunk.len())?;
            let mut answers: Vec<Answer> = chunk.iter().map(Answer::new).collect();
            self.ask_runs(chunk, &mut answers)?;
            for (event, answer) in chunk.iter().zip(&mut answers) {
                for table in &self.frozen {
                    table.consider(event, answer);
                }
                self.active.consider(event, answer);
                let verdict = answer.verdict();
                if verdict.admits() && !answer.remembered() {
                    let flagged = matches!(verdict, Seen::Conflict(_));
                    self.active.insert(event, flagged);
                }
                verdicts.push(verdict);
            }
        }
        Ok(verdicts)
    }

    /// Remembers a row of history without asking for it. `flagged` is whether
    /// the row bears `conflicting_duplicate`. Rows that are known already do
    /// no harm.
    pub fn restore(&mut self, row: Candidate, flagged: bool) -> Result<(), SeenError> {
        self.make_room(1)?;
        self.active.insert(&row, flagged);
        Ok(())
    }

    /// States that everything below `position` has been inserted. Never moves
    /// back; partitions that `position` doesn't name stay.
    pub fn advance(&mut self, position: &Position) -> Result<(), SeenError> {
        for (partition, next) in &position.0 {
            let slot = self.slot(partition)?;
            self.reached.advance(slot, *next);
        }
        if self.active.is_empty() {
            self.active.from = self.reached.clone();
        }
        Ok(())
    }

    /// States that history committed everything below `position` as this index
    /// judged it. Never moves back.
    pub fn committed(&mut self, position: &Position) -> Result<(), SeenError> {
        for (partition, next) in &position.0 {
            let slot = self.slot(partition)?;
            self.committed.advance(slot, *next);
        }
        Ok(())
    }

    /// Begins to take in what others committed up to `at`, which is no further
    /// than this index's own commits in the partitions that it judges.
    pub fn begin_learning(&mut self, at: &Position) -> Result<(), SeenError> {
        // The rows that are about to come lie below it and so do not collide
        // with each other; `reached` moves only when all have come.
        self.committed(at)
    }

    /// Remembers a row that another process committed. `false` where its key is
    /// held by an entry that is not committed: see the module's documentation.
    pub fn learn(&mut self, row: Candidate, flagged: bool) -> Result<bool, SeenError> {
        let tables = self.frozen.iter().map(AsRef::as_ref);
        let mut tables = tables.chain(std::iter::once(&self.active));
        if tables.any(|table| table.holds_beyond(row.key, &self.committed)) {
            return Ok(false);
        }
        self.restore(row, flagged)?;
        Ok(true)
    }

    /// Whether history holds everything that this index knows, so that a new
    /// incarnation may go on with it.
    pub fn is_settled(&self) -> bool {
        let tables = self.frozen.iter().map(AsRef::as_ref);
        let mut tables = tables.chain(std::iter::once(&self.active));
        !self.must_reopen
            && self.committed.reaches(&self.reached)
            && tables.all(|table| self.committed.reaches(&table.ends))
    }

    /// Everything below is in durable runs: history's rows from here on are
    /// to be restored after an open.
    pub fn covered(&self) -> Position {
        let covered = self.covered_cut().meet(&self.committed);
        covered.named(&self.partitions)
    }

    fn covered_cut(&self) -> &Cut {
        match self.frozen.front() {
            Some(oldest) => &oldest.from,
            // Nothing is held in memory, so nothing can be lost.
            None if self.active.is_empty() => &self.reached,
            None => &self.active.from,
        }
    }

    /// Files that `open`, or a read since, found unfit. Where there are any,
    /// `covered` has gone back to before the oldest of them.
    pub fn set_aside(&self) -> &[SetAside] {
        &self.set_aside
    }

    /// Tells a merge that is under way to end soon, and begins no other: for a
    /// quick shutdown. Flushes are short and go on.
    pub fn stop_work(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Figures as of now.
    pub fn stats(&self) -> SeenStats {
        let frozen: usize = self.frozen.iter().map(|table| table.len()).sum();
        let index = |run: &Arc<Run>| run.index.tags.len() * 2 + run.index.starts.len() * 4;
        SeenStats {
            memory_entries: self.active.len() + frozen,
            runs: self.runs.len(),
            run_entries: self.runs.iter().map(|run| run.footer.entries).sum(),
            index_bytes: self.runs.iter().map(|run| index(run) as u64).sum(),
            disk_bytes: self.runs.iter().map(|run| run.bytes).sum(),
            block_reads: self.buffer.reads,
        }
    }

    /// Run by run, and first all buckets, then all tags: no probe waits for
    /// another's cache miss.
    fn ask_runs(&mut self, events: &[Candidate], answers: &mut [Answer]) -> Result<(), SeenError> {
        let mut buckets = Vec::with_capacity(events.len());
        let mut hits = Vec::new();
        let mut damaged = None;
        'runs: for run in &self.runs {
            buckets.clear();
            buckets.extend(events.iter().map(|event| run.index.bucket(event.key)));
            for (number, (event, bucket)) in events.iter().zip(buckets.drain(..)).enumerate() {
                let within = run.index.probe(event.key, bucket);
                hits.extend(within.map(|within| (number, within)));
            }
            for (number, within) in hits.drain(..) {
                let answer = &mut answers[number];
                let asked = run.consider(&events[number], within, &mut self.buffer, answer);
                if let Err(error) = asked {
                    damaged = Some(error);
                    break 'runs;
                }
            }
        }
        match damaged {
            None => Ok(()),
            Some(error) => Err(self.failed(error)),
        }
    }

    /// Room for `more` entries in the active table. Memory stays bounded: where
    /// the background has not kept up, committed tables are written here.
    fn make_room(&mut self, more: usize) -> Result<(), SeenError> {
        if self.must_reopen {
            return Err(SeenError::MustReopen);
        }
        if self.active.len() + more > self.options.memtable_entries {
            self.write_frozen()?;
            self.freeze();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
