//! Reading on: from memory while the follower keeps up, else from files.

use arrow::array::RecordBatch;
use cairn_schemas::trail::{Trail, TrailStatus};
use cairn_schemas::{Partition, Position};
use cairn_store::table::{Table, TableError};
use futures::TryStreamExt;

use super::Follower;
use super::mine::within;
use crate::select::select_batch;

/// How many records a follower that reads files looks at before its position
/// moves. Rows lie in files by event time, not by offset, so a whole window
/// has to be read before any place in it is passed.
pub(super) const WINDOW: i64 = 50_000;

impl Follower {
    /// A trail that was stopped and started again takes nothing of what came
    /// between: there is no need to read it.
    pub(super) async fn skip_the_stopped_part(&self) {
        let trail = self.trail.read().await;
        let mut stopped_at: Option<&Position> = None;
        let mut state = self.state.lock();
        for version in trail.standing() {
            match (version.status, stopped_at) {
                (TrailStatus::Disable, None) => stopped_at = Some(&version.effective),
                (TrailStatus::Enable, Some(from)) => {
                    for (partition, claim) in &mut state.claims {
                        if claim.scanned >= from.of(partition) {
                            claim.scanned = claim.scanned.max(version.effective.of(partition));
                        }
                    }
                    stopped_at = None;
                }
                _ => {}
            }
        }
    }

    /// Looks at everything in hand that history has committed.
    pub(super) async fn scan(&self, table: &Table) -> Result<(), TableError> {
        loop {
            let behind = self.behind().await;
            if behind.is_empty() {
                return Ok(());
            }
            // A piece of each in turn, or a long backfill of one partition would
            // keep the others from what memory still holds of them.
            for (partition, from, goal) in behind {
                if !self.scan_memory(&partition, from, goal).await {
                    self.scan_window(&partition, from, goal).await?;
                }
                self.moved.notify_waiters();
                if self.is_due().await {
                    self.deliver(table).await?;
                }
            }
        }
    }

    /// What is in hand and not looked at, each with where it stands and how far
    /// history goes.
    pub(super) async fn behind(&self) -> Vec<(Partition, i64, i64)> {
        let trail = self.trail.read().await;
        let (head, state) = (self.history.committed(), self.state.lock());
        let claims = state.claims.iter();
        claims
            .map(|(p, claim)| (p.clone(), claim.scanned, within(&trail, p, head.of(p))))
            .filter(|(_, from, goal)| from < goal)
            .collect()
    }

    /// Judges the newest rows, until there is enough for a commit. `false` if
    /// memory does not have the next ones.
    async fn scan_memory(&self, partition: &Partition, from: i64, goal: i64) -> bool {
        let mut at = from;
        // What is open may yet be let go.
        for stretch in self.history.committed_run_of(partition, from) {
            {
                let trail = self.trail.read().await;
                let taken = select_batch(&trail, &stretch.rows).into_iter().collect();
                let noted = self.state.lock().note(partition, at, stretch.next, taken);
                if !noted {
                    return true;
                }
            }
            at = stretch.next;
            if at >= goal || self.is_due().await {
                return true;
            }
        }
        at > from
    }

    /// Reads the next window of one partition from history's files. A window
    /// whose rows are too large for memory is made smaller.
    pub(super) async fn scan_window(
        &self,
        partition: &Partition,
        from: i64,
        goal: i64,
    ) -> Result<(), TableError> {
        let trail = self.trail.read().await.clone();
        let first = self.first_listed(partition, from).min(goal);
        let mut window = WINDOW.min(goal - first);
        let (taken, end) = loop {
            let end = first + window;
            let bound = (window > 1).then_some(4 * self.options.commit_bytes);
            match self
                .read_window(&trail, partition, first..end, bound)
                .await?
            {
                Some(taken) => break (taken, end),
                None => window = (window / 8).max(1),
            }
        };
        let now = self.trail.read().await;
        // A version that came meanwhile may take effect inside of the window:
        // then it is read again.
        if now.latest().version == trail.latest().version {
            self.state.lock().note(partition, from, end, taken);
        }
        Ok(())
    }

    /// The first place at or after `from` that a file of history may have a row
    /// of. A topic's retention may have left a long way without any.
    pub(super) fn first_listed(&self, partition: &Partition, from: i64) -> i64 {
        let listing = self.history.table().files();
        let mut first = i64::MAX;
        for file in listing.files.iter() {
            if file.offsets.is_empty() {
                return from;
            }
            let ranges = file.offsets.iter();
            for range in ranges.filter(|r| r.partition == *partition && r.next > from) {
                first = first.min(range.first.max(from));
            }
        }
        first
    }

    /// What the trail takes of a part of one partition; `None` when that is
    /// more than `bound` bytes.
    pub(super) async fn read_window(
        &self,
        trail: &Trail,
        partition: &Partition,
        offsets: std::ops::Range<i64>,
        bound: Option<usize>,
    ) -> Result<Option<Vec<RecordBatch>>, TableError> {
        if offsets.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let place = |at: i64| Position::at(partition.clone(), at);
        let (start, end) = (place(offsets.start), place(offsets.end));
        let mut rows = self.history.table().rows_between(&start, Some(&end));
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(batch) = rows.try_next().await? {
            let selected = select_batch(trail, &batch);
            bytes += selected
                .as_ref()
                .map_or(0, RecordBatch::get_array_memory_size);
            taken.extend(selected);
            if bound.is_some_and(|bound| bytes > bound) {
                return Ok(None);
            }
        }
        Ok(Some(taken))
    }
}
