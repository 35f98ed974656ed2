//! Which version of the trail is in force, for all processes at once.
//!
//! The number of the version in force stands in the table's position, under
//! [`Partition::version`]. Every delivery is conditional on it. A change writes
//! the version's document first, and then moves that number, on the condition
//! that the whole table stands where it was when nobody had delivered past the
//! place at which the version takes effect:
//!
//! 1. The document. A crash after it leaves a version without its fence, which
//!    whoever meets it sets.
//! 2. The fence. From here on a delivery by an older version conflicts, and its
//!    process reads the documents again.
//!
//! If somebody delivered past that place between the two, the version can't
//! come into force there any more. The next document stands in for it, with a
//! later place.

use async_trait::async_trait;
use cairn_schemas::trail::{Trail, TrailError, TrailVersion};
use cairn_schemas::{Partition, Position, TrailId};
use cairn_store::table::{Condition, Table, TableError};

use super::Follower;

/// How often the fence is tried while others go on delivering.
const TRIES: u32 = 20;

/// Where the log ends: everything that was acknowledged before the call lies
/// below the answer.
#[async_trait]
pub trait LogEnd: Send + Sync + std::fmt::Debug {
    /// The end of every partition that this process knows of. The error is for
    /// people, and says what does not answer.
    async fn end(&self) -> Result<Position, String>;
}

/// The documents of trails.
#[async_trait]
pub trait Versions: Send + Sync + std::fmt::Debug {
    /// The versions of `trail` after `known`, oldest first, without a gap.
    async fn newer(&self, trail: &TrailId, known: u64) -> Result<Vec<TrailVersion>, String>;

    /// Writes a version. `false` if another stands under its number already.
    async fn write(&self, version: &TrailVersion) -> Result<bool, String>;
}

/// The number of a version as it stands in a position.
pub(super) fn number(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// Whether what is delivered at `at` went past the place of a version that is
/// not in force there yet.
fn passed(trail: &Trail, at: &Position) -> bool {
    let in_force = at.of(&Partition::version());
    let missing = trail.standing().filter(|v| number(v.version) > in_force);
    let records = at.of_records();
    missing
        .into_iter()
        .any(|version| !version.effective.reaches(&records))
}

impl Follower {
    /// Adds `next` to the trail, which the caller holds for writing. What was
    /// judged at or beyond its place, by the versions before, is judged again.
    pub fn push(&self, trail: &mut Trail, next: TrailVersion) -> Result<(), TrailError> {
        let (effective, replaces) = (next.effective.clone(), next.replaces);
        trail.push(next)?;
        let mut state = self.state.lock();
        state.start = trail.starts_at();
        let beyond: Vec<Partition> = state
            .claims
            .iter()
            .filter(|(p, claim)| replaces.is_some() || claim.scanned > effective.of(p))
            .map(|(p, _)| p.clone())
            .collect();
        for partition in beyond {
            state.begin_anew(&partition);
        }
        drop(state);
        self.changed();
        Ok(())
    }

    /// Takes in versions that others made; those that are known are passed over.
    pub async fn learn(&self, versions: Vec<TrailVersion>) -> Result<(), TrailError> {
        let mut trail = self.trail.write().await;
        for version in versions {
            if version.version > trail.latest().version {
                self.push(&mut trail, version)?;
            }
        }
        Ok(())
    }

    /// Whether the newest version known here is in force.
    pub async fn is_fenced(&self) -> bool {
        let latest = number(self.trail.read().await.latest().version);
        self.state.lock().at(&Partition::version()) == latest
    }

    /// Returns once the newest version is in force for every process, or says
    /// why that can't be had now. Anybody may call this at any time.
    pub async fn fence(&self) -> Result<(), TableError> {
        let table = self.table_or_open().await?;
        for _ in 0..TRIES {
            let trail = self.trail.read().await.clone();
            let latest = number(trail.latest().version);
            let at = self.state.lock().position();
            let there = at.of(&Partition::version());
            if there == latest {
                return Ok(());
            }
            if there > latest {
                self.learn_newer(table).await?;
            } else if there > 0 && passed(&trail, &at) {
                self.stand_in(table, &trail, &at).await?;
            } else {
                // Nothing was ever delivered, or by a Cairn that knew no fence
                // and was alone; or all of it lies below the version's place.
                let mut to = at.clone();
                to.advance(&Partition::version(), latest);
                let nothing = table.prepare(Vec::new()).await?;
                let moved = table.publish_prepared(&nothing, &at, &to, Condition::Whole);
                match moved.await {
                    Ok(_) | Err(TableError::Conflict { .. }) => self.adopt_theirs(table),
                    Err(error) => return Err(error),
                }
            }
        }
        Err(unavailable(
            table,
            "bringing a version into force",
            "others deliver to it all the time".to_owned(),
        ))
    }

    /// Reads what others made of the trail.
    pub(super) async fn learn_newer(&self, table: &Table) -> Result<(), TableError> {
        const ACTION: &str = "reading the trail's documents";
        let (id, known) = {
            let trail = self.trail.read().await;
            (trail.id().clone(), trail.latest().version)
        };
        let newer = self.versions.newer(&id, known).await;
        let newer = newer.map_err(|reason| unavailable(table, ACTION, reason))?;
        if newer.is_empty() {
            let reason = format!("no document is there after version {known}");
            return Err(unavailable(table, ACTION, reason));
        }
        let learned = self.learn(newer).await;
        learned.map_err(|e| unavailable(table, ACTION, e.to_string()))
    }

    /// Writes the version that stands in for those that were passed.
    async fn stand_in(
        &self,
        table: &Table,
        trail: &Trail,
        at: &Position,
    ) -> Result<(), TableError> {
        const ACTION: &str = "writing a version anew";
        let latest = trail.latest();
        let mut effective = latest.effective.clone();
        effective.merge(&at.of_records());
        effective.merge(&self.history.committed());
        let first = u64::try_from(at.of(&Partition::version())).unwrap_or(0) + 1;
        let next = TrailVersion {
            version: latest.version + 1,
            at: self.clock.now(),
            effective,
            replaces: Some(first),
            ..latest.clone()
        };
        let written = self.versions.write(&next).await;
        if written.map_err(|reason| unavailable(table, ACTION, reason))? {
            tracing::info!(
                trail = %next.name,
                version = next.version,
                "others delivered past a version's place, so it takes effect later"
            );
            let learned = self.learn(vec![next]).await;
            return learned.map_err(|e| unavailable(table, ACTION, e.to_string()));
        }
        self.learn_newer(table).await
    }
}

fn unavailable(table: &Table, action: &'static str, reason: String) -> TableError {
    TableError::Unavailable {
        table: table.name().to_owned(),
        action,
        reason,
    }
}
