//! From what history committed to what is read from where.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cairn_schemas::{Clock, Partition, Position};

use super::board::{Acceptable, KafkaBoard, PartitionState, PartitionStatus, StoppedReason};
use super::client::{Cluster, Extent, Extents};
use super::epochs::{Acceptances, Epoch, Epochs};
use super::record;
use super::shared::Stopped;
use super::topic_id::TopicId;
use super::topics::{Rules, TopicRule};
use super::track::{Plan, Track};
use crate::source::Received;

/// What a plan is made with.
#[derive(Clone, Debug)]
pub(super) struct Planner {
    pub(super) cluster: Arc<Cluster>,
    pub(super) epochs: Arc<dyn Epochs>,
    pub(super) acceptances: Arc<dyn Acceptances>,
    pub(super) rules: Arc<Rules>,
    pub(super) board: Arc<KafkaBoard>,
    pub(super) clock: Arc<dyn Clock>,
}

/// One topic as the cluster has it now.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) id: TopicId,
    pub(super) epoch: Epoch,
    pub(super) extents: Extents,
}

impl Topic {
    /// The next offset of `partition` as far as is known: history's, else where
    /// the log began at its first sight, else 0.
    fn from(&self, partition: &Partition, committed: &Position) -> i64 {
        let first_sight = self.epoch.starts.get(&partition.number).copied();
        let known = committed.0.get(partition).copied();
        known.or(first_sight).unwrap_or(0)
    }

    /// Why whoever reads `partition` has to stop, by what the cluster has.
    pub(super) fn stop_of(
        &self,
        partition: &Partition,
        committed: &Position,
    ) -> Option<StoppedReason> {
        let extent = self.extents.get(&partition.number)?.as_ref().ok()?;
        match judge(self.from(partition, committed), *extent, |_| false) {
            Verdict::Stop(why) => Some(why),
            Verdict::Read(_) | Verdict::Skip { .. } => None,
        }
    }
}

/// Where one partition stands against what history has of it.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Read from here.
    Read(i64),
    /// Do not read.
    Stop(StoppedReason),
    /// Quarantine the gap, then read from its end.
    Skip { from: i64, to: i64 },
}

impl Planner {
    /// See [`look`].
    pub(super) async fn topics(
        &self,
        topics: BTreeSet<String>,
    ) -> Result<BTreeMap<String, Topic>, String> {
        look(&self.cluster, &*self.epochs, &self.board, topics).await
    }

    /// What to read of `group`, and everything that the group gives to this
    /// process, also what is not read.
    pub(super) fn plan(
        &self,
        group: &[(String, i32)],
        topics: &BTreeMap<String, Topic>,
        committed: &Position,
    ) -> (Plan, BTreeSet<Partition>) {
        let (mut plan, mut owned, mut statuses) = (Plan::default(), BTreeSet::new(), Vec::new());
        for (name, number) in group {
            let (Some(topic), true) = (topics.get(name), self.rules.reads(name)) else {
                plan.incomplete = true;
                continue;
            };
            plan.ids.insert(name.clone(), topic.id);
            let partition = Partition {
                source: topic.epoch.source(name),
                number: *number,
            };
            owned.insert(partition.clone());
            let verdict = self.verdict(topic, &partition, committed);
            let extent = match topic.extents.get(number) {
                Some(Ok(extent)) => *extent,
                _ => Extent { start: 0, end: 0 },
            };
            let from = match &verdict {
                Verdict::Read(from) | Verdict::Skip { to: from, .. } => *from,
                Verdict::Stop(_) => topic.from(&partition, committed),
            };
            statuses.push(PartitionStatus {
                topic: name.clone(),
                partition: *number,
                source: partition.source.clone(),
                state: state(&verdict),
                log_start: extent.start,
                log_end: extent.end,
                next: from,
                committed: committed.0.get(&partition).copied(),
                lag: 0,
                last_time: None,
                last_error: None,
            });
            self.add(&mut plan, name, partition, verdict, from, committed);
        }
        self.board.begin(statuses);
        (plan, owned)
    }

    fn add(
        &self,
        plan: &mut Plan,
        topic: &str,
        partition: Partition,
        verdict: Verdict,
        from: i64,
        committed: &Position,
    ) {
        let rule = self.rules.of(topic).cloned().map(Arc::new);
        match verdict {
            Verdict::Stop(why) => {
                let number = partition.number;
                tracing::warn!(topic, number, ?why, "kafka partition is not read");
                plan.incomplete |= matches!(why, StoppedReason::Error { .. });
                plan.stopped.push(Stopped {
                    topic: topic.to_owned(),
                    partition,
                    why,
                });
                return;
            }
            Verdict::Skip { from, to } => {
                let mut first = self.stretch(topic, rule.as_deref(), &partition, from, to);
                first.records.push(record::gap(from, to));
                plan.first.push(first);
            }
            // So that history names the partition, and nobody takes what was
            // before its first sight for a gap.
            Verdict::Read(start) if start > 0 && !committed.0.contains_key(&partition) => {
                plan.first
                    .push(self.stretch(topic, rule.as_deref(), &partition, 0, start));
            }
            Verdict::Read(_) => {}
        }
        plan.tracks
            .push((topic.to_owned(), Track::new(partition, from, rule)));
    }

    fn stretch(
        &self,
        topic: &str,
        rule: Option<&TopicRule>,
        partition: &Partition,
        first: i64,
        next: i64,
    ) -> Received {
        Received {
            partition: partition.clone(),
            first,
            next,
            envelope: Arc::new(record::topic_envelope(topic, rule, self.clock.now())),
            records: Vec::new(),
        }
    }

    fn verdict(&self, topic: &Topic, partition: &Partition, committed: &Position) -> Verdict {
        let from = topic.from(partition, committed);
        let extent = match topic.extents.get(&partition.number) {
            Some(Ok(extent)) => *extent,
            Some(Err(detail)) => {
                return Verdict::Stop(StoppedReason::Error {
                    detail: detail.clone(),
                });
            }
            None => {
                return Verdict::Stop(StoppedReason::Error {
                    detail: "the cluster does not tell of this partition yet".to_owned(),
                });
            }
        };
        judge(from, extent, |what| {
            self.acceptances.accepted(partition, what)
        })
    }
}

/// What the cluster says of `topics`. A topic that does not exist, or cannot be
/// begun yet, is missing.
///
/// # Errors
///
/// The cluster, or the epochs, cannot be asked now.
pub(super) async fn look(
    cluster: &Arc<Cluster>,
    epochs: &dyn Epochs,
    board: &KafkaBoard,
    topics: BTreeSet<String>,
) -> Result<BTreeMap<String, Topic>, String> {
    let cluster = Arc::clone(cluster);
    let seen = tokio::task::spawn_blocking(move || {
        let names: Vec<String> = topics.into_iter().collect();
        let mut seen = Vec::new();
        for (topic, id) in cluster.ids(&names)? {
            // One that is only just made, or was just deleted.
            let Some(count) = cluster.partitions(&topic)?.filter(|count| *count > 0) else {
                continue;
            };
            let numbers: Vec<i32> = (0..count).collect();
            let extents = cluster.extents(&topic, &numbers)?;
            seen.push((topic, id, extents));
        }
        Ok(seen)
    });
    let seen = seen.await.map_err(|error| error.to_string())?;
    let seen = seen.map_err(|error: rdkafka::error::KafkaError| error.to_string())?;
    let mut out = BTreeMap::new();
    for (topic, id, extents) in seen {
        let start = |(number, extent): (&i32, &Result<Extent, String>)| {
            Some((*number, extent.as_ref().ok()?.start))
        };
        // Without every start a new topic is not begun: one that is not known
        // could later pass for a gap, or hide one.
        let starts: Option<BTreeMap<i32, i64>> = extents.iter().map(start).collect();
        let epoch = epochs.epoch_of(&topic, id, starts.as_ref()).await;
        match epoch.map_err(|error| error.to_string())? {
            Some(epoch) => {
                out.insert(topic, Topic { id, epoch, extents });
            }
            None => board.client_error(&format!(
                "the new topic {topic} is not read before all of its partitions answer"
            )),
        }
    }
    Ok(out)
}

fn judge(from: i64, extent: Extent, accepted: impl Fn(&Acceptable) -> bool) -> Verdict {
    if from < extent.start {
        let to = extent.start;
        return if accepted(&Acceptable::gap(from, to)) {
            Verdict::Skip { from, to }
        } else {
            Verdict::Stop(StoppedReason::Gap { from, to })
        };
    }
    if from > extent.end {
        return Verdict::Stop(StoppedReason::Truncated {
            committed: from,
            end: extent.end,
        });
    }
    Verdict::Read(from)
}

fn state(verdict: &Verdict) -> PartitionState {
    match verdict {
        Verdict::Stop(why) => PartitionState::Stopped {
            why: why.clone(),
            what_to_do: why.what_to_do(),
        },
        Verdict::Read(_) | Verdict::Skip { .. } => PartitionState::Reading,
    }
}

#[cfg(test)]
mod tests;
