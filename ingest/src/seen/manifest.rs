//! `seen.json`: which runs the index consists of, and up to where they cover
//! the log. A run that it doesn't list does not exist.
//!
//! Two lines: the CRC-32 of the second in hexadecimal, and the manifest.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use cairn_schemas::{Partition, Position};
use serde::{Deserialize, Serialize};

use super::error::SeenError;
use super::write::sync_folder_of;

pub(super) const NAME: &str = "seen.json";
const VERSION: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    version: u32,
    /// In the order of their slots. Entries name a partition by its slot, so
    /// a run means nothing without this list.
    pub(super) partitions: Vec<Partition>,
    /// Everything below is in the runs.
    pub(super) covered: Position,
    /// Oldest first.
    pub(super) runs: Vec<Listed>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) id: u64,
    pub(super) entries: u64,
    pub(super) footer_crc: u32,
    /// What a loss of the run takes `covered` back to.
    pub(super) from: Position,
}

impl Manifest {
    pub(super) fn new(partitions: Vec<Partition>, covered: Position, runs: Vec<Listed>) -> Self {
        Self {
            version: VERSION,
            partitions,
            covered,
            runs,
        }
    }

    /// The manifest in `folder`; `None` where there is none; and why it is
    /// none of ours, where it is not.
    pub(super) fn read(folder: &Path) -> Result<Option<Result<Self, &'static str>>, SeenError> {
        let path = folder.join(NAME);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(Self::parse(&bytes))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(SeenError::io("read", &path)(e)),
        }
    }

    fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let (crc, body) = bytes
            .split_at_checked(8)
            .and_then(|(crc, rest)| Some((crc, rest.strip_prefix(b"\n")?)))
            .ok_or("it is too short")?;
        if crc != format!("{:08x}", crc32fast::hash(body)).as_bytes() {
            return Err("its checksum is wrong");
        }
        let manifest: Self =
            serde_json::from_slice(body).map_err(|_| "it is not the index's manifest")?;
        if manifest.version != VERSION {
            return Err("it is of a version that this cairn does not know");
        }
        Ok(manifest)
    }

    /// Replaces the manifest in `folder`, durably. A crash before the rename
    /// leaves the old one, whose runs still exist; after it, the new one.
    pub(super) fn write(&self, folder: &Path) -> Result<(), SeenError> {
        let temporary = folder.join("seen.json.tmp");
        let path = folder.join(NAME);
        let write = || -> io::Result<()> {
            let body = serde_json::to_vec(self)?;
            let mut file = File::create(&temporary)?;
            writeln!(file, "{:08x}", crc32fast::hash(&body))?;
            file.write_all(&body)?;
            file.sync_all()
        };
        write().map_err(SeenError::io("write", &temporary))?;
        fs::rename(&temporary, &path).map_err(SeenError::io("replace", &path))?;
        sync_folder_of(&path)
    }
}
