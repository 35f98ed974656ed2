//! Reading on: from memory while the follower keeps up, else from files.

use arrow::array::RecordBatch;
use cairn_schemas::Position;
use cairn_schemas::trail::{Trail, TrailStatus};
use cairn_store::table::{Table, TableError};
use futures::TryStreamExt;
use tokio::time::Instant;

use super::Follower;
use crate::recent::Stretch;
use crate::select::select_batch;

/// How many records a follower that reads files looks at before its position
/// moves. Rows lie in files by event time, not by offset, so a whole window
/// has to be read before any place in it is passed.
const WINDOW: i64 = 50_000;

impl Follower {
    /// A trail that was stopped and started again takes nothing of what came
    /// between: there is no need to read it.
    pub(super) async fn skip_the_stopped_part(&self) {
        let trail = self.trail.read().await;
        let mut stopped_at: Option<&Position> = None;
        for version in trail.versions() {
            match (version.status, stopped_at) {
                (TrailStatus::Disable, None) => stopped_at = Some(&version.effective),
                (TrailStatus::Enable, Some(from)) => {
                    let mut state = self.state.lock();
                    if state.scanned.reaches(from) {
                        state.scanned.merge(&version.effective);
                    }
                    stopped_at = None;
                }
                _ => {}
            }
        }
    }

    pub(super) async fn scan(&self, table: &Table, head: &Position) -> Result<(), TableError> {
        while !self.scanned().reaches(head) {
            let from = self.scanned();
            match self.history.since(&from) {
                Some(stretches) => self.scan_memory(stretches, head).await,
                None => self.scan_window(&from, head).await?,
            }
            self.moved.notify_waiters();
            if self.is_due().await {
                self.deliver(table).await?;
            }
        }
        Ok(())
    }

    /// Judges the newest rows, until there is enough for a commit.
    async fn scan_memory(&self, stretches: Vec<Stretch>, head: &Position) {
        for stretch in stretches {
            let end = Position::at(stretch.partition.clone(), stretch.next);
            if !head.reaches(&end) {
                continue;
            }
            {
                let trail = self.trail.read().await;
                self.note(select_batch(&trail, &stretch.rows), &end);
            }
            if self.is_due().await {
                return;
            }
        }
        self.note(None, head);
    }

    /// Reads the next window of one partition from history's files. A window
    /// whose rows are too large for memory is made smaller.
    async fn scan_window(&self, from: &Position, head: &Position) -> Result<(), TableError> {
        let behind = head.0.iter().find(|(p, next)| from.of(p) < **next);
        let Some((partition, next)) = behind else {
            return Ok(());
        };
        // All of it lies below any version that is still to come.
        let trail = self.trail.read().await.clone();
        let first = from.of(partition);
        let start = Position::at(partition.clone(), first);
        let mut window = WINDOW.min(*next - first);
        let (taken, end) = loop {
            let end = Position::at(partition.clone(), first + window);
            match self.read_window(&trail, &start, &end, window > 1).await? {
                Some(taken) => break (taken, end),
                None => window = (window / 8).max(1),
            }
        };
        for batch in taken {
            self.note(Some(batch), &start);
        }
        self.note(None, &end);
        Ok(())
    }

    /// What the trail takes between two places; `None` when that is too much to
    /// hold and `bounded`.
    async fn read_window(
        &self,
        trail: &Trail,
        start: &Position,
        end: &Position,
        bounded: bool,
    ) -> Result<Option<Vec<RecordBatch>>, TableError> {
        let mut rows = self.history.table().rows_between(start, Some(end));
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(batch) = rows.try_next().await? {
            let selected = select_batch(trail, &batch);
            bytes += selected
                .as_ref()
                .map_or(0, RecordBatch::get_array_memory_size);
            taken.extend(selected);
            if bounded && bytes > 4 * self.options.commit_bytes {
                return Ok(None);
            }
        }
        Ok(Some(taken))
    }

    fn note(&self, taken: Option<RecordBatch>, scanned: &Position) {
        let mut state = self.state.lock();
        state.scanned.merge(scanned);
        if let Some(rows) = taken {
            state.pending_rows += rows.num_rows();
            state.pending_bytes += rows.get_array_memory_size();
            state.pending_since.get_or_insert_with(Instant::now);
            state.pending.push(rows);
        }
    }
}
