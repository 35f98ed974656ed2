//! How far a table's files reached at an earlier version or time, from as much
//! of its log as is still there.
//!
//! The position alone is told, not the files: those may have been merged into
//! others since and deleted, but the rows below a position are the same rows
//! in whichever files they lie.

use cairn_schemas::Micros;
use cairn_schemas::time::SECOND;

use super::Table;
use super::error::TableError;
use super::log::Found;
use super::state::State;
use crate::view::{Moment, TableVersion};

impl Table {
    /// Where the table stood at `moment`. On return at least as much is known
    /// here of what others have committed.
    pub async fn past(&self, moment: Moment) -> Result<TableVersion, TableError> {
        let newest = self.refresh().await?.version;
        let found = self.log.find_all().await?;
        let Some(oldest) = oldest(&found) else {
            return Err(self.log.damaged("its log has no beginning".to_owned()));
        };
        let version = match moment {
            Moment::Version(version) if version > newest => {
                return Err(self.refused(format!(
                    "there is no version {version} yet: the newest is {newest}"
                )));
            }
            Moment::Version(version) if version < oldest => {
                return Err(self.refused(format!(
                    "nothing tells any more how far version {version} reached: the oldest version that can be asked by its number is {oldest}"
                )));
            }
            Moment::Version(version) => version,
            Moment::Time(time) => self.version_at(time, oldest, newest).await?,
        };
        let state = self.log.load_at(version, &found).await?;
        Ok(TableVersion {
            version,
            reach: state.position(&self.options.position_prefix).of_records(),
        })
    }

    /// The newest version that was committed at `time` or before.
    async fn version_at(&self, time: Micros, oldest: i64, newest: i64) -> Result<i64, TableError> {
        if time > self.clock.now() {
            return Err(self.refused(format!(
                "{} lies in the future: what is committed until then is not known",
                time.to_rfc3339()
            )));
        }
        let first = self.committed_at(oldest).await?;
        if first > time {
            return Err(self.refused(format!(
                "nothing tells any more what was committed at {}: the oldest time that can be asked is {}",
                time.to_rfc3339(),
                first.to_rfc3339()
            )));
        }
        // Commits follow each other, and so do their times, but for what the
        // clocks of several machines differ by.
        let (mut low, mut high) = (oldest, newest + 1);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.committed_at(middle).await? <= time {
                true => low = middle,
                false => high = middle,
            }
        }
        Ok(low)
    }

    async fn committed_at(&self, version: i64) -> Result<Micros, TableError> {
        let entry = self.log.read(version).await?;
        let time = entry.as_ref().and_then(|entry| entry.time());
        match time {
            Some(millis) => Ok(Micros(millis.saturating_mul(SECOND / 1000))),
            None => Err(self.refused(format!(
                "nothing tells any more when version {version} was committed: ask for a version by its number"
            ))),
        }
    }
}

/// The oldest version that can be put together: the first entry's, or that of
/// the oldest checkpoint whose entry is there as well, and with it its time.
fn oldest(found: &Found) -> Option<i64> {
    let first = *found.entries.first()?;
    if first == 0 {
        return Some(0);
    }
    let whole = found.checkpoints.iter().filter(|v| **v >= first);
    whole.min().copied()
}

impl super::log::DeltaLog {
    /// The state at `version`, begun from the newest checkpoint up to it.
    pub(super) async fn load_at(&self, version: i64, found: &Found) -> Result<State, TableError> {
        let mut state = State {
            version: -1,
            ..State::default()
        };
        let mut below: Vec<i64> = found.checkpoints.clone();
        below.retain(|v| *v <= version);
        for checkpoint in below.into_iter().rev() {
            match self.read_checkpoint(checkpoint).await {
                Ok(read) => {
                    state = read;
                    break;
                }
                Err(error) => {
                    tracing::warn!(table = %self.table, version = checkpoint, %error, "checkpoint unreadable");
                }
            }
        }
        while state.version < version {
            let next = state.version + 1;
            let Some(entry) = self.read(next).await? else {
                return Err(TableError::Refused {
                    table: self.table.clone(),
                    reason: format!(
                        "nothing tells any more how far version {version} reached: its log begins later"
                    ),
                });
            };
            self.apply(&mut state, next, entry)?;
        }
        Ok(state)
    }
}
