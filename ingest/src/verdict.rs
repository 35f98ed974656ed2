//! What became of each record, for the door that waits to answer its sender.
//!
//! The pipeline judges records in log order and publishes a [`Verdict`] for
//! every offset; a door that has appended a range asks for it. Verdicts are kept
//! for a bounded number of recent records only: they are a courtesy to the
//! sender, never the truth, which is the table.

use std::collections::VecDeque;
use std::ops::Range;

use parking_lot::Mutex;
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
    keep: usize,
}

#[derive(Debug)]
struct Recent {
    /// The offset of the front of `queue`.
    first: i64,
    queue: VecDeque<Verdict>,
}

impl Verdicts {
    /// An empty board that stands at `next` and remembers `keep` verdicts.
    pub fn new(next: i64, keep: usize) -> Self {
        let recent = Mutex::new(Recent {
            first: next,
            queue: VecDeque::new(),
        });
        Self {
            recent,
            judged: watch::Sender::new(next),
            keep,
        }
    }

    /// Publishes the verdicts of the records from `first` on. Called by the
    /// pipeline alone, in log order, after the rows became visible to queries.
    pub fn publish(&self, first: i64, verdicts: impl ExactSizeIterator<Item = Verdict>) {
        let count = verdicts.len();
        let next = first + i64::try_from(count).unwrap_or(i64::MAX);
        {
            let mut recent = self.recent.lock();
            let expected = recent.first + i64::try_from(recent.queue.len()).unwrap_or(i64::MAX);
            if expected != first {
                // A hole in the offsets (Kafka has them): forget what was before.
                recent.queue.clear();
                recent.first = first;
            }
            recent.queue.extend(verdicts);
            while recent.queue.len() > self.keep {
                recent.queue.pop_front();
                recent.first += 1;
            }
        }
        self.judged.send_replace(next);
    }

    /// The verdicts of `range`, once they are there. `None` when they were
    /// forgotten before anybody asked. Wrap it in a time-out: a pipeline that
    /// stands still keeps it waiting.
    pub async fn wait(&self, range: Range<i64>) -> Option<Vec<Verdict>> {
        let mut judged = self.judged.subscribe();
        judged.wait_for(|next| *next >= range.end).await.ok()?;
        let recent = self.recent.lock();
        let from = usize::try_from(range.start.checked_sub(recent.first)?).ok()?;
        let count = usize::try_from(range.end - range.start).ok()?;
        let found: Vec<Verdict> = recent
            .queue
            .iter()
            .skip(from)
            .take(count)
            .cloned()
            .collect();
        (found.len() == count).then_some(found)
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

#[cfg(test)]
mod tests;
