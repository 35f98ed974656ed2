//! A log in memory, with partitions that move between its members: what Kafka
//! and its group are to Cairn, for tests that decide who owns what, when it is
//! told, and who does not listen.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cairn_schemas::{Partition, Position};
use cairn_store::log::Envelope;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Received, Record, Source, SourceError, Taken};

/// The log and its group. Clones are the same log.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog {
    inner: Arc<Mutex<Inner>>,
    /// Counts whatever happens, for members that wait.
    moved: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct Inner {
    partitions: BTreeMap<Partition, Vec<(Arc<Envelope>, Bytes)>>,
    members: BTreeMap<usize, Member>,
}

#[derive(Debug, Default)]
struct Member {
    owned: BTreeSet<Partition>,
    /// Counts the assignments.
    generation: u64,
    /// It does not notice that it owns something else now.
    deaf: bool,
}

impl MemoryLog {
    /// Appends records, one event each. Returns their offsets.
    pub fn append(
        &self,
        partition: &Partition,
        envelope: &Arc<Envelope>,
        records: Vec<Bytes>,
    ) -> Range<i64> {
        let mut inner = self.inner.lock();
        let log = inner.partitions.entry(partition.clone()).or_default();
        let first = log.len() as i64;
        log.extend(records.into_iter().map(|r| (Arc::clone(envelope), r)));
        let range = first..log.len() as i64;
        drop(inner);
        self.moved.send_modify(|n| *n += 1);
        range
    }

    /// Where each partition ends.
    pub fn end(&self) -> Position {
        let inner = self.inner.lock();
        let ends = inner.partitions.iter();
        Position(ends.map(|(p, log)| (p.clone(), log.len() as i64)).collect())
    }

    /// The records of `partition`, in order.
    pub fn records(&self, partition: &Partition) -> Vec<Bytes> {
        let inner = self.inner.lock();
        let log = inner.partitions.get(partition).into_iter().flatten();
        log.map(|(_, bytes)| bytes.clone()).collect()
    }

    /// Gives `member` other partitions. It is told so by [`Taken::Changed`],
    /// unless it is deaf. Nobody checks that no other has them too.
    pub fn assign(&self, member: usize, owned: BTreeSet<Partition>) {
        let mut inner = self.inner.lock();
        let member = inner.members.entry(member).or_default();
        member.owned = owned;
        member.generation += 1;
        drop(inner);
        self.moved.send_modify(|n| *n += 1);
    }

    /// Whether `member` goes on with what it had, whatever it is assigned: a
    /// process that was paused, or that the group has lost.
    pub fn deafen(&self, member: usize, deaf: bool) {
        self.inner.lock().members.entry(member).or_default().deaf = deaf;
        self.moved.send_modify(|n| *n += 1);
    }

    /// What `member` reads.
    pub fn source(&self, member: usize) -> MemorySource {
        MemorySource {
            log: self.clone(),
            member,
            begun: None,
            at: BTreeMap::new(),
            turn: 0,
        }
    }
}

/// One member's source.
#[derive(Debug)]
pub struct MemorySource {
    log: MemoryLog,
    member: usize,
    /// The assignment that it began with.
    begun: Option<u64>,
    at: BTreeMap<Partition, i64>,
    turn: usize,
}

impl MemorySource {
    /// What there is now; `None` where there is nothing.
    fn take(&mut self, max_bytes: usize) -> Option<Taken> {
        let inner = self.log.inner.lock();
        let now = inner.members.get(&self.member);
        let deaf = now.is_some_and(|m| m.deaf);
        if self.begun.is_none() || (!deaf && self.begun != now.map(|m| m.generation)) {
            return Some(Taken::Changed);
        }
        let count = self.at.len();
        for n in 0..count {
            let (partition, at) = self.at.iter_mut().nth((self.turn + n) % count)?;
            let log = inner
                .partitions
                .get(partition)
                .map_or(&[][..], Vec::as_slice);
            let first = *at;
            let rest = log.get(usize::try_from(first).ok()?..).unwrap_or_default();
            let Some((envelope, _)) = rest.first() else {
                continue;
            };
            let (mut records, mut bytes) = (Vec::new(), 0);
            for (theirs, record) in rest {
                if !Arc::ptr_eq(theirs, envelope) || (bytes > 0 && bytes + record.len() > max_bytes)
                {
                    break;
                }
                bytes += record.len();
                records.push(Record {
                    offset: *at,
                    item: 0,
                    bytes: record.clone(),
                    refusal: None,
                    origin: None,
                });
                *at += 1;
            }
            self.turn += n + 1;
            return Some(Taken::Records(vec![Received {
                partition: partition.clone(),
                first,
                next: *at,
                envelope: Arc::clone(envelope),
                records,
                mark: None,
            }]));
        }
        None
    }
}

#[async_trait]
impl Source for MemorySource {
    async fn begin(&mut self, committed: &Position) -> Result<BTreeSet<Partition>, SourceError> {
        let mut inner = self.log.inner.lock();
        let member = inner.members.entry(self.member).or_default();
        let owned = match (member.deaf, self.begun) {
            // It still takes for its own what it had.
            (true, Some(_)) => self.at.keys().cloned().collect(),
            _ => {
                self.begun = Some(member.generation);
                member.owned.clone()
            }
        };
        let begins = owned.iter().map(|p| (p.clone(), committed.of(p)));
        self.at = begins.collect();
        Ok(owned)
    }

    async fn next(&mut self, max_bytes: usize) -> Result<Taken, SourceError> {
        let mut moved = self.log.moved.subscribe();
        loop {
            moved.borrow_and_update();
            if let Some(taken) = self.take(max_bytes) {
                return Ok(taken);
            }
            // The log lives as long as this source: it cannot be closed.
            let _ = moved.changed().await;
        }
    }
}
