//! What a crash leaves of a write to local disk, and its removal; and links,
//! which have no place there.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::SystemTime;

/// What stands between the final name and a number in the name of a hidden
/// file. `LocalFileSystem` lists no name that ends in `#` and digits, but
/// others may give such names too; this part says that the file is ours.
pub(super) const STAGED: &str = ".cairn-staged#";

/// Walks everything under `folder` and refuses links.
pub(super) fn refuse_links(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let path = entry.path();
        if kind.is_symlink() {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "{} is a symbolic link, and what is stored must stay under its folder; remove the link",
                    path.display()
                ),
            ));
        }
        if kind.is_dir() {
            refuse_links(&path)?;
        }
    }
    Ok(())
}

/// Removes what a crash left of writes into the folders right below `parent`
/// whose names `own` knows, where it is older than `before`.
pub(super) fn sweep(parent: &Path, own: fn(&str) -> bool, before: SystemTime) -> io::Result<()> {
    for folder in fs::read_dir(parent)? {
        let folder = folder?;
        // Of the entry itself: a link is no folder, and never followed.
        let is_folder = folder.file_type()?.is_dir();
        if is_folder && folder.file_name().to_str().is_some_and(own) {
            sweep_folder(&folder.path(), before)?;
        }
    }
    Ok(())
}

fn sweep_folder(folder: &Path, before: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if !entry.file_type()?.is_file() || !is_staged(&path) {
            continue;
        }
        // A write that is just done takes its file away by itself.
        let modified = entry.metadata().and_then(|m| m.modified());
        if modified.is_ok_and(|at| at < before) && fs::remove_file(&path).is_ok() {
            tracing::info!(path = %path.display(), "abandoned file removed");
        }
    }
    Ok(())
}

/// Whether writers give such names.
fn is_staged(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str());
    name.and_then(|n| n.rsplit_once(STAGED))
        .is_some_and(|(name, number)| {
            !name.is_empty() && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
        })
}
