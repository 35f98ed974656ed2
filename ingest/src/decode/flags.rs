//! What intake noticed about an event that it took all the same.

/// A set of notes, as in the column `flags`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u16);

/// The notes in the order in which they are listed.
const NAMES: [(Flags, &str); 8] = [
    (Flags::RW_DERIVED, "rw_derived"),
    (Flags::EVENT_TIME_MISSING, "event_time_missing"),
    (Flags::EVENT_TIME_INVALID, "event_time_invalid"),
    (Flags::EVENT_TIME_FUTURE, "event_time_future"),
    (Flags::EVENT_ID_GENERATED, "event_id_generated"),
    (Flags::ACCOUNT_FROM_SENDER, "account_from_sender"),
    (Flags::CONFLICTING_DUPLICATE, "conflicting_duplicate"),
    (Flags::VALUE_OUT_OF_RANGE, "value_out_of_range"),
];

impl Flags {
    /// No note.
    pub const NONE: Self = Self(0);
    /// Read or Write was derived from the event's name.
    pub const RW_DERIVED: Self = Self(1);
    /// The event names no time; the ingest time stands in its place.
    pub const EVENT_TIME_MISSING: Self = Self(1 << 1);
    /// The event's time is none; the ingest time stands in its place.
    pub const EVENT_TIME_INVALID: Self = Self(1 << 2);
    /// The event's time lies more than ten minutes ahead of the ingest time.
    pub const EVENT_TIME_FUTURE: Self = Self(1 << 3);
    /// The event names no id that can be kept; one was made.
    pub const EVENT_ID_GENERATED: Self = Self(1 << 4);
    /// The event names no account; the sender's stands in its place.
    pub const ACCOUNT_FROM_SENDER: Self = Self(1 << 5);
    /// Another event of the account has the same id and other bytes.
    pub const CONFLICTING_DUPLICATE: Self = Self(1 << 6);
    /// Some value fits no column; `raw` has it as received.
    pub const VALUE_OUT_OF_RANGE: Self = Self(1 << 7);

    /// Adds the notes of `other`.
    pub fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether every note of `other` is here.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is no note.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[cfg(test)]
    pub(crate) fn bit(bit: u32) -> Self {
        Self(1 << bit)
    }

    /// The names of the notes.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES
            .into_iter()
            .filter(move |(flag, _)| self.contains(*flag))
            .map(|(_, name)| name)
    }
}

impl std::ops::BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitAnd for Flags {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}
