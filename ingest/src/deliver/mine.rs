//! Which partitions this process delivers.
//!
//! With several processes each delivers what it owns, and what nobody seems to
//! look after: old epochs of topics, the partitions of a process that died.
//! Both are hints that spare work. What decides is the commit.

use std::time::Duration;

use cairn_schemas::trail::{Trail, TrailStatus};
use cairn_schemas::{Partition, Position};
use cairn_store::table::{Table, TableError};
use tokio::time::Instant;

use super::Follower;
use super::state::State;

/// Where the trail ends in `partition`, if it was stopped.
pub(super) fn end_of(trail: &Trail, partition: &Partition) -> Option<i64> {
    let latest = trail.latest();
    (latest.status != TrailStatus::Enable).then(|| latest.effective.of(partition))
}

/// `place`, but not beyond the trail's end.
pub(super) fn within(trail: &Trail, partition: &Partition, place: i64) -> i64 {
    end_of(trail, partition).map_or(place, |end| end.min(place))
}

impl Follower {
    /// Whether `partition` is this process's own to deliver.
    pub(super) fn owns(&self, partition: &Partition) -> bool {
        !self.options.shared || self.history.owned().borrow().contains(partition)
    }

    /// Takes in hand what is this process's to deliver now, and lets go of what
    /// is no longer.
    pub(super) async fn settle_claims(&self, table: &Table) -> Result<(), TableError> {
        let leaving = {
            let trail = self.trail.read().await;
            let head = self.history.committed();
            let mut state = self.state.lock();
            // What was never started has nothing to deliver, and its table must
            // not move: a backfill begins before everything.
            if trail.latest().status == TrailStatus::Fresh {
                state.claims.clear();
                return Ok(());
            }
            self.take_in_hand(&mut state, &trail, &head);
            self.leaving(&state, &trail, &head)
        };
        if leaving.is_empty() {
            return Ok(());
        }
        // Rows that wait there are delivered first, if that succeeds: it spares
        // whoever comes next to read them from files.
        let waits = {
            let state = self.state.lock();
            let claims = leaving.iter().filter_map(|p| state.claims.get(p));
            claims.into_iter().any(|c| c.count > 0)
        };
        if waits && let Err(error) = self.deliver(table).await {
            tracing::info!(error = %error, "another process delivers what waited here");
        }
        let mut state = self.state.lock();
        for partition in leaving {
            state.claims.remove(&partition);
        }
        Ok(())
    }

    fn take_in_hand(&self, state: &mut State, trail: &Trail, head: &Position) {
        for (partition, next) in &head.0 {
            let still = state.still(partition, *next);
            if self.owns(partition) {
                if state
                    .claims
                    .get(partition)
                    .is_none_or(|c| c.orphaned_at.is_some())
                {
                    state.claim(partition, None);
                }
                continue;
            }
            let behind = state.from(partition) < within(trail, partition, *next);
            let mine = state.claims.contains_key(partition);
            if behind && !mine && still >= self.options.patience {
                tracing::info!(partition = %partition, "nobody delivers this partition, taking it over");
                state.claim(partition, Some(*next));
            }
        }
    }

    /// What is claimed and no longer this process's: not owned, and either done,
    /// or somebody goes on with it.
    fn leaving(&self, state: &State, trail: &Trail, head: &Position) -> Vec<Partition> {
        let gone = state.claims.iter().filter(|(partition, claim)| {
            let next = head.of(partition);
            let done = state.at(partition) >= within(trail, partition, next);
            !self.owns(partition) && (claim.orphaned_at != Some(next) || done)
        });
        gone.map(|(partition, _)| partition.clone()).collect()
    }

    /// Looks what others committed to the trail's table, if that was not done
    /// for `age`.
    pub(super) async fn refresh(&self, table: &Table, age: Duration) -> Result<(), TableError> {
        let fresh = |state: &State| state.refreshed.is_some_and(|at| at.elapsed() < age);
        if !self.options.shared || fresh(&self.state.lock()) {
            return Ok(());
        }
        table.refresh().await?;
        self.state.lock().refreshed = Some(Instant::now());
        self.adopt_theirs(table);
        Ok(())
    }

    /// Learns of the table's newest list, which another may have written. Who
    /// took over a partition that somebody moves on leaves it to that one.
    pub(super) fn adopt_theirs(&self, table: &Table) {
        let (listing, position) = table.files_at();
        let mut state = self.state.lock();
        let before = state.position();
        if state.adopt(listing, position) {
            tracing::info!(at = ?state.position(), "the trail's table stands elsewhere, going on from there");
            let now = state.position();
            state.claims.retain(|partition, claim| {
                claim.orphaned_at.is_none() || now.of(partition) == before.of(partition)
            });
            drop(state);
            self.poke.notify_one();
        }
    }

    /// Whether some of history is undelivered that is not in hand here.
    pub(super) async fn others_lag(&self) -> bool {
        if !self.options.shared {
            return false;
        }
        let trail = self.trail.read().await;
        let (head, state) = (self.history.committed(), self.state.lock());
        trail.latest().status != TrailStatus::Fresh
            && head.0.iter().any(|(partition, next)| {
                !state.claims.contains_key(partition)
                    && state.from(partition) < within(&trail, partition, *next)
            })
    }

    /// Whether the table should be told of a place up to which there was nothing
    /// to take: others wait for that before they believe that it is looked after.
    pub(super) fn should_settle(&self, state: &State, trail: &Trail, head: &Position) -> bool {
        self.options.shared
            && state.claims.iter().any(|(partition, claim)| {
                let goal = within(trail, partition, head.of(partition));
                let last = trail.is_deleted() || claim.orphaned_at.is_some();
                let quiet = state
                    .seen
                    .get(partition)
                    .is_some_and(|seen| seen.since.elapsed() >= self.options.patience / 2);
                state.moves(partition, head) && claim.scanned >= goal && (last || quiet)
            })
    }
}
