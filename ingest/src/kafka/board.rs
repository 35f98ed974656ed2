//! What `cairn status` and the metrics show of Kafka.

use std::collections::BTreeMap;

use cairn_schemas::{Micros, Partition, Position};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Why a partition is not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum StoppedReason {
    /// Records that nobody has read are gone.
    Gap {
        /// The first offset that is gone.
        from: i64,
        /// The first that is there.
        to: i64,
    },
    /// The log lost records that were already read: it ends before what is
    /// committed, or has grown past that again, with others.
    Truncated {
        /// The next offset that history expects.
        committed: i64,
        /// Where the log ends.
        end: i64,
        /// The first offset at which the log differs from what was read, where
        /// it can tell that.
        from: Option<i64>,
    },
    /// A record is no event, and the topic's rule says to stop at such.
    BadRecord {
        /// Its offset.
        offset: i64,
        /// The reason's code, as in quarantine.
        code: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The brokers refuse to serve it, or serve it wrongly.
    Error {
        /// What they say.
        detail: String,
    },
}

impl StoppedReason {
    /// What an administrator can do.
    pub fn what_to_do(&self) -> &'static str {
        match self {
            Self::Gap { .. } => {
                "if the records cannot be brought back, accept the gap: it leaves a row in quarantine, and reading goes on"
            }
            Self::Truncated { from: Some(_), .. } => {
                "find out why the brokers lost records (unclean leader election, a lost disk?); history keeps what was read of them; accept it, and what the log holds now is read under a new name of the partition"
            }
            Self::Truncated { from: None, .. } => {
                "find out why the brokers lost records (unclean leader election, a lost disk?); make the topic anew, so that its offsets get a new name"
            }
            Self::BadRecord { .. } => {
                "look at the record; accept it to have it quarantined and go on, or set on_bad_record to quarantine"
            }
            Self::Error { .. } => {
                "look at the brokers and at this client's rights; it is tried again by itself"
            }
        }
    }

    /// What an administrator can accept of it, where that helps.
    pub fn acceptable(&self) -> Option<Acceptable> {
        match self {
            Self::Gap { from, to } => Some(Acceptable::gap(*from, *to)),
            Self::BadRecord { offset, .. } => Some(Acceptable::bad_record(*offset)),
            Self::Truncated {
                committed, from, ..
            } => from.map(|from| Acceptable::truncated(from, *committed)),
            Self::Error { .. } => None,
        }
    }
}

/// What an acceptance is about, and nothing else: neither a gap that has grown
/// since, nor whatever will stop the partition some day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Acceptable {
    /// `gap`, `truncated` or `bad_record`.
    pub reason: &'static str,
    /// The offset at which the partition stopped.
    pub offset: i64,
    /// The first offset after a gap, or after what was read of a log that lost it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<i64>,
}

impl Acceptable {
    /// The records `from..to` are gone.
    pub fn gap(from: i64, to: i64) -> Self {
        Self {
            reason: "gap",
            offset: from,
            to: Some(to),
        }
    }

    /// The log has lost the records `from..committed`, which were read.
    pub fn truncated(from: i64, committed: i64) -> Self {
        Self {
            reason: "truncated",
            offset: from,
            to: Some(committed),
        }
    }

    /// The record at `offset` is no event.
    pub fn bad_record(offset: i64) -> Self {
        Self {
            reason: "bad_record",
            offset,
            to: None,
        }
    }
}

/// Whether a partition is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PartitionState {
    /// It is.
    Reading,
    /// What was read before must be dealt with first.
    Paused,
    /// Not, until something is done.
    Stopped {
        /// Why.
        #[serde(flatten)]
        why: StoppedReason,
        /// What to do.
        what_to_do: &'static str,
    },
}

/// One partition that this process owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The source's name in history: the topic with its epoch.
    pub source: String,
    /// Whether it is read.
    #[serde(flatten)]
    pub state: PartitionState,
    /// The first offset in the log.
    pub log_start: i64,
    /// The offset after the last one that is stable.
    pub log_end: i64,
    /// The next offset to be handed out.
    pub next: i64,
    /// The next offset after what history holds.
    pub committed: Option<i64>,
    /// Records that are in the log and were not handed out.
    pub lag: i64,
    /// The timestamp of the last record that was handed out.
    pub last_time: Option<Micros>,
    /// The last error that concerned it.
    pub last_error: Option<String>,
}

impl PartitionStatus {
    /// How far behind reading is, in seconds: 0 when nothing is left to read,
    /// `None` when nothing was read yet.
    pub fn lag_seconds(&self, now: Micros) -> Option<f64> {
        if self.lag == 0 {
            return Some(0.0);
        }
        let behind = now.0.saturating_sub(self.last_time?.0).max(0);
        Some(behind as f64 / 1e6)
    }
}

/// Everything at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KafkaStatus {
    /// The partitions that the group gave to this process.
    pub partitions: Vec<PartitionStatus>,
    /// What the client says of its membership: `up`, `init`, `wait-coord`, …
    pub group_state: String,
    /// How often the group shared its work out anew since the start.
    pub rebalances: u64,
    /// Errors that the client told, and no partition's.
    pub errors: u64,
    /// The last of them.
    pub last_error: Option<String>,
    /// Topics of the configuration that do not exist, or that this client may
    /// not see.
    pub missing_topics: Vec<String>,
}

/// Shared: the source writes, status and metrics read. Never blocks for long.
#[derive(Debug, Default)]
pub struct KafkaBoard {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    partitions: BTreeMap<(String, i32), PartitionStatus>,
    status: KafkaStatus,
    /// What keeps the client from the brokers, since it was last with them.
    cause: Option<String>,
}

impl State {
    fn explain(&self, text: &str) -> String {
        match &self.cause {
            Some(cause) => format!("{text}: {cause}"),
            None => text.to_owned(),
        }
    }
}

impl KafkaBoard {
    /// Everything at this moment.
    pub fn status(&self) -> KafkaStatus {
        let state = self.state.lock();
        KafkaStatus {
            partitions: state.partitions.values().cloned().collect(),
            ..state.status.clone()
        }
    }

    /// Tells what history committed.
    pub fn committed(&self, position: &Position) {
        for status in self.state.lock().partitions.values_mut() {
            let partition = Partition {
                source: status.source.clone(),
                number: status.partition,
            };
            if let Some(next) = position.0.get(&partition) {
                status.committed = Some(*next);
            }
        }
    }

    pub(super) fn begin(&self, partitions: Vec<PartitionStatus>) {
        let mut state = self.state.lock();
        if !partitions.is_empty() {
            // The brokers have told of them.
            state.cause = None;
        }
        let mut old = std::mem::take(&mut state.partitions);
        for mut new in partitions {
            let key = (new.topic.clone(), new.partition);
            if let Some(old) = old.remove(&key)
                && old.source == new.source
            {
                new.last_error = new.last_error.or(old.last_error);
                new.last_time = new.last_time.or(old.last_time);
            }
            new.lag = (new.log_end - new.next).max(0);
            state.partitions.insert(key, new);
        }
    }

    pub(super) fn update(
        &self,
        topic: &str,
        partition: i32,
        change: impl FnOnce(&mut PartitionStatus),
    ) {
        let mut state = self.state.lock();
        if let Some(status) = state.partitions.get_mut(&(topic.to_owned(), partition)) {
            change(status);
            status.lag = (status.log_end - status.next).max(0);
        }
    }

    pub(super) fn stop(&self, topic: &str, partition: i32, why: StoppedReason) {
        self.update(topic, partition, |status| {
            let what_to_do = why.what_to_do();
            status.state = PartitionState::Stopped { why, what_to_do };
        });
    }

    pub(super) fn paused(&self, paused: bool) {
        for status in self.state.lock().partitions.values_mut() {
            match (&status.state, paused) {
                (PartitionState::Reading, true) => status.state = PartitionState::Paused,
                (PartitionState::Paused, false) => status.state = PartitionState::Reading,
                _ => {}
            }
        }
    }

    pub(super) fn rebalanced(&self) {
        let mut state = self.state.lock();
        state.status.rebalances += 1;
        state.cause = None;
    }

    pub(super) fn missing_topics(&self, missing: Vec<String>) {
        self.state.lock().status.missing_topics = missing;
    }

    pub(super) fn client_error(&self, text: &str) {
        tracing::debug!(detail = text, "kafka client error");
        let mut state = self.state.lock();
        state.status.errors += 1;
        state.status.last_error = Some(state.explain(text));
    }

    /// A line of librdkafka's log. Why a broker lets the client not in stands
    /// there alone, as a rule: its errors say only that all brokers are down.
    pub(super) fn logged(&self, text: &str) {
        let Some(failure) = text.strip_prefix("FAIL: ") else {
            return;
        };
        // Without the name of the thread.
        let cause = failure.split_once("]: ").map_or(failure, |(_, rest)| rest);
        self.state.lock().cause = Some(cause.to_owned());
    }

    /// `text` with what keeps the client from the brokers, where that is known.
    pub(super) fn explain(&self, text: &str) -> String {
        self.state.lock().explain(text)
    }

    /// Takes librdkafka's statistics in. Whether the client knows a broker.
    pub(super) fn statistics(&self, json: &[u8]) -> bool {
        let Ok(statistics) = serde_json::from_slice::<Statistics>(json) else {
            return true;
        };
        let mut state = self.state.lock();
        if let Some(group) = statistics.cgrp {
            state.status.group_state = group.join_state;
        }
        for status in state.partitions.values_mut() {
            let topic = statistics.topics.get(&status.topic);
            let Some(seen) = topic.and_then(|t| t.partitions.get(&status.partition.to_string()))
            else {
                continue;
            };
            if seen.lo_offset >= 0 {
                status.log_start = status.log_start.max(seen.lo_offset);
            }
            // Statistics are a second old: they never take back what is known.
            status.log_end = status.log_end.max(seen.ls_offset).max(status.next);
            status.lag = (status.log_end - status.next).max(0);
        }
        let mut brokers = statistics.brokers.values();
        brokers.any(|broker| matches!(&*broker.source, "configured" | "learned"))
    }
}

/// The few of librdkafka's statistics that are shown.
#[derive(Debug, Deserialize)]
struct Statistics {
    #[serde(default)]
    topics: BTreeMap<String, TopicStatistics>,
    cgrp: Option<GroupStatistics>,
    #[serde(default)]
    brokers: BTreeMap<String, BrokerStatistics>,
}

#[derive(Debug, Deserialize)]
struct BrokerStatistics {
    /// Where it is known from; others than these two stand for one of them.
    source: String,
}

#[derive(Debug, Deserialize)]
struct TopicStatistics {
    #[serde(default)]
    partitions: BTreeMap<String, PartitionStatistics>,
}

#[derive(Debug, Deserialize)]
struct PartitionStatistics {
    lo_offset: i64,
    ls_offset: i64,
}

#[derive(Debug, Deserialize)]
struct GroupStatistics {
    join_state: String,
}

#[cfg(test)]
mod tests;
