//! Clients of the cluster, and the questions that are put to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext, Offset, Statistics, TopicPartitionList};

use super::board::KafkaBoard;
use super::bootstrap::Bootstrap;
use super::compare::{self, Answers, Known};
use super::covered::{Given, assignment};
use super::options::KafkaOptions;
use super::topic_id::{TopicId, topic_ids};
use super::topics::Rules;

/// How long a question to the cluster may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often partitions are asked for their offsets while their leaders change, and
/// the pause in between: broker and client hear of a new leader one after the other.
/// Whoever is still not told stands still, and is asked again later.
const ELECTED: usize = 10;
const ELECTING: Duration = Duration::from_millis(200);

/// How long the question for the group's members may take: records wait for
/// the thread that asks it.
const GROUP_PATIENCE: Duration = Duration::from_secs(3);

/// How long the client's own queue is served at a time.
const SERVE: Duration = Duration::from_millis(5);

/// What clients tell of themselves beside what they are asked.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) board: Arc<KafkaBoard>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        let text = format!("{facility}: {text}");
        self.board.logged(&text);
        log_line(level as i32, &text);
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.board.client_error(&format!("{error}: {reason}"));
    }
}

impl ConsumerContext for Context {}

/// A line of librdkafka's log. Lost connections are told there, and are
/// nothing that Cairn has to mend.
pub(super) fn log_line(level: i32, text: &str) {
    if level <= 3 {
        tracing::warn!(detail = text, "kafka client");
    } else {
        tracing::debug!(detail = text, "kafka client");
    }
}

/// The consumer of the group.
pub(super) type GroupConsumer = BaseConsumer<Context>;

/// A client for questions, beside the group. Calls block: never on a thread of
/// the runtime.
pub(super) struct Cluster {
    client: BaseConsumer<Context>,
    bootstrap: Bootstrap,
    /// How a client is made that compares logs with what was read of them.
    comparing: ClientConfig,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

/// What stands in the log of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// The first offset.
    pub(super) start: i64,
    /// The offset after the last one that is committed: the last stable one.
    pub(super) end: i64,
}

/// Each partition's extent, or why it cannot be told.
pub(super) type Extents = BTreeMap<i32, Result<Extent, String>>;

/// Each partition's offset, or why it cannot be told.
type Offsets = BTreeMap<i32, Result<i64, String>>;

impl Cluster {
    pub(super) fn new(client: BaseConsumer<Context>, options: &KafkaOptions) -> Self {
        Self {
            client,
            bootstrap: Bootstrap::new(&options.brokers),
            comparing: options.comparing_config(),
        }
    }

    /// See [`compare`](compare::compare).
    pub(super) fn compare(&self, known: &[Known]) -> Result<Answers, String> {
        let context = Context::clone(self.client.context());
        compare::compare(&self.comparing, context, known)
    }

    fn heard<T>(&self, answer: KafkaResult<T>) -> KafkaResult<T> {
        self.bootstrap.heard(self.client.client(), answer)
    }

    /// Serves the client's own queue: errors and log lines.
    pub(super) fn serve(&self) {
        // No group and no assignment: no record can come of it. Without a time to
        // wait it would serve one event only.
        while self.client.poll(SERVE).is_some() {}
    }

    /// The ids of `topics`; a topic that does not exist, or may not be seen, is
    /// missing.
    ///
    /// # Errors
    ///
    /// No broker answered, or one topic's id cannot be told now.
    pub(super) fn ids(&self, topics: &[String]) -> KafkaResult<BTreeMap<String, TopicId>> {
        let mut ids = BTreeMap::new();
        let told = topic_ids(self.client.client(), topics, PATIENCE);
        for (topic, id) in self.heard(told)? {
            match id {
                Ok(id) => {
                    ids.insert(topic, id);
                }
                Err(code) if absent(code) => {}
                Err(code) => return Err(KafkaError::MetadataFetch(code)),
            }
        }
        Ok(ids)
    }

    /// What the members of `group` were given; `None` while it is being shared
    /// out, and where there is no such group.
    pub(super) fn given(&self, group: &str) -> KafkaResult<Option<Given>> {
        let told = self.client.fetch_group_list(Some(group), GROUP_PATIENCE);
        let list = self.heard(told)?;
        let mut groups = list.groups().iter();
        let Some(found) = groups.find(|found| found.name() == group) else {
            return Ok(None);
        };
        if found.state() != "Stable" {
            return Ok(None);
        }
        let members = found.members().iter();
        let given = members.flat_map(|member| member.assignment().and_then(assignment));
        Ok(Some(given.flatten().collect()))
    }

    /// The topics that `rules` read and that exist, with their numbers of
    /// partitions.
    pub(super) fn topics(&self, rules: &Rules) -> KafkaResult<BTreeMap<String, i32>> {
        let mut out = BTreeMap::new();
        if rules.has_patterns() {
            let metadata = self.heard(self.client.fetch_metadata(None, PATIENCE))?;
            for topic in metadata.topics() {
                if topic.error().is_none() && rules.reads(topic.name()) {
                    let count = topic.partitions().len();
                    out.insert(
                        topic.name().to_owned(),
                        i32::try_from(count).unwrap_or(i32::MAX),
                    );
                }
            }
            return Ok(out);
        }
        for name in rules.named() {
            if let Some(count) = self.partitions(name)? {
                out.insert(name.to_owned(), count);
            }
        }
        Ok(out)
    }

    /// How many partitions `topic` has; `None` when there is no such topic, or
    /// this client may not see it.
    pub(super) fn partitions(&self, topic: &str) -> KafkaResult<Option<i32>> {
        let metadata = self.heard(self.client.fetch_metadata(Some(topic), PATIENCE))?;
        let Some(found) = metadata.topics().iter().find(|t| t.name() == topic) else {
            return Ok(None);
        };
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(i32::try_from(found.partitions().len()).ok()),
            Some(code) if absent(code) => Ok(None),
            Some(code) => Err(KafkaError::MetadataFetch(code)),
        }
    }

    /// The extents of the partitions `numbers` of `topic`.
    pub(super) fn extents(&self, topic: &str, numbers: &[i32]) -> KafkaResult<Extents> {
        // The end first: a log that is trimmed in between must not seem to
        // begin after its end.
        let ends = self.offsets(topic, numbers, Offset::End)?;
        let starts = self.offsets(topic, numbers, Offset::Beginning)?;
        let both = |number: &i32| {
            let of = |offsets: &Offsets| {
                let missing = || Err("the broker does not tell its offsets".to_owned());
                offsets.get(number).cloned().unwrap_or_else(missing)
            };
            let extent = of(&starts).and_then(|start| {
                let end = of(&ends)?.max(start);
                Ok(Extent { start, end })
            });
            (*number, extent)
        };
        Ok(numbers.iter().map(both).collect())
    }

    fn offsets(&self, topic: &str, numbers: &[i32], which: Offset) -> KafkaResult<Offsets> {
        if numbers.is_empty() {
            return Ok(BTreeMap::new());
        }
        for _ in 1..ELECTED {
            let (told, passes) = self.offsets_now(topic, numbers, which)?;
            if !passes {
                return Ok(told);
            }
            std::thread::sleep(ELECTING);
        }
        Ok(self.offsets_now(topic, numbers, which)?.0)
    }

    /// As far as the brokers tell them now, and whether what keeps them from it
    /// passes by itself.
    fn offsets_now(
        &self,
        topic: &str,
        numbers: &[i32],
        which: Offset,
    ) -> KafkaResult<(Offsets, bool)> {
        let mut list = TopicPartitionList::with_capacity(numbers.len());
        for number in numbers {
            // The offset's place carries what is asked for: -2 or -1.
            list.add_partition(topic, *number).set_offset(which)?;
        }
        let answer = self.heard(self.client.offsets_for_times(list, PATIENCE))?;
        let elements = answer.elements();
        let errors = elements.iter().filter_map(|e| e.error().err());
        let passes = errors
            .filter_map(|error| error.rdkafka_error_code())
            .any(electing);
        let one = |element: rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            let offset = match (element.error(), element.offset()) {
                (Err(error), _) => Err(error.to_string()),
                (Ok(()), Offset::Offset(offset)) => Ok(offset),
                (Ok(()), other) => Err(format!("the broker answered {other:?}")),
            };
            (element.partition(), offset)
        };
        Ok((elements.into_iter().map(one).collect(), passes))
    }
}

/// Whether this error is of the moments in which a leader changes.
fn electing(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::UnknownLeaderEpoch
            | RDKafkaErrorCode::FencedLeaderEpoch
            | RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::OffsetNotAvailable
            | RDKafkaErrorCode::ReplicaNotAvailable
    )
}

/// Whether a topic with this error is as good as none: others go on.
fn absent(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::TopicAuthorizationFailed
    )
}
