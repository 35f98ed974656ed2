//! Why you may believe it: hashes of events, and sums of hashes that say
//! whether two sets of rows are the same set. Trees and proofs follow.
//!
//! Hashes are taken over the bytes as received, never over a form that a
//! parser wrote again: two parsers may disagree about what a text means, and
//! nobody can disagree about its bytes.

mod multiset;

pub use multiset::Multiset;

use sha2::{Digest, Sha256};

/// The SHA-256 hash (FIPS 180-4, section 6.2) of one event's bytes exactly as
/// received.
pub fn event_hash(raw: &[u8]) -> [u8; 32] {
    Sha256::digest(raw).into()
}

#[cfg(test)]
mod tests;
