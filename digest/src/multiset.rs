//! A sum over a set of hashes that does not depend on their order.

/// The sum, mod 2^256, of the hashes added, and how many there were.
///
/// Two accumulators are equal when the same hashes went in, each as often, in
/// whatever order: so a compaction can show that it lost and repeated nothing.
/// It guards against mistakes, not against somebody who may choose the hashes:
/// a sum can be steered by choosing many terms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Multiset {
    /// Four words, the least significant first.
    words: [u64; 4],
    count: u64,
}

impl Multiset {
    /// The sum of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one hash, read as a big-endian number.
    pub fn add(&mut self, hash: &[u8; 32]) {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().rev().zip(hash.chunks_exact(8)) {
            *word = bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b));
        }
        self.add_words(words);
        self.count = self.count.wrapping_add(1);
    }

    /// Adds everything that went into `other`.
    pub fn merge(&mut self, other: &Self) {
        self.add_words(other.words);
        self.count = self.count.wrapping_add(other.count);
    }

    /// How many hashes went in.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum as a big-endian number.
    pub fn sum(&self) -> [u8; 32] {
        let mut out = [0; 32];
        for (bytes, word) in out.chunks_exact_mut(8).zip(self.words.iter().rev()) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        out
    }

    fn add_words(&mut self, words: [u64; 4]) {
        let mut carry = false;
        for (mine, theirs) in self.words.iter_mut().zip(words) {
            let (sum, over) = mine.overflowing_add(theirs);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            *mine = sum;
            carry = over || over_again;
        }
    }
}

#[cfg(test)]
mod tests;
