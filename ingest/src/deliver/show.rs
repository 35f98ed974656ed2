//! What a trail shows to readers: its files, the rows that wait for delivery,
//! and the newest rows of history, without a gap.

use std::sync::Arc;

use cairn_schemas::Position;
use cairn_store::table::Table;
use cairn_store::view::TableSnapshot;
use tokio::time::{Instant, timeout_at};

use super::Follower;
use crate::history::view;
use crate::select::select_batch;

impl Follower {
    /// Everything that the trail takes up to now: its files, what waits in
    /// memory, and what the newest rows of history will add.
    ///
    /// A follower that starts, fills up from the past, or comes out of an
    /// outage has rows to read from history's files that no memory holds. A
    /// snapshot waits for that, up to a bound, and then fails rather than
    /// leave them out: the answer to an auditor is complete, or it is none.
    pub async fn snapshot(&self) -> Result<TableSnapshot, String> {
        let table = self.table_or_open().await.map_err(|e| e.to_string())?;
        let until = Instant::now() + self.options.catch_up;
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            // From here on no move is missed, also none before the wait.
            moved.as_mut().enable();
            let from = match self.try_snapshot(table).await {
                Ok(snapshot) => return Ok(snapshot),
                Err(from) => from,
            };
            // Let go because the follower passed it just now: look again.
            if self.scanned() == from && timeout_at(until, moved).await.is_err() {
                return Err(self.behind());
            }
        }
    }

    /// The snapshot, or the place from which rows are missing in memory.
    async fn try_snapshot(&self, table: &Table) -> Result<TableSnapshot, Position> {
        let idle = self.is_idle().await;
        let trail = self.trail.read().await;
        let (listing, mut fresh, scanned) = {
            let state = self.state.lock();
            let newest = table.files_at();
            // A list with another position belongs to a commit whose rows
            // are still pending here; one with the same may be compacted.
            let listing = match &state.listing {
                Some((listing, at)) if *at != newest.1 => Arc::clone(listing),
                _ => newest.0,
            };
            (listing, state.pending.clone(), state.scanned.clone())
        };
        match self.history.since(&scanned) {
            Some(newest) => {
                fresh.extend(newest.iter().filter_map(|s| select_batch(&trail, &s.rows)));
            }
            // A stopped trail takes nothing of what came since.
            None if idle => {}
            None => return Err(scanned),
        }
        Ok(view(table, &listing, fresh))
    }

    fn behind(&self) -> String {
        let committed = self.history.committed();
        let state = self.state.lock();
        let ahead = committed.0.iter();
        let records: i64 = ahead
            .map(|(partition, next)| (next - state.scanned.of(partition)).max(0))
            .sum();
        let why = match &state.last_error {
            Some(error) => format!(" (it last failed with: {error})"),
            None => String::new(),
        };
        format!(
            "the trail has {records} records of history still to read{why}, so the answer would not be \
             complete: ask again later, or ask history, which has them all"
        )
    }
}
