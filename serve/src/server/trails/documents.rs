//! Where trails' versions are written, and where the log ends.

use async_trait::async_trait;
use cairn_ingest::deliver::{LogEnd, Versions};
use cairn_schemas::control::ControlKind;
use cairn_schemas::trail::{Destination, TrailVersion};
use cairn_schemas::{Partition, Position, TrailId, TrailName, keys};
use cairn_store::control::{ControlError, ControlStore, DocumentKey};
use cairn_store::log::EmbeddedLog;

/// How a document begins the place of a table in the server's own store: that
/// store may be moved, or be restored elsewhere, and its tables with it.
const OWN: &str = "store:";

/// The documents of trails in the control store.
#[derive(Debug)]
pub(super) struct Documents {
    control: ControlStore,
    /// The URL of the server's own store, without a `/` at its end.
    own_store: String,
}

impl Documents {
    /// Those of `control`, in the store that has the URL `own_store`.
    pub(super) fn new(control: ControlStore, own_store: &str) -> Self {
        Self {
            control,
            own_store: own_store.trim_end_matches('/').to_owned(),
        }
    }

    /// Where the table lies of a trail that was given no destination.
    pub(super) fn own_place(&self, name: &TrailName, id: &TrailId) -> Destination {
        Destination {
            url: format!("{}/{}", self.own_store, keys::trail_table(name, id)),
            endpoint: None,
            region: None,
        }
    }

    /// Reads a version.
    pub(super) async fn get(&self, key: &DocumentKey) -> Result<TrailVersion, ControlError> {
        let mut version: TrailVersion = self.control.get(key).await?;
        let there = &version.destination;
        let table = keys::trail_table(&version.name, &version.id);
        // Documents of earlier Cairns name the whole place where the store lay
        // then. Nobody but Cairn makes up a folder with the trail's own id.
        let named = there.url.strip_suffix(&table);
        let ours = |before: &str| before == OWN || before.ends_with('/');
        if named.is_some_and(ours) && (&there.endpoint, &there.region) == (&None, &None) {
            version.destination = self.own_place(&version.name, &version.id);
        }
        Ok(version)
    }

    /// Writes a version; [`ControlError::Conflict`] if another stands there.
    pub(super) async fn put(&self, version: &TrailVersion) -> Result<(), ControlError> {
        let (id, number) = (version.id.as_str(), version.version);
        let mut written = version.clone();
        if written.destination == self.own_place(&version.name, &version.id) {
            let table = keys::trail_table(&version.name, &version.id);
            written.destination.url = format!("{OWN}{table}");
        }
        let put = self.control.put(ControlKind::Trail, id, number, &written);
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
            newer.push(self.get(key).await.map_err(|e| e.to_string())?);
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
