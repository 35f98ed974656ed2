//! The part of [`super::DurableLocal`] that writes; everything here blocks.
//! The steps stand in its module.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path as FsPath, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use object_store::{Error, PutPayload, PutResult, Result};
use parking_lot::{Mutex, RwLock};

use super::sweep::STAGED;

/// A folder of a local disk.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) root: PathBuf,
    /// Folders that are known to be on the disk, and to be no links.
    durable: Mutex<HashSet<PathBuf>>,
    /// Names that were given, or may have been, and whose folder could not be
    /// synced after.
    doubtful: Mutex<HashSet<PathBuf>>,
    /// Shared by those who give names, alone for who gives a doubtful one
    /// anew: older bytes must not replace what another just put there.
    naming: RwLock<()>,
    /// Makes the hidden names of this process differ.
    next: AtomicU64,
    /// How many syncs of folders are to fail.
    #[cfg(test)]
    pub(super) failing: AtomicU64,
}

/// What to do where the final name is taken.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Publish {
    /// Replace what is there.
    Overwrite,
    /// Leave it there, and say so.
    Create,
}

/// Makes `root` and syncs every folder that had to be made into its parent.
pub(super) fn make_root(root: &FsPath) -> io::Result<()> {
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

pub(super) fn generic(source: io::Error) -> Error {
    Error::Generic {
        store: "DurableLocal",
        source: Box::new(source),
    }
}

impl Disk {
    /// The folder `root`, which is on the disk.
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            durable: Mutex::new(HashSet::from([root.clone()])),
            doubtful: Mutex::default(),
            naming: RwLock::default(),
            root,
            next: AtomicU64::new(0),
            #[cfg(test)]
            failing: AtomicU64::new(0),
        }
    }

    /// Makes the names in `folder` durable.
    fn sync(&self, folder: &FsPath) -> io::Result<()> {
        #[cfg(test)]
        if self
            .failing
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
            .is_ok()
        {
            return Err(io::Error::other("told to fail"));
        }
        sync_folder(folder)
    }

    /// Whether `path` may be read and not be on the disk.
    pub(super) fn doubts(&self, path: &FsPath) -> bool {
        self.doubtful.lock().contains(path)
    }

    /// Makes the folder of `path` durable, and those above it up to the root.
    fn make_folder(&self, folder: &FsPath) -> io::Result<()> {
        if self.durable.lock().contains(folder) {
            return Ok(());
        }
        let parent = folder
            .parent()
            .ok_or_else(|| io::Error::from(ErrorKind::NotFound))?;
        self.make_folder(parent)?;
        let made = fs::create_dir(folder);
        match &made {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                if !fs::symlink_metadata(folder)?.is_dir() {
                    return Err(io::Error::new(
                        ErrorKind::InvalidInput,
                        format!("{} is not a folder; remove it", folder.display()),
                    ));
                }
            }
            Err(_) => return made,
        }
        // Also where it was there: whoever made it may not have synced yet.
        if let Err(e) = self.sync(parent) {
            // A second sync proves nothing of the same name, so it is made
            // anew. It stays where something lies in it.
            if made.is_ok() {
                let _ = fs::remove_dir(folder);
            }
            return Err(e);
        }
        self.durable.lock().insert(folder.to_owned());
        Ok(())
    }

    /// A new hidden file beside `path`.
    pub(super) fn stage(&self, path: &FsPath) -> io::Result<(File, PathBuf)> {
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
    pub(super) fn publish(
        &self,
        file: &File,
        staged: &FsPath,
        path: &FsPath,
        how: Publish,
    ) -> Result<PutResult> {
        let done = {
            let _shared = self.naming.read();
            self.try_publish(file, staged, path, how)
        };
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
        let named = match how {
            Publish::Overwrite => fs::rename(staged, path),
            Publish::Create => fs::hard_link(staged, path),
        };
        if how == Publish::Create && named.is_ok() {
            // Its failure leaves a second, hidden name of the same bytes.
            let _ = fs::remove_file(staged);
        }
        let synced = named.and_then(|()| path.parent().map_or(Ok(()), |f| self.sync(f)));
        if let Err(e) = synced {
            if e.kind() != ErrorKind::AlreadyExists {
                // The name may stand and be read, and not be on the disk.
                self.doubtful.lock().insert(path.to_owned());
            }
            return Err(e);
        }
        self.doubtful.lock().remove(path);
        Ok(PutResult {
            e_tag: Some(e_tag(&metadata)),
            version: None,
        })
    }

    /// Gives a doubtful name anew, to a copy of the same bytes: after a sync
    /// that failed, another one of the same folder proves nothing of a name
    /// that it already had. A crash leaves either file, and the same bytes.
    pub(super) fn settle(&self, path: &FsPath) -> io::Result<()> {
        let _alone = self.naming.write();
        if !self.doubtful.lock().contains(path) {
            return Ok(());
        }
        let mut source = match File::open(path) {
            Ok(file) => file,
            // It never got the name, or was deleted since.
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        };
        let (mut file, staged) = self.stage(path)?;
        let done = io::copy(&mut source, &mut file)
            .and_then(|_| self.try_publish(&file, &staged, path, Publish::Overwrite));
        if done.is_err() {
            let _ = fs::remove_file(&staged);
        }
        done.map(|_| ())
    }

    pub(super) fn put(
        &self,
        path: &FsPath,
        payload: &PutPayload,
        how: Publish,
    ) -> Result<PutResult> {
        let (mut file, staged) = self.stage(path).map_err(generic)?;
        if let Err(e) = payload.iter().try_for_each(|part| file.write_all(part)) {
            let _ = fs::remove_file(&staged);
            return Err(generic(e));
        }
        self.publish(&file, &staged, path, how)
    }

    pub(super) fn copy(&self, from: &FsPath, to: &FsPath, how: Publish) -> Result<()> {
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
