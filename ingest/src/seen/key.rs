//! What the index compares: fingerprints of an event's name and of its bytes,
//! and the place in the log where it stood.

use cairn_schemas::{AccountId, Micros};
use sha2::{Digest, Sha256};

/// The fingerprint of (account, event id): the first 16 bytes of SHA-256.
///
/// No key is mixed in, so that two hosts and a rebuild agree. To suppress
/// somebody else's event a sender would need a second preimage of both its key
/// and its content. What 2^64 work can buy is a collision between two events
/// that both are the sender's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeenKey(pub(super) u128);

impl SeenKey {
    /// The key of `event_id` in `account`.
    pub fn of(account: &AccountId, event_id: &str) -> Self {
        let account = account.as_str().as_bytes();
        let mut hash = Sha256::new();
        // The length in front keeps ("1", "23") and ("12", "3") apart.
        hash.update((account.len() as u64).to_le_bytes());
        hash.update(account);
        hash.update(event_id.as_bytes());
        Self(leading(&hash.finalize().into()))
    }
}

/// The fingerprint of an event's bytes as received: the first 16 bytes of
/// their SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub(super) u128);

impl ContentId {
    /// From the SHA-256 of the bytes, where it is known already.
    pub fn from_sha256(digest: &[u8; 32]) -> Self {
        Self(leading(digest))
    }

    /// From the bytes themselves.
    pub fn of(raw: &[u8]) -> Self {
        Self::from_sha256(&Sha256::digest(raw).into())
    }
}

fn leading(digest: &[u8; 32]) -> u128 {
    let (high, _) = digest.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
    u128::from_be_bytes(*high)
}

/// A partition as this index numbers it; see
/// [`SeenIndex::slot`](super::SeenIndex::slot). It means nothing in another
/// index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub(super) u16);

impl Slot {
    /// Fifteen bits: the sixteenth is an entry's flag on disk.
    pub(super) const MOST: usize = 1 << 15;

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Where one event stood in the log. Of two places in one partition the lower
/// (offset, item) is the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The partition.
    pub partition: Slot,
    /// The record's offset.
    pub offset: i64,
    /// Which event of the record; 0 where a record holds one.
    pub item: u16,
}

/// An event to be looked up and remembered.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Its name.
    pub key: SeenKey,
    /// Its bytes.
    pub content: ContentId,
    /// Where it stands.
    pub at: Place,
    /// When it was received; decides when it may be forgotten.
    pub ingest: Micros,
}

/// What an event is to those that came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The first of its key. Admit it.
    New,
    /// The same key and the same bytes came before, here. Don't admit it.
    Duplicate(Place),
    /// The same key came before, with other bytes only. Admit it, flagged
    /// `conflicting_duplicate`. The place is one of the others', where known.
    Conflict(Option<Place>),
}

impl Seen {
    /// Whether the event becomes a row of history.
    pub fn admits(&self) -> bool {
        !matches!(self, Self::Duplicate(_))
    }
}

/// One remembered event: the first of its (key, content). The derived order is
/// the order of entries in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) key: SeenKey,
    pub(super) content: ContentId,
    pub(super) at: Place,
    /// It was admitted as a conflict.
    pub(super) flagged: bool,
}

impl Entry {
    /// Bytes of an entry in a run.
    pub(super) const SIZE: usize = 44;
    const FLAG: u16 = 1 << 15;

    pub(super) fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        let slot = self.at.partition.0 | if self.flagged { Self::FLAG } else { 0 };
        out[..16].copy_from_slice(&self.key.0.to_be_bytes());
        out[16..32].copy_from_slice(&self.content.0.to_be_bytes());
        out[32..34].copy_from_slice(&slot.to_le_bytes());
        out[34..36].copy_from_slice(&self.at.item.to_le_bytes());
        out[36..].copy_from_slice(&self.at.offset.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8; Self::SIZE]) -> Self {
        let slot = u16::from_le_bytes(part(bytes, 32));
        Self {
            key: SeenKey(u128::from_be_bytes(part(bytes, 0))),
            content: ContentId(u128::from_be_bytes(part(bytes, 16))),
            at: Place {
                partition: Slot(slot & !Self::FLAG),
                offset: i64::from_le_bytes(part(bytes, 36)),
                item: u16::from_le_bytes(part(bytes, 34)),
            },
            flagged: slot & Self::FLAG != 0,
        }
    }
}

fn part<const N: usize>(bytes: &[u8; Entry::SIZE], from: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[from..from + N]);
    out
}

/// Gathers what is remembered of one candidate's key, and judges.
///
/// The rule, which [`super`] argues for:
///
/// 1. An entry at the candidate's own place is the candidate itself, or an
///    event whose offset was given out anew: never an earlier event.
/// 2. An entry at a later place of the same partition is not earlier.
/// 3. Every other entry is earlier: within a partition by offset, across
///    partitions because it was inserted first. But if the candidate itself
///    is remembered, other partitions are not asked again: what it was the
///    first time is written in its entry.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    content: ContentId,
    at: Place,
    /// The candidate's own entry, and its flag.
    own: Option<bool>,
    same: Before,
    other: Before,
}

/// An earlier place, in the candidate's partition and elsewhere.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    here: Option<Place>,
    elsewhere: Option<Place>,
}

impl Before {
    fn note(&mut self, entry: Place, candidate: Place) {
        if entry.partition != candidate.partition {
            self.elsewhere.get_or_insert(entry);
        } else if self.here.is_none_or(|known| entry < known) {
            self.here = Some(entry);
        }
    }

    fn any(&self) -> Option<Place> {
        self.here.or(self.elsewhere)
    }
}

impl Answer {
    pub(super) fn new(candidate: &Candidate) -> Self {
        Self {
            content: candidate.content,
            at: candidate.at,
            own: None,
            same: Before::default(),
            other: Before::default(),
        }
    }

    /// Takes in one entry of the candidate's key.
    pub(super) fn consider(&mut self, content: ContentId, at: Place, flagged: bool) {
        if at == self.at {
            if content == self.content {
                self.own = Some(flagged);
            }
            return;
        }
        if at.partition == self.at.partition && at > self.at {
            return;
        }
        if content == self.content {
            self.same.note(at, self.at);
        } else {
            self.other.note(at, self.at);
        }
    }

    pub(super) fn verdict(&self) -> Seen {
        if let Some(first) = self.same.here {
            return Seen::Duplicate(first);
        }
        match (self.own, self.same.elsewhere) {
            (Some(true), _) => Seen::Conflict(self.other.any()),
            (Some(false), _) => match self.other.here {
                Some(place) => Seen::Conflict(Some(place)),
                None => Seen::New,
            },
            (None, Some(first)) => Seen::Duplicate(first),
            (None, None) => match self.other.any() {
                Some(place) => Seen::Conflict(Some(place)),
                None => Seen::New,
            },
        }
    }

    /// Whether the candidate has an entry already.
    pub(super) fn remembered(&self) -> bool {
        self.own.is_some()
    }
}
