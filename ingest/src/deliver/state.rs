//! What a follower holds between two commits of its table.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use cairn_schemas::{Micros, Partition, Position};
use cairn_store::table::Listing;
use tokio::time::Instant;

/// How far a follower may look ahead of what its table knows without a commit
/// that only says so: a restart reads as much again.
const LAG: i64 = 500_000;

/// One partition that this process looks after.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// Everything below was looked at.
    pub(super) scanned: i64,
    /// What was taken and is not delivered.
    pub(super) rows: Vec<RecordBatch>,
    pub(super) count: usize,
    pub(super) bytes: usize,
    /// When the oldest of them came.
    pub(super) since: Option<Instant>,
    /// Where history stood in it when it was taken over from nobody; `None` for
    /// what this process owns.
    pub(super) orphaned_at: Option<i64>,
}

/// What was last seen of a partition, and since when it has been so.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) head: i64,
    pub(super) at: i64,
    pub(super) since: Instant,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Where delivery begins where nothing was ever delivered.
    pub(super) start: Position,
    /// The newest list of the trail's table that is known to the claims, and
    /// where the table stands by it.
    pub(super) listing: Option<(Arc<Listing>, Position)>,
    pub(super) claims: BTreeMap<Partition, Claim>,
    pub(super) seen: BTreeMap<Partition, Seen>,
    /// A flush asked for everything below to be committed.
    pub(super) flush_to: Position,
    /// When the table was last asked what others committed.
    pub(super) refreshed: Option<Instant>,
    pub(super) last_delivery: Option<Micros>,
    pub(super) last_error: Option<String>,
}

/// What one commit of the trail's table is about.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) rows: Vec<RecordBatch>,
    pub(super) from: Position,
    pub(super) to: Position,
}

impl State {
    /// Where the table stands, as far as this follower knows.
    pub(super) fn position(&self) -> Position {
        self.listing
            .as_ref()
            .map(|l| l.1.clone())
            .unwrap_or_default()
    }

    /// The same in one partition.
    pub(super) fn at(&self, partition: &Partition) -> i64 {
        self.listing.as_ref().map_or(0, |l| l.1.of(partition))
    }

    /// The place from which nobody is known to have looked at `partition`.
    pub(super) fn from(&self, partition: &Partition) -> i64 {
        match self.claims.get(partition) {
            Some(claim) => claim.scanned,
            None => self.at(partition).max(self.start.of(partition)),
        }
    }

    /// How far everything was looked at, by this process or the one that
    /// delivered.
    pub(super) fn scanned(&self) -> Position {
        let mut scanned = self.position().of_records();
        scanned.merge(&self.start);
        for (partition, claim) in &self.claims {
            scanned.0.insert(partition.clone(), claim.scanned);
        }
        scanned
    }

    pub(super) fn pending_rows(&self) -> usize {
        self.claims.values().map(|c| c.count).sum()
    }

    pub(super) fn pending_bytes(&self) -> usize {
        self.claims.values().map(|c| c.bytes).sum()
    }

    pub(super) fn pending_since(&self) -> Option<Instant> {
        self.claims.values().filter_map(|c| c.since).min()
    }

    /// Takes `partition` in hand, from where the table stands.
    pub(super) fn claim(&mut self, partition: &Partition, orphaned_at: Option<i64>) {
        let scanned = self.from(partition);
        let claim = self.claims.entry(partition.clone()).or_default();
        claim.scanned = scanned;
        claim.orphaned_at = orphaned_at;
    }

    /// Lets go of what waits in `partition`: it is read again from the table's
    /// place.
    pub(super) fn begin_anew(&mut self, partition: &Partition) {
        let from = self.at(partition).max(self.start.of(partition));
        if let Some(claim) = self.claims.get_mut(partition) {
            *claim = Claim {
                scanned: from,
                orphaned_at: claim.orphaned_at,
                ..Claim::default()
            };
        }
    }

    /// Learns of a newer list. Where the table moved, somebody delivered: this
    /// process, an earlier try of it that landed after all, or another one.
    /// Whoever it was, what waits here was judged from the old place, so it is
    /// let go, in the same breath in which the list shows what took its place.
    /// Returns whether the table moved in a partition that is claimed here.
    pub(super) fn adopt(&mut self, listing: Arc<Listing>, position: Position) -> bool {
        let before = match &self.listing {
            Some((there, _)) if there.version >= listing.version => return false,
            Some((_, before)) => before.clone(),
            None => Position::default(),
        };
        self.listing = Some((listing, position));
        let moved: Vec<Partition> = self
            .claims
            .keys()
            .filter(|p| self.at(p) > before.of(p))
            .cloned()
            .collect();
        for partition in &moved {
            self.begin_anew(partition);
        }
        !moved.is_empty()
    }

    /// Adds what was looked at from `from` to `to`. `false`, and nothing is
    /// changed, if the follower no longer stands at `from`.
    pub(super) fn note(
        &mut self,
        partition: &Partition,
        from: i64,
        to: i64,
        taken: Vec<RecordBatch>,
    ) -> bool {
        let Some(claim) = self.claims.get_mut(partition) else {
            return false;
        };
        if claim.scanned != from {
            return false;
        }
        claim.scanned = to.max(from);
        for rows in taken {
            claim.count += rows.num_rows();
            claim.bytes += rows.get_array_memory_size();
            claim.since.get_or_insert_with(Instant::now);
            claim.rows.push(rows);
        }
        true
    }

    /// Up to where a commit could bring the table in `partition`: a start or a
    /// skipped part may lie beyond what history has, and a table must not stand
    /// ahead of history.
    fn reach(&self, partition: &Partition, head: &Position) -> i64 {
        self.from(partition).min(head.of(partition))
    }

    /// Whether a commit could move the table in `partition`.
    pub(super) fn moves(&self, partition: &Partition, head: &Position) -> bool {
        self.reach(partition, head) > self.at(partition)
    }

    /// What a commit has to hold now, on the condition that `version` is in
    /// force; `None` when there is nothing to say.
    pub(super) fn parcel(&self, version: i64, head: &Position) -> Option<Parcel> {
        let fence = Position::at(Partition::version(), version);
        let mut parcel = Parcel {
            rows: Vec::new(),
            from: fence.clone(),
            to: fence,
        };
        for (partition, claim) in &self.claims {
            if self.moves(partition, head) {
                let (at, to) = (self.at(partition), self.reach(partition, head));
                parcel.from.0.insert(partition.clone(), at);
                parcel.to.0.insert(partition.clone(), to);
                parcel.rows.extend(claim.rows.iter().cloned());
            }
        }
        (parcel.to.0.len() > 1).then_some(parcel)
    }

    /// Whether the table knows much less than was looked at.
    pub(super) fn lags(&self, head: &Position) -> bool {
        self.listing.is_some()
            && self
                .claims
                .keys()
                .any(|p| self.reach(p, head) - self.at(p) > LAG)
    }

    /// Notes where history and the table stand in `partition`, and tells for
    /// how long they have stood there.
    pub(super) fn still(&mut self, partition: &Partition, head: i64) -> Duration {
        let (at, now) = (self.at(partition), Instant::now());
        let since = now;
        let fresh = Seen { head, at, since };
        let seen = self.seen.entry(partition.clone()).or_insert(fresh);
        if (seen.head, seen.at) != (head, at) {
            *seen = Seen { head, at, since };
        }
        now - seen.since
    }
}
