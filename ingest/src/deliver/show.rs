//! What a trail shows to readers: its files, the rows that wait for delivery,
//! and the newest rows of history, without a gap.
//!
//! What others have not delivered yet is read from history's files when
//! somebody asks, and kept for a while for the next who does.
//!
//! What others have delivered is shown once this process's judge knows those
//! rows of history: before that, a copy of one of them may be open here, and
//! would be counted beside it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use cairn_schemas::trail::Trail;
use cairn_schemas::{Partition, Position};
use cairn_store::table::{Listing, Table, TableError};
use cairn_store::view::TableSnapshot;
use tokio::time::{Instant, timeout_at};

use super::Follower;
use super::fence::number;
use super::mine::within;
use super::scan::WINDOW;
use crate::history::view;
use crate::select::select_batch;

/// For how long a reader is content with what was known of others' deliveries.
const FRESH: Duration = Duration::from_secs(1);
/// After how long without a reader memory is freed.
const UNUSED: Duration = Duration::from_secs(60);

/// What the trail takes of the partitions that others deliver.
#[derive(Debug, Default)]
pub(super) struct Shades {
    by: BTreeMap<Partition, Shade>,
    used: Option<Instant>,
}

/// Of one partition: what the trail takes from `from` to `next`.
#[derive(Debug, Default)]
struct Shade {
    /// The version of the trail by which it was judged.
    version: u64,
    from: i64,
    next: i64,
    /// The rows, window by window, with the window's end.
    rows: Vec<(i64, RecordBatch)>,
}

/// Why there is no snapshot yet.
enum Missing {
    /// This process's own follower stands there, and memory has less.
    Mine(Position),
    /// Others deliver it.
    Theirs(Partition, i64, i64),
    /// Another version is in force than those that are known here.
    Version,
    /// Others have delivered what this process has not learned of history.
    Unlearned(Position),
}

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
        // Without an answer the older list does as well: history has the rest.
        if let Ok(Err(error)) = timeout_at(until, self.refresh(table, FRESH)).await {
            tracing::debug!(error = %error, "others' deliveries are not known");
        }
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            // From here on no move is missed, also none before the wait.
            moved.as_mut().enable();
            let waited = match self.try_snapshot(table).await {
                Ok(snapshot) => return Ok(snapshot),
                // Let go because the follower passed it just now: look again.
                Err(Missing::Mine(from)) if self.scanned() != from => Ok(Ok(())),
                Err(Missing::Mine(_)) => timeout_at(until, moved).await.map(Ok),
                Err(Missing::Version) => timeout_at(until, self.learn_newer(table)).await,
                Err(Missing::Unlearned(at)) => timeout_at(until, self.learned(&at)).await.map(Ok),
                Err(Missing::Theirs(partition, from, goal)) => {
                    let trail = self.trail.read().await.clone();
                    let read = self.shade(&trail, &partition, from, goal);
                    timeout_at(until, read).await.map(|read| read.map(|_| ()))
                }
            };
            match waited {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(error.to_string()),
                Err(_) => return Err(self.behind_by()),
            }
        }
    }

    /// Returns once this process shows history up to `at`.
    async fn learned(&self, at: &Position) {
        let mut committed = self.history.subscribe();
        if let Err(error) = self.history.refresh().await {
            tracing::debug!(error = %error, "history not refreshed, somebody else may do so");
        }
        // Without a sender there is nobody who could ask.
        let _ = committed.wait_for(|there| there.reaches(at)).await;
    }

    fn scanned(&self) -> Position {
        self.state.lock().scanned()
    }

    /// The snapshot, or what it lacks.
    async fn try_snapshot(&self, table: &Table) -> Result<TableSnapshot, Missing> {
        let trail = self.trail.read().await;
        let (listing, places, mut fresh, scanned) = self.held(table, &trail)?;
        // Read after the list: history is then never behind what was delivered.
        let committed = self.history.committed();
        let mut reach = Position::default();
        for (partition, from) in places {
            let goal = within(&trail, &partition, committed.of(&partition));
            let mut run = self.history.run_of(&partition, from);
            if run.last().map_or(from, |s| s.next) < goal {
                if self.in_hand(&partition) {
                    return Err(Missing::Mine(scanned));
                }
                let Some(theirs) = self.shaded(&trail, &partition, from..goal).await else {
                    return Err(Missing::Theirs(partition, from, goal));
                };
                fresh.extend(theirs);
                run = self.history.run_of(&partition, goal);
            }
            fresh.extend(run.iter().filter_map(|s| select_batch(&trail, &s.rows)));
            let end = run.last().map_or(from, |s| s.next);
            reach.advance(&partition, end.max(goal));
        }
        Ok(view(table, &listing, fresh, &reach))
    }

    fn in_hand(&self, partition: &Partition) -> bool {
        self.owns(partition) || self.state.lock().claims.contains_key(partition)
    }

    /// The table's list, and what it lacks: the rows that wait here, and where
    /// each partition of history goes on after both.
    #[expect(
        clippy::type_complexity,
        reason = "read at one place, and all of one moment"
    )]
    fn held(
        &self,
        table: &Table,
        trail: &Trail,
    ) -> Result<
        (
            Arc<Listing>,
            Vec<(Partition, i64)>,
            Vec<RecordBatch>,
            Position,
        ),
        Missing,
    > {
        let mut state = self.state.lock();
        let (newest, position) = table.files_at();
        state.adopt(newest, position);
        let Some((listing, position)) = state.listing.clone() else {
            return Err(Missing::Mine(state.scanned()));
        };
        let delivered = position.of_records();
        if !self.history.committed().reaches(&delivered) {
            return Err(Missing::Unlearned(delivered));
        }
        if state.at(&Partition::version()) > number(trail.latest().version) {
            return Err(Missing::Version);
        }
        let mut all = self.history.head();
        all.merge(&self.history.committed());
        let places = all.0.into_keys().map(|p| {
            let from = state.from(&p);
            (p, from)
        });
        let waiting = state.claims.values().flat_map(|c| c.rows.iter().cloned());
        Ok((
            listing,
            places.collect(),
            waiting.collect(),
            state.scanned(),
        ))
    }

    /// What the trail takes of `offsets`, where that was read and is held.
    pub(super) async fn shaded(
        &self,
        trail: &Trail,
        partition: &Partition,
        offsets: Range<i64>,
    ) -> Option<Vec<RecordBatch>> {
        let shades = self.shades.lock().await;
        let shade = shades.by.get(partition)?;
        let held = shade.version == trail.latest().version
            && shade.from <= offsets.start
            && shade.next >= offsets.end;
        if !held {
            return None;
        }
        let windows = shade.rows.iter().filter(|(end, _)| *end > offsets.start);
        let rows = windows.filter_map(|(_, rows)| cut(rows, &offsets));
        Some(rows.collect())
    }

    /// Reads the next window of what others have not delivered: between `from`,
    /// below which nothing is wanted any more, and `goal`. `false` when there is
    /// nothing left to read.
    pub(super) async fn shade(
        &self,
        trail: &Trail,
        partition: &Partition,
        from: i64,
        goal: i64,
    ) -> Result<bool, TableError> {
        let mut shades = self.shades.lock().await;
        shades.used = Some(Instant::now());
        let version = trail.latest().version;
        let shade = shades.by.entry(partition.clone()).or_default();
        if shade.version != version || from < shade.from || from > shade.next {
            *shade = Shade {
                version,
                from,
                next: from,
                rows: Vec::new(),
            };
        }
        shade.from = from;
        shade.rows.retain(|(end, _)| *end > from);
        if shade.next >= goal {
            return Ok(false);
        }
        let first = self.first_listed(partition, shade.next).min(goal);
        let end = (first + WINDOW).min(goal);
        let held = shades.by.values().flat_map(|s| &s.rows);
        let held: usize = held.map(|(_, rows)| rows.get_array_memory_size()).sum();
        let room = (4 * self.options.commit_bytes).saturating_sub(held);
        let read = self.read_window(trail, partition, first..end, Some(room));
        let Some(rows) = read.await? else {
            return Err(TableError::Refused {
                table: trail.latest().name.to_string(),
                reason:
                    "another process has more to deliver to this trail than fits in memory here: \
                         ask again later, or ask history, which has it all"
                        .to_owned(),
            });
        };
        if let Some(shade) = shades.by.get_mut(partition) {
            shade.next = end;
            shade.rows.extend(rows.into_iter().map(|rows| (end, rows)));
        }
        Ok(true)
    }

    /// Frees what no reader asked for in a while.
    pub(super) async fn forget_shades(&self) {
        let mut shades = self.shades.lock().await;
        if shades.used.is_some_and(|used| used.elapsed() >= UNUSED) {
            *shades = Shades::default();
        }
    }

    fn behind_by(&self) -> String {
        let committed = self.history.committed();
        let state = self.state.lock();
        let ahead = committed.0.iter();
        let records: i64 = ahead
            .map(|(partition, next)| (next - state.from(partition)).max(0))
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

/// The rows of one partition that lie in `offsets`.
fn cut(rows: &RecordBatch, offsets: &Range<i64>) -> Option<RecordBatch> {
    let column = rows.column_by_name("log_offset")?;
    let places = column.as_primitive_opt::<Int64Type>()?;
    let inside = places.iter().map(|o| Some(offsets.contains(&o?)));
    let inside = BooleanArray::from_iter(inside);
    let cut = filter_record_batch(rows, &inside).ok()?;
    (cut.num_rows() > 0).then_some(cut)
}
