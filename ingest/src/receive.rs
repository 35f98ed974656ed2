//! Receive: from the bytes of a body to the bytes of single events.
//!
//! Pure functions, no protocol: [`decompress`], then [`split()`]. What a body
//! may cost is bounded first (bytes in, bytes out, events), and both run in
//! linear time and without recursion. Whether a piece is an event is not
//! decided here: [`crate::decode`] does that once its bytes are durable, so
//! that nothing which was received is judged before it is kept.

mod compress;
mod split;
mod structure;

use bytes::Bytes;

pub use compress::{Encoding, decompress};
pub use split::split;

/// What a body may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveLimits {
    /// The most bytes of a body as it comes in.
    pub max_compressed: usize,
    /// The most bytes that it may decompress to.
    pub max_body: usize,
    /// The most bytes of one event; a larger one is refused, the others not.
    pub max_event: usize,
    /// The most events of a body.
    pub max_events: usize,
    /// The most bytes that one compressed byte may become, once a body has
    /// become more than 16 MiB; below that any ratio is cheap.
    pub max_ratio: usize,
}

impl Default for ReceiveLimits {
    fn default() -> Self {
        Self {
            max_compressed: 64 << 20,
            max_body: 64 << 20,
            max_event: 1 << 20,
            max_events: 100_000,
            max_ratio: 1_000,
        }
    }
}

/// One event's bytes, or the place of one that is too large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The event byte for byte as received: a slice of the body wherever the
    /// event did not come escaped in a string.
    Event(Bytes),
    /// An event beyond [`ReceiveLimits::max_event`]: to be refused as
    /// `too_large`.
    TooLarge {
        /// Its place among the body's pieces, from 0.
        index: usize,
        /// Its bytes.
        size: usize,
    },
}

/// Why a body as a whole cannot be read. Nothing of it was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Nothing but white space.
    #[error("the body is empty")]
    Empty,
    /// Not one piece of it looks like JSON.
    #[error("the body is not JSON: nothing in it is an object or an array")]
    NotJson,
    /// It was compressed more than once.
    #[error("the body is compressed twice")]
    CompressedTwice,
    /// A document that spans lines, or an array, breaks off or contradicts
    /// itself, so that nobody can tell where its events begin and end.
    #[error("the JSON document breaks at line {line}, byte {byte} of the body")]
    Broken {
        /// The line, from 1.
        line: usize,
        /// The byte of the body, from 0.
        byte: usize,
    },
    /// The compressed stream is damaged, truncated, or needs too much memory.
    #[error("the body cannot be decompressed as {encoding}: {reason}")]
    Compression {
        /// What it was taken for.
        encoding: &'static str,
        /// What the decompressor says.
        reason: String,
    },
    /// The body begins otherwise than its declared encoding.
    #[error("the body is declared as {declared} and is {found}")]
    Encoding {
        /// What `Content-Encoding` says.
        declared: &'static str,
        /// What the first bytes say.
        found: &'static str,
    },
    /// Too many bytes.
    #[error("the body has more than {limit} bytes{when}")]
    TooLarge {
        /// The limit.
        limit: usize,
        /// Empty, or " when decompressed".
        when: &'static str,
    },
    /// Too many bytes out for the bytes in.
    #[error("the body grows more than {limit} times when decompressed")]
    Ratio {
        /// The limit.
        limit: usize,
    },
    /// Too many events.
    #[error("the body holds more than {limit} events")]
    TooManyEvents {
        /// The limit.
        limit: usize,
    },
}

impl BodyError {
    /// The code of the answer: `invalid_body` (400) or `too_large` (413).
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } | Self::Ratio { .. } | Self::TooManyEvents { .. } => "too_large",
            _ => "invalid_body",
        }
    }

    /// What the sender can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty | Self::NotJson => {
                "send one JSON event, a JSON array of events, NDJSON, or {\"Records\": [event, …]}, in UTF-8"
            }
            Self::CompressedTwice => "compress the body once, and name that in Content-Encoding",
            Self::Broken { .. } => "check that the whole document was sent and that it is JSON",
            Self::Compression { .. } => "check that the whole stream was sent",
            Self::Encoding { .. } => "let Content-Encoding name what the body is: gzip or zstd",
            Self::TooLarge { .. } | Self::Ratio { .. } | Self::TooManyEvents { .. } => {
                "send the events in several bodies"
            }
        }
    }
}
