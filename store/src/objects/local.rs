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
//! new file. Reading, listing and deleting are `object_store`'s.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
use parking_lot::Mutex;

use super::sweep::{STAGED, refuse_links, sweep};

/// A folder of a local disk.
#[derive(Clone)]
pub struct DurableLocal {
    inner: Arc<LocalFileSystem>,
    disk: Arc<Disk>,
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

/// The part that writes; blocks.
#[derive(Debug)]
struct Disk {
    root: PathBuf,
    /// Folders that are known to be on the disk, and to be no links.
    durable: Mutex<HashSet<PathBuf>>,
    /// Makes the hidden names of this process differ.
    next: AtomicU64,
}

/// What to do where the final name is taken.
#[derive(Clone, Copy, PartialEq)]
enum Publish {
    Overwrite,
    Create,
}

impl DurableLocal {
    /// Opens `root`, making it where it is missing. Blocks. Refuses a root
    /// under which a symbolic link lies. Removes nothing: whose folder it is
    /// is not known here.
    pub fn open(root: &FsPath) -> io::Result<Self> {
        make_root(root)?;
        let root = fs::canonicalize(root)?;
        refuse_links(&root)?;
        let inner = LocalFileSystem::new_with_prefix(&root).map_err(io::Error::other)?;
        Ok(Self {
            inner: Arc::new(inner),
            disk: Arc::new(Disk {
                durable: Mutex::new(HashSet::from([root.clone()])),
                root,
                next: AtomicU64::new(0),
            }),
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

    async fn blocking<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Disk) -> Result<T> + Send + 'static,
    {
        let disk = Arc::clone(&self.disk);
        tokio::task::spawn_blocking(move || work(&disk)).await?
    }
}

/// Makes `root` and syncs every folder that had to be made into its parent.
fn make_root(root: &FsPath) -> io::Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    let parent = root
        .parent()
        .ok_or_else(|| io::Error::from(ErrorKind::NotFound))?;
    make_root(parent)?;
    match fs::create_dir(root) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    sync_folder(parent)
}

fn sync_folder(folder: &FsPath) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn generic(source: io::Error) -> Error {
    Error::Generic {
        store: "DurableLocal",
        source: Box::new(source),
    }
}

impl Disk {
    /// Makes the folder of `path` durable, and those above it up to the root.
    fn make_folder(&self, folder: &FsPath) -> io::Result<()> {
        if self.durable.lock().contains(folder) {
            return Ok(());
        }
        let parent = folder
            .parent()
            .ok_or_else(|| io::Error::from(ErrorKind::NotFound))?;
        self.make_folder(parent)?;
        match fs::create_dir(folder) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                if !fs::symlink_metadata(folder)?.is_dir() {
                    return Err(io::Error::new(
                        ErrorKind::InvalidInput,
                        format!("{} is not a folder; remove it", folder.display()),
                    ));
                }
            }
            Err(e) => return Err(e),
        }
        // Also where it was there: whoever made it may not have synced yet.
        sync_folder(parent)?;
        self.durable.lock().insert(folder.to_owned());
        Ok(())
    }

    /// A new hidden file beside `path`.
    fn stage(&self, path: &FsPath) -> io::Result<(File, PathBuf)> {
        let folder = path
            .parent()
            .ok_or_else(|| io::Error::from(ErrorKind::NotFound))?;
        self.make_folder(folder)?;
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let mut name = path.as_os_str().to_owned();
            name.push(format!("{STAGED}{number}"));
            let staged = PathBuf::from(name);
            let mut options = OpenOptions::new();
            match options
                .read(true)
                .write(true)
                .create_new(true)
                .open(&staged)
            {
                Ok(file) => return Ok((file, staged)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                // Somebody removed the folder: it is not known any more.
                Err(e) if e.kind() == ErrorKind::NotFound => {
                    self.durable.lock().remove(folder);
                    self.make_folder(folder)?;
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Steps 2 to 4 of the module's list; removes `staged` where they fail.
    fn publish(
        &self,
        file: &File,
        staged: &FsPath,
        path: &FsPath,
        how: Publish,
    ) -> Result<PutResult> {
        let done = self.try_publish(file, staged, path, how);
        if done.is_err() {
            let _ = fs::remove_file(staged);
        }
        done.map_err(|source| match source.kind() {
            ErrorKind::AlreadyExists if how == Publish::Create => Error::AlreadyExists {
                path: path.display().to_string(),
                source: Box::new(source),
            },
            _ => generic(source),
        })
    }

    fn try_publish(
        &self,
        file: &File,
        staged: &FsPath,
        path: &FsPath,
        how: Publish,
    ) -> io::Result<PutResult> {
        file.sync_all()?;
        let metadata = file.metadata()?;
        match how {
            Publish::Overwrite => fs::rename(staged, path)?,
            Publish::Create => {
                fs::hard_link(staged, path)?;
                // Its failure leaves a second, hidden name of the same bytes.
                let _ = fs::remove_file(staged);
            }
        }
        if let Some(folder) = path.parent() {
            sync_folder(folder)?;
        }
        Ok(PutResult {
            e_tag: Some(e_tag(&metadata)),
            version: None,
        })
    }

    fn put(&self, path: &FsPath, payload: &PutPayload, how: Publish) -> Result<PutResult> {
        let (mut file, staged) = self.stage(path).map_err(generic)?;
        if let Err(e) = payload.iter().try_for_each(|part| file.write_all(part)) {
            let _ = fs::remove_file(&staged);
            return Err(generic(e));
        }
        self.publish(&file, &staged, path, how)
    }

    fn copy(&self, from: &FsPath, to: &FsPath, how: Publish) -> Result<()> {
        let mut source = File::open(from).map_err(|source| match source.kind() {
            ErrorKind::NotFound => Error::NotFound {
                path: from.display().to_string(),
                source: Box::new(source),
            },
            _ => generic(source),
        })?;
        let (mut file, staged) = self.stage(to).map_err(generic)?;
        if let Err(e) = io::copy(&mut source, &mut file) {
            let _ = fs::remove_file(&staged);
            return Err(generic(e));
        }
        self.publish(&file, &staged, to, how).map(|_| ())
    }
}

/// The tag that `LocalFileSystem` gives the same file when it reads it.
fn e_tag(metadata: &fs::Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    let modified = metadata
        .modified()
        .ok()
        .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok())
        .unwrap_or_default()
        .as_micros();
    format!("{:x}-{modified:x}-{:x}", metadata.ino(), metadata.len())
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
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
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
