//! Writes a run.
//!
//! 1. The entries go to `<n>.tmp`, which is synced. A crash leaves a file that
//!    the next open removes.
//! 2. It is renamed to `<n>.run`, and the folder is synced. A crash leaves a
//!    whole run that no manifest lists: removed likewise, and its entries are
//!    restored from history, for `covered` did not move.
//!
//! The manifest that lists the run is the index's part
//! ([`SeenIndex::finish`](super::SeenIndex::finish)).

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use cairn_schemas::Micros;

use super::cut::Cut;
use super::error::SeenError;
use super::key::Entry;
use super::run::{
    BLOCK, Footer, MAGIC, PER_BLOCK, Run, TagIndex, VERSION, bucket_of, buckets_for, tag_of,
};

/// A run that is being written. Entries come in their order.
#[derive(Debug)]
pub(super) struct RunWriter {
    id: u64,
    temporary: PathBuf,
    path: PathBuf,
    out: BufWriter<File>,
    block: Vec<u8>,
    index: TagIndex,
    buckets: usize,
    last: Option<Entry>,
    ends: Vec<i64>,
}

/// The least and the greatest ingest time.
pub(super) type Span = (Micros, Micros);

/// The name of run `id` while it is written (`tmp`) or whole (`run`).
pub(super) fn run_name(id: u64, extension: &str) -> String {
    format!("{id:016x}.{extension}")
}

impl RunWriter {
    /// Begins run `id` in `folder`, for at most `expected` entries.
    pub(super) fn begin(folder: &Path, id: u64, expected: usize) -> Result<Self, SeenError> {
        let temporary = folder.join(run_name(id, "tmp"));
        let file = File::create(&temporary).map_err(SeenError::io("create", &temporary))?;
        let buckets = buckets_for(expected);
        Ok(Self {
            id,
            path: folder.join(run_name(id, "run")),
            temporary,
            out: BufWriter::with_capacity(64 * BLOCK, file),
            block: Vec::with_capacity(BLOCK),
            index: TagIndex {
                tags: Vec::with_capacity(expected),
                starts: Vec::with_capacity(buckets + 1),
            },
            buckets,
            last: None,
            ends: Vec::new(),
        })
    }

    /// Adds an entry; one that repeats its predecessor is left out.
    pub(super) fn push(&mut self, entry: Entry) -> Result<(), SeenError> {
        if let Some(last) = self.last
            && (last.key, last.content, last.at) == (entry.key, entry.content, entry.at)
        {
            return Ok(());
        }
        self.last = Some(entry);
        let bucket = bucket_of(entry.key, self.buckets);
        let here = self.index.tags.len() as u32;
        if self.index.starts.len() <= bucket {
            self.index.starts.resize(bucket + 1, here);
        }
        self.index.tags.push(tag_of(entry.key));
        let slot = entry.at.partition.index();
        if self.ends.len() <= slot {
            self.ends.resize(slot + 1, 0);
        }
        self.ends[slot] = self.ends[slot].max(entry.at.offset.saturating_add(1));
        self.block.extend_from_slice(&entry.encode());
        if self.block.len() == PER_BLOCK * Entry::SIZE {
            self.end_block()?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), SeenError> {
        self.block.resize(BLOCK - 4, 0);
        let crc = crc32fast::hash(&self.block);
        self.block.extend_from_slice(&crc.to_le_bytes());
        let written = self.out.write_all(&self.block);
        self.block.clear();
        written.map_err(SeenError::io("write", &self.temporary))
    }

    /// Makes the run durable under its name, and opens it.
    pub(super) fn finish(mut self, from: Cut, ingest: Span) -> Result<Run, SeenError> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        let entries = self.index.tags.len();
        self.index.starts.resize(self.buckets + 1, entries as u32);
        let encoded = self.index.encode();
        let footer = Footer {
            entries: entries as u64,
            buckets: self.buckets as u64,
            min_ingest: ingest.0,
            max_ingest: ingest.1,
            ends: self.ends,
            index_crc: crc32fast::hash(&encoded),
        };
        let (tail, footer_crc) =
            tail_of(&footer).map_err(SeenError::io("write", &self.temporary))?;
        let written = self
            .out
            .write_all(&encoded)
            .and_then(|()| self.out.write_all(&tail))
            .and_then(|()| self.out.flush())
            // Step 1. After a failed sync nobody knows what is on the disk, so
            // this file is never synced again: a retry writes another.
            .and_then(|()| self.out.get_ref().sync_all());
        written.map_err(SeenError::io("write", &self.temporary))?;
        // Step 2.
        fs::rename(&self.temporary, &self.path)
            .map_err(SeenError::io("rename", &self.temporary))?;
        sync_folder_of(&self.path)?;
        let file = File::open(&self.path).map_err(SeenError::io("open", &self.path))?;
        let bytes = file
            .metadata()
            .map_err(SeenError::io("look at", &self.path))?
            .len();
        Ok(Run {
            id: self.id,
            path: self.path,
            footer,
            footer_crc,
            from,
            bytes,
            index: self.index,
            file,
        })
    }
}

/// The footer and the trailer, as written, and the footer's CRC.
fn tail_of(footer: &Footer) -> io::Result<(Vec<u8>, u32)> {
    let mut tail = serde_json::to_vec(footer)?;
    let length = tail.len() as u32;
    let crc = crc32fast::hash(&tail);
    for word in [length, crc, VERSION] {
        tail.extend_from_slice(&word.to_le_bytes());
    }
    tail.extend_from_slice(&MAGIC);
    Ok((tail, crc))
}

/// Makes a rename or a removal beside `path` durable.
pub(super) fn sync_folder_of(path: &Path) -> Result<(), SeenError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(SeenError::io("sync", folder))
}
