//! From what history committed to what is read from where.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cairn_schemas::{Clock, Partition, Position};

use super::board::{Acceptable, KafkaBoard, PartitionState, PartitionStatus, StoppedReason};
use super::client::{Cluster, Extent, Extents};
use super::compare::{Cut, Known};
use super::epochs::{Acceptances, Epoch, Epochs};
use super::record;
use super::shared::Stopped;
use super::topic_id::TopicId;
use super::topics::{Rules, TopicRule};
use super::track::{Plan, Track};
use crate::source::{Mark, Received};

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
    /// Of the partitions that were asked: how the log differs from what was read
    /// of it, nothing where it does not, or why that cannot be told.
    pub(super) cuts: BTreeMap<i32, Result<Option<Cut>, String>>,
}

impl Topic {
    fn partition(&self, name: &str, number: i32) -> Partition {
        Partition {
            source: self.epoch.source(name, number),
            number,
        }
    }

    /// What was read of the partition `number`, where the log can be asked for it.
    fn known(&self, name: &str, number: i32, committed: &Position) -> Option<Known> {
        let partition = self.partition(name, number);
        let mark = Mark::of(committed, &partition)?;
        let next = self.from(&partition, committed);
        let Extent { start, end } = *self.extents.get(&number)?.as_ref().ok()?;
        // Else there is a gap, which is told first.
        (start <= next).then(|| Known {
            topic: name.to_owned(),
            number,
            mark: Mark {
                next: mark.next.max(start),
                ..mark
            },
            next,
            end,
        })
    }

    /// The next offset of `partition` as far as is known: history's, else where
    /// the log began at its first sight, else 0.
    fn from(&self, partition: &Partition, committed: &Position) -> i64 {
        let first_sight = self.epoch.start_of(partition.number);
        let known = committed.0.get(partition).copied();
        known.or(first_sight).unwrap_or(0)
    }

    /// Why whoever reads `partition` has to stop, by what the cluster has.
    pub(super) fn stop_of(
        &self,
        partition: &Partition,
        committed: &Position,
    ) -> Option<StoppedReason> {
        self.extents.get(&partition.number)?.as_ref().ok()?;
        match self.verdict(partition, committed, |_| false) {
            Verdict::Stop(why) => Some(why),
            Verdict::Read(_) | Verdict::Skip { .. } | Verdict::Renew { .. } => None,
        }
    }

    fn verdict(
        &self,
        partition: &Partition,
        committed: &Position,
        accepted: impl Fn(&Acceptable) -> bool,
    ) -> Verdict {
        let error = |detail: &str| {
            Verdict::Stop(StoppedReason::Error {
                detail: detail.to_owned(),
            })
        };
        let number = &partition.number;
        let extent = match self.extents.get(number) {
            Some(Ok(extent)) => *extent,
            Some(Err(detail)) => return error(detail),
            None => return error("the cluster does not tell of this partition yet"),
        };
        let cut = match self.cuts.get(number) {
            Some(Ok(cut)) => *cut,
            Some(Err(detail)) => return error(detail),
            None => None,
        };
        judge(self.from(partition, committed), extent, cut, accepted)
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
    /// Give the partition another name, under which it is read from here.
    Renew { from: i64 },
}

impl Planner {
    /// See [`look`] and [`recognise`]. Partitions of `group` whose logs lost what
    /// was read of them get the names under which that was accepted.
    pub(super) async fn look(
        &self,
        topics: BTreeSet<String>,
        group: &[(String, i32)],
        committed: &Position,
    ) -> Result<BTreeMap<String, Topic>, String> {
        loop {
            let asked = topics.clone();
            let mut seen = look(&self.cluster, &*self.epochs, &self.board, asked).await?;
            recognise(&self.cluster, &mut seen, group, committed).await?;
            let mut renewed = false;
            for (name, number) in group {
                let Some(topic) = seen.get(name) else {
                    continue;
                };
                let partition = topic.partition(name, *number);
                let Verdict::Renew { from } = self.verdict(topic, &partition, committed) else {
                    continue;
                };
                let old = topic.epoch.number_of(*number);
                let begun = self.epochs.renew(name, topic.id, *number, old, from).await;
                begun.map_err(|error| error.to_string())?;
                tracing::warn!(%partition, from, "a kafka partition is read on under a new name");
                renewed = true;
            }
            // Once more, for the names.
            if !renewed {
                return Ok(seen);
            }
        }
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
            let partition = topic.partition(name, *number);
            owned.insert(partition.clone());
            let verdict = self.verdict(topic, &partition, committed);
            let extent = match topic.extents.get(number) {
                Some(Ok(extent)) => *extent,
                _ => Extent { start: 0, end: 0 },
            };
            let from = match &verdict {
                Verdict::Read(from) | Verdict::Skip { to: from, .. } => *from,
                Verdict::Stop(_) | Verdict::Renew { .. } => topic.from(&partition, committed),
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
            // Accepted since it was looked at: the next begin finds it.
            Verdict::Renew { .. } => {
                plan.incomplete = true;
                return;
            }
        }
        let mark = Mark::of(committed, &partition).filter(|mark| mark.next == from);
        let mut track = Track::new(partition, from, rule);
        track.epoch = mark.map(|mark| mark.epoch);
        plan.tracks.push((topic.to_owned(), track));
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
            mark: None,
        }
    }

    fn verdict(&self, topic: &Topic, partition: &Partition, committed: &Position) -> Verdict {
        topic.verdict(partition, committed, |what| {
            self.acceptances.accepted(partition, what)
        })
    }
}

/// Has the logs of `wanted` say whether they still hold what was read of them.
///
/// # Errors
///
/// No broker can be asked.
pub(super) async fn recognise(
    cluster: &Arc<Cluster>,
    topics: &mut BTreeMap<String, Topic>,
    wanted: &[(String, i32)],
    committed: &Position,
) -> Result<(), String> {
    let known = wanted
        .iter()
        .filter_map(|(name, number)| topics.get(name)?.known(name, *number, committed));
    let known: Vec<Known> = known.collect();
    if known.is_empty() {
        return Ok(());
    }
    let cluster = Arc::clone(cluster);
    let asked = known.clone();
    let answers = tokio::task::spawn_blocking(move || cluster.compare(&asked));
    let mut answers = answers.await.map_err(|error| error.to_string())??;
    for known in known {
        let (Some(topic), Some(answer)) = (
            topics.get_mut(&known.topic),
            answers.remove(&(known.topic.clone(), known.number)),
        ) else {
            continue;
        };
        let end = topic.extents.get(&known.number);
        let short = end.is_some_and(|e| e.as_ref().is_ok_and(|e| e.end < known.next));
        // What it lost were no records, and it is too short all the same.
        let lost = Cut {
            from: Some(known.mark.next),
        };
        let cut = answer.map(|cut| cut.or(short.then_some(lost)));
        topic.cuts.insert(known.number, cut);
    }
    Ok(())
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
                let cuts = BTreeMap::new();
                let seen = Topic {
                    id,
                    epoch,
                    extents,
                    cuts,
                };
                out.insert(topic, seen);
            }
            None => board.client_error(&format!(
                "the new topic {topic} is not read before all of its partitions answer"
            )),
        }
    }
    Ok(out)
}

fn judge(
    from: i64,
    extent: Extent,
    cut: Option<Cut>,
    accepted: impl Fn(&Acceptable) -> bool,
) -> Verdict {
    if from < extent.start {
        let to = extent.start;
        return if accepted(&Acceptable::gap(from, to)) {
            Verdict::Skip { from, to }
        } else {
            Verdict::Stop(StoppedReason::Gap { from, to })
        };
    }
    if from > extent.end || cut.is_some() {
        // What the log has let go of since cannot be read under any name.
        let differs = cut.and_then(|cut| cut.from).map(|at| at.max(extent.start));
        let accepted = differs.filter(|at| accepted(&Acceptable::truncated(*at, from)));
        return match accepted {
            Some(from) => Verdict::Renew { from },
            None => Verdict::Stop(StoppedReason::Truncated {
                committed: from,
                end: extent.end,
                from: differs,
            }),
        };
    }
    Verdict::Read(from)
}

fn state(verdict: &Verdict) -> PartitionState {
    match verdict {
        Verdict::Stop(why) => PartitionState::Stopped {
            why: why.clone(),
            what_to_do: why.what_to_do(),
        },
        Verdict::Read(_) | Verdict::Skip { .. } | Verdict::Renew { .. } => PartitionState::Reading,
    }
}

#[cfg(test)]
mod tests;
