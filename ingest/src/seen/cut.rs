//! A [`Position`] by partition number: the same cut, without the names.

use cairn_schemas::{Partition, Position};

use super::key::Slot;

/// For each slot the next offset; slots beyond the end stand at 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cut(Vec<i64>);

impl Cut {
    pub(super) fn of(&self, slot: Slot) -> i64 {
        self.0.get(slot.index()).copied().unwrap_or(0)
    }

    /// Forward to `next`, never back.
    pub(super) fn advance(&mut self, slot: Slot, next: i64) {
        if self.of(slot) < next {
            self.set(slot, next);
        }
    }

    pub(super) fn set(&mut self, slot: Slot, next: i64) {
        if self.0.len() <= slot.index() {
            self.0.resize(slot.index() + 1, 0);
        }
        self.0[slot.index()] = next;
    }

    /// Whether everything that `other` covers is covered here.
    pub(super) fn reaches(&self, other: &Self) -> bool {
        let have = self.0.iter().chain(std::iter::repeat(&0));
        other
            .0
            .iter()
            .zip(have)
            .all(|(theirs, ours)| ours >= theirs)
    }

    /// Whether the place `offset` of `slot` lies before this cut.
    pub(super) fn covers(&self, slot: Slot, offset: i64) -> bool {
        offset < self.of(slot)
    }

    /// What both cover.
    pub(super) fn meet(&self, other: &Self) -> Self {
        Self(
            self.0
                .iter()
                .zip(&other.0)
                .map(|(a, b)| *a.min(b))
                .collect(),
        )
    }

    /// By name, with `partitions` in the order of their slots.
    pub(super) fn named(&self, partitions: &[Partition]) -> Position {
        let named = partitions
            .iter()
            .zip(&self.0)
            .filter(|(_, next)| **next > 0);
        Position(named.map(|(p, next)| (p.clone(), *next)).collect())
    }
}
