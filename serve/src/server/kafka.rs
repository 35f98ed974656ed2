//! Kafka as the server sees it: made from the settings, with what it has to be
//! told by the control documents, watched for partitions that stop.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_ingest::decode::DecodeLimits;
use cairn_ingest::deliver::LogEnd;
use cairn_ingest::kafka::{
    Acceptances, DialectHint, Epochs, KafkaDeps, KafkaEnds, KafkaHandle, KafkaOptions,
    KafkaProducer, KafkaSecurity, KafkaSource, Mechanism, OnBadRecord, PartitionState,
    PartitionStatus, Protocol, Secret, StoppedReason, TopicRule,
};
use cairn_ingest::receive::ReceiveLimits;
use cairn_ingest::source::both::Joined;
use cairn_ingest::source::{EmbeddedSource, Source};
use cairn_schemas::control::Principal;
use cairn_schemas::{Clock, IdSource, Partition, Position};
use cairn_store::control::ControlStore;
use cairn_store::log::EmbeddedLog;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::app::Shared;
use super::audit::{Act, Caller};
use super::node::own_member;
use super::trails::EmbeddedEnd;
use crate::config::{self, Role, Settings};

mod accepted;
mod lives;

pub use accepted::Accepted;
use lives::Lives;

/// What the server holds of Kafka.
#[derive(Debug)]
pub struct Kafka {
    /// Writes what comes over HTTP.
    pub producer: KafkaProducer,
    /// The topic where it goes.
    pub intake_topic: String,
    /// What this process reads; nothing in the role that only answers.
    pub reader: Option<KafkaHandle>,
    /// Where the topics end.
    pub ends: KafkaEnds,
    /// What administrators have accepted.
    pub accepted: Arc<Accepted>,
}

/// What intake reads: the process's own log, and with Kafka its topics beside
/// it; and what the doors need of Kafka.
pub async fn join(
    settings: &Settings,
    control: &ControlStore,
    clock: &Arc<dyn Clock>,
    ids: &dyn IdSource,
    embedded: EmbeddedSource,
) -> anyhow::Result<(Option<Arc<Kafka>>, Box<dyn Source>)> {
    let Some((kafka, topics)) = open(settings, control, clock, ids).await? else {
        return Ok((None, Box::new(embedded)));
    };
    let source: Box<dyn Source> = match topics {
        Some(topics) => Box::new(Joined::new(Box::new(embedded), Box::new(topics))),
        None => Box::new(embedded),
    };
    Ok((Some(Arc::new(kafka)), source))
}

/// The doors' part, and the source where this process reads.
async fn open(
    settings: &Settings,
    control: &ControlStore,
    clock: &Arc<dyn Clock>,
    ids: &dyn IdSource,
) -> anyhow::Result<Option<(Kafka, Option<KafkaSource>)>> {
    if !settings.kafka.is_on() {
        return Ok(None);
    }
    let mut options = options(&settings.kafka);
    if settings.kafka.static_member {
        options.instance = Some(own_member(&settings.data.dir, ids)?);
    }
    options.check()?;
    let accepted = Arc::new(Accepted::new(control.clone(), Arc::clone(clock)));
    accepted.refresh().await?;
    let epochs: Arc<dyn Epochs> = Arc::new(Lives {
        control: control.clone(),
        clock: Arc::clone(clock),
    });
    let producer = KafkaProducer::open(&options, Arc::clone(&epochs))?;
    let partitions = i32::try_from(settings.kafka.intake_partitions).unwrap_or(i32::MAX);
    let making = tokio::spawn(make_intake_topic(producer.clone(), partitions));
    if tokio::time::timeout(INTAKE_WAIT, making).await.is_err() {
        // Questions can be asked all the same; the door says so when it is used.
        tracing::warn!("kafka does not answer, events over HTTP are refused until it does");
    }
    let ends = KafkaEnds::open(&options, Arc::clone(&epochs))?;
    let deps = KafkaDeps {
        clock: Arc::clone(clock),
        epochs,
        acceptances: Arc::clone(&accepted) as Arc<dyn Acceptances>,
        decode: DecodeLimits {
            max_event: usize::try_from(settings.server.max_event_bytes).unwrap_or(usize::MAX),
            ..DecodeLimits::default()
        },
        receive: ReceiveLimits::default(),
    };
    let (source, reader) = match settings.server.role {
        Role::Query => (None, None),
        Role::All | Role::Ingest => {
            let (source, handle) = KafkaSource::open(&options, deps)?;
            (Some(source), Some(handle))
        }
    };
    let kafka = Kafka {
        producer,
        intake_topic: settings.kafka.intake_topic.clone(),
        reader,
        ends,
        accepted,
    };
    Ok(Some((kafka, source)))
}

/// How long a start waits for the intake topic.
const INTAKE_WAIT: Duration = Duration::from_secs(5);
/// The pause before the intake topic is asked for again.
const INTAKE_PAUSE: Duration = Duration::from_secs(5);

/// Makes the intake topic where there is none, as soon as Kafka answers.
async fn make_intake_topic(producer: KafkaProducer, partitions: i32) {
    while let Err(error) = producer.ensure_intake_topic(partitions).await {
        tracing::warn!(error, "the intake topic cannot be made, trying again");
        tokio::time::sleep(INTAKE_PAUSE).await;
    }
}

impl Kafka {
    /// The intake topic's partitions that this process reads: what goes there
    /// can be answered with a verdict.
    pub fn own_intake(&self) -> Vec<i32> {
        let status = self.reader.as_ref().map(|r| r.board().status());
        let partitions = status.map(|s| s.partitions).unwrap_or_default();
        let reading = |p: &&PartitionStatus| {
            p.topic == self.intake_topic && p.state == PartitionState::Reading
        };
        partitions
            .iter()
            .filter(reading)
            .map(|p| p.partition)
            .collect()
    }
}

/// The end of every log that this process knows of.
#[derive(Debug)]
pub struct Ends {
    /// Its own.
    pub embedded: EmbeddedEnd,
    /// Kafka's.
    pub kafka: Option<Arc<Kafka>>,
}

impl Ends {
    /// Of `log`, whose records are those of `partition`, and of Kafka's topics.
    pub fn new(log: &EmbeddedLog, partition: &Partition, kafka: &Option<Arc<Kafka>>) -> Self {
        Self {
            embedded: EmbeddedEnd {
                log: log.clone(),
                partition: partition.clone(),
            },
            kafka: kafka.clone(),
        }
    }
}

#[async_trait]
impl LogEnd for Ends {
    async fn end(&self) -> Result<Position, String> {
        let mut end = self.embedded.end().await?;
        if let Some(kafka) = &self.kafka {
            end.merge(&kafka.ends.end().await?);
        }
        Ok(end)
    }
}

fn options(settings: &config::Kafka) -> KafkaOptions {
    let secret = |s: &Option<config::Secret>| s.as_ref().map(|s| Secret(s.expose().to_owned()));
    let hint = |topic: &str| {
        let rule = settings.dialects.iter().find(|(name, _)| name == topic);
        match rule {
            None => DialectHint::Auto,
            Some((_, config::kafka::Format::ActionTrail)) => DialectHint::ActionTrail,
            Some((_, config::kafka::Format::CloudTrail)) => DialectHint::CloudTrail,
        }
    };
    let rule = |t: &config::kafka::TopicRule| TopicRule {
        topic: t.topic.clone(),
        account: t.account.clone(),
        dialect: hint(&t.topic),
        on_bad_record: match settings.suspend.contains(&t.topic) {
            true => OnBadRecord::Suspend,
            false => OnBadRecord::Quarantine,
        },
    };
    KafkaOptions {
        brokers: settings.brokers.join(","),
        group: settings.group.clone(),
        topics: settings.topics.iter().map(rule).collect(),
        intake_topic: Some(settings.intake_topic.clone()),
        security: KafkaSecurity {
            protocol: match settings.security_protocol {
                config::kafka::Protocol::Plaintext => Protocol::Plaintext,
                config::kafka::Protocol::Ssl => Protocol::Ssl,
                config::kafka::Protocol::SaslPlaintext => Protocol::SaslPlaintext,
                config::kafka::Protocol::SaslSsl => Protocol::SaslSsl,
            },
            mechanism: settings.sasl_mechanism.map(|m| match m {
                config::kafka::Mechanism::Plain => Mechanism::Plain,
                config::kafka::Mechanism::ScramSha256 => Mechanism::ScramSha256,
                config::kafka::Mechanism::ScramSha512 => Mechanism::ScramSha512,
            }),
            username: settings.sasl_username.clone(),
            password: secret(&settings.sasl_password),
            ca_file: settings.ca_file.clone(),
            certificate_file: settings.certificate_file.clone(),
            key_file: settings.key_file.clone(),
            key_password: secret(&settings.key_password),
            accept_any_host: !settings.verify_hostname,
        },
        session_timeout: settings.session_timeout,
        properties: settings.properties.clone(),
        ..KafkaOptions::default()
    }
}

/// The name of a partition, as status and commands have it: `source/number`.
pub fn partition_of(status: &PartitionStatus) -> Partition {
    Partition {
        source: status.source.clone(),
        number: status.partition,
    }
}

/// A reason in one sentence.
pub fn told_of(reason: &StoppedReason) -> String {
    match reason {
        StoppedReason::Gap { from, to } => format!(
            "the records at the offsets {from} to {} were gone before they were read",
            to - 1
        ),
        StoppedReason::Truncated { committed, end, .. } if end < committed => format!(
            "the log ends at {end}, and records up to {} were read from it",
            committed - 1
        ),
        StoppedReason::Truncated {
            committed, from, ..
        } => format!(
            "the log lost records that were read and has grown again: from {} to {} it holds others, or none",
            from.map_or_else(|| "an unknown offset".to_owned(), |from| from.to_string()),
            committed - 1
        ),
        StoppedReason::BadRecord {
            offset,
            code,
            detail,
        } => format!("the record at offset {offset} is no event ({code}: {detail})"),
        StoppedReason::Error { detail } => detail.clone(),
    }
}

/// What `/v1/status` tells.
pub fn status(kafka: &Kafka, clock: &dyn Clock) -> Value {
    let now = clock.now();
    let Some(reader) = &kafka.reader else {
        return json!({"partitions": []});
    };
    let status = reader.board().status();
    let partitions: Vec<Value> = status
        .partitions
        .iter()
        .map(|p| {
            let mut shown = json!({
                "partition": partition_of(p).to_string(),
                "topic": p.topic,
                "log_start": p.log_start,
                "log_end": p.log_end,
                "committed": p.committed,
                "lag_records": (p.log_end - p.committed.unwrap_or(p.next)).max(0),
                "lag_seconds": p.lag_seconds(now),
                "state": "reading",
            });
            match &p.state {
                PartitionState::Reading => {}
                PartitionState::Paused => shown["state"] = json!("paused"),
                PartitionState::Stopped {
                    why: reason,
                    what_to_do,
                } => {
                    shown["state"] = json!("stopped");
                    shown["reason"] = json!(told_of(reason));
                    shown["what_to_do"] = json!(what_to_do);
                    let what = reason.acceptable();
                    shown["stopped_at"] = json!(what.map(|what| what.offset));
                    shown["stopped_to"] = json!(what.and_then(|what| what.to));
                }
            }
            if let Some(error) = &p.last_error {
                shown["last_error"] = json!(error);
            }
            shown
        })
        .collect();
    json!({
        "group_state": status.group_state,
        "rebalances": status.rebalances,
        "errors": status.errors,
        "last_error": status.last_error,
        "missing_topics": status.missing_topics,
        "partitions": partitions,
    })
}

/// How often stopped partitions are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Makes an event of every partition that stops, and keeps the metrics.
pub async fn watch(app: Shared, stop: CancellationToken) {
    let Some(kafka) = &app.kafka else { return };
    let Some(reader) = &kafka.reader else { return };
    let mut told: BTreeSet<(Partition, String)> = BTreeSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let status = reader.board().status();
        measure(&app, &status.partitions);
        let mut stopped = BTreeSet::new();
        for partition in &status.partitions {
            if let PartitionState::Stopped { why: reason, .. } = &partition.state {
                stopped.insert((partition_of(partition), told_of(reason)));
            }
        }
        if !stopped.is_empty()
            && let Err(error) = kafka.accepted.refresh().await
        {
            tracing::warn!(error = %error, "what was accepted elsewhere cannot be read");
        }
        for (partition, reason) in stopped.difference(&told) {
            tracing::error!(partition = %partition, reason, "a partition is not read any more");
            record(&app, "SourceStopped", partition, reason).await;
        }
        let still = |partition| stopped.iter().any(|(p, _)| p == partition);
        // One whose gap grew is told anew, and has not gone on.
        for (partition, reason) in told.iter().filter(|(p, _)| !still(p)) {
            tracing::info!(partition = %partition, "a partition that was stopped is no longer");
            record(&app, "SourceResumed", partition, reason).await;
        }
        told = stopped;
    }
}

fn measure(app: &Shared, partitions: &[PartitionStatus]) {
    let m = &app.metrics.kafka;
    // What has moved to another process is shown by that one.
    m.lag.reset();
    m.lag_seconds.reset();
    m.committed.reset();
    m.stopped.reset();
    let now = app.clock.now();
    for p in partitions {
        let name = partition_of(p).to_string();
        let label = [name.as_str()];
        let committed = p.committed.unwrap_or(p.next);
        m.lag
            .with_label_values(&label)
            .set((p.log_end - committed).max(0));
        m.lag_seconds
            .with_label_values(&label)
            .set(p.lag_seconds(now).unwrap_or(0.0));
        m.committed.with_label_values(&label).set(committed);
        let stopped = matches!(p.state, PartitionState::Stopped { .. });
        m.stopped.with_label_values(&label).set(i64::from(stopped));
    }
}

async fn record(app: &Shared, name: &'static str, partition: &Partition, reason: &str) {
    let (principal, caller) = (Principal::cairn(), Caller::default());
    let mut act = Act::new(name, true, &principal, &caller);
    act.request = json!({"partition": partition.to_string(), "reason": reason});
    act.resource = Some(("CAIRN::Partition", partition.to_string()));
    if let Err(error) = app.audit.record(act).await {
        tracing::warn!(error = %error, "a stopped partition could not be recorded");
    }
}
