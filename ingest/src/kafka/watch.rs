//! The thread that asks the cluster: whether topics still are the ones that
//! they were taken for, which topics fit a pattern, and whether somebody has
//! accepted what keeps a partition from being read.
//!
//! Nothing is handed out before the watcher has seen, after it was polled, that
//! its topic still has the id that it was begun under. A topic never gets an
//! old id back, so what was polled before then is of that id. Without this a
//! topic that is deleted and made again within a moment could be read on at the
//! old offset, under the old name.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use tokio::time::Instant;

use super::board::{KafkaBoard, StoppedReason};
use super::client::{Cluster, GroupConsumer};
use super::covered::Coverage;
use super::epochs::Acceptances;
use super::shared::{Shared, Stopped};
use super::topics::Rules;

/// The shortest time between two looks at ids, so that under load one look
/// serves many records.
const BETWEEN: Duration = Duration::from_millis(50);
/// The time between two looks when nothing comes.
const IDLE: Duration = Duration::from_secs(10);
/// How long a cluster that does not answer is left alone.
const AFTER_ERROR: Duration = Duration::from_millis(500);
/// The time between two looks for acceptances, and at the client's own queue.
const TICK: Duration = Duration::from_secs(1);

pub(super) struct Watcher {
    pub(super) cluster: Arc<Cluster>,
    pub(super) consumer: Weak<GroupConsumer>,
    pub(super) shared: Arc<Shared>,
    pub(super) board: Arc<KafkaBoard>,
    pub(super) rules: Arc<Rules>,
    pub(super) acceptances: Arc<dyn Acceptances>,
    /// What the group was told that this process reads.
    pub(super) subscribed: Vec<String>,
    /// The group of a static member.
    pub(super) group: Option<String>,
    pub(super) coverage: Coverage,
}

impl Watcher {
    pub(super) fn run(mut self) {
        let mut looked = None;
        while !self.shared.stopping() {
            if due(looked) {
                looked = Some(Instant::now());
                if let Err(error) = self.look() {
                    self.board.client_error(&error.to_string());
                    looked = None;
                    std::thread::sleep(AFTER_ERROR);
                }
            }
            self.shared.wait_unverified(TICK);
            self.cluster.serve();
            self.acceptances();
            if self.verify() {
                std::thread::sleep(BETWEEN);
            }
        }
    }

    /// Lets through what was polled before its topics were seen to be the same.
    /// Whether there was anything.
    fn verify(&mut self) -> bool {
        let (generation, count, expected) = self.shared.to_verify();
        if count == 0 {
            return false;
        }
        let topics: Vec<String> = expected.keys().cloned().collect();
        match self.cluster.ids(&topics) {
            Ok(ids) if ids == expected => self.shared.verified(generation, count),
            Ok(_) => self.change_of(generation),
            Err(error) => {
                self.board.client_error(&error.to_string());
                std::thread::sleep(AFTER_ERROR);
            }
        }
        true
    }

    fn change_of(&self, generation: u64) {
        if self.shared.to_verify().0 == generation {
            tracing::warn!("a kafka topic was deleted or made anew");
            self.shared.change();
        }
    }

    /// The slow look: topics, ids, partitions that stand still.
    fn look(&mut self) -> KafkaResult<()> {
        let topics = self.cluster.topics(&self.rules)?;
        let missing = self
            .rules
            .named()
            .filter(|name| !topics.contains_key(*name));
        self.board
            .missing_topics(missing.map(str::to_owned).collect());
        // Names are subscribed to also while there is no such topic.
        let mut wanted: Vec<String> = self.rules.named().map(str::to_owned).collect();
        wanted.extend(topics.keys().cloned());
        wanted.sort_unstable();
        wanted.dedup();
        if wanted != self.subscribed
            && !wanted.is_empty()
            && let Some(consumer) = self.consumer.upgrade()
        {
            let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
            consumer.subscribe(&names)?;
            self.subscribed = wanted;
        }
        self.cover(&topics);
        let (generation, _, expected) = self.shared.to_verify();
        let topics: Vec<String> = expected.keys().cloned().collect();
        if self.cluster.ids(&topics)? != expected {
            self.change_of(generation);
        }
        let stopped = self.shared.lock().stopped.clone();
        for stopped in &stopped {
            self.refresh(stopped)?;
        }
        Ok(())
    }

    /// Has the group share out anew what it has given to nobody. See
    /// [`covered`](super::covered).
    fn cover(&mut self, topics: &BTreeMap<String, i32>) {
        let (Some(group), false) = (&self.group, self.coverage.is_done()) else {
            return;
        };
        let given = match self.cluster.given(group) {
            Ok(Some(given)) => given,
            Ok(None) => return,
            // One broker of many may be away; asked again with the next look.
            Err(error) => return self.board.client_error(&error.to_string()),
        };
        let Some((topic, partition)) = self.coverage.look(topics, &given) else {
            return;
        };
        let Some(consumer) = self.consumer.upgrade() else {
            return;
        };
        tracing::info!(
            topic,
            partition,
            "the group has given this to nobody, joining it anew"
        );
        // A static member leaves by unsubscribing alone.
        consumer.unsubscribe();
        let names: Vec<&str> = self.subscribed.iter().map(String::as_str).collect();
        if let Err(error) = consumer.subscribe(&names) {
            self.board.client_error(&error.to_string());
            // The next look subscribes.
            self.subscribed.clear();
        }
    }

    /// Shows how the log of a partition that stands still goes on, and how a gap
    /// grows: librdkafka tells only of those that it reads.
    fn refresh(&self, stopped: &Stopped) -> KafkaResult<()> {
        let number = stopped.partition.number;
        let extents = self.cluster.extents(&stopped.topic, &[number])?;
        if let Some(Ok(extent)) = extents.get(&number) {
            self.board.update(&stopped.topic, number, |status| {
                status.log_start = extent.start;
                status.log_end = extent.end;
            });
            self.grow(stopped, extent.start);
        }
        Ok(())
    }

    /// A gap is accepted as it is: one that grew has to be told anew.
    fn grow(&self, stopped: &Stopped, start: i64) {
        let StoppedReason::Gap { from, to } = stopped.why else {
            return;
        };
        if start <= to {
            return;
        }
        let why = StoppedReason::Gap { from, to: start };
        let number = stopped.partition.number;
        let mut state = self.shared.lock();
        let there = state.stopped.iter_mut();
        for known in there.filter(|s| s.partition == stopped.partition) {
            known.why = why.clone();
        }
        drop(state);
        self.board.stop(&stopped.topic, number, why);
    }

    fn acceptances(&self) {
        let stopped = self.shared.lock().stopped.clone();
        let accepted = stopped.iter().any(|stopped| {
            let what = stopped.why.acceptable();
            what.is_some_and(|what| self.acceptances.accepted(&stopped.partition, &what))
        });
        if accepted {
            self.shared.change();
        }
    }
}

fn due(looked: Option<Instant>) -> bool {
    looked.is_none_or(|at| at.elapsed() >= IDLE)
}
