//! A broker's topics, producers, and members of a group that commit to one
//! small history, as processes do to the real one.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use cairn_ingest::decode::DecodeLimits;
use cairn_ingest::kafka::{
    Acceptable, Acceptances, KafkaDeps, KafkaHandle, KafkaOptions, KafkaSource, MemoryEpochs,
    TopicRule,
};
use cairn_ingest::receive::ReceiveLimits;
use cairn_ingest::source::{Received, Source, Taken};
use cairn_schemas::{Clock, Micros, Partition, Position};
use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, FutureProducer, FutureRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

/// The longest that a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

#[allow(clippy::disallowed_methods)]
pub(crate) fn broker() -> String {
    std::env::var("CAIRN_TEST_KAFKA").expect(
        "these tests need a broker: start one with deploy/scripts/kafka and name it in CAIRN_TEST_KAFKA=host:port",
    )
}

pub(crate) fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker());
    config
}

/// A name that no other test has, nor an earlier run against the same broker.
#[allow(clippy::disallowed_methods)]
pub(crate) fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_micros();
    format!("{what}-{now}-{n}")
}

pub(crate) fn admin() -> AdminClient<DefaultClientContext> {
    config().create().unwrap()
}

pub(crate) async fn create(topic: &str, partitions: i32) {
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let made = admin().create_topics([&new], &AdminOptions::new()).await;
    made.unwrap()[0].as_ref().unwrap();
}

pub(crate) async fn delete(topic: &str) {
    let gone = admin().delete_topics(&[topic], &AdminOptions::new()).await;
    gone.unwrap()[0].as_ref().unwrap();
}

pub(crate) async fn grow(topic: &str, partitions: usize) {
    let new = NewPartitions::new(topic, partitions);
    let grown = admin()
        .create_partitions([&new], &AdminOptions::new())
        .await;
    grown.unwrap()[0].as_ref().unwrap();
}

/// Deletes what lies before `offset`, as retention would.
pub(crate) async fn trim(topic: &str, partition: i32, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset))
        .unwrap();
    let done = admin().delete_records(&list, &AdminOptions::new()).await;
    done.unwrap();
}

/// An event of ActionTrail's form.
pub(crate) fn event(n: usize) -> Vec<u8> {
    format!(
        r#"{{"eventId":"id-{n}","eventName":"Op","eventRW":"Read","acsRegion":"cn-hangzhou","serviceName":"Ecs","eventTime":"2026-01-01T00:00:00Z","recipientAccountId":"123456789012"}}"#
    )
    .into_bytes()
}

/// Produces `count` events, numbered from `from`, and returns when the broker
/// has them.
pub(crate) async fn produce(topic: &str, partition: i32, from: usize, count: usize) {
    let producer: FutureProducer = config().set("linger.ms", "5").create().unwrap();
    let values: Vec<Vec<u8>> = (from..from + count).map(event).collect();
    let sends = values.iter().map(|value| {
        let record = FutureRecord::<(), Vec<u8>>::to(topic)
            .partition(partition)
            .payload(value);
        producer.send(record, PATIENCE)
    });
    for sent in futures::future::join_all(sends).await {
        sent.unwrap();
    }
}

/// Produces one record and returns its offset.
pub(crate) async fn produce_raw(
    topic: &str,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: Option<OwnedHeaders>,
) -> i64 {
    let producer: FutureProducer = config()
        .set("message.max.bytes", "20000000")
        .create()
        .unwrap();
    let mut record = FutureRecord::<[u8], [u8]>::to(topic).partition(0);
    record.key = key;
    record.payload = value;
    record.headers = headers;
    producer.send(record, PATIENCE).await.unwrap().offset
}

/// Produces `count` events in one transaction, and commits or aborts it.
pub(crate) fn transaction(topic: &str, partition: i32, from: usize, count: usize, commit: bool) {
    let producer: BaseProducer = config()
        .set("transactional.id", unique("tx"))
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    for n in from..from + count {
        let value = event(n);
        let record = rdkafka::producer::BaseRecord::<(), Vec<u8>>::to(topic)
            .partition(partition)
            .payload(&value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    if commit {
        producer.commit_transaction(PATIENCE).unwrap();
    } else {
        producer.abort_transaction(PATIENCE).unwrap();
    }
}

/// A transaction that is left open.
pub(crate) struct OpenTransaction(BaseProducer);

impl OpenTransaction {
    pub(crate) fn new(topic: &str, count: usize) -> Self {
        let producer: BaseProducer = config()
            .set("transactional.id", unique("tx"))
            .create()
            .unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        for n in 0..count {
            let value = event(10_000 + n);
            let record = rdkafka::producer::BaseRecord::<(), Vec<u8>>::to(topic)
                .partition(0)
                .payload(&value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        Self(producer)
    }

    pub(crate) fn abort(self) {
        self.0.abort_transaction(PATIENCE).unwrap();
    }
}

#[derive(Debug, Default)]
pub(crate) struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Micros {
        Micros(1_767_312_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Accepted(pub(crate) Mutex<Vec<(Partition, Acceptable)>>);

impl Acceptances for Accepted {
    fn accepted(&self, partition: &Partition, what: &Acceptable) -> bool {
        self.0.lock().contains(&(partition.clone(), *what))
    }
}

/// What all members of a test share.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) history: Mutex<History>,
    pub(crate) epochs: Arc<MemoryEpochs>,
    pub(crate) accepted: Arc<Accepted>,
}

#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) position: Position,
    pub(crate) rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) partition: Partition,
    pub(crate) offset: i64,
    pub(crate) item: u16,
    pub(crate) bytes: Vec<u8>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) sender: String,
}

impl History {
    /// Commits `open` if each partition of it goes on where history stands.
    fn commit(&mut self, open: &[Received]) -> bool {
        let mut position = self.position.clone();
        for received in open {
            // What was never committed may begin anywhere; else no hole.
            let known = position.0.get(&received.partition).copied();
            if known.is_some_and(|at| at != received.first) {
                return false;
            }
            position.advance(&received.partition, received.next);
            if let Some(mark) = received.mark {
                mark.note(&mut position, &received.partition);
            }
        }
        self.position = position;
        for received in open {
            self.rows.extend(received.records.iter().map(|record| Row {
                partition: received.partition.clone(),
                offset: record.offset,
                item: record.item,
                bytes: record.bytes.to_vec(),
                reason: record.refusal.as_ref().map(|r| r.reason.as_str()),
                sender: received.envelope.sender.clone(),
            }));
        }
        true
    }

    /// How often each offset of `source`'s partition stands in history.
    pub(crate) fn offsets(&self, source: &str, number: i32) -> Vec<i64> {
        let mut offsets: Vec<i64> = self
            .rows
            .iter()
            .filter(|row| row.partition.source == source && row.partition.number == number)
            .map(|row| row.offset)
            .collect();
        offsets.sort_unstable();
        offsets
    }

    pub(crate) fn at(&self, source: &str, number: i32) -> i64 {
        self.position.of(&partition(source, number))
    }
}

pub(crate) fn partition(source: &str, number: i32) -> Partition {
    Partition {
        source: source.to_owned(),
        number,
    }
}

pub(crate) fn options(group: &str, topics: &[&str]) -> KafkaOptions {
    options_for(&broker(), group, topics)
}

pub(crate) fn options_for(brokers: &str, group: &str, topics: &[&str]) -> KafkaOptions {
    KafkaOptions {
        brokers: brokers.to_owned(),
        group: group.to_owned(),
        topics: topics.iter().map(|topic| TopicRule::new(topic)).collect(),
        session_timeout: Duration::from_secs(6),
        max_poll_interval: Duration::from_secs(60),
        ..KafkaOptions::default()
    }
}

pub(crate) fn deps(world: &World) -> KafkaDeps {
    KafkaDeps {
        clock: Arc::new(TestClock::default()),
        epochs: Arc::clone(&world.epochs) as _,
        acceptances: Arc::clone(&world.accepted) as _,
        decode: DecodeLimits::default(),
        receive: ReceiveLimits::default(),
    }
}

/// One process of the group, in small: it commits at each change, and after
/// each `commit_every` stretches.
pub(crate) struct Member {
    pub(crate) source: KafkaSource,
    pub(crate) handle: KafkaHandle,
    pub(crate) world: Arc<World>,
    pub(crate) open: Vec<Received>,
    pub(crate) owned: BTreeSet<Partition>,
    pub(crate) begun: usize,
    pub(crate) commit_every: usize,
}

impl Member {
    pub(crate) fn new(world: &Arc<World>, options: &KafkaOptions) -> Self {
        let (source, handle) = KafkaSource::open(options, deps(world)).unwrap();
        Self {
            source,
            handle,
            world: Arc::clone(world),
            open: Vec::new(),
            owned: BTreeSet::new(),
            begun: 0,
            commit_every: 1,
        }
    }

    pub(crate) async fn begin(&mut self) {
        let committed = self.world.history.lock().position.clone();
        self.open.clear();
        self.owned = self.source.begin(&committed).await.unwrap();
        self.begun += 1;
    }

    pub(crate) fn commit(&mut self) -> bool {
        let open = std::mem::take(&mut self.open);
        self.world.history.lock().commit(&open)
    }

    /// One step of a pipeline.
    pub(crate) async fn step(&mut self) {
        let taken = self.source.next(1 << 20).await.unwrap();
        self.take(taken).await;
    }

    async fn take(&mut self, taken: Taken) {
        match taken {
            Taken::Records(received) => {
                self.open.extend(received);
                if self.open.len() >= self.commit_every && !self.commit() {
                    // Overtaken: begin anew from where history stands.
                    self.begin().await;
                }
            }
            Taken::Changed => {
                self.commit();
                self.begin().await;
            }
        }
    }

    /// Steps until `enough`.
    pub(crate) async fn until(&mut self, what: &str, enough: impl Fn(&Self) -> bool) {
        let steps = async {
            while !enough(self) {
                // Only the wait is cut: what begins anew has to come to its end.
                let next = self.source.next(1 << 20);
                if let Ok(taken) = tokio::time::timeout(Duration::from_millis(200), next).await {
                    self.take(taken.unwrap()).await;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, steps).await.is_err() {
            panic!("in vain: {what}; {:#?}", self.handle.board().status());
        }
    }

    /// Runs in a task until `stop`, which gives the member back.
    pub(crate) fn spawn(mut self) -> Running {
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = &mut stopped => return self,
                    () = self.step() => {}
                }
            }
        });
        Running { stop, task }
    }
}

pub(crate) struct Running {
    stop: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Member>,
}

impl Running {
    pub(crate) async fn stop(self) -> Member {
        let _ = self.stop.send(());
        self.task.await.unwrap()
    }
}

/// Waits until `done`.
pub(crate) async fn wait(what: &str, done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    in_time(what, waiting).await;
}

pub(crate) async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(value) => value,
        Err(_) => panic!("in vain: {what}"),
    }
}

/// The offsets `from..to`, each once.
pub(crate) fn each(from: i64, to: i64) -> Vec<i64> {
    (from..to).collect()
}
