//! What administrators have accepted: that a partition goes on over a gap, or
//! over a record that is no event.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_ingest::kafka::{Acceptable, Acceptances, PartitionState, StoppedReason};
use cairn_schemas::control::{Acceptance, ControlKind};
use cairn_schemas::{Clock, Partition, Position};
use cairn_store::control::{ControlError, ControlStore};
use parking_lot::RwLock;

use super::{Kafka, partition_of};

impl Kafka {
    /// Why `partition` is stopped, and whether this process reads it. Of one
    /// that another reads it is known what the log itself says: a gap.
    ///
    /// # Errors
    ///
    /// Kafka cannot be asked.
    pub async fn stop_of(
        &self,
        partition: &Partition,
        committed: &Position,
    ) -> Result<(Option<StoppedReason>, bool), String> {
        let status = self.reader.as_ref().map(|r| r.board().status());
        let partitions = status.map(|s| s.partitions).unwrap_or_default();
        let own = partitions.into_iter();
        if let Some(own) = own.into_iter().find(|p| partition_of(p) == *partition) {
            return Ok(match own.state {
                PartitionState::Stopped { why, .. } => (Some(why), true),
                PartitionState::Reading | PartitionState::Paused => (None, true),
            });
        }
        let stop = self.ends.stop_of(partition, committed).await?;
        Ok((stop, false))
    }
}

/// What administrators have accepted, as control documents.
#[derive(Debug)]
pub struct Accepted {
    control: ControlStore,
    clock: Arc<dyn Clock>,
    known: RwLock<BTreeMap<Partition, Acceptance>>,
}

impl Accepted {
    pub(super) fn new(control: ControlStore, clock: Arc<dyn Clock>) -> Self {
        Self {
            control,
            clock,
            known: RwLock::default(),
        }
    }

    /// Picks up what was accepted elsewhere.
    pub async fn refresh(&self) -> Result<(), ControlError> {
        let documents = self.load().await?;
        let newest = documents
            .into_values()
            .filter_map(|mut versions| versions.pop());
        *self.known.write() = newest.map(|a| (a.partition.clone(), a)).collect();
        Ok(())
    }

    async fn load(&self) -> Result<BTreeMap<String, Vec<Acceptance>>, ControlError> {
        self.control.load(ControlKind::Acceptance).await
    }

    /// Lets `partition`, which `what` stopped, go on. The second of two that
    /// accept at once gets [`ControlError::Conflict`].
    pub async fn accept(
        &self,
        by: &str,
        partition: Partition,
        what: Acceptable,
    ) -> Result<(), ControlError> {
        // Names of sources hold what no key may.
        let hash = cairn_digest::event_hash(partition.to_string().as_bytes());
        let id = hex::encode(&hash[..16]);
        let versions = self.load().await?.remove(&id).map_or(0, |v| v.len() as u64);
        let document = Acceptance {
            version: versions + 1,
            at: self.clock.now(),
            by: by.to_owned(),
            partition: partition.clone(),
            reason: what.reason.to_owned(),
            offset: what.offset,
            to: what.to,
        };
        self.control
            .put(ControlKind::Acceptance, &id, document.version, &document)
            .await?;
        self.known.write().insert(partition, document);
        Ok(())
    }
}

impl Acceptances for Accepted {
    fn accepted(&self, partition: &Partition, what: &Acceptable) -> bool {
        let known = self.known.read();
        known
            .get(partition)
            .is_some_and(|a| (&*a.reason, a.offset, a.to) == (what.reason, what.offset, what.to))
    }
}
