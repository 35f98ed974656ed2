//! An export's own folder, on disk or in a bucket.
//!
//! Objects are put where nothing is, and never over another. The manifest comes
//! last, so that a reader who looks for it finds either nothing or all.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_store::objects::{self, ObjectSettings, OpenError, Opened};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};
use url::Url;

use crate::export::manifest::MANIFEST;

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It may not be, or cannot be, until somebody changes something.
    #[error("the export's destination is refused: {0}")]
    Refused(String),
    /// The store did not answer as it should; trying again may help.
    #[error("the export's destination cannot be used: {0}")]
    Unavailable(String),
    /// Something else lies where an object belongs.
    #[error(
        "{0} is there already, with other content: somebody else writes into the export's folder"
    )]
    Taken(String),
}

/// How often a put is tried, with growing pauses between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Folder {
    opened: Opened,
    /// The folder, where it is on disk.
    local: Option<PathBuf>,
}

impl Folder {
    /// A folder on disk, which is there.
    pub(super) async fn local(folder: PathBuf) -> Result<Self, FolderError> {
        let url = Url::from_file_path(&folder)
            .map_err(|()| FolderError::Refused("it is no absolute path".to_owned()))?;
        let opened = open(url.as_str(), &ObjectSettings::default()).await?;
        Ok(Self {
            opened,
            local: Some(folder),
        })
    }

    /// A folder in a bucket.
    pub(super) async fn bucket(url: &str, settings: &ObjectSettings) -> Result<Self, FolderError> {
        let opened = open(url, settings).await?;
        Ok(Self {
            opened,
            local: None,
        })
    }

    fn at(&self, name: &str) -> Path {
        let prefix = self.opened.prefix.parts();
        prefix.chain(Path::from(name).parts()).collect()
    }

    /// Puts an object where there is none. Durable on return.
    pub async fn put(&self, name: &str, bytes: Bytes) -> Result<(), FolderError> {
        let mut pause = PAUSE;
        let mut tried = 1;
        loop {
            match self.put_once(name, &bytes).await {
                Err(FolderError::Unavailable(reason)) if tried < TRIES => {
                    tracing::warn!(
                        name,
                        reason,
                        "an export's object could not be written, trying again"
                    );
                }
                other => return other,
            }
            tokio::time::sleep(pause).await;
            tried += 1;
            pause *= 2;
        }
    }

    async fn put_once(&self, name: &str, bytes: &Bytes) -> Result<(), FolderError> {
        let at = self.at(name);
        let payload = PutPayload::from(bytes.clone());
        let put = self
            .opened
            .store
            .put_opts(&at, payload, PutMode::Create.into());
        let Err(error) = put.await else {
            return Ok(());
        };
        // Any error leaves open whether it landed: what is there decides.
        match self.get(name).await {
            Ok(Some(there)) if there == *bytes => Ok(()),
            Ok(Some(_)) => Err(FolderError::Taken(name.to_owned())),
            Ok(None) | Err(_) => Err(FolderError::Unavailable(error.to_string())),
        }
    }

    /// An object's bytes, if it is there.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, FolderError> {
        let unavailable = |e: object_store::Error| FolderError::Unavailable(e.to_string());
        match self.opened.store.get(&self.at(name)).await {
            Ok(got) => got.bytes().await.map(Some).map_err(unavailable),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Removes everything that lies there, the manifest first: without it the
    /// rest is no export.
    pub async fn clear(&self) -> Result<(), FolderError> {
        let unavailable = |e: object_store::Error| FolderError::Unavailable(e.to_string());
        let store = Arc::clone(&self.opened.store);
        match store.delete(&self.at(MANIFEST)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(unavailable(error)),
        }
        let listed: Vec<Path> = store
            .list(Some(&self.opened.prefix))
            .map_ok(|meta| meta.location)
            .try_collect()
            .await
            .map_err(unavailable)?;
        let gone = futures::stream::iter(listed.into_iter().map(Ok)).boxed();
        let mut gone = store.delete_stream(gone);
        while let Some(removed) = gone.next().await {
            match removed {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(unavailable(error)),
            }
        }
        let Some(folder) = self.local.clone() else {
            return Ok(());
        };
        // On disk folders stay where files were, and so do the hidden files of
        // writes that a crash cut off, which no listing shows.
        let cleared = tokio::task::spawn_blocking(move || {
            std::fs::remove_dir_all(&folder)?;
            std::fs::create_dir(&folder)?;
            match folder.parent() {
                // A power cut must not take a finished export with its folder.
                Some(parent) => std::fs::File::open(parent)?.sync_all(),
                None => Ok(()),
            }
        });
        let cleared = cleared.await.map_err(std::io::Error::other).and_then(|r| r);
        cleared.map_err(|e| FolderError::Unavailable(e.to_string()))
    }

    /// Removes everything, and on disk the folder itself.
    pub async fn remove(&self) -> Result<(), FolderError> {
        self.clear().await?;
        if let Some(folder) = &self.local {
            // It is empty. What cannot be removed is an empty folder.
            let _ = tokio::fs::remove_dir(folder).await;
        }
        Ok(())
    }
}

async fn open(url: &str, settings: &ObjectSettings) -> Result<Opened, FolderError> {
    objects::open(url, settings).await.map_err(|e| match e {
        OpenError::Refused { .. } => FolderError::Refused(e.to_string()),
        OpenError::Unavailable { .. } | OpenError::Io { .. } => {
            FolderError::Unavailable(e.to_string())
        }
    })
}
