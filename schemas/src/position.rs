//! Where something stands in the log.
//!
//! `(source, partition, offset)` names every received record for ever. A
//! [`Position`] is a cut through all partitions: for each, the next offset
//! that has not been dealt with. Followers, trail versions and commits all
//! speak of places in history by such cuts, because offsets survive
//! compaction, while table versions and file names do not.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One ordered stream of records: a partition of a Kafka topic, or the
/// embedded log. Written `source/number`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Partition {
    /// The topic, with its epoch where it was made anew; `log` for the
    /// embedded log.
    pub source: String,
    /// The partition's number in its source.
    pub number: i32,
}

impl Partition {
    /// The embedded log's one partition.
    pub fn embedded() -> Self {
        Self {
            source: "log".to_owned(),
            number: 0,
        }
    }

    /// Under which a trail's table keeps the number of the trail's version in
    /// force, among the offsets of its position. Kafka allows no `~` in the name
    /// of a topic.
    pub fn version() -> Self {
        Self {
            source: "~version".to_owned(),
            number: 0,
        }
    }

    /// Under which history keeps the number of the last start of
    /// the process whose own log this is.
    pub fn start(&self) -> Self {
        Self {
            source: format!("~start-{}", self.source),
            number: self.number,
        }
    }

    /// Under which history keeps the leader epoch of the newest record that was
    /// read of this partition of a topic.
    pub fn leader_epoch(&self) -> Self {
        Self {
            source: format!("~epoch-{}", self.source),
            number: self.number,
        }
    }

    /// Under which history keeps the offset after the newest record that was
    /// read of this partition of a topic. The position itself may be further:
    /// it passes markers of transactions too.
    pub fn last_read(&self) -> Self {
        Self {
            source: format!("~read-{}", self.source),
            number: self.number,
        }
    }

    /// Whether it is a partition only by its form: what stands under it counts
    /// no records.
    pub fn is_pseudo(&self) -> bool {
        self.source.starts_with('~')
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.number)
    }
}

impl From<Partition> for String {
    fn from(p: Partition) -> String {
        p.to_string()
    }
}

/// Not of the form `source/number`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a partition: write source/number, such as log/0")]
pub struct PartitionError(String);

impl TryFrom<String> for Partition {
    type Error = PartitionError;
    fn try_from(text: String) -> Result<Self, PartitionError> {
        let parts = text
            .rsplit_once('/')
            .and_then(|(s, n)| Some((s, n.parse().ok()?)));
        match parts {
            Some((source, number)) if !source.is_empty() => Ok(Self {
                source: source.to_owned(),
                number,
            }),
            _ => Err(PartitionError(text)),
        }
    }
}

/// For each partition the next offset: everything below it is covered. A
/// partition that is missing stands at 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub BTreeMap<Partition, i64>);

impl Position {
    /// The next offset of `partition`.
    pub fn of(&self, partition: &Partition) -> i64 {
        self.0.get(partition).copied().unwrap_or(0)
    }

    /// A position that names one partition.
    pub fn at(partition: Partition, next: i64) -> Self {
        Self(BTreeMap::from([(partition, next)]))
    }

    /// Whether the record `offset` of `partition` lies before this cut.
    pub fn covers(&self, partition: &Partition, offset: i64) -> bool {
        offset < self.of(partition)
    }

    /// Whether everything that `other` covers is covered here.
    pub fn reaches(&self, other: &Position) -> bool {
        other.0.iter().all(|(p, next)| self.of(p) >= *next)
    }

    /// Whether everything that `other` covers in `partition` is covered here.
    pub fn reaches_in(&self, other: &Position, partition: &Partition) -> bool {
        self.of(partition) >= other.of(partition)
    }

    /// What of it counts records.
    pub fn of_records(&self) -> Position {
        let real = self.0.iter().filter(|(p, _)| !p.is_pseudo());
        Self(real.map(|(p, next)| (p.clone(), *next)).collect())
    }

    /// Moves forward to `next` in `partition`; never back.
    pub fn advance(&mut self, partition: &Partition, next: i64) {
        match self.0.get_mut(partition) {
            Some(at) => *at = next.max(*at),
            None => {
                self.0.insert(partition.clone(), next);
            }
        }
    }

    /// Moves forward in every partition that `other` is ahead in.
    pub fn merge(&mut self, other: &Position) {
        for (partition, next) in &other.0 {
            self.advance(partition, *next);
        }
    }
}

#[cfg(test)]
mod tests;
