//! Where trails' versions are written, and where the log ends.

use async_trait::async_trait;
use cairn_ingest::deliver::{LogEnd, Versions};
use cairn_schemas::control::ControlKind;
use cairn_schemas::trail::TrailVersion;
use cairn_schemas::{Partition, Position, TrailId};
use cairn_store::control::{ControlError, ControlStore};
use cairn_store::log::EmbeddedLog;

/// The documents of trails in the control store.
#[derive(Debug)]
pub(super) struct Documents {
    control: ControlStore,
}

impl Documents {
    /// Those of `control`.
    pub(super) fn new(control: ControlStore) -> Self {
        Self { control }
    }

    /// Writes a version; [`ControlError::Conflict`] if another stands there.
    pub(super) async fn put(&self, version: &TrailVersion) -> Result<(), ControlError> {
        let (id, number) = (version.id.as_str(), version.version);
        let put = self.control.put(ControlKind::Trail, id, number, version);
        put.await
    }
}

#[async_trait]
impl Versions for Documents {
    async fn newer(&self, trail: &TrailId, known: u64) -> Result<Vec<TrailVersion>, String> {
        let keys = self.control.versions(ControlKind::Trail, trail.as_str());
        let keys = keys.await.map_err(|e| e.to_string())?;
        let mut newer = Vec::new();
        for key in keys.iter().filter(|k| k.version > known) {
            newer.push(self.control.get(key).await.map_err(|e| e.to_string())?);
        }
        Ok(newer)
    }

    async fn write(&self, version: &TrailVersion) -> Result<bool, String> {
        match self.put(version).await {
            Ok(()) => Ok(true),
            Err(ControlError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The end of an embedded log, where that is the only source.
#[derive(Debug)]
pub struct EmbeddedEnd {
    /// The log.
    pub log: EmbeddedLog,
    /// The partition that its records are of.
    pub partition: Partition,
}

#[async_trait]
impl LogEnd for EmbeddedEnd {
    async fn end(&self) -> Result<Position, String> {
        Ok(Position::at(self.partition.clone(), self.log.end()))
    }
}
