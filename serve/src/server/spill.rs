//! The folder for what queries write when they outgrow their memory.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest, Sha256};

use crate::config::Settings;

/// Makes the folder anew, empty and for its owner alone. `None` where nothing
/// may be spilled.
///
/// A query's files go with the query; those of a process that was killed lie
/// until the next start, which is now. Whoever calls this holds the data
/// folder, and the folder's name tells of no other: several servers may be
/// given one place for temporary files.
pub fn fresh_folder(settings: &Settings) -> anyhow::Result<Option<PathBuf>> {
    let folder = folder(settings);
    match fs::remove_dir_all(&folder) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            return Err(e).with_context(|| {
                format!(
                    "cannot clear {} of what an earlier run left: give query.spill_dir another folder",
                    folder.display()
                )
            });
        }
        _ => {}
    }
    if settings.query.spill_bytes == 0 {
        return Ok(None);
    }
    make(&folder).with_context(|| {
        format!(
            "cannot make the folder {} for temporary files: give query.spill_dir another one",
            folder.display()
        )
    })?;
    Ok(Some(folder))
}

fn folder(settings: &Settings) -> PathBuf {
    let data = &settings.data.dir;
    match &settings.query.spill_dir {
        None => data.join("spill"),
        Some(dir) => {
            let whose = hex::encode(Sha256::digest(data.as_os_str().as_encoded_bytes()));
            dir.join(format!("cairn-spill-{}", &whose[..16]))
        }
    }
}

fn make(folder: &Path) -> std::io::Result<()> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    // Not `recursive`: what somebody put there since it was cleared is not taken.
    fs::DirBuilder::new().mode(0o700).create(folder)
}

#[cfg(test)]
mod tests;
