//! Where an export lies: a folder, or a bucket.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use cairn_store::objects::Opened;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name below the export's folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Whether it is a file, and not a link, a socket, or the like.
    pub is_plain: bool,
}

/// Why an export could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("{name} cannot be read: {reason}")]
pub struct SourceError {
    name: String,
    reason: String,
}

/// Where an export lies.
#[async_trait]
pub trait Source: Send + Sync {
    /// Everything that lies there.
    async fn list(&self) -> Result<Vec<Entry>, SourceError>;
    /// All bytes of one object.
    async fn read(&self, name: &str) -> Result<Bytes, SourceError>;
}

/// A folder. No link below it is followed.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    fn walk(&self, below: &str, found: &mut Vec<Entry>) -> io::Result<()> {
        for entry in fs::read_dir(self.0.join(below))? {
            let entry = entry?;
            let metadata = fs::symlink_metadata(entry.path())?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let name = match below {
                "" => name,
                below => format!("{below}/{name}"),
            };
            if metadata.is_dir() {
                self.walk(&name, found)?;
            } else {
                let is_plain = metadata.is_file();
                found.push(Entry {
                    name,
                    bytes: metadata.len(),
                    is_plain,
                });
            }
        }
        Ok(())
    }
}

fn failed(name: &Path) -> impl FnOnce(io::Error) -> SourceError + '_ {
    move |e| SourceError {
        name: name.display().to_string(),
        reason: e.to_string(),
    }
}

#[async_trait]
impl Source for Folder {
    async fn list(&self) -> Result<Vec<Entry>, SourceError> {
        let mut found = Vec::new();
        self.walk("", &mut found).map_err(failed(&self.0))?;
        Ok(found)
    }

    async fn read(&self, name: &str) -> Result<Bytes, SourceError> {
        let path = self.0.join(name);
        let read = || {
            let mut options = OpenOptions::new();
            // It was no link when it was listed, and must not have become one.
            options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
            let mut file = options.read(true).open(&path)?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map(Bytes::from).map_err(failed(&path))
    }
}

/// A folder in a bucket.
#[derive(Clone, Debug)]
pub struct Bucket(pub Opened);

impl Bucket {
    fn failed(&self, name: &str, error: &object_store::Error) -> SourceError {
        SourceError {
            name: format!("{}/{name}", self.0.prefix),
            reason: error.to_string(),
        }
    }

    fn at(&self, name: &str) -> object_store::path::Path {
        let parts = object_store::path::Path::from(name);
        self.0.prefix.parts().chain(parts.parts()).collect()
    }
}

#[async_trait]
impl Source for Bucket {
    async fn list(&self) -> Result<Vec<Entry>, SourceError> {
        let prefix = &self.0.prefix;
        let listed: Vec<_> = self
            .0
            .store
            .list(Some(prefix))
            .try_collect()
            .await
            .map_err(|e| self.failed("", &e))?;
        let entry = |meta: object_store::ObjectMeta| {
            let parts: Vec<String> = meta
                .location
                .prefix_match(prefix)
                .into_iter()
                .flatten()
                .map(|part| part.as_ref().to_owned())
                .collect();
            Entry {
                name: parts.join("/"),
                bytes: meta.size,
                is_plain: true,
            }
        };
        Ok(listed.into_iter().map(entry).collect())
    }

    async fn read(&self, name: &str) -> Result<Bytes, SourceError> {
        let got = self.0.store.get(&self.at(name)).await;
        let got = got.map_err(|e| self.failed(name, &e))?;
        got.bytes().await.map_err(|e| self.failed(name, &e))
    }
}
