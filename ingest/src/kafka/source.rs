//! Kafka's topics as a source, and the handle by which the rest of the process
//! speaks of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use cairn_schemas::{Clock, Partition, Position};
use parking_lot::Mutex;
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::begin::Planner;
use super::board::KafkaBoard;
use super::bootstrap::Bootstrap;
use super::client::{Cluster, Context, GroupConsumer};
use super::covered::Coverage;
use super::ends::KafkaEnds;
use super::epochs::{Acceptances, Epochs, topic_of};
use super::options::{KafkaOptions, OptionsError};
use super::poll::{Poller, PollerParts};
use super::raw::EventQueue;
use super::record::Limits;
use super::shared::{Offer, Shared};
use super::track::{Command, Halted};
use super::watch::Watcher;
use crate::decode::DecodeLimits;
use crate::receive::ReceiveLimits;
use crate::source::{Source, SourceError, Taken};

/// How soon a beginning that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What the source is given.
#[derive(Clone, Debug)]
pub struct KafkaDeps {
    /// Tells when records were received.
    pub clock: Arc<dyn Clock>,
    /// Tells topics' lives apart.
    pub epochs: Arc<dyn Epochs>,
    /// Tells what administrators have accepted.
    pub acceptances: Arc<dyn Acceptances>,
    /// The judge's limits.
    pub decode: DecodeLimits,
    /// What one record may decompress to. Its limits on one event and on the
    /// number of events are replaced by the judge's and by 60,000.
    pub receive: ReceiveLimits,
}

/// Kafka could not be set up. Nothing was asked of a broker.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The options are wrong.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// librdkafka could not make a client of them.
    #[error("kafka: a client cannot be set up: {0}")]
    Client(String),
    /// The operating system gave no thread.
    #[error("kafka: no thread could be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// The topics of a group's member. See the module above for what it promises.
pub struct KafkaSource {
    shared: Arc<Shared>,
    queue: Weak<EventQueue>,
    commands: std::sync::mpsc::Sender<Command>,
    planner: Planner,
}

impl std::fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSource")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

/// Speaks of the source while the pipeline has it. Cheap to clone.
#[derive(Clone)]
pub struct KafkaHandle {
    consumer: Weak<GroupConsumer>,
    planner: Planner,
    board: Arc<KafkaBoard>,
    reported: Arc<Mutex<Position>>,
    in_group: Arc<Mutex<bool>>,
    closed: watch::Receiver<bool>,
}

impl std::fmt::Debug for KafkaHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaHandle")
            .field("board", &self.board)
            .finish_non_exhaustive()
    }
}

impl KafkaSource {
    /// Joins the group, in threads of its own. Returns before a broker answers;
    /// until then the source gives nothing, and the board tells the errors.
    ///
    /// # Errors
    ///
    /// Options that [`KafkaOptions::check`] refuses, files that are missing.
    pub fn open(options: &KafkaOptions, deps: KafkaDeps) -> Result<(Self, KafkaHandle), OpenError> {
        let rules = Arc::new(options.check()?);
        let board = Arc::new(KafkaBoard::default());
        let context = Context {
            board: Arc::clone(&board),
        };
        let failed = |error: rdkafka::error::KafkaError| OpenError::Client(error.to_string());
        let admin = options.admin_config().create_with_context(context.clone());
        let cluster = Arc::new(Cluster::new(admin.map_err(failed)?, options));
        let consumer = options.consumer_config().create_with_context(context);
        let consumer: Arc<GroupConsumer> = Arc::new(consumer.map_err(failed)?);
        let queue = EventQueue::new(Arc::clone(&consumer))
            .ok_or_else(|| OpenError::Client("the consumer has no queue".to_owned()))?;
        let queue = Arc::new(queue);
        let shared = Arc::new(Shared::default());
        shared.lock().change();
        let weak_queue = Arc::downgrade(&queue);
        let (commands, received) = std::sync::mpsc::channel();
        let in_group = Arc::default();
        let planner = Planner {
            cluster: Arc::clone(&cluster),
            epochs: deps.epochs,
            acceptances: Arc::clone(&deps.acceptances),
            rules: Arc::clone(&rules),
            board: Arc::clone(&board),
            clock: Arc::clone(&deps.clock),
        };
        let poller = Poller::new(PollerParts {
            queue,
            shared: Arc::clone(&shared),
            board: Arc::clone(&board),
            clock: deps.clock,
            limits: Limits::new(deps.decode, deps.receive),
            acceptances: Arc::clone(&deps.acceptances),
            buffer_bytes: options.buffer_bytes,
            commands: received,
            in_group: Arc::clone(&in_group),
            bootstrap: Bootstrap::new(&options.brokers),
        });
        let watcher = Watcher {
            cluster,
            consumer: Arc::downgrade(&consumer),
            shared: Arc::clone(&shared),
            board: Arc::clone(&board),
            rules,
            acceptances: deps.acceptances,
            subscribed: Vec::new(),
            group: options.instance.is_some().then(|| options.group.clone()),
            coverage: Coverage::default(),
        };
        let weak = Arc::downgrade(&consumer);
        drop(consumer);
        let (closing, closed) = watch::channel(false);
        let guard = Guard(Arc::clone(&shared));
        spawn("kafka-poll", move || {
            let _guard = guard;
            // Dropping the poller leaves the group.
            poller.run();
            let _ = closing.send(true);
        })?;
        let guard = Guard(Arc::clone(&shared));
        spawn("kafka-watch", move || {
            let _guard = guard;
            watcher.run();
        })?;
        let handle = KafkaHandle {
            consumer: weak,
            planner: planner.clone(),
            board,
            reported: Arc::default(),
            in_group,
            closed,
        };
        let source = Self {
            shared,
            queue: weak_queue,
            commands,
            planner,
        };
        Ok((source, handle))
    }

    fn send(&self, command: Command) -> Result<(), SourceError> {
        let sent = self.commands.send(command);
        if let Some(queue) = self.queue.upgrade() {
            queue.wake();
        }
        sent.map_err(|_| ended())
    }

    async fn halt(&self) -> Result<Halted, SourceError> {
        let (done, halted) = oneshot::channel();
        self.send(Command::Halt(done))?;
        halted.await.map_err(|_| ended())
    }
}

#[async_trait]
impl Source for KafkaSource {
    async fn begin(&mut self, committed: &Position) -> Result<BTreeSet<Partition>, SourceError> {
        let Halted { round, group } = self.halt().await?;
        let names: BTreeSet<String> = group.iter().map(|(topic, _)| topic.clone()).collect();
        let topics = match self.planner.look(names, &group, committed).await {
            Ok(topics) => topics,
            Err(error) => {
                // Later, and then with history's newest position.
                self.planner.board.client_error(&error);
                let mut state = self.shared.lock();
                state.changed = false;
                state.again_at = Some(Instant::now() + AGAIN);
                return Ok(BTreeSet::new());
            }
        };
        let (plan, owned) = self.planner.plan(&group, &topics, committed);
        let (done, started) = oneshot::channel();
        self.send(Command::Start { round, plan, done })?;
        match started.await.map_err(|_| ended())? {
            Ok(true) => Ok(owned),
            // The group changed its mind meanwhile, and `next` says so.
            Ok(false) => Ok(BTreeSet::new()),
            Err(error) => {
                self.planner.board.client_error(&error);
                let mut state = self.shared.lock();
                state.changed = false;
                state.again_at = Some(Instant::now() + AGAIN);
                Ok(BTreeSet::new())
            }
        }
    }

    async fn next(&mut self, max_bytes: usize) -> Result<Taken, SourceError> {
        loop {
            let offer = self.shared.lock().take(max_bytes);
            match offer {
                Offer::Records(records) => return Ok(Taken::Records(records)),
                Offer::Changed => return Ok(Taken::Changed),
                Offer::Failed(why) => return Err(SourceError::Kafka(why)),
                Offer::Nothing => self.shared.changed().await,
            }
        }
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        // The poller sees it soon, and leaves the group in its own thread.
        self.shared.stop();
    }
}

impl KafkaHandle {
    /// What status and metrics show.
    pub fn board(&self) -> &Arc<KafkaBoard> {
        &self.board
    }

    /// Where the logs end: of all partitions, not only of those that this
    /// process owns. See [`KafkaEnds::end`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn end(&self) -> Result<Position, String> {
        let planner = &self.planner;
        let ends = KafkaEnds {
            cluster: Arc::clone(&planner.cluster),
            epochs: Arc::clone(&planner.epochs),
            rules: Arc::clone(&planner.rules),
            board: Arc::clone(&planner.board),
        };
        ends.end().await
    }

    /// Tells the board, and Kafka's own group offsets, what history committed.
    /// The latter are for tools that show lag: nobody reads them here, and
    /// nothing is said when they cannot be written.
    pub fn report(&self, committed: &Position) {
        self.board.committed(committed);
        let in_group = self.in_group.lock();
        if !*in_group {
            return;
        }
        let mut list = TopicPartitionList::new();
        let mut reported = self.reported.lock();
        for status in self.board.status().partitions {
            let partition = Partition {
                source: status.source,
                number: status.partition,
            };
            // An old life's offsets would say nothing of the topic that is.
            let (topic, _) = topic_of(&partition.source);
            let next = committed.of(&partition);
            if topic == status.topic && reported.of(&partition) < next {
                let mut element = list.add_partition(&status.topic, status.partition);
                if element.set_offset(Offset::Offset(next)).is_ok() {
                    reported.advance(&partition, next);
                }
            }
        }
        if list.count() > 0
            && let Some(consumer) = self.consumer.upgrade()
        {
            let _ = consumer.commit(&list, CommitMode::Async);
        }
    }

    /// Returns once the source has left the group, after it was dropped.
    pub async fn closed(&self) {
        let _ = self.closed.clone().wait_for(|closed| *closed).await;
    }
}

fn ended() -> SourceError {
    SourceError::Kafka("the thread that polls has ended; start cairn again".to_owned())
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    Ok(thread.spawn(run).map(drop)?)
}

/// Tells of a thread that ends though nobody asked it to.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.0.stopping() {
            self.0
                .fail("a thread ended abruptly; start cairn again".to_owned());
        }
    }
}
