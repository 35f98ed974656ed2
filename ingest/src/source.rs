//! Where records come from.
//!
//! A source gives out the records of its partitions in offset order. It
//! remembers nothing: the pipeline tells it where to begin, from the offsets
//! that `history` committed, and no other memory of progress exists. That is
//! what makes a crash, a restart or a second process harmless.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cairn_schemas::Partition;
use cairn_store::log::{Envelope, LogError, LogReader};

/// Records of one partition with one envelope.
#[derive(Debug, Clone)]
pub struct Received {
    /// The partition.
    pub partition: Partition,
    /// The offset of the first payload; the others follow without a hole.
    pub first: i64,
    /// Who sent them, when, for whom.
    pub envelope: Arc<Envelope>,
    /// The records, byte for byte.
    pub payloads: Vec<Bytes>,
}

/// Why a source gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The embedded log failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// A source of records. One caller.
#[async_trait]
pub trait Source: Send + std::fmt::Debug {
    /// The next records, about `max_bytes` of them, waiting for at least one.
    /// Only durable records are given out. Cancel-safe: a dropped call loses
    /// nothing.
    async fn next(&mut self, max_bytes: usize) -> Result<Vec<Received>, SourceError>;
}

/// The embedded log as a source: one partition, `log/0`.
#[derive(Debug)]
pub struct EmbeddedSource {
    reader: LogReader,
}

impl EmbeddedSource {
    /// Reads on from where `reader` stands.
    pub fn new(reader: LogReader) -> Self {
        Self { reader }
    }
}

#[async_trait]
impl Source for EmbeddedSource {
    async fn next(&mut self, max_bytes: usize) -> Result<Vec<Received>, SourceError> {
        let batches = self.reader.next(max_bytes).await?;
        let received = batches.into_iter().map(|b| Received {
            partition: Partition::embedded(),
            first: b.first,
            envelope: b.envelope,
            payloads: b.payloads,
        });
        Ok(received.collect())
    }
}
