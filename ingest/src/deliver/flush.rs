//! Waiting until everything up to a place is in files.

use std::time::Duration;

use cairn_schemas::trail::Trail;
use cairn_schemas::{Partition, Position};
use cairn_store::table::TableError;

use super::Follower;
use super::mine::within;

/// How often the table is asked what others delivered, while somebody waits.
const LOOK: Duration = Duration::from_millis(250);

/// What a flush still waits for.
#[derive(Debug, Default)]
struct Missing {
    /// Something that this process delivers.
    mine: bool,
    /// What others deliver: from where, up to where.
    theirs: Vec<(Partition, i64, i64)>,
}

impl Follower {
    /// Returns once everything below `target` that the trail takes is in files.
    /// `target` must be committed to history already. What others deliver is
    /// waited for as long as it takes them: the caller sets a bound.
    pub async fn flush(&self, target: &Position) -> Result<(), String> {
        let mut tried = false;
        loop {
            let stepped = self.stepped.notified();
            tokio::pin!(stepped);
            // From here on no step is missed, also none before the wait.
            stepped.as_mut().enable();
            let missing = self.missing(target).await;
            let theirs = self.is_owed(&missing).await.map_err(|e| e.to_string())?;
            if !missing.mine && !theirs {
                return Ok(());
            }
            {
                let mut state = self.state.lock();
                // An error from before this call says nothing about now.
                if tried && let Some(error) = &state.last_error {
                    return Err(error.clone());
                }
                // A delivery in between may have cleared it.
                if missing.mine {
                    state.flush_to.merge(target);
                }
            }
            tried = true;
            self.poke.notify_one();
            match missing.mine {
                true => stepped.await,
                false => tokio::time::sleep(LOOK).await,
            }
        }
    }

    async fn missing(&self, target: &Position) -> Missing {
        let trail = self.trail.read().await;
        let state = self.state.lock();
        let mut missing = Missing::default();
        for (partition, next) in &target.0 {
            let goal = within(&trail, partition, *next);
            if state.at(partition) >= goal {
                continue;
            }
            let from = state.from(partition);
            match state.claims.get(partition) {
                Some(claim) if from >= goal && claim.count == 0 => {}
                Some(_) => missing.mine = true,
                None if from >= goal => {}
                None if self.owns(partition) => missing.mine = true,
                None => missing.theirs.push((partition.clone(), from, goal)),
            }
        }
        missing
    }

    /// Whether the trail takes anything of what others have not delivered yet.
    async fn is_owed(&self, missing: &Missing) -> Result<bool, TableError> {
        if missing.theirs.is_empty() {
            return Ok(false);
        }
        let table = self.table_or_open().await?;
        self.refresh(table, LOOK).await?;
        let trail: Trail = self.trail.read().await.clone();
        for (partition, from, goal) in &missing.theirs {
            let from = self.state.lock().from(partition).max(*from);
            while self.shade(&trail, partition, from, *goal).await? {}
            let rows = self.shaded(&trail, partition, from..*goal).await;
            if rows.is_none_or(|rows| !rows.is_empty()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
