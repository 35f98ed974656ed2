//! Why a record could not become an event.

use std::fmt;

/// The reasons, as they stand in the quarantine's column `reason` and in
/// receipts. Codes are for programs and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The bytes are not UTF-8.
    InvalidUtf8,
    /// The text is not JSON.
    InvalidJson,
    /// Nothing but white space.
    Empty,
    /// Nested deeper than the limit.
    TooDeep,
    /// An object names a key twice, so that two readers may disagree about it.
    DuplicateKey,
    /// JSON, but no object.
    NotAnObject,
    /// Nobody says which account it belongs to.
    AccountMissing,
    /// What it names as its account cannot be one.
    AccountInvalid,
    /// It names an account that the sender may not write for, or did not name.
    AccountMismatch,
    /// An object of no format that Cairn knows.
    UnknownDialect,
    /// It claims to be one of Cairn's own events, which only Cairn writes.
    ReservedService,
    /// Larger than the limit on one event.
    TooLarge,
    /// It came by the topic that Cairn's own doors write to, and not from one.
    NoEnvelope,
    /// A record with more events than one may hold.
    TooManyEvents,
    /// A record that holds several events and breaks off, or does not
    /// decompress.
    InvalidBody,
    /// No record, but what stands for records that were gone before they were
    /// read.
    SourceGap,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 16] = [
        Self::InvalidUtf8,
        Self::InvalidJson,
        Self::Empty,
        Self::TooDeep,
        Self::DuplicateKey,
        Self::NotAnObject,
        Self::AccountMissing,
        Self::AccountInvalid,
        Self::AccountMismatch,
        Self::UnknownDialect,
        Self::ReservedService,
        Self::TooLarge,
        Self::NoEnvelope,
        Self::TooManyEvents,
        Self::InvalidBody,
        Self::SourceGap,
    ];

    /// The stable code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidJson => "invalid_json",
            Self::Empty => "empty",
            Self::TooDeep => "too_deep",
            Self::DuplicateKey => "duplicate_key",
            Self::NotAnObject => "not_an_object",
            Self::AccountMissing => "account_missing",
            Self::AccountInvalid => "account_invalid",
            Self::AccountMismatch => "account_mismatch",
            Self::UnknownDialect => "unknown_dialect",
            Self::ReservedService => "reserved_service",
            Self::TooLarge => "too_large",
            Self::NoEnvelope => "no_envelope",
            Self::TooManyEvents => "too_many_events",
            Self::InvalidBody => "invalid_body",
            Self::SourceGap => "source_gap",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A record that goes to quarantine: the reason, and one sentence for the
/// person who has to do something about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// The stable code.
    pub reason: Reason,
    /// What is wrong with this record, and what would be right.
    pub detail: String,
}

impl Refusal {
    /// A refusal for `reason`, told in one sentence.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }

    /// The refusal of a record of `size` bytes where `limit` is the most.
    pub fn too_large(size: usize, limit: usize) -> Self {
        Self::new(
            Reason::TooLarge,
            format!("the event has {size} bytes; the limit is {limit}"),
        )
    }
}
