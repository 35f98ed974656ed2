//! By which start a process may commit.
//!
//! A process gives its own log's records places in a partition that is its own
//! by name alone. If its data folder is copied, and the copy started beside it,
//! both give the same places to different records. Whoever commits first moves
//! the position over the other's records, which the other then takes for
//! committed: acknowledged, and nowhere. That a commit is conditional on the
//! position it continues from does not help, for both continue from the same.
//!
//! So each start has a number of its own, which stands in history's position
//! under [`Partition::start`]. It is moved at the start, on the condition that
//! neither the start before nor the log's place has moved. Every later commit
//! is conditional on that number, as on the whole position. When another process
//! starts on the same log, the older one can commit nothing more, whatever it
//! believes of itself, and ends as soon as it learns of it. Quarantine lists
//! only what history's commits have pledged it.

use std::sync::OnceLock;

use cairn_schemas::{Partition, Position};
use cairn_store::table::{Condition, TableError};
use tokio::sync::watch;

use super::History;

/// The start by which this process commits; none where no other could have
/// the same log.
#[derive(Debug, Default)]
pub(super) struct Claim {
    held: OnceLock<(Partition, i64)>,
    lost: watch::Sender<bool>,
}

impl Claim {
    /// Whether by a table that stands at `at` another start came later. If it
    /// is, then for ever.
    pub(super) fn is_lost(&self, at: &Position) -> bool {
        if let Some((partition, number)) = self.held.get()
            && at.of(partition) != *number
        {
            self.lost
                .send_if_modified(|lost| !std::mem::replace(lost, true));
        }
        *self.lost.borrow()
    }
}

/// Where the two tables stand.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// History.
    pub history: Position,
    /// Quarantine.
    pub quarantine: Position,
}

impl Standing {
    /// The number of the last start on `log`, 0 where there was none.
    pub fn start(&self, log: &Partition) -> i64 {
        self.history.of(&log.start())
    }
}

impl History {
    /// Where the tables stand, by what others committed too.
    pub async fn standing(&self) -> Result<Standing, TableError> {
        self.refresh().await?;
        Ok(Standing {
            history: self.table.position(),
            quarantine: self.quarantine.position(),
        })
    }

    /// Notes the start `number` of the process whose own log is `log`, if
    /// history stands there as `at` says. From its return on, no process that
    /// started earlier commits. [`TableError::Conflict`] if somebody was faster:
    /// then `log` has to be looked at anew. Called before the pipeline begins.
    pub async fn claim(
        &self,
        log: &Partition,
        number: i64,
        at: &Standing,
    ) -> Result<(), TableError> {
        let start = log.start();
        let place = |number: i64| {
            let mut place = Position::at(log.clone(), at.history.of(log));
            place.0.insert(start.clone(), number);
            place
        };
        let nothing = self.table.prepare(Vec::new()).await?;
        let (from, to) = (place(at.start(log)), place(number));
        let moved = self
            .table
            .publish_prepared(&nothing, &from, &to, Condition::Named);
        moved.await?;
        // A process starts once.
        let _ = self.claim.held.set((start, number));
        Ok(())
    }

    /// Whether another process started on this one's log since.
    pub fn is_superseded(&self) -> bool {
        *self.claim.lost.borrow()
    }

    /// Tells when that becomes so.
    pub(crate) fn superseded(&self) -> watch::Receiver<bool> {
        self.claim.lost.subscribe()
    }
}
