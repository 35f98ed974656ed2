//! The newest entries, in memory until they are written out as a run.

use std::collections::HashMap;

use ahash::RandomState;
use cairn_schemas::Micros;

use super::cut::Cut;
use super::key::{Answer, Candidate, ContentId, Entry, Place, SeenKey};

/// What is held of one entry beside its key.
#[derive(Clone, Copy, Debug)]
struct Held {
    content: ContentId,
    at: Place,
    flagged: bool,
}

/// A bounded table of entries, found by key.
#[derive(Debug)]
pub(super) struct Memtable {
    /// Where the log had been covered when this table was begun: what a loss
    /// of it takes the index back to.
    pub(super) from: Cut,
    /// The first entry of each key. The hasher is keyed, so a sender who grinds ids
    /// can't make them collide here.
    first: HashMap<SeenKey, Held, RandomState>,
    /// Further contents of a key, found by content: a flood of different
    /// bytes under one id must not make each look-up longer.
    more: HashMap<(SeenKey, ContentId), Held>,
    /// Of the keys in `more`: the ends of all their places.
    rivals: HashMap<SeenKey, Cut>,
    /// After the last place in each partition that an entry stands at.
    pub(super) ends: Cut,
    /// The span of ingest times.
    ingest: Option<(Micros, Micros)>,
}

impl Memtable {
    /// Room for `entries` is asked for at once, so that growth never doubles it.
    pub(super) fn new(from: Cut, entries: usize) -> Self {
        Self {
            from,
            first: HashMap::with_capacity_and_hasher(entries, RandomState::new()),
            more: HashMap::new(),
            rivals: HashMap::new(),
            ends: Cut::default(),
            ingest: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.first.len() + self.more.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// The span of ingest times; nothing where the table is empty.
    pub(super) fn ingest(&self) -> (Micros, Micros) {
        self.ingest.unwrap_or_default()
    }

    pub(super) fn consider(&self, candidate: &Candidate, answer: &mut Answer) {
        let Some(first) = self.first.get(&candidate.key) else {
            return;
        };
        answer.consider(first.content, first.at, first.flagged);
        if first.content != candidate.content
            && let Some(same) = self.more.get(&(candidate.key, candidate.content))
        {
            answer.consider(same.content, same.at, same.flagged);
        }
    }

    /// Remembers the candidate, unless its (key, content) is held.
    pub(super) fn insert(&mut self, candidate: &Candidate, flagged: bool) {
        let held = Held {
            content: candidate.content,
            at: candidate.at,
            flagged,
        };
        let first = self.first.entry(candidate.key).or_insert(held);
        if first.content != candidate.content {
            let name = (candidate.key, candidate.content);
            let at = self.more.entry(name).or_insert(held).at;
            let ends = self.rivals.entry(candidate.key).or_default();
            ends.advance(at.partition, at.offset.saturating_add(1));
        }
        let next = candidate.at.offset.saturating_add(1);
        self.ends.advance(candidate.at.partition, next);
        let (low, high) = self.ingest.unwrap_or((candidate.ingest, candidate.ingest));
        self.ingest = Some((low.min(candidate.ingest), high.max(candidate.ingest)));
    }

    /// Whether an entry of `key` stands at a place beyond `committed`.
    pub(super) fn holds_beyond(&self, key: SeenKey, committed: &Cut) -> bool {
        let Some(first) = self.first.get(&key) else {
            return false;
        };
        !committed.covers(first.at.partition, first.at.offset)
            || self
                .rivals
                .get(&key)
                .is_some_and(|ends| !committed.reaches(ends))
    }

    /// Every entry, in the order of a run.
    pub(super) fn sorted(&self) -> Vec<Entry> {
        let entry = |key: SeenKey, held: &Held| Entry {
            key,
            content: held.content,
            at: held.at,
            flagged: held.flagged,
        };
        let first = self.first.iter().map(|(key, held)| entry(*key, held));
        let more = self.more.iter().map(|((key, _), held)| entry(*key, held));
        let mut entries: Vec<Entry> = Vec::with_capacity(self.len());
        entries.extend(first.chain(more));
        entries.sort_unstable();
        entries
    }
}
