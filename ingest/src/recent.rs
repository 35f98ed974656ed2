//! The newest rows of history, in memory.
//!
//! They serve three readers from one place: queries see rows before they are
//! in a file, the committer takes them to make files, and followers that keep
//! up read them instead of the files. Rows stay until they are committed *and*
//! every follower has passed them, or until the memory for committed rows is
//! used up; a follower that lags further reads files.

use std::collections::{BTreeSet, VecDeque};

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use cairn_schemas::{Partition, Position};

use crate::source::Mark;

/// Rows of one stretch of one partition: every row that the records
/// `first..next` became (duplicates and quarantined records became none).
#[derive(Clone, Debug)]
pub struct Stretch {
    /// The partition.
    pub partition: Partition,
    /// The first offset that is dealt with.
    pub first: i64,
    /// The next offset after it.
    pub next: i64,
    /// The rows of history, in log order; may be empty.
    pub rows: RecordBatch,
    /// The rows of quarantine, in log order; mostly empty.
    pub quarantined: RecordBatch,
    /// About how much memory they take.
    pub bytes: usize,
    /// By what the log can be recognised later.
    pub mark: Option<Mark>,
}

/// The size up to which neighbours are merged.
const MERGED_ROWS: usize = 1_024;

impl Stretch {
    /// What of it lies at or beyond `at`. A follower may stand inside of a
    /// stretch: the windows in which it reads files end anywhere.
    fn beyond(&self, at: i64) -> Stretch {
        if self.first >= at {
            return self.clone();
        }
        let cut = |rows: &RecordBatch| {
            let column = rows.column_by_name("log_offset");
            let offsets = column.and_then(|c| c.as_primitive_opt::<Int64Type>());
            let below = offsets.map_or(0, |o| o.values().partition_point(|o| *o < at));
            rows.slice(below, rows.num_rows() - below)
        };
        Stretch {
            first: at,
            rows: cut(&self.rows),
            quarantined: cut(&self.quarantined),
            ..self.clone()
        }
    }

    /// This stretch and the next one as one; `None` if Arrow refuses, which it
    /// does not for batches of one schema.
    fn followed_by(&self, next: &Stretch) -> Option<Stretch> {
        let join = |a: &RecordBatch, b: &RecordBatch| concat_batches(a.schema_ref(), [a, b]).ok();
        Some(Stretch {
            partition: self.partition.clone(),
            first: self.first,
            next: next.next,
            rows: join(&self.rows, &next.rows)?,
            quarantined: join(&self.quarantined, &next.quarantined)?,
            bytes: self.bytes + next.bytes,
            mark: next.mark.or(self.mark),
        })
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Recent {
    stretches: VecDeque<Stretch>,
    /// Everything below lies in files.
    committed: Position,
    /// Everything below is in files or on its way there: no stretch may grow
    /// across this place, or its rows would be counted twice when they land.
    sealed: Position,
    /// Everything below was judged: the end of the newest stretches.
    head: Position,
    /// The lowest place that is still held: reading from below needs files.
    held_from: Position,
    /// The partitions whose rows come here; others' lie in files only.
    mine: BTreeSet<Partition>,
    committed_bytes: usize,
    open_bytes: usize,
    open_rows: usize,
}

impl Recent {
    /// Nothing in memory; everything below `committed` lies in files.
    pub fn new(committed: Position) -> Self {
        Self {
            head: committed.clone(),
            held_from: committed.clone(),
            sealed: committed.clone(),
            committed,
            ..Self::default()
        }
    }

    /// States whose rows come here from now on.
    pub fn own(&mut self, mine: BTreeSet<Partition>) {
        self.mine = mine;
    }

    /// Notes that the table stands at `at`: what others committed up to there
    /// lies in files, and nobody finds it here.
    pub fn others_at(&mut self, at: &Position) {
        for (partition, next) in &at.0 {
            if self.mine.contains(partition) || *next <= self.committed.of(partition) {
                continue;
            }
            self.committed.advance(partition, *next);
            self.sealed.advance(partition, *next);
            self.head.advance(partition, *next);
            self.held_from.advance(partition, *next);
        }
    }

    /// Whether somebody else moved a partition whose rows come here.
    pub fn is_overtaken(&self, from: &Position, at: &Position) -> bool {
        self.mine.iter().any(|p| at.of(p) != from.of(p))
    }

    /// Takes the next stretch of its partition.
    pub fn push(&mut self, stretch: Stretch) {
        self.head.advance(&stretch.partition, stretch.next);
        self.open_bytes += stretch.bytes;
        self.open_rows += stretch.rows.num_rows();
        self.stretches.push_back(stretch);
        self.merge_small();
    }

    /// Senders that send one event at a time would leave thousands of batches
    /// of one row; neighbours of like size become one, so that a row is copied
    /// a logarithmic number of times.
    fn merge_small(&mut self) {
        while let [.., a, b] = self.stretches.make_contiguous() {
            let rows = a.rows.num_rows() + b.rows.num_rows();
            let alike = a.rows.num_rows() <= 2 * b.rows.num_rows().max(1);
            let joined = a.partition == b.partition && a.next == b.first;
            let unsealed = a.first >= self.sealed.of(&a.partition);
            if !(alike && joined && unsealed && rows <= MERGED_ROWS) {
                return;
            }
            let Some(merged) = a.followed_by(b) else {
                return;
            };
            self.stretches.pop_back();
            self.stretches.pop_back();
            self.stretches.push_back(merged);
        }
    }

    /// What is not in files yet and up to where that reaches, for the committer:
    /// from now on nothing is added to these stretches.
    pub fn seal(&mut self) -> (Vec<Stretch>, Position) {
        let open = self
            .stretches
            .iter()
            .filter(|s| self.is_open(s))
            .cloned()
            .collect();
        self.sealed.merge(&self.head);
        (open, self.head.clone())
    }

    /// The stretches that are held, oldest first.
    pub fn held(&self) -> impl Iterator<Item = &Stretch> {
        self.stretches.iter()
    }

    fn is_open(&self, s: &Stretch) -> bool {
        s.next > self.committed.of(&s.partition)
    }

    /// Notes that everything below `to` lies in files now.
    pub fn committed(&mut self, to: &Position) {
        for s in &self.stretches {
            if s.next > self.committed.of(&s.partition) && s.next <= to.of(&s.partition) {
                self.open_bytes = self.open_bytes.saturating_sub(s.bytes);
                self.open_rows = self.open_rows.saturating_sub(s.rows.num_rows());
                self.committed_bytes += s.bytes;
            }
        }
        self.committed.merge(to);
    }

    /// Lets go of committed stretches: those below `passed` by all followers,
    /// and the oldest until at most `budget` bytes of committed rows are left.
    /// None goes that the files which are `shown` do not hold.
    pub fn release(&mut self, passed: Option<&Position>, budget: usize, shown: &Position) {
        while let Some(front) = self.stretches.front() {
            if self.is_open(front) || shown.of(&front.partition) < front.next {
                break;
            }
            let wanted = passed.is_some_and(|p| p.of(&front.partition) < front.next);
            if wanted && self.committed_bytes <= budget {
                break;
            }
            let front = self
                .stretches
                .pop_front()
                .expect("a front was just looked at");
            self.committed_bytes = self.committed_bytes.saturating_sub(front.bytes);
            self.held_from.advance(&front.partition, front.next);
        }
    }

    /// The stretches from `from` on, up to the newest; `None` when some of them
    /// were let go and have to be read from files.
    pub fn since(&self, from: &Position) -> Option<Vec<Stretch>> {
        if !from.reaches(&self.held_from) {
            return None;
        }
        let newer = self
            .stretches
            .iter()
            .filter(|s| s.next > from.of(&s.partition));
        Some(newer.map(|s| s.beyond(from.of(&s.partition))).collect())
    }

    /// The stretches of `partition` from `from` on, as far as they are held
    /// without a gap; none when memory does not reach back so far.
    pub fn run_of(&self, partition: &Partition, from: i64) -> Vec<Stretch> {
        let (mut at, mut run) = (from, Vec::new());
        for s in &self.stretches {
            if s.partition != *partition || s.next <= at {
                continue;
            }
            if s.first > at {
                break;
            }
            run.push(s.beyond(at));
            at = s.next;
        }
        run
    }

    /// [`Self::run_of`], as far as it lies in files as it is held here. What is
    /// open may yet be let go, and be judged otherwise by whoever reads it then.
    pub fn committed_run_of(&self, partition: &Partition, from: i64) -> Vec<Stretch> {
        let committed = self.committed.of(partition);
        let mut run = self.run_of(partition, from);
        run.retain(|s| s.next <= committed);
        run
    }

    /// Rows and bytes that are not in files yet.
    pub fn open_size(&self) -> (usize, usize) {
        (self.open_rows, self.open_bytes)
    }

    /// Everything below was judged.
    pub fn head(&self) -> &Position {
        &self.head
    }

    /// Everything below lies in files.
    pub fn committed_position(&self) -> &Position {
        &self.committed
    }
}

#[cfg(test)]
mod tests;
