//! The thread that polls the consumer. It alone assigns and unassigns, so that
//! what it polls after an assignment is of that assignment: librdkafka drops
//! what an older one fetched.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cairn_schemas::{Clock, Micros};
use parking_lot::Mutex;
use rdkafka::consumer::Consumer;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::Instant;

use super::board::{Acceptable, KafkaBoard, StoppedReason};
use super::bootstrap::Bootstrap;
use super::client::log_line;
use super::epochs::Acceptances;
use super::raw::{Event, EventQueue, Message, Place, places};
use super::record::{self, Limits};
use super::shared::{Shared, Stopped};
use super::track::{Batch, Command, Halted, Plan, Track};
use crate::source::Mark;

/// How long the group waits for the pipeline to commit before partitions are
/// given up anyway.
const REVOKE_PATIENCE: Duration = Duration::from_secs(15);
/// How long leaving the group may take. Whoever does not get it done is missed
/// when the session has run out.
const LEAVE_PATIENCE: Duration = Duration::from_secs(3);
/// How long a poll waits.
const POLL: Duration = Duration::from_millis(100);
/// After so many bytes what was polled is handed on.
const BATCH_BYTES: usize = 1 << 20;
/// How long a partition that the brokers would not serve is left alone.
const AFTER_FAULT: Duration = Duration::from_secs(10);

pub(super) struct Poller {
    pub(super) queue: Arc<EventQueue>,
    pub(super) shared: Arc<Shared>,
    pub(super) board: Arc<KafkaBoard>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: Limits,
    pub(super) acceptances: Arc<dyn Acceptances>,
    pub(super) buffer_bytes: usize,
    pub(super) commands: std::sync::mpsc::Receiver<Command>,
    in_group: Arc<Mutex<bool>>,
    bootstrap: Bootstrap,
    tracks: HashMap<String, HashMap<i32, Track>>,
    batch: Batch,
    /// Counts what the group says.
    round: u64,
    group: Vec<(String, i32)>,
    /// The group has given this process a part, which may be empty: librdkafka
    /// takes no part in the next sharing out before that is assigned.
    given: bool,
    /// Until when the partitions that were taken away are held.
    revoke_by: Option<Instant>,
    paused: bool,
}

pub(super) struct PollerParts {
    pub(super) queue: Arc<EventQueue>,
    pub(super) shared: Arc<Shared>,
    pub(super) board: Arc<KafkaBoard>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: Limits,
    pub(super) acceptances: Arc<dyn Acceptances>,
    pub(super) buffer_bytes: usize,
    pub(super) commands: std::sync::mpsc::Receiver<Command>,
    /// Whether this member has a part, which it has not given back. Offsets are
    /// reported only then, and while it is locked: a report that came to the
    /// broker after the request to join again would carry the member's former
    /// id, and Kafka would fence the static member off from itself, for good.
    pub(super) in_group: Arc<Mutex<bool>>,
    pub(super) bootstrap: Bootstrap,
}

impl Poller {
    pub(super) fn new(parts: PollerParts) -> Self {
        Self {
            queue: parts.queue,
            shared: parts.shared,
            board: parts.board,
            clock: parts.clock,
            limits: parts.limits,
            acceptances: parts.acceptances,
            buffer_bytes: parts.buffer_bytes,
            commands: parts.commands,
            in_group: parts.in_group,
            bootstrap: parts.bootstrap,
            tracks: HashMap::new(),
            batch: Batch::default(),
            round: 0,
            group: Vec::new(),
            given: false,
            revoke_by: None,
            paused: false,
        }
    }

    /// Polls until the source is dropped, and leaves the group.
    pub(super) fn run(mut self) {
        while !self.shared.stopping() {
            while let Ok(command) = self.commands.try_recv() {
                self.command(command);
            }
            self.deadlines();
            self.pressure();
            self.poll();
        }
        self.leave();
    }

    /// Leaves the group, so that others need not wait until the session has run
    /// out. Dropping the consumer does not do that for a static member; taking
    /// its subscription back does.
    fn leave(&self) {
        let consumer = self.queue.consumer();
        if consumer.client().fatal_error().is_some() {
            return;
        }
        consumer.unsubscribe();
        let by = Instant::now() + LEAVE_PATIENCE;
        while self.queue.is_member() && Instant::now() < by {
            let Some(mut polled) = self.queue.poll(POLL) else {
                continue;
            };
            // Given or taken away: both wait for this answer.
            if let Event::Rebalance { .. } = polled.read() {
                self.unassign();
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Halt(done) => {
                self.halt();
                if self.revoke_by.take().is_some() {
                    self.unassign();
                }
                // Whoever asked may have been dropped; then nobody begins.
                let _ = done.send(Halted {
                    round: self.round,
                    group: self.group.clone(),
                });
            }
            Command::Start { round, plan, done } => {
                let answer = if round == self.round {
                    self.start(plan).map(|()| true)
                } else {
                    Ok(false)
                };
                let _ = done.send(answer);
            }
        }
    }

    /// Stops reading. What librdkafka still gives is dropped: no track takes it.
    fn halt(&mut self) {
        self.resume();
        self.tracks.clear();
        self.batch = Batch::default();
        let mut state = self.shared.lock();
        // Also for a `begin` that is given up half-way: then `next` asks for
        // another.
        state.change();
        state.generation += 1;
        state.ids.clear();
        state.stopped.clear();
    }

    fn unassign(&self) {
        // From here on librdkafka may join anew.
        *self.in_group.lock() = false;
        if let Err(error) = self.queue.consumer().unassign() {
            self.board.client_error(&error.to_string());
        }
    }

    /// Assigns with the offsets in the list itself. A seek afterwards may come
    /// after the first records.
    fn start(&mut self, plan: Plan) -> Result<(), String> {
        let list = places(plan.tracks.iter().map(|(topic, track)| Place {
            topic,
            partition: track.partition.number,
            offset: Offset::Offset(track.next),
            epoch: track.epoch,
        }))?;
        // An assignment of nothing has to be taken too: librdkafka waits for that
        // before it goes along with the next change, and the whole group for it.
        if self.given {
            let assigned = self.queue.consumer().assign(&list);
            assigned.map_err(|error| error.to_string())?;
            *self.in_group.lock() = true;
        }
        for (topic, track) in plan.tracks {
            let partitions = self.tracks.entry(topic).or_default();
            partitions.insert(track.partition.number, track);
        }
        let mut state = self.shared.lock();
        state.clear();
        state.generation += 1;
        state.changed = false;
        state.ids = plan.ids;
        state.stopped = plan.stopped;
        state.again_at = plan.incomplete.then(|| Instant::now() + AFTER_FAULT);
        drop(state);
        self.shared.push(plan.first);
        Ok(())
    }

    fn deadlines(&mut self) {
        let now = Instant::now();
        if self.revoke_by.is_some_and(|by| by <= now) {
            tracing::warn!(
                seconds = REVOKE_PATIENCE.as_secs(),
                "partitions were given up before what was read of them was committed"
            );
            self.revoke_by = None;
            self.halt();
            self.unassign();
        }
        if self.shared.lock().again_at.is_some_and(|at| at <= now) {
            self.shared.change();
        }
    }

    /// Back-pressure: fetching stops while too much waits, polling does not.
    fn pressure(&mut self) {
        let bytes = self.shared.bytes();
        if !self.paused && bytes > self.buffer_bytes {
            let list = self.reading();
            if list.count() > 0 && self.queue.consumer().pause(&list).is_ok() {
                self.paused = true;
                self.board.paused(true);
            }
        } else if self.paused && bytes <= self.buffer_bytes / 2 {
            self.resume();
        }
    }

    fn resume(&mut self) {
        let mut tracks = self.tracks.values().flat_map(HashMap::values);
        if !self.paused && !tracks.any(|track| track.halted) {
            return;
        }
        match self.queue.consumer().resume(&self.reading()) {
            Ok(()) => {
                self.paused = false;
                self.board.paused(false);
            }
            Err(error) => self.board.client_error(&error.to_string()),
        }
    }

    fn reading(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (topic, partitions) in &self.tracks {
            for number in partitions.keys() {
                list.add_partition(topic, *number);
            }
        }
        list
    }

    /// Polls until nothing is there, or enough.
    fn poll(&mut self) {
        self.batch.now = self.clock.now();
        let mut wait = POLL;
        while self.batch.bytes < BATCH_BYTES
            && let Some(mut polled) = self.queue.poll(wait)
        {
            if wait > Duration::ZERO {
                self.batch.now = self.clock.now();
                wait = Duration::ZERO;
            }
            self.event(polled.read());
        }
        let batch = std::mem::take(&mut self.batch);
        for (topic, partitions) in &mut self.tracks {
            for (number, track) in partitions.iter_mut() {
                if track.open.take().is_none() {
                    continue;
                }
                track.envelope = None;
                let (next, time) = (track.next, track.time.take());
                self.board.update(topic, *number, |status| {
                    status.next = next;
                    status.log_end = status.log_end.max(next);
                    status.last_time = time.or(status.last_time);
                });
            }
        }
        self.shared.push(batch.received);
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Message(message) => self.message(&message),
            Event::End {
                topic,
                partition,
                offset,
            } => self.end(&topic, partition, offset),
            Event::Fault {
                topic,
                partition,
                offset,
                code,
                text,
            } => self.fault(&topic, partition, offset, code, &text),
            Event::Rebalance { assign, partitions } => self.rebalance(assign, partitions),
            Event::Error { code, text, fatal } => {
                self.board.client_error(&format!("{code}: {text}"));
                // librdkafka marks only one kind of its fatal errors as such.
                if fatal || code == RDKafkaErrorCode::Fatal {
                    self.shared.fail(self.ended_by(code, &text));
                }
            }
            Event::Stats(json) => {
                let broker = self.board.statistics(json);
                self.bootstrap.seen(self.queue.consumer().client(), broker);
            }
            Event::Log { level, text } => {
                self.board.logged(&text);
                log_line(level, &text);
            }
            Event::Other => {}
        }
    }

    /// Why nothing more comes, and what to do.
    fn ended_by(&self, code: RDKafkaErrorCode, text: &str) -> String {
        let cause = self.queue.consumer().client().fatal_error();
        match cause.map_or(code, |(code, _)| code) {
            RDKafkaErrorCode::FencedInstanceId => {
                "another process has joined kafka's group as this very member: it was started later on a copy of this \
                 data folder. Give each process a --data folder of its own, empty at first"
                    .to_owned()
            }
            code => format!("the client cannot go on ({code}): {text}"),
        }
    }

    fn rebalance(&mut self, assign: bool, partitions: Vec<(String, i32)>) {
        tracing::info!(
            assign,
            partitions = partitions.len(),
            "kafka group rebalances"
        );
        self.round += 1;
        self.halt_tracks();
        self.given = assign;
        if assign {
            self.board.rebalanced();
            self.group = partitions;
            self.revoke_by = None;
        } else {
            self.group.clear();
            // The pipeline commits what is open, and calls `begin`.
            self.revoke_by = Some(Instant::now() + REVOKE_PATIENCE);
        }
        self.shared.change();
    }

    /// Takes nothing more from the current assignment. What was polled and not
    /// handed on is read again.
    fn halt_tracks(&mut self) {
        self.resume();
        self.tracks.clear();
        self.batch = Batch {
            now: self.batch.now,
            ..Batch::default()
        };
    }

    fn message(&mut self, message: &Message<'_>) {
        let partitions = self.tracks.get_mut(message.topic);
        let Some(track) = partitions.and_then(|p| p.get_mut(&message.partition)) else {
            return;
        };
        if track.halted || message.offset < track.next {
            return;
        }
        let (envelope, records) = match &track.rule {
            None => {
                let (envelope, record) = record::read_intake(message, &self.limits);
                (envelope.map(Arc::new), vec![record])
            }
            Some(_) => (None, record::read(message, &self.limits)),
        };
        let envelope = envelope.unwrap_or_else(|| {
            let fresh = || {
                let rule = track.rule.as_deref();
                Arc::new(record::topic_envelope(message.topic, rule, self.batch.now))
            };
            Arc::clone(track.envelope.get_or_insert_with(fresh))
        });
        let mut records = records;
        let bad = Acceptable::bad_record(message.offset);
        let accepted = || self.acceptances.accepted(&track.partition, &bad);
        if let Some(rule) = &track.rule
            && let Err(refusal) = record::apply_rule(
                rule,
                accepted,
                &mut records,
                &envelope,
                &track.partition,
                &self.limits,
            )
        {
            track.halted = true;
            let why = StoppedReason::BadRecord {
                offset: message.offset,
                code: refusal.reason.as_str().to_owned(),
                detail: refusal.detail,
            };
            return self.stop(message.topic, message.partition, why);
        }
        let next = message.offset + 1;
        let mark = message.epoch.map(|epoch| Mark { next, epoch });
        self.batch.add(track, next, envelope, records, mark);
        let time = message.timestamp.map(|ms| Micros(ms.saturating_mul(1000)));
        track.time = time.or(track.time);
    }

    /// All records below `offset` were polled, and there the partition ended:
    /// what lies between the last record and that are markers of transactions
    /// and records of aborted ones.
    fn end(&mut self, topic: &str, partition: i32, offset: i64) {
        let partitions = self.tracks.get_mut(topic);
        let Some(track) = partitions.and_then(|p| p.get_mut(&partition)) else {
            return;
        };
        if track.halted || offset <= track.next {
            return;
        }
        let rule = track.rule.as_deref();
        let fresh = || Arc::new(record::topic_envelope(topic, rule, self.batch.now));
        let envelope = Arc::clone(track.envelope.get_or_insert_with(fresh));
        self.batch.add(track, offset, envelope, Vec::new(), None);
    }

    fn fault(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        code: RDKafkaErrorCode,
        text: &str,
    ) {
        let detail = format!("{code} at offset {offset}: {text}");
        tracing::warn!(topic, partition, %detail, "kafka partition has a fault");
        self.board.update(topic, partition, |status| {
            status.last_error = Some(detail.clone());
        });
        let partitions = self.tracks.get_mut(topic);
        let Some(track) = partitions.and_then(|p| p.get_mut(&partition)) else {
            return;
        };
        if track.halted {
            return;
        }
        // Whatever was wrong at this place: nothing after it may be taken.
        track.halted = true;
        self.stop(topic, partition, StoppedReason::Error { detail });
        // Beginning anew tells whether it is a gap. Not at once, and not for
        // each of many partitions: that would keep the others from reading.
        let patience = match code {
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                Duration::from_secs(1)
            }
            _ => AFTER_FAULT,
        };
        let at = Instant::now() + patience;
        let mut state = self.shared.lock();
        state.again_at = Some(state.again_at.map_or(at, |before| before.min(at)));
    }

    /// Tells that a partition stands still. The others go on.
    fn stop(&mut self, topic: &str, partition: i32, why: StoppedReason) {
        tracing::warn!(topic, partition, ?why, "kafka partition stops");
        self.board.stop(topic, partition, why.clone());
        let track = self.tracks.get(topic).and_then(|p| p.get(&partition));
        if let Some(track) = track {
            self.shared.lock().stopped.push(Stopped {
                topic: topic.to_owned(),
                partition: track.partition.clone(),
                why,
            });
        }
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        // Spares the broker; what comes anyhow is dropped.
        let _ = self.queue.consumer().pause(&list);
    }
}
