//! A run: an immutable file of entries sorted by (key, content), with a tag
//! index that is held in memory.
//!
//! ```text
//! block*    93 entries of 44 bytes, CRC-32 of them: 4096 bytes in all
//! tags      u16 for each entry, little-endian
//! starts    u32 for each bucket and one more: the index of its first entry
//! footer    JSON: counts, ingest times, CRC-32 of tags and starts
//! trailer   footer length, footer CRC-32, version (u32 each), magic (8 bytes)
//! ```
//!
//! Keys are uniform, so the top bits of a key choose its bucket (32 entries on
//! average) and its low 16 bits are its tag. A key that is not in the run meets
//! its own tag in its bucket once in 2048 look-ups; only then, and for a key
//! that is there, a block is read. The tag's index *is* the entry's index, so
//! the filter and the index of the file are one structure of 2.1 bytes an entry.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use cairn_schemas::Micros;
use serde::{Deserialize, Serialize};

use super::cut::Cut;
use super::error::SeenError;
use super::key::{Answer, Candidate, Entry, SeenKey};

/// Bytes of a block.
pub(super) const BLOCK: usize = 4096;
/// Entries of a block.
pub(super) const PER_BLOCK: usize = (BLOCK - 4) / Entry::SIZE;
/// Entries of a bucket, on average.
const PER_BUCKET: usize = 32;
/// How many contents of one key are read one by one before the search for the
/// candidate's own goes by halves.
const NEAR: usize = 8;

pub(super) const MAGIC: [u8; 8] = *b"cairnrun";
pub(super) const VERSION: u32 = 1;
pub(super) const TRAILER: usize = 20;

/// What a run says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Footer {
    pub(super) entries: u64,
    pub(super) buckets: u64,
    pub(super) min_ingest: Micros,
    pub(super) max_ingest: Micros,
    /// For each slot one more than the greatest offset.
    pub(super) ends: Vec<i64>,
    /// CRC-32 of the tags and the starts.
    pub(super) index_crc: u32,
}

/// Why a file is no run of ours.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Bad(&'static str),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The tags of a run and where its buckets begin.
#[derive(Debug)]
pub(super) struct TagIndex {
    pub(super) tags: Vec<u16>,
    /// One more than there are buckets.
    pub(super) starts: Vec<u32>,
}

/// How many buckets a run is given for at most `entries` entries.
pub(super) fn buckets_for(entries: usize) -> usize {
    entries.div_ceil(PER_BUCKET).max(1)
}

/// The bucket of `key`. Grows with the key, so buckets are runs of entries.
pub(super) fn bucket_of(key: SeenKey, buckets: usize) -> usize {
    let high = key.0 >> 64;
    ((high * buckets as u128) >> 64) as usize
}

/// The tag of `key`: bits that its bucket does not depend on.
pub(super) fn tag_of(key: SeenKey) -> u16 {
    (key.0 & 0xffff) as u16
}

impl TagIndex {
    /// The entries of the bucket of `key`.
    pub(super) fn bucket(&self, key: SeenKey) -> Range<usize> {
        let bucket = bucket_of(key, self.starts.len() - 1);
        self.starts[bucket] as usize..self.starts[bucket + 1] as usize
    }

    /// The entries of its `bucket` that may be of `key`: from the first with
    /// its tag on. None in all but one of 2048 look-ups in vain.
    pub(super) fn probe(&self, key: SeenKey, bucket: Range<usize>) -> Option<Range<usize>> {
        let tag = tag_of(key);
        let tags = &self.tags[bucket.clone()];
        // Without an early exit, so that the compiler compares many at once.
        if !tags.iter().fold(false, |hit, t| hit | (*t == tag)) {
            return None;
        }
        let first = tags.iter().position(|t| *t == tag)?;
        Some(bucket.start + first..bucket.end)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.tags.len() * 2 + self.starts.len() * 4);
        self.tags.iter().for_each(|t| out.extend(t.to_le_bytes()));
        self.starts.iter().for_each(|s| out.extend(s.to_le_bytes()));
        out
    }

    fn decode(bytes: &[u8], entries: usize) -> Result<Self, Fault> {
        let (tags, starts) = bytes.split_at(entries * 2);
        let (tags, _) = tags.as_chunks::<2>();
        let (starts, _) = starts.as_chunks::<4>();
        let index = Self {
            tags: tags.iter().map(|t| u16::from_le_bytes(*t)).collect(),
            starts: starts.iter().map(|s| u32::from_le_bytes(*s)).collect(),
        };
        let ends_right = index.starts.last().is_some_and(|s| *s as usize == entries);
        if !ends_right || !index.starts.is_sorted() {
            return Err(Fault::Bad("its tag index contradicts itself"));
        }
        Ok(index)
    }
}

/// An open run.
#[derive(Debug)]
pub(super) struct Run {
    /// Its number, and its name's.
    pub(super) id: u64,
    pub(super) path: PathBuf,
    pub(super) footer: Footer,
    pub(super) footer_crc: u32,
    /// What a loss of this run takes the index back to.
    pub(super) from: Cut,
    pub(super) bytes: u64,
    pub(super) index: TagIndex,
    pub(super) file: File,
}

/// The block that was read last. Neighbouring entries come from it.
#[derive(Debug)]
pub(super) struct BlockBuffer {
    holds: Option<(u64, usize)>,
    bytes: Box<[u8; BLOCK]>,
    /// Blocks read so far.
    pub(super) reads: u64,
}

impl Default for BlockBuffer {
    fn default() -> Self {
        Self {
            holds: None,
            bytes: Box::new([0; BLOCK]),
            reads: 0,
        }
    }
}

impl Run {
    /// Opens the run at `path`. The blocks are checked when they are read.
    pub(super) fn open(path: &Path, id: u64, from: Cut) -> Result<Self, Fault> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let trailer_at = bytes
            .checked_sub(TRAILER as u64)
            .ok_or(Fault::Bad("it is too short"))?;
        let mut trailer = [0; TRAILER];
        file.read_exact_at(&mut trailer, trailer_at)?;
        if trailer[12..] != MAGIC {
            return Err(Fault::Bad("it does not end as a run does"));
        }
        let (words, _) = trailer.as_chunks::<4>();
        let [length, footer_crc, version] = [0, 1, 2].map(|i| u32::from_le_bytes(words[i]));
        if version != VERSION {
            return Err(Fault::Bad(
                "it is of a version that this cairn does not know",
            ));
        }
        let footer_at = trailer_at
            .checked_sub(u64::from(length))
            .ok_or(Fault::Bad("its footer is longer than the file"))?;
        let mut footer = vec![0; length as usize];
        file.read_exact_at(&mut footer, footer_at)?;
        if crc32fast::hash(&footer) != footer_crc {
            return Err(Fault::Bad("its footer's checksum is wrong"));
        }
        let footer: Footer = serde_json::from_slice(&footer)
            .map_err(|_| Fault::Bad("its footer is not one of a run"))?;
        let index = read_index(&file, &footer, footer_at)?;
        Ok(Self {
            id,
            path: path.to_owned(),
            footer,
            footer_crc,
            from,
            bytes,
            index,
            file,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.index.tags.len()
    }

    /// Shows `answer` the entries of the candidate's key. `within` is what
    /// [`TagIndex::probe`] gave.
    ///
    /// Of a key with a flood of contents it shows the first few and, found by
    /// halves, the candidate's own: enough for the verdict, in bounded reads.
    pub(super) fn consider(
        &self,
        candidate: &Candidate,
        within: Range<usize>,
        buffer: &mut BlockBuffer,
        answer: &mut Answer,
    ) -> Result<(), SeenError> {
        let tag = tag_of(candidate.key);
        let mut at = within.start;
        while at < within.end {
            if self.index.tags[at] == tag {
                let entry = self.entry(at, buffer)?;
                if entry.key == candidate.key {
                    break;
                }
                if entry.key > candidate.key {
                    return Ok(());
                }
            }
            at += 1;
        }
        let near = within.end.min(at + NEAR);
        while at < near {
            let entry = self.entry(at, buffer)?;
            if entry.key != candidate.key {
                return Ok(());
            }
            answer.consider(entry.content, entry.at, entry.flagged);
            at += 1;
        }
        let wanted = (candidate.key, candidate.content);
        let mut end = within.end;
        while at < end {
            let middle = at + (end - at) / 2;
            let entry = self.entry(middle, buffer)?;
            if (entry.key, entry.content) < wanted {
                at = middle + 1;
            } else {
                end = middle;
            }
        }
        while at < within.end {
            let entry = self.entry(at, buffer)?;
            if (entry.key, entry.content) != wanted {
                break;
            }
            answer.consider(entry.content, entry.at, entry.flagged);
            at += 1;
        }
        Ok(())
    }

    fn entry(&self, index: usize, buffer: &mut BlockBuffer) -> Result<Entry, SeenError> {
        let block = index / PER_BLOCK;
        if buffer.holds != Some((self.id, block)) {
            buffer.holds = None;
            self.read_blocks(block, &mut buffer.bytes[..])?;
            buffer.holds = Some((self.id, block));
            buffer.reads += 1;
        }
        Ok(entry_of(&buffer.bytes, index % PER_BLOCK))
    }

    /// Reads and checks whole blocks from `first` on.
    pub(super) fn read_blocks(&self, first: usize, into: &mut [u8]) -> Result<(), SeenError> {
        let at = (first * BLOCK) as u64;
        match self.file.read_exact_at(into, at) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(self.damaged("it was cut short"));
            }
            Err(e) => return Err(SeenError::io("read", &self.path)(e)),
        }
        let (blocks, _) = into.as_chunks::<BLOCK>();
        for block in blocks {
            let (entries, crc) = block.split_at(BLOCK - 4);
            if crc32fast::hash(entries).to_le_bytes() != *crc {
                return Err(self.damaged("a block's checksum is wrong"));
            }
        }
        Ok(())
    }

    fn damaged(&self, why: &'static str) -> SeenError {
        SeenError::Damaged {
            file: self.path.clone(),
            why,
        }
    }
}

/// The entry at `index` of a block.
pub(super) fn entry_of(block: &[u8; BLOCK], index: usize) -> Entry {
    let (entries, _) = block.as_chunks::<{ Entry::SIZE }>();
    Entry::decode(&entries[index])
}

fn read_index(file: &File, footer: &Footer, footer_at: u64) -> Result<TagIndex, Fault> {
    const WRONG: Fault = Fault::Bad("its size contradicts its footer");
    // Within these bounds nothing below overflows, whatever the file says.
    let most = u64::from(u32::MAX);
    if footer.entries > most || footer.buckets > most || footer.buckets == 0 {
        return Err(WRONG);
    }
    let index_at = footer.entries.div_ceil(PER_BLOCK as u64) * BLOCK as u64;
    let length = footer.entries * 2 + (footer.buckets + 1) * 4;
    if index_at + length != footer_at {
        return Err(WRONG);
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| WRONG)?];
    file.read_exact_at(&mut bytes, index_at)?;
    if crc32fast::hash(&bytes) != footer.index_crc {
        return Err(Fault::Bad("its tag index's checksum is wrong"));
    }
    TagIndex::decode(&bytes, usize::try_from(footer.entries).map_err(|_| WRONG)?)
}
