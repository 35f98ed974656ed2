//! The embedded log: where "acknowledged" becomes "durable" on one machine.
//!
//! # The promise
//!
//! 1. When [`EmbeddedLog::append`] returns, the records are on the disk: they
//!    survive the death of the process and the loss of power.
//! 2. Every record has one offset, for ever. Offsets are consecutive.
//! 3. The records of one append are there together or not at all.
//! 4. A reader sees durable records only, in the order of their offsets, each
//!    once. Where records are gone it gets [`LogError::Trimmed`], never a
//!    silent skip.
//! 5. Opening the log either gives back every acknowledged record that was not
//!    trimmed, or refuses with [`LogError::Damaged`].
//!
//! What one file cannot tell: the loss of the newest bytes *after* they were
//! durable (somebody shortens the newest file or removes it, or a bit of the
//! very last group rots before the log was closed) looks like a torn write.
//! The log then warns and says how much it cut ([`EmbeddedLog::recovery`]).
//! Whoever follows the log finds it out: its position lies beyond
//! [`EmbeddedLog::end`], and [`EmbeddedLog::reader`] refuses it
//! ([`LogError::Ahead`]). After a clean [`EmbeddedLog::close`] a flipped bit is
//! found anywhere, because a closing mark follows the last group.
//!
//! # The mechanism, in the order of the data
//!
//! - `embedded`: the handle. `writer`: one thread gathers the appends that wait
//!   into a *group*, writes it with one write and one `fdatasync`, shows it to
//!   readers, answers.
//! - `frame`: one append is one frame. `segment`: frames lie in files of about
//!   64 MiB. `files`: the few file operations there are, so that tests can fail
//!   or tear each of them.
//! - `shared`: what is durable, and the newest groups in memory.
//! - `reader`: follows, from memory while it keeps up, from files otherwise.
//! - `trim`: removes whole segments that nobody needs any more.
//! - `recover`: what opening does. It runs at every start, not only after a
//!   crash.
//!
//! A file whose write or sync has failed once is never written or synced
//! again: after a failed `fsync` the kernel may mark the lost pages clean, and
//! the next `fsync` would succeed without having written them ("fsyncgate",
//! PostgreSQL wiki, *Fsync Errors*). The appends of that group are answered
//! with an error, and the next append begins a new segment, whose header says
//! how many bytes of the old one are durable. Recovery ignores what lies
//! beyond that length, and nothing else.
//!
//! # The format, version 1
//!
//! Numbers are little-endian. A CRC is CRC-32/ISO-HDLC: polynomial
//! `0x04C11DB7`, reflected, initial value and final xor `0xFFFFFFFF`, check
//! value `0xCBF43926` for the bytes `123456789`; the one of IEEE 802.3,
//! gzip (RFC 1952, section 8) and zlib.
//!
//! The folder holds `LOCK` (held with `flock` while the log is open) and
//! segments, `%020d.log`, named by the offset of their first record. A name
//! that ends in `.log.new` is a segment that was never finished.
//!
//! A segment begins with 64 bytes:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `CAIRNLOG` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | CRC of bytes 0..12 and 16..64 |
//! | 16 | 8 | offset of the first record, as in the name |
//! | 24 | 8 | first offset of the segment before, -1 where there is none |
//! | 32 | 8 | bytes of the segment before that are durable, 0 where there is none |
//! | 40 | 24 | zero |
//!
//! Frames follow without a gap. A frame begins with 48 bytes:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 4 | `CLFR` |
//! | 4 | 4 | CRC of bytes 8..48 |
//! | 8 | 2 | format version, 1 |
//! | 10 | 2 | kind: 0 records, 1 closing mark |
//! | 12 | 4 | length of the body |
//! | 16 | 4 | CRC of the body |
//! | 20 | 4 | number of records (0 in a closing mark) |
//! | 24 | 8 | offset of the first record (of the next one in a closing mark) |
//! | 32 | 8 | where this frame begins in its file |
//! | 40 | 8 | where the frame's group begins in the file |
//!
//! The body of a records frame is the length of the envelope (4 bytes), the
//! [`Envelope`] as JSON, and for each record its length (4 bytes) and its
//! bytes. A closing mark has no body.
//!
//! The group's place is what tells a torn write from damage. A group is
//! written only after everything before it was synced. So a frame that is
//! bad at byte P while some later frame's group begins beyond P is damage to
//! what was durable: refuse. If all that is readable later belongs to the same
//! group, the sync of that group may never have come back (the disk writes
//! pages in any order): nothing of it need have been acknowledged, so cut.

use std::fmt;

use bytes::Bytes;
use cairn_schemas::Micros;
use cairn_schemas::ids::AccountId;
use cairn_schemas::selector::Among;
use serde::{Deserialize, Serialize};

mod embedded;
mod error;
mod files;
mod frame;
mod reader;
mod recover;
mod segment;
mod shared;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
mod trim;
mod writer;

pub use embedded::EmbeddedLog;
pub use error::LogError;
pub use reader::LogReader;
pub use recover::Recovery;

/// What the door knew about the sender when it received a batch. It lies in
/// the log beside the events, so that a replay judges them as the first run
/// did, whatever became of the token since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// When the batch was received.
    pub received: Micros,
    /// The id of the token or source.
    pub sender: String,
    /// The accounts that the sender may write for.
    pub accounts: Among<AccountId>,
    /// The account that the sender named for events that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
}

/// Records that were appended together: one envelope, consecutive offsets.
#[derive(Clone)]
pub struct LogBatch {
    /// The sender's envelope.
    pub envelope: std::sync::Arc<Envelope>,
    /// The offset of the first payload.
    pub first: i64,
    /// The events, byte for byte as received.
    pub payloads: Vec<Bytes>,
}

impl LogBatch {
    /// One more than the offset of the last payload.
    pub fn next(&self) -> i64 {
        // A batch holds at most 2^32 records, so the length fits.
        self.first + self.payloads.len() as i64
    }
}

/// Without the payloads: event bodies have no place in a log line.
impl fmt::Debug for LogBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogBatch")
            .field("envelope", &self.envelope)
            .field("first", &self.first)
            .field("payloads", &self.payloads.len())
            .finish()
    }
}

/// How the log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// A segment that has reached this size is followed by a new one. What is
    /// trimmed goes in whole segments.
    pub segment_bytes: u64,
    /// The most that one append may take up on the disk, envelope and all.
    pub max_frame_bytes: usize,
    /// How much of the newest is kept in memory for readers. One group stays
    /// even where it is larger.
    pub ring_bytes: usize,
    /// The offset that an *empty* folder begins with. Whoever starts a new
    /// folder beside tables that already hold events must begin no lower than
    /// they stand, or the new events would be taken for old ones.
    pub first_offset: i64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            max_frame_bytes: 32 << 20,
            ring_bytes: 32 << 20,
            first_offset: 0,
        }
    }
}
