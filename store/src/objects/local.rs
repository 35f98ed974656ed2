//! Local disk as an object store, where done means on the disk.
//!
//! `object_store`'s own writes files and renames them, and syncs nothing: a
//! power cut can leave an acknowledged object empty or gone. Here every write
//! goes
//!
//! 1. into a new file beside the final name, with a name that no listing shows
//!    and nobody else gives;
//! 2. `fsync` of that file. A crash before leaves a hidden file, which a table's vacuum removes;
//! 3. a rename, or for put-if-absent a hard link, to the final name. A crash
//!    after it shows the object or not, whole in either case;
//! 4. `fsync` of the folder, after which it stays. Folders that had to be made
//!    were synced into theirs before.
//!
//! An error of `fsync` fails the write: what the kernel could not write back
//! once it may claim to have written the next time, so a repeat starts with a
//! new file.
//!
//! What is read is on the disk too, for readers act on it: they let go of the
//! log that a commit covers. A name whose step 4 failed is *doubtful*: before
//! it is read it is given anew, to a copy of the same bytes. A name that a
//! killed process left between steps 3 and 4 is written back when the store is
//! opened. Beyond that, reading, listing and deleting are `object_store`'s.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions,
    RenameTargetMode, Result, UploadPart,
};

use super::disk::{Disk, Publish, generic, make_root};
use super::sweep::{refuse_links, sweep};

/// A folder of a local disk.
#[derive(Clone)]
pub struct DurableLocal {
    inner: Arc<LocalFileSystem>,
    pub(super) disk: Arc<Disk>,
}

impl fmt::Debug for DurableLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableLocal")
            .field("root", &self.disk.root)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file://{}", self.disk.root.display())
    }
}

impl DurableLocal {
    /// Opens `root`, making it where it is missing. Blocks. Refuses a root
    /// under which a symbolic link lies. Whatever lies there is on the disk
    /// when this returns. Removes nothing: whose folder it is is not known
    /// here.
    pub fn open(root: &FsPath) -> io::Result<Self> {
        make_root(root)?;
        let root = fs::canonicalize(root)?;
        refuse_links(&root)?;
        // A process that was killed between a name and its sync left the name
        // in the kernel's memory only. One call for all folders: there may be
        // a hundred thousand of them.
        rustix::fs::syncfs(File::open(&root)?)?;
        let inner = LocalFileSystem::new_with_prefix(&root).map_err(io::Error::other)?;
        Ok(Self {
            inner: Arc::new(inner),
            disk: Arc::new(Disk::new(root)),
        })
    }

    /// Removes what a crash left of writes into the folders right below
    /// `parent` whose names `own` knows, where it is older than `before`.
    pub(crate) async fn sweep(
        &self,
        parent: &Path,
        own: fn(&str) -> bool,
        before: SystemTime,
    ) -> Result<()> {
        let parent = match parent.is_root() {
            true => self.disk.root.clone(),
            false => self.inner.path_to_filesystem(parent)?,
        };
        self.blocking(move |_| sweep(&parent, own, before).map_err(generic))
            .await
    }

    /// Before `location` is read: makes it durable where that is in doubt.
    async fn settled(&self, location: &Path) -> Result<()> {
        let path = self.inner.path_to_filesystem(location)?;
        if !self.disk.doubts(&path) {
            return Ok(());
        }
        self.blocking(move |disk| disk.settle(&path).map_err(generic))
            .await
    }

    async fn blocking<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Disk) -> Result<T> + Send + 'static,
    {
        let disk = Arc::clone(&self.disk);
        tokio::task::spawn_blocking(move || work(&disk)).await?
    }
}

#[async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let how = match opts.mode {
            PutMode::Overwrite => Publish::Overwrite,
            PutMode::Create => Publish::Create,
            PutMode::Update(_) => {
                return Err(Error::NotImplemented {
                    operation: "put with PutMode::Update".to_owned(),
                    implementer: self.to_string(),
                });
            }
        };
        let path = self.inner.path_to_filesystem(location)?;
        self.blocking(move |disk| disk.put(&path, &payload, how))
            .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let path = self.inner.path_to_filesystem(location)?;
        let at = path.clone();
        let (file, staged) = self
            .blocking(move |disk| disk.stage(&at).map_err(generic))
            .await?;
        Ok(Box::new(Upload {
            disk: Arc::clone(&self.disk),
            file: Arc::new(file),
            staged,
            path,
            offset: 0,
            done: false,
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.settled(location).await?;
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.settled(location).await?;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let how = match options.mode {
            CopyMode::Overwrite => Publish::Overwrite,
            CopyMode::Create => Publish::Create,
        };
        let from = self.inner.path_to_filesystem(from)?;
        let to = self.inner.path_to_filesystem(to)?;
        self.blocking(move |disk| disk.copy(&from, &to, how)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let mode = match options.target_mode {
            RenameTargetMode::Overwrite => CopyMode::Overwrite,
            RenameTargetMode::Create => CopyMode::Create,
        };
        // The copy is durable before the first name goes.
        self.copy_opts(from, to, CopyOptions::new().with_mode(mode))
            .await?;
        object_store::ObjectStoreExt::delete(self, from).await
    }
}

/// A multipart upload: parts go to their places in one hidden file.
#[derive(Debug)]
struct Upload {
    disk: Arc<Disk>,
    file: Arc<File>,
    staged: PathBuf,
    path: PathBuf,
    offset: u64,
    done: bool,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let mut at = self.offset;
        self.offset += data.content_length() as u64;
        let file = Arc::clone(&self.file);
        Box::pin(async move {
            tokio::task::spawn_blocking(move || {
                for part in data.iter() {
                    file.write_all_at(part, at).map_err(generic)?;
                    at += part.len() as u64;
                }
                Ok(())
            })
            .await?
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.done = true;
        let (disk, file) = (Arc::clone(&self.disk), Arc::clone(&self.file));
        let (staged, path) = (self.staged.clone(), self.path.clone());
        tokio::task::spawn_blocking(move || disk.publish(&file, &staged, &path, Publish::Overwrite))
            .await?
    }

    async fn abort(&mut self) -> Result<()> {
        self.done = true;
        fs::remove_file(&self.staged).map_err(generic)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.done {
            // What cannot be removed now is left to the vacuum.
            let _ = fs::remove_file(&self.staged);
        }
    }
}
