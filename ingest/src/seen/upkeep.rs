//! The life of runs: freeze, flush, merge, expire.
//!
//! The durable steps of a flush or a merge, and what a crash after each leaves:
//!
//! 1. and 2. The new run is written and named ([`super::write`]): a file that
//!    no manifest lists; removed at the next open, and nothing else changed.
//! 3. The manifest is replaced: the new run counts, the inputs of a merge
//!    don't. A crash leaves the inputs' files, which are removed at the next open.
//! 4. The inputs' files are removed.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cairn_schemas::Micros;
use tracing::{info, warn};

use super::SeenIndex;
use super::error::SeenError;
use super::manifest::{Listed, Manifest};
use super::memtable::Memtable;
use super::open::{self, RUNS, SetAside};
use super::run::Run;
use super::work::{Done, Task, Work};

impl SeenIndex {
    /// Closes the active memtable, so that the next work writes it out, full
    /// or not. Worth doing every few minutes where events are few: what is in
    /// memory has to be read again from history after a restart.
    pub fn freeze(&mut self) {
        if self.active.is_empty() {
            return;
        }
        let fresh = Memtable::new(self.reached.clone(), self.options.memtable_entries);
        let full = std::mem::replace(&mut self.active, fresh);
        self.frozen.push_back(Arc::new(full));
    }

    /// Makes everything durable that history has committed, on this thread. A
    /// table that holds anything else stays in memory, and what it holds is read
    /// from history again where the index is dropped before.
    pub fn flush(&mut self) -> Result<(), SeenError> {
        self.freeze();
        self.write_frozen()
    }

    /// The next piece of upkeep, if there is any: run it on a blocking thread
    /// and give what it returns to [`finish`](Self::finish). At most one flush
    /// and one merge are out at a time.
    pub fn next_work(&mut self) -> Option<Work> {
        if self.must_reopen {
            return None;
        }
        if !self.flushing
            && let Some(oldest) = self.writable()
        {
            let task = Task::Flush(oldest);
            self.flushing = true;
            return Some(self.work(task));
        }
        let stopped = self.stop.load(Ordering::Relaxed);
        if self.merging.is_empty()
            && !stopped
            && let Some(inputs) = self.mergeable()
        {
            self.merging = inputs.iter().map(|run| run.id).collect();
            return Some(self.work(Task::Merge(inputs)));
        }
        None
    }

    /// Takes the outcome of a work in. Work that was stopped or abandoned is
    /// no error; it will be offered again.
    pub fn finish(&mut self, done: Done) -> Result<(), SeenError> {
        match &done.task {
            Task::Flush(_) => self.flushing = false,
            Task::Merge(_) => self.merging.clear(),
        }
        let run = match done.outcome {
            Ok(run) => run,
            Err(SeenError::Stopped) => return Ok(()),
            Err(error) => return Err(self.failed(error)),
        };
        if self.must_reopen {
            // Unlisted, the run is removed at the next open.
            return Err(SeenError::MustReopen);
        }
        match done.task {
            Task::Flush(table) => self.take_flushed(&table, run),
            Task::Merge(inputs) => self.take_merged(&inputs, run),
        }
        self.write_manifest()
    }

    /// Forgets the runs all of whose events were received before `before`.
    /// Younger runs keep their older entries until they go themselves.
    pub fn expire(&mut self, before: Micros) -> Result<(), SeenError> {
        let merging = &self.merging;
        let expired = |run: &Arc<Run>| run.footer.max_ingest < before && !merging.contains(&run.id);
        let (old, kept): (Vec<_>, Vec<_>) = self.runs.drain(..).partition(expired);
        self.runs = kept;
        if old.is_empty() {
            return Ok(());
        }
        info!(runs = old.len(), "duplicate index expired runs");
        self.doomed.extend(old.iter().map(|run| run.path.clone()));
        self.write_manifest()
    }

    /// The oldest frozen table, if history committed all that it holds.
    fn writable(&self) -> Option<Arc<Memtable>> {
        let oldest = self.frozen.front()?;
        self.committed
            .reaches(&oldest.ends)
            .then(|| Arc::clone(oldest))
    }

    /// Writes the frozen tables here and now that history has committed, oldest
    /// first, so that durable runs always hold a prefix of what was inserted. A
    /// table whose flush is under way elsewhere is written once more; that
    /// flush comes too late and is discarded.
    pub(super) fn write_frozen(&mut self) -> Result<(), SeenError> {
        while let Some(table) = self.writable() {
            let done = self.work(Task::Flush(Arc::clone(&table))).run();
            let run = done.outcome.map_err(|error| self.failed(error))?;
            self.take_flushed(&table, run);
            self.write_manifest()?;
        }
        Ok(())
    }

    fn work(&mut self, task: Task) -> Work {
        let id = self.next_run;
        self.next_run += 1;
        Work {
            id,
            folder: self.folder.join(RUNS),
            task,
            stop: Arc::clone(&self.stop),
            lock: Arc::clone(&self.lock),
        }
    }

    fn take_flushed(&mut self, table: &Arc<Memtable>, run: Run) {
        let expected = self.frozen.front();
        if expected.is_some_and(|oldest| Arc::ptr_eq(oldest, table)) {
            self.frozen.pop_front();
            self.runs.push(Arc::new(run));
        } else {
            self.doomed.push(run.path);
        }
    }

    fn take_merged(&mut self, inputs: &[Arc<Run>], run: Run) {
        let is_input = |known: &Arc<Run>| inputs.iter().any(|input| input.id == known.id);
        let Some(place) = self.runs.iter().position(is_input) else {
            self.doomed.push(run.path);
            return;
        };
        self.runs.retain(|known| !is_input(known));
        self.runs.insert(place, Arc::new(run));
        let paths = inputs.iter().map(|input| input.path.clone());
        self.doomed.extend(paths);
    }

    /// The oldest runs of the lowest tier that is full.
    fn mergeable(&self) -> Option<Vec<Arc<Run>>> {
        let fanout = self.options.fanout.max(2);
        let smallest = (self.options.memtable_entries / fanout).max(1);
        let tier = |run: &Arc<Run>| {
            let mut limit = smallest;
            let mut tier = 0usize;
            while run.len() > limit {
                limit = limit.saturating_mul(fanout);
                tier += 1;
            }
            tier
        };
        let highest = self.runs.iter().map(tier).max()?;
        (0..=highest).find_map(|wanted| {
            let of_tier = self.runs.iter().filter(|run| tier(run) == wanted);
            let inputs: Vec<_> = of_tier.take(fanout).map(Arc::clone).collect();
            let entries: usize = inputs.iter().map(|run| run.len()).sum();
            let fits = entries <= self.options.max_run_entries;
            (inputs.len() == fanout && fits).then_some(inputs)
        })
    }

    pub(super) fn write_manifest(&mut self) -> Result<(), SeenError> {
        let listed = |run: &Arc<Run>| Listed {
            id: run.id,
            entries: run.footer.entries,
            footer_crc: run.footer_crc,
            from: run.from.named(&self.partitions),
        };
        let runs = self.runs.iter().map(listed).collect();
        Manifest::new(self.partitions.clone(), self.covered(), runs).write(&self.folder)?;
        // Step 4. A file that can't be removed now is removed at the next open.
        for path in self.doomed.drain(..) {
            let _ = fs::remove_file(path);
        }
        Ok(())
    }

    /// Passes `error` on. If it says that a run is damaged, the run goes, and
    /// the index answers no more: without the run it would have a hole.
    pub(super) fn failed(&mut self, error: SeenError) -> SeenError {
        let SeenError::Damaged { file, why } = &error else {
            return error;
        };
        let Some(place) = self.runs.iter().position(|run| run.path == *file) else {
            return error;
        };
        let run = self.runs.remove(place);
        self.must_reopen = true;
        self.note_set_aside(file.clone(), why);
        // What is in memory is dropped at the reopen, and is replayed. Only
        // `covered`, as the manifest will state it, has to be right.
        let covered = self.covered_cut().meet(&run.from).meet(&self.committed);
        self.frozen.clear();
        self.reached = covered.clone();
        self.active.from = covered;
        // Best effort, both: if either fails, the next open finds the damaged
        // run listed, or missing, and goes back just the same.
        let moved = open::move_aside(&self.folder, file);
        if let Err(error) = moved.and_then(|()| self.write_manifest()) {
            warn!(%error, "duplicate index could not note a damaged run");
        }
        error
    }

    pub(super) fn note_set_aside(&mut self, file: PathBuf, why: &str) {
        warn!(file = %file.display(), why, "duplicate index set a file aside");
        self.set_aside.push(SetAside {
            file,
            why: why.to_owned(),
        });
    }
}
