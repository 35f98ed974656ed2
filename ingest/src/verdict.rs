//! What became of each record, for the door that waits to answer its sender.
//!
//! The pipeline judges records in log order and publishes a [`Verdict`] for
//! every offset; a door that has appended a range asks for it. Verdicts are kept
//! for a bounded number of recent records only: they are a courtesy to the
//! sender, never the truth, which is the table.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use cairn_schemas::{Partition, Position};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is a row of history.
    Accepted {
        /// The event's id, given or made.
        event_id: Box<str>,
    },
    /// The same bytes came in before, at this offset.
    Duplicate {
        /// The event's id.
        event_id: Box<str>,
        /// Where the first one stands.
        offset: i64,
    },
    /// It could not become an event and is a row of quarantine.
    Refused {
        /// One of the reasons of the table `quarantine`.
        code: &'static str,
        /// One sentence for the sender.
        message: Box<str>,
    },
}

/// The recent verdicts of one partition.
#[derive(Debug)]
pub struct Verdicts {
    recent: Mutex<Recent>,
    /// The next offset to be judged; everything below is judged and visible.
    judged: watch::Sender<i64>,
    /// The partition is another process's now.
    closed: watch::Sender<bool>,
    keep: usize,
}

/// By offset; several of one offset where a record held several events.
#[derive(Debug)]
struct Recent {
    /// Everything below was forgotten.
    from: i64,
    queue: VecDeque<(i64, Verdict)>,
}

impl Verdicts {
    /// An empty board that stands at `next` and remembers `keep` verdicts.
    pub fn new(next: i64, keep: usize) -> Self {
        let recent = Mutex::new(Recent {
            from: next,
            queue: VecDeque::new(),
        });
        Self {
            recent,
            judged: watch::Sender::new(next),
            closed: watch::Sender::new(false),
            keep,
        }
    }

    /// Publishes the verdicts of the records of `range`, each with its offset,
    /// in order; offsets that hold no record have none. Called by the pipeline
    /// alone, in log order, after the rows became visible to queries.
    pub fn publish(&self, range: Range<i64>, verdicts: impl Iterator<Item = (i64, Verdict)>) {
        {
            let mut recent = self.recent.lock();
            if range.start < *self.judged.borrow() {
                // The log is read again after a fault: what was said before is
                // said again, perhaps otherwise.
                recent.queue.clear();
                recent.from = range.start;
            }
            recent.queue.extend(verdicts);
            while recent.queue.len() > self.keep {
                if let Some((offset, _)) = recent.queue.pop_front() {
                    recent.from = offset + 1;
                }
            }
        }
        self.judged.send_if_modified(|at| {
            let moved = *at < range.end;
            *at = range.end.max(*at);
            moved
        });
    }

    /// The verdicts of `range`, once they are there. `None` when they were
    /// forgotten before anybody asked, or when this process has given the
    /// partition up. Wrap it in a time-out: a pipeline that stands still keeps
    /// it waiting.
    pub async fn wait(&self, range: Range<i64>) -> Option<Vec<Verdict>> {
        let mut judged = self.judged.subscribe();
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            reached = judged.wait_for(|next| *next >= range.end) => { reached.ok()?; }
            _ = closed.wait_for(|closed| *closed) => return None,
        }
        let recent = self.recent.lock();
        if range.start < recent.from {
            return None;
        }
        let from = recent.queue.partition_point(|(at, _)| *at < range.start);
        let wanted = recent.queue.iter().skip(from);
        Some(
            wanted
                .take_while(|(at, _)| *at < range.end)
                .map(|(_, verdict)| verdict.clone())
                .collect(),
        )
    }

    /// Waits until every record below `next` is judged.
    pub async fn judged(&self, next: i64) {
        // The sender lives as long as self, so this ends only by reaching it.
        let _ = self.judged.subscribe().wait_for(|at| *at >= next).await;
    }

    /// The next offset to be judged.
    pub fn at(&self) -> i64 {
        *self.judged.borrow()
    }
}

/// The boards of the partitions that this process owns now.
#[derive(Debug)]
pub struct Boards {
    keep: usize,
    boards: RwLock<BTreeMap<Partition, Arc<Verdicts>>>,
}

impl Boards {
    /// No board yet; each is to remember `keep` verdicts.
    pub fn new(keep: usize) -> Self {
        Self {
            keep,
            boards: RwLock::default(),
        }
    }

    /// The board of `partition`, while this process owns it.
    pub fn of(&self, partition: &Partition) -> Option<Arc<Verdicts>> {
        self.boards.read().get(partition).cloned()
    }

    /// The board of a partition that this process owns as long as it runs;
    /// made, to stand at `next`, where there is none.
    pub fn own(&self, partition: &Partition, next: i64) -> Arc<Verdicts> {
        let mut boards = self.boards.write();
        let board = boards
            .entry(partition.clone())
            .or_insert_with(|| Arc::new(Verdicts::new(next, self.keep)));
        Arc::clone(board)
    }

    /// What this process owns from now on, from where it reads on. Whoever
    /// waits at the board of another partition is told that nothing will come.
    pub fn begin(&self, owned: &BTreeSet<Partition>, committed: &Position) {
        self.boards.write().retain(|partition, board| {
            let kept = owned.contains(partition);
            board.closed.send_replace(!kept);
            kept
        });
        for partition in owned {
            self.own(partition, committed.of(partition));
        }
    }
}

#[cfg(test)]
mod tests;
