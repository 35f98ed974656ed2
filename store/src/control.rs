//! Control documents: small JSON objects, written once and never changed.
//!
//! Version `n` of a document is its own object, put-if-absent, so that of two
//! writers of the same version exactly one wins and history stays readable. The
//! store must be durable on return; [`crate::objects`] gives such a one.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_schemas::control::ControlKind;
use cairn_schemas::keys;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What went wrong with a control document.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Somebody else wrote this version: read again, then decide anew.
    #[error("{key} was written by somebody else; read it again and repeat the change")]
    Conflict {
        /// The object's key.
        key: String,
    },
    /// The document lies there and cannot be understood.
    #[error(
        "{key} is not a valid document ({reason}); restore it from a backup, it must never be edited"
    )]
    Damaged {
        /// The object's key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store does not answer; trying again may help.
    #[error("the object store failed on {key}: {source}")]
    Unavailable {
        /// The object's key.
        key: String,
        /// What it said.
        source: object_store::Error,
    },
}

/// The control documents of one Cairn store.
#[derive(Debug, Clone)]
pub struct ControlStore {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

/// Names one version of a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocumentKey {
    /// What it is.
    pub kind: ControlKind,
    /// Whose.
    pub id: String,
    /// 1, 2, 3, …
    pub version: u64,
}

/// What lies at `path`; `None` for what is no document.
fn document_key(path: &Path) -> Option<DocumentKey> {
    let mut parts = path.parts().rev();
    let (file, id, kind) = (parts.next()?, parts.next()?, parts.next()?);
    Some(DocumentKey {
        kind: ControlKind::of_folder(kind.as_ref())?,
        id: id.as_ref().to_owned(),
        version: file.as_ref().strip_suffix(".json")?.parse().ok()?,
    })
}

impl ControlStore {
    /// Documents under `prefix` of `store`.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        Self { store, prefix }
    }

    fn path(&self, key: &str) -> Path {
        // Not Path::join per segment: keys are made of checked parts only.
        Path::from(format!("{}/{key}", self.prefix).trim_start_matches('/'))
    }

    /// Every version of every document of `kind`, by id, oldest first.
    pub async fn load<T: DeserializeOwned>(
        &self,
        kind: ControlKind,
    ) -> Result<BTreeMap<String, Vec<T>>, ControlError> {
        let folder = self.path(&format!("control/{}", kind.as_str()));
        let unavailable = |source| ControlError::Unavailable {
            key: folder.to_string(),
            source,
        };
        let mut keys: Vec<Path> = self
            .store
            .list(Some(&folder))
            .map_ok(|meta| meta.location)
            .try_collect()
            .await
            .map_err(unavailable)?;
        keys.sort();
        let mut found: BTreeMap<String, Vec<T>> = BTreeMap::new();
        for key in keys {
            let damaged = |reason: String| ControlError::Damaged {
                key: key.to_string(),
                reason,
            };
            let id = match key.parts().rev().nth(1) {
                Some(part) => part.as_ref().to_owned(),
                None => return Err(damaged("it lies in no folder".to_owned())),
            };
            let bytes = self
                .read(&key)
                .await
                .map_err(|source| ControlError::Unavailable {
                    key: key.to_string(),
                    source,
                })?;
            let doc = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
            found.entry(id).or_default().push(doc);
        }
        Ok(found)
    }

    /// Names every version of every document, in the order of their keys. One
    /// LIST: what a process asks again and again to see what others changed.
    pub async fn keys(&self) -> Result<Vec<DocumentKey>, ControlError> {
        self.keys_below(self.path("control")).await
    }

    /// Names every version of one document, oldest first.
    pub async fn versions(
        &self,
        kind: ControlKind,
        id: &str,
    ) -> Result<Vec<DocumentKey>, ControlError> {
        let folder = self.path(&keys::control_folder(kind, id));
        self.keys_below(folder).await
    }

    async fn keys_below(&self, folder: Path) -> Result<Vec<DocumentKey>, ControlError> {
        let mut listing = self.store.list(Some(&folder));
        let mut keys = Vec::new();
        loop {
            match listing.try_next().await {
                Ok(Some(meta)) => keys.extend(document_key(&meta.location)),
                Ok(None) => break,
                Err(source) => {
                    let key = folder.to_string();
                    return Err(ControlError::Unavailable { key, source });
                }
            }
        }
        keys.sort();
        Ok(keys)
    }

    /// Reads one version of a document.
    pub async fn get<T: DeserializeOwned>(&self, key: &DocumentKey) -> Result<T, ControlError> {
        let path = self.path(&keys::control(key.kind, &key.id, key.version));
        let bytes = self.read(&path).await;
        let bytes = bytes.map_err(|source| ControlError::Unavailable {
            key: path.to_string(),
            source,
        })?;
        serde_json::from_slice(&bytes).map_err(|e| ControlError::Damaged {
            key: path.to_string(),
            reason: e.to_string(),
        })
    }

    async fn read(&self, key: &Path) -> Result<bytes::Bytes, object_store::Error> {
        self.store.get(key).await?.bytes().await
    }

    /// Writes version `version` of a document. Durable on return; on
    /// [`ControlError::Conflict`] another document stands there.
    pub async fn put<T: Serialize + Sync>(
        &self,
        kind: ControlKind,
        id: &str,
        version: u64,
        doc: &T,
    ) -> Result<(), ControlError> {
        let key = self.path(&keys::control(kind, id, version));
        let damaged = |reason: String| ControlError::Damaged {
            key: key.to_string(),
            reason,
        };
        let bytes = serde_json::to_vec_pretty(doc).map_err(|e| damaged(e.to_string()))?;
        let payload = PutPayload::from(bytes.clone());
        let Err(error) = self
            .store
            .put_opts(&key, payload, PutMode::Create.into())
            .await
        else {
            return Ok(());
        };
        // Any error leaves open whether the object landed: a retried request
        // may have met its own first try. What stands there decides.
        match self.read(&key).await {
            Ok(there) if there == bytes => Ok(()),
            Ok(_) => Err(ControlError::Conflict {
                key: key.to_string(),
            }),
            Err(_) => Err(ControlError::Unavailable {
                key: key.to_string(),
                source: error,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
