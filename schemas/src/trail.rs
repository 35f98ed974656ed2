//! Trails: named followers of history.
//!
//! Each change to a trail is a new **version**, which takes effect at an exact
//! [`Position`] of the log: a record at `(partition, offset)` is judged by the
//! newest version whose effective offset in that partition is not beyond it.
//! So delivery, replay and `explain` select alike, whenever they run.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, TrailId, TrailName};
use crate::position::{Partition, Position};
use crate::selector::{Among, EventFacts, Refusal, Selector};
use crate::time::Micros;

/// Whether a trail delivers; ActionTrail's three states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrailStatus {
    /// Made, never started.
    Fresh,
    /// Delivering.
    Enable,
    /// Stopped.
    Disable,
}

/// What a version changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrailChange {
    /// The first version.
    Created,
    /// Selector, destination or retention changed.
    Updated,
    /// Delivery began.
    Started,
    /// Delivery ended.
    Stopped,
    /// The trail is gone; its table stays where it lies.
    Deleted,
}

/// Where a trail's table lies. Secrets never stand here: credentials come from
/// the server's environment or configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// `file:///…` or `s3://bucket/prefix`: the root of the table itself.
    pub url: String,
    /// The S3 API's base URL, for stores other than AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The S3 region; `us-east-1` where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// One version of a trail: a document that is written once and never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailVersion {
    /// The trail, for ever.
    pub id: TrailId,
    /// Its name; fixed at creation.
    pub name: TrailName,
    /// 1, 2, 3, …
    pub version: u64,
    /// What this version changed.
    pub change: TrailChange,
    /// When it was made.
    pub at: Micros,
    /// The principal who made it.
    pub by: String,
    /// Where in the log it takes effect.
    pub effective: Position,
    /// Whether the trail delivers.
    pub status: TrailStatus,
    /// What it takes.
    pub selector: Selector,
    /// Where its table lies.
    pub destination: Destination,
    /// Days, counted from ingest, that events are kept; `None` keeps them.
    pub retention_days: Option<u32>,
    /// The first of the versions that this one stands in for: they never came
    /// into force, since another process had delivered past their places before
    /// it could learn of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<u64>,
}

/// Why a trail did not take an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Why {
    /// The event came in before the trail was made.
    NotYetMade,
    /// The trail was not delivering.
    NotDelivering {
        /// The version in force.
        version: u64,
        /// Its status.
        status: TrailStatus,
    },
    /// The selector of the version in force kept it out.
    Refused {
        /// The version in force.
        version: u64,
        /// The first criterion that did not hold.
        refusal: Refusal,
    },
}

/// All versions of one trail, oldest first; never empty.
#[derive(Clone, Debug)]
pub struct Trail {
    versions: Vec<TrailVersion>,
    /// The versions that a later one stands in for.
    replaced: BTreeSet<u64>,
}

/// A list of versions that is no trail's history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrailError {
    /// No version at all.
    #[error("a trail has no versions")]
    Empty,
    /// A version is missing or belongs to another trail.
    #[error(
        "trail {id}: version {found} follows version {after}; a control document is missing or was altered"
    )]
    Gap {
        /// The trail.
        id: String,
        /// The last good version.
        after: u64,
        /// What came next.
        found: u64,
    },
}

impl Trail {
    /// Checks that `versions` are 1, 2, 3, … of one trail.
    pub fn new(versions: Vec<TrailVersion>) -> Result<Self, TrailError> {
        let first = versions.first().ok_or(TrailError::Empty)?;
        for (index, v) in versions.iter().enumerate() {
            if v.version != index as u64 + 1 || v.id != first.id {
                return Err(TrailError::Gap {
                    id: first.id.to_string(),
                    after: index as u64,
                    found: v.version,
                });
            }
        }
        let replaced = versions.iter().flat_map(replaced_by).collect();
        Ok(Self { versions, replaced })
    }

    /// The newest version.
    pub fn latest(&self) -> &TrailVersion {
        self.versions
            .last()
            .expect("a trail has at least one version, by its constructor")
    }

    /// All versions, oldest first.
    pub fn versions(&self) -> &[TrailVersion] {
        &self.versions
    }

    /// The versions that came into force, or will, oldest first.
    pub fn standing(&self) -> impl DoubleEndedIterator<Item = &TrailVersion> {
        let versions = self.versions.iter();
        versions.filter(|v| !self.replaced.contains(&v.version))
    }

    /// The trail's id.
    pub fn id(&self) -> &TrailId {
        &self.latest().id
    }

    /// Whether it was deleted.
    pub fn is_deleted(&self) -> bool {
        self.latest().change == TrailChange::Deleted
    }

    /// Whether a reader of these accounts may be told of the trail: that it is
    /// there, its name, what it takes.
    ///
    /// One who reads only some accounts is told of it only if every version
    /// names its accounts one by one, and all of them are the reader's: older
    /// versions can be looked at too, and the rows that they took are there
    /// still. A trail of all accounts tells of accounts that are not the reader's.
    pub fn visible_to(&self, readable: &Among<AccountId>) -> bool {
        let Among::Only(mine) = readable else {
            return true;
        };
        self.versions.iter().all(|v| match &v.selector.accounts {
            Among::All => false,
            Among::Only(theirs) => theirs.is_subset(mine),
        })
    }

    /// Appends the next version.
    pub fn push(&mut self, next: TrailVersion) -> Result<(), TrailError> {
        let after = self.latest().version;
        if next.version != after + 1 || next.id != *self.id() {
            return Err(TrailError::Gap {
                id: self.id().to_string(),
                after,
                found: next.version,
            });
        }
        self.replaced.extend(replaced_by(&next));
        self.versions.push(next);
        Ok(())
    }

    /// The version that judges the record at `offset` of `partition`.
    pub fn in_force(&self, partition: &Partition, offset: i64) -> Option<&TrailVersion> {
        self.standing()
            .rev()
            .find(|v| offset >= v.effective.of(partition))
    }

    /// Whether the trail takes the event at `offset` of `partition`.
    pub fn decide(
        &self,
        partition: &Partition,
        offset: i64,
        event: &dyn EventFacts,
    ) -> Result<&TrailVersion, Why> {
        let Some(v) = self.in_force(partition, offset) else {
            return Err(Why::NotYetMade);
        };
        if v.status != TrailStatus::Enable {
            return Err(Why::NotDelivering {
                version: v.version,
                status: v.status,
            });
        }
        match v.selector.decide(event) {
            Ok(()) => Ok(v),
            Err(refusal) => Err(Why::Refused {
                version: v.version,
                refusal,
            }),
        }
    }

    /// Where delivery has to begin: nothing before it is ever selected.
    pub fn starts_at(&self) -> Position {
        self.standing()
            .find(|v| v.status == TrailStatus::Enable)
            .map_or_else(|| self.latest().effective.clone(), |v| v.effective.clone())
    }
}

/// The versions that `v` stands in for.
fn replaced_by(v: &TrailVersion) -> std::ops::Range<u64> {
    v.replaces.unwrap_or(v.version)..v.version
}

#[cfg(test)]
mod tests;
