//! What Cairn's own doors write: events with their envelope, to the intake
//! topic, acknowledged by all in-sync replicas.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cairn_schemas::Partition;
use cairn_store::log::Envelope;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::FutureRecord;
use rdkafka::types::RDKafkaErrorCode;
use tokio::time::Instant;

use super::begin::look;
use super::board::KafkaBoard;
use super::client::{Cluster, Context};
use super::epochs::{Epoch, Epochs};
use super::options::{KafkaOptions, MAX_MESSAGE, OptionsError};
use super::record::ENVELOPE_HEADER;
use super::renew::Renewed;
use super::source::OpenError;

/// How long what is known of the intake topic is believed.
const FRESH: Duration = Duration::from_secs(10);

/// Writes to the intake topic. Cheap to clone.
#[derive(Clone)]
pub struct KafkaProducer {
    clients: Arc<Renewed>,
    cluster: Arc<Cluster>,
    epochs: Arc<dyn Epochs>,
    board: Arc<KafkaBoard>,
    options: Arc<KafkaOptions>,
    topic: Arc<str>,
    known: Arc<tokio::sync::Mutex<Option<Known>>>,
    turn: Arc<AtomicUsize>,
}

impl std::fmt::Debug for KafkaProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaProducer")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
struct Known {
    epoch: Epoch,
    partitions: i32,
    at: Instant,
}

/// Why one event was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    /// Too much waits for the brokers already. Nothing was sent.
    #[error("Kafka takes events slower than they come; send it again soon")]
    Busy,
    /// The event is larger than the topic takes. Nothing was sent.
    #[error("the event is larger than the intake topic takes; see its max.message.bytes")]
    TooLarge,
    /// Nobody acknowledged it in time; it may have been kept.
    #[error(
        "Kafka has not acknowledged the event ({0}); send it again: what arrives twice counts once"
    )]
    Unsure(String),
    /// The cluster cannot be asked about the topic. Nothing was sent.
    #[error("the intake topic cannot be written to: {0}")]
    Unavailable(String),
}

/// Not every event was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} of {} events were not acknowledged, the first because: {}; repeating all of them is harmless",
    .results.iter().filter(|r| r.is_err()).count(),
    .results.len(),
    .results.iter().find_map(|r| r.as_ref().err()).map(ToString::to_string).unwrap_or_default()
)]
pub struct SendError {
    /// For each event where it stands, or why that is not known.
    pub results: Vec<Result<(Partition, i64), SendFailure>>,
}

impl KafkaProducer {
    /// A producer for `options.intake_topic`. No broker is asked yet.
    ///
    /// # Errors
    ///
    /// Options that [`KafkaOptions::check`] refuses, or without intake topic.
    pub fn open(options: &KafkaOptions, epochs: Arc<dyn Epochs>) -> Result<Self, OpenError> {
        options.check()?;
        let topic = options
            .intake_topic
            .as_deref()
            .ok_or(OptionsError::Missing("intake_topic"))?;
        let board = Arc::new(KafkaBoard::default());
        let context = Context {
            board: Arc::clone(&board),
        };
        let failed = |error: KafkaError| OpenError::Client(error.to_string());
        let admin = options.admin_config().create_with_context(context.clone());
        let clients = Renewed::new(options.producer_config(), context).map_err(failed)?;
        Ok(Self {
            clients: Arc::new(clients),
            cluster: Arc::new(Cluster::new(admin.map_err(failed)?, options)),
            epochs,
            board,
            topic: Arc::from(topic),
            options: Arc::new(options.clone()),
            known: Arc::default(),
            turn: Arc::default(),
        })
    }

    /// Errors that the client told.
    pub fn board(&self) -> &Arc<KafkaBoard> {
        &self.board
    }

    /// Makes the intake topic with `partitions` partitions where there is none.
    /// How often it is replicated is the brokers' default. Returns how many
    /// partitions it has.
    ///
    /// # Errors
    ///
    /// The brokers cannot be asked, or refuse.
    pub async fn ensure_intake_topic(&self, partitions: i32) -> Result<i32, String> {
        let failed = |error: &dyn std::fmt::Display| {
            format!("kafka: the topic {} cannot be made: {error}", self.topic)
        };
        if let Ok(known) = self.known().await {
            return Ok(known.partitions);
        }
        let context = Context {
            board: Arc::clone(&self.board),
        };
        let admin: AdminClient<Context> = self
            .options
            .admin_config()
            .create_with_context(context)
            .map_err(|error| failed(&error))?;
        let new = NewTopic::new(&self.topic, partitions, TopicReplication::Fixed(-1))
            .set("max.message.bytes", MAX_MESSAGE);
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
        let made = admin.create_topics([&new], &options).await;
        for made in made.map_err(|error| failed(&error))? {
            match made {
                Ok(_) => {}
                // Another process was faster.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(failed(&code)),
            }
        }
        // The brokers tell each other; that takes a moment.
        let mut told = self.known().await;
        for _ in 0..50 {
            if told.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            told = self.known().await;
        }
        told.map(|known| known.partitions)
            .map_err(|error| failed(&error))
    }

    /// Sends `events`, each as one record with `envelope`, all to one partition:
    /// of those in `prefer` if there are any that the topic has, else of all,
    /// in turn. Returns once all in-sync replicas have every one; for each event
    /// where it stands. At most about 20 s.
    ///
    /// # Errors
    ///
    /// Says for each event whether it was acknowledged. An event that was not
    /// may have been kept all the same, so repeat it; that is harmless.
    pub async fn send(
        &self,
        envelope: &Envelope,
        events: Vec<Bytes>,
        prefer: Option<&[i32]>,
    ) -> Result<Vec<(Partition, i64)>, SendError> {
        let all = |failure: SendFailure| SendError {
            results: vec![Err(failure); events.len()],
        };
        let unavailable = |error: String| all(SendFailure::Unavailable(error));
        let known = self.known().await.map_err(unavailable)?;
        let header = serde_json::to_vec(envelope);
        let header = header.map_err(|error| unavailable(error.to_string()))?;
        let partition = self.choose(&known, prefer);
        let (sender, began) = (self.clients.sender(), Instant::now());
        // All are queued before the first is waited for: they go out together.
        let queued: Vec<_> = events
            .iter()
            .map(|event| {
                let record = FutureRecord::<(), [u8]>::to(&self.topic)
                    .partition(partition)
                    .payload(event)
                    .headers(OwnedHeaders::new_with_capacity(1).insert(Header {
                        key: ENVELOPE_HEADER,
                        value: Some(&header),
                    }));
                sender
                    .producer
                    .send_result(record)
                    .map_err(|(error, _)| failure(&error))
            })
            .collect();
        let mut results = Vec::with_capacity(queued.len());
        for queued in queued {
            results.push(match queued {
                Err(failure) => Err(failure),
                Ok(delivery) => match delivery.await {
                    Ok(Ok(at)) => {
                        let partition = Partition {
                            source: known.epoch.source(&self.topic, at.partition),
                            number: at.partition,
                        };
                        Ok((partition, at.offset))
                    }
                    Ok(Err((error, _))) => Err(failure(&error)),
                    Err(_) => Err(SendFailure::Unsure("the producer ended".to_owned())),
                },
            });
        }
        let unsure = |result: &Result<_, _>| matches!(result, Err(SendFailure::Unsure(_)));
        if results
            .iter()
            .any(|result| result.is_ok() || unsure(result))
        {
            let acknowledged = results.iter().any(Result::is_ok);
            self.clients
                .note(&sender, acknowledged, began, Instant::now());
        }
        if results.iter().all(Result::is_ok) {
            return Ok(results.into_iter().flatten().collect());
        }
        Err(SendError { results })
    }

    fn choose(&self, known: &Known, prefer: Option<&[i32]>) -> i32 {
        let exists = |number: &i32| (0..known.partitions).contains(number);
        let preferred: Vec<i32> = prefer
            .unwrap_or_default()
            .iter()
            .copied()
            .filter(exists)
            .collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        if preferred.is_empty() {
            let count = usize::try_from(known.partitions).unwrap_or(1).max(1);
            i32::try_from(turn % count).unwrap_or(0)
        } else {
            preferred[turn % preferred.len()]
        }
    }

    /// The topic's source and size, asked for anew every few seconds: it may be
    /// made anew, or grow.
    async fn known(&self) -> Result<Known, String> {
        let mut known = self.known.lock().await;
        if let Some(known) = &*known
            && known.at.elapsed() < FRESH
        {
            return Ok(known.clone());
        }
        let names = BTreeSet::from([self.topic.to_string()]);
        let mut topics = look(&self.cluster, &*self.epochs, &self.board, names).await?;
        let cluster = Arc::clone(&self.cluster);
        // Best effort: log lines only.
        let _ = tokio::task::spawn_blocking(move || cluster.serve()).await;
        let topic = topics
            .remove(&*self.topic)
            .ok_or_else(|| format!("kafka: there is no topic {}", self.topic))?;
        let fresh = Known {
            partitions: i32::try_from(topic.extents.len()).unwrap_or(i32::MAX),
            epoch: topic.epoch,
            at: Instant::now(),
        };
        *known = Some(fresh.clone());
        Ok(fresh)
    }
}

fn failure(error: &KafkaError) -> SendFailure {
    match error {
        KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => SendFailure::Busy,
        KafkaError::MessageProduction(
            RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize,
        ) => SendFailure::TooLarge,
        other => SendFailure::Unsure(other.to_string()),
    }
}
