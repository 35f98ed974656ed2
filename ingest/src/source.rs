//! Where records come from.
//!
//! A source gives out the records of its partitions in offset order. It
//! remembers nothing: the pipeline tells it where to begin, from the offsets
//! that `history` committed, and no other memory of progress exists. That is
//! what makes a crash, a restart or a second process harmless.
//!
//! A source may own partitions for a while only: those of a Kafka topic move
//! between the processes of a group. It then says [`Taken::Changed`], gives
//! nothing more, and waits for [`Source::begin`]; between the two the pipeline
//! commits what it has, or lets go of it. Ownership is a hint that spares work.
//! What decides is the commit, which is conditional on the offsets that it
//! continues from.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cairn_schemas::{Micros, Partition, Position};
use cairn_store::log::{EmbeddedLog, Envelope, LogError, LogReader};

use crate::decode::Refusal;

pub mod both;
pub mod memory;

/// Records of one partition with one envelope.
#[derive(Debug, Clone)]
pub struct Received {
    /// The partition.
    pub partition: Partition,
    /// The first offset that is dealt with.
    pub first: i64,
    /// The offset after the last one that is dealt with. Offsets between that
    /// have no record are holes: markers of transactions, compacted records.
    pub next: i64,
    /// Who sent them, when, for whom.
    pub envelope: Arc<Envelope>,
    /// The records, in the order of their offsets.
    pub records: Vec<Record>,
    /// By what the log can be recognised later, where it has such a thing.
    pub mark: Option<Mark>,
}

/// The newest record of a stretch, and when it was written: by that, the log can
/// be asked later whether it still has it. Offsets alone do not tell, for a log
/// that lost its end gives the same ones again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The offset after the record.
    pub next: i64,
    /// The epoch of the leader that took it: Kafka counts it up whenever a
    /// partition gets a leader, so no other record ever has both.
    pub epoch: i32,
}

impl Mark {
    /// The mark that `position` holds of `partition`.
    pub fn of(position: &Position, partition: &Partition) -> Option<Self> {
        let next = *position.0.get(&partition.last_read())?;
        let epoch = *position.0.get(&partition.leader_epoch())?;
        let epoch = i32::try_from(epoch).ok()?;
        Some(Self { next, epoch })
    }

    /// Notes it in `position`.
    pub fn note(self, position: &mut Position, partition: &Partition) {
        position.advance(&partition.last_read(), self.next);
        position.advance(&partition.leader_epoch(), i64::from(self.epoch));
    }
}

/// One event of a record, or a record that is none.
#[derive(Debug, Clone)]
pub struct Record {
    /// The record's offset.
    pub offset: i64,
    /// The event's place among those of the record, from 0.
    pub item: u16,
    /// The event, byte for byte.
    pub bytes: Bytes,
    /// Why the source could make no event of it; it goes to quarantine as it is.
    pub refusal: Option<Box<Refusal>>,
    /// What the log says of it beside its bytes.
    pub origin: Option<Arc<Origin>>,
}

/// What Kafka says of a record beside its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The timestamp that the record bears.
    pub time: Option<Micros>,
    /// Its key, as text.
    pub key: Option<String>,
    /// Its headers, as JSON.
    pub headers: Option<String>,
}

impl Origin {
    /// About how many bytes it takes.
    pub fn len(&self) -> usize {
        let text = |t: &Option<String>| t.as_ref().map_or(0, String::len);
        8 + text(&self.key) + text(&self.headers)
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a source has to give.
#[derive(Debug)]
pub enum Taken {
    /// Records, in order within each partition.
    Records(Vec<Received>),
    /// What this process owns is about to change, or has changed. Nothing more
    /// comes until [`Source::begin`] is called, and others wait for that call:
    /// commit what is open, or let go of it, soon.
    Changed,
}

/// Why a source gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The embedded log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Kafka failed in a way that waiting does not mend.
    #[error("kafka: {0}")]
    Kafka(String),
}

/// A source of records. One caller.
#[async_trait]
pub trait Source: Send + std::fmt::Debug {
    /// Begins, or begins anew: reads the partitions that this process owns now
    /// on from `committed`, and returns them. It is history's whole position, with
    /// the marks of what was read. A partition that `committed` does
    /// not name was never committed. Records that were given out before and are
    /// not below `committed` are given out again.
    ///
    /// `committed` has to be history's newest position, read after the last
    /// [`Taken::Changed`]: what another process committed in between must not
    /// be read again.
    async fn begin(&mut self, committed: &Position) -> Result<BTreeSet<Partition>, SourceError>;

    /// The next records, about `max_bytes` of them, waiting for at least one.
    /// Only durable records are given out. Cancel-safe: a dropped call loses
    /// nothing.
    async fn next(&mut self, max_bytes: usize) -> Result<Taken, SourceError>;
}

/// The embedded log as a source: one partition, owned for ever.
#[derive(Debug)]
pub struct EmbeddedSource {
    log: EmbeddedLog,
    partition: Partition,
    /// `None` until it is told where to begin.
    reader: Option<LogReader>,
}

impl EmbeddedSource {
    /// Reads `log`, whose records are those of `partition`.
    pub fn new(log: EmbeddedLog, partition: Partition) -> Self {
        Self {
            log,
            partition,
            reader: None,
        }
    }
}

#[async_trait]
impl Source for EmbeddedSource {
    async fn begin(&mut self, committed: &Position) -> Result<BTreeSet<Partition>, SourceError> {
        self.reader = Some(self.log.reader(committed.of(&self.partition))?);
        Ok(BTreeSet::from([self.partition.clone()]))
    }

    async fn next(&mut self, max_bytes: usize) -> Result<Taken, SourceError> {
        let Some(reader) = &mut self.reader else {
            return Ok(Taken::Changed);
        };
        let batches = reader.next(max_bytes).await?;
        let received = batches.into_iter().map(|batch| Received {
            partition: self.partition.clone(),
            first: batch.first,
            next: batch.next(),
            envelope: batch.envelope,
            records: std::iter::zip(batch.first.., batch.payloads)
                .map(|(offset, bytes)| Record {
                    offset,
                    item: 0,
                    bytes,
                    refusal: None,
                    origin: None,
                })
                .collect(),
            mark: None,
        });
        Ok(Taken::Records(received.collect()))
    }
}
