//! One append as bytes: a header of 48 bytes and a body. The layout stands in
//! the module above.

use std::ops::Range;

use bytes::Bytes;

/// Bytes of a frame's header.
pub(super) const HEADER: usize = 48;
/// What a frame begins with.
pub(super) const MAGIC: [u8; 4] = *b"CLFR";
const VERSION: u16 = 1;
const RECORDS: u16 = 0;
const CLOSING: u16 = 1;

/// Where a frame stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The offset of its first record.
    pub(super) first: i64,
    /// Where it begins in its file.
    pub(super) position: u64,
    /// Where its group begins in its file.
    pub(super) group: u64,
}

/// What a frame's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Where the frame stands.
    pub(super) place: Place,
    /// How many records it holds; none in a closing mark.
    pub(super) count: u32,
    body_len: u32,
    body_crc: u32,
    kind: u16,
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// No frame begins here.
    #[error("no frame begins here")]
    Magic,
    /// The header is not what was written.
    #[error("the frame's header does not match its checksum")]
    HeaderCrc,
    /// The bytes were written for another place in the file.
    #[error("the frame was written for another place")]
    Misplaced,
    /// The file ends inside of the frame.
    #[error("the file ends inside of the frame")]
    Short,
    /// The body is not what was written.
    #[error("the frame's body does not match its checksum")]
    BodyCrc,
    /// A whole frame whose format is unknown.
    #[error(
        "the frame has format {version}, kind {kind}, which this cairn cannot read; run the newer one"
    )]
    Unknown {
        /// Its version.
        version: u16,
        /// Its kind.
        kind: u16,
    },
    /// A whole frame with an offset that does not follow.
    #[error("the frame begins at offset {found}, {expected} should follow")]
    Offset {
        /// What it says.
        found: i64,
        /// What the frame before says.
        expected: i64,
    },
    /// A whole frame whose body makes no sense.
    #[error("the frame's checksum is right but its records cannot be told apart")]
    Content,
}

impl Fault {
    /// Whether a write that never finished can look like this. The others are
    /// whole frames, checksum and all, and so never a torn write.
    pub(super) fn may_be_torn(self) -> bool {
        !matches!(
            self,
            Fault::Unknown { .. } | Fault::Offset { .. } | Fault::Content
        )
    }
}

/// What a frame with this envelope and these records takes on the disk.
pub(super) fn len(envelope: &[u8], payloads: &[Bytes]) -> u64 {
    let records: u64 = payloads.iter().map(|p| 4 + p.len() as u64).sum();
    HEADER as u64 + 4 + envelope.len() as u64 + records
}

/// Appends one frame to `out`. The caller has checked with [`len`] that it is
/// less than 4 GiB.
pub(super) fn encode(out: &mut Vec<u8>, place: Place, envelope: &[u8], payloads: &[Bytes]) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    out.extend_from_slice(&(envelope.len() as u32).to_le_bytes());
    out.extend_from_slice(envelope);
    for payload in payloads {
        out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        out.extend_from_slice(payload);
    }
    let body = &out[start + HEADER..];
    let header = Header {
        place,
        count: payloads.len() as u32,
        body_len: body.len() as u32,
        body_crc: crc32fast::hash(body),
        kind: RECORDS,
    };
    out[start..start + HEADER].copy_from_slice(&header.encode());
}

/// The mark that a clean close leaves.
pub(super) fn closing_mark(place: Place) -> [u8; HEADER] {
    Header {
        place,
        count: 0,
        body_len: 0,
        body_crc: crc32fast::hash(&[]),
        kind: CLOSING,
    }
    .encode()
}

impl Header {
    fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[0..4].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[10..12].copy_from_slice(&self.kind.to_le_bytes());
        out[12..16].copy_from_slice(&self.body_len.to_le_bytes());
        out[16..20].copy_from_slice(&self.body_crc.to_le_bytes());
        out[20..24].copy_from_slice(&self.count.to_le_bytes());
        out[24..32].copy_from_slice(&self.place.first.to_le_bytes());
        out[32..40].copy_from_slice(&self.place.position.to_le_bytes());
        out[40..48].copy_from_slice(&self.place.group.to_le_bytes());
        let crc = crc32fast::hash(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the header of the frame at `position` of its file. The header is
    /// covered by its own checksum, so that the length can be trusted before
    /// the body is read.
    pub(super) fn decode(bytes: &[u8; HEADER], position: u64) -> Result<Self, Fault> {
        if bytes[0..4] != MAGIC {
            return Err(Fault::Magic);
        }
        if u32_at(bytes, 4) != crc32fast::hash(&bytes[8..]) {
            return Err(Fault::HeaderCrc);
        }
        let header = Self {
            place: Place {
                first: u64_at(bytes, 24).cast_signed(),
                position: u64_at(bytes, 32),
                group: u64_at(bytes, 40),
            },
            count: u32_at(bytes, 20),
            body_len: u32_at(bytes, 12),
            body_crc: u32_at(bytes, 16),
            kind: u16_at(bytes, 10),
        };
        if header.place.position != position || header.place.group > position {
            return Err(Fault::Misplaced);
        }
        let version = u16_at(bytes, 8);
        if version != VERSION || !matches!(header.kind, RECORDS | CLOSING) {
            return Err(Fault::Unknown {
                version,
                kind: header.kind,
            });
        }
        Ok(header)
    }

    /// Bytes of the body.
    pub(super) fn body_len(&self) -> usize {
        self.body_len as usize
    }

    /// Bytes of the whole frame.
    pub(super) fn frame_len(&self) -> u64 {
        HEADER as u64 + u64::from(self.body_len)
    }

    /// One more than the offset of the last record.
    pub(super) fn next(&self) -> i64 {
        self.place.first.saturating_add(i64::from(self.count))
    }

    /// Whether the frame holds records, not a mark.
    pub(super) fn has_records(&self) -> bool {
        self.kind == RECORDS
    }

    /// Whether `body` is what was written.
    pub(super) fn check_body(&self, body: &[u8]) -> Result<(), Fault> {
        if body.len() != self.body_len() {
            return Err(Fault::Short);
        }
        if crc32fast::hash(body) != self.body_crc {
            return Err(Fault::BodyCrc);
        }
        Ok(())
    }
}

/// Where the envelope and the records lie in a body: first the envelope, then
/// every record. Nothing is copied or allocated.
#[derive(Debug)]
pub(super) struct Spans<'a> {
    body: &'a [u8],
    at: usize,
}

/// Walks over a body.
pub(super) fn spans(body: &[u8]) -> Spans<'_> {
    Spans { body, at: 0 }
}

impl Spans<'_> {
    /// The next part; `None` at the end, [`Fault::Content`] where a length
    /// leads outside.
    pub(super) fn next_span(&mut self) -> Result<Option<Range<usize>>, Fault> {
        let rest = &self.body[self.at..];
        if rest.is_empty() {
            return Ok(None);
        }
        let Some((len, rest)) = rest.split_first_chunk::<4>() else {
            return Err(Fault::Content);
        };
        let len = u32::from_le_bytes(*len) as usize;
        if len > rest.len() {
            return Err(Fault::Content);
        }
        let start = self.at + 4;
        self.at = start + len;
        Ok(Some(start..start + len))
    }
}

/// The envelope's JSON and the records of a body that holds `count`, as slices
/// of it.
pub(super) fn split(body: &Bytes, count: u32) -> Result<(Range<usize>, Vec<Bytes>), Fault> {
    let mut spans = spans(body);
    let envelope = spans.next_span()?.ok_or(Fault::Content)?;
    // The count was checked with the header, yet it must not decide alone how
    // much memory is taken: a record takes at least 4 bytes of the body.
    let mut records = Vec::with_capacity((count as usize).min(body.len() / 4));
    while let Some(span) = spans.next_span()? {
        records.push(body.slice(span));
    }
    if records.len() != count as usize {
        return Err(Fault::Content);
    }
    Ok((envelope, records))
}

fn u16_at(bytes: &[u8; HEADER], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8; HEADER], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

fn u64_at(bytes: &[u8; HEADER], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

#[cfg(test)]
mod tests;
