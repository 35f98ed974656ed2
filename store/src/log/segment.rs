//! One file of the log: its name, its header, and how it comes to be.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{LogFile, LogFiles};

/// Bytes of a segment's header; the first frame follows.
pub(super) const HEADER: u64 = 64;
const MAGIC: [u8; 8] = *b"CAIRNLOG";
const VERSION: u32 = 1;
const SUFFIX: &str = ".log";
const UNFINISHED: &str = ".log.new";

/// What a segment says of the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Previous {
    /// Its first offset.
    pub(super) base: i64,
    /// How many of its bytes are durable. What lies beyond was never
    /// acknowledged.
    pub(super) bytes: u64,
}

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The offset of its first record.
    pub(super) base: i64,
    /// The segment before it; none for the first of a log.
    pub(super) previous: Option<Previous>,
}

/// Why 64 bytes are not a segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Other bytes.
    #[error("the segment's header does not match its checksum")]
    Crc,
    /// Another version.
    #[error("the segment has format {0}, which this cairn cannot read; run the newer one")]
    Version(u32),
}

impl Header {
    /// As it lies in the file.
    pub(super) fn encode(&self) -> [u8; HEADER as usize] {
        let (base, bytes) = self.previous.map_or((-1, 0), |p| (p.base, p.bytes));
        let mut out = [0; HEADER as usize];
        out[0..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[16..24].copy_from_slice(&self.base.to_le_bytes());
        out[24..32].copy_from_slice(&base.to_le_bytes());
        out[32..40].copy_from_slice(&bytes.to_le_bytes());
        let crc = checksum(&out);
        out[12..16].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The inverse.
    pub(super) fn decode(bytes: &[u8; HEADER as usize]) -> Result<Self, Fault> {
        let (four, eight) = (
            |at: usize| {
                u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
            },
            |at: usize| {
                let mut out = [0; 8];
                out.copy_from_slice(&bytes[at..at + 8]);
                u64::from_le_bytes(out)
            },
        );
        if bytes[0..8] != MAGIC || four(12) != checksum(bytes) {
            return Err(Fault::Crc);
        }
        if four(8) != VERSION {
            return Err(Fault::Version(four(8)));
        }
        let previous = Previous {
            base: eight(24).cast_signed(),
            bytes: eight(32),
        };
        Ok(Self {
            base: eight(16).cast_signed(),
            previous: (previous.base >= 0).then_some(previous),
        })
    }
}

fn checksum(header: &[u8; HEADER as usize]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[..12]);
    crc.update(&header[16..]);
    crc.finalize()
}

/// Where the segment that begins at `base` lies.
pub(super) fn path(dir: &Path, base: i64) -> PathBuf {
    dir.join(format!("{base:020}{SUFFIX}"))
}

/// What a name in the folder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A segment, by its first offset.
    Segment(i64),
    /// A segment that was never finished: rubbish.
    Unfinished,
    /// Not the log's.
    Other,
}

/// Reads a name.
pub(super) fn parse_name(name: &str) -> Name {
    let number = |digits: &str| {
        let plain = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse::<i64>().ok()).flatten()
    };
    if let Some(digits) = name.strip_suffix(UNFINISHED) {
        return number(digits).map_or(Name::Other, |_| Name::Unfinished);
    }
    let base = name.strip_suffix(SUFFIX).and_then(number);
    base.map_or(Name::Other, Name::Segment)
}

/// Makes a segment. When this returns well the file is durable, header, name
/// and all; when it fails it may be repeated with the same header, and with no
/// other one of the same base.
pub(super) fn create(
    files: &dyn LogFiles,
    dir: &Path,
    header: Header,
) -> io::Result<Arc<dyn LogFile>> {
    let finished = path(dir, header.base);
    let unfinished = dir.join(format!("{:020}{UNFINISHED}", header.base));
    // 1. Under a name that recovery throws away. A crash leaves rubbish.
    let file = files.create(&unfinished)?;
    file.write_at(&header.encode(), 0)?;
    // 2. The header is durable before the file has its name, so that a segment
    //    with a bad header is always damage, never a crash.
    file.sync_all()?;
    // 3. The name. It may already belong to a segment without a durable record
    //    whose first write failed: that one goes, and nothing with it. A crash
    //    leaves the old file or the new one; neither has an acknowledged record.
    files.rename(&unfinished, &finished)?;
    // 4. The name is durable. Only now may a record be acknowledged in it.
    files.sync_dir(dir)?;
    Ok(file)
}

#[cfg(test)]
mod tests;
