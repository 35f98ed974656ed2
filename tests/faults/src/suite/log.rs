//! A log in memory that several processes read, and who of them reads what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cairn_ingest::source::{Received, Record, Source, SourceError, Taken};
use cairn_schemas::selector::Among;
use cairn_schemas::{Micros, Partition, Position};
use cairn_store::log::Envelope;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::tables::partition;
use crate::{DAWN, Rng};

pub(super) const ACCOUNT: &str = "111111111111";

/// One record that was produced.
#[derive(Clone, Debug)]
pub(super) struct Produced {
    pub(super) offset: i64,
    pub(super) bytes: Bytes,
    /// The event's id; `None` for what is no event.
    pub(super) id: Option<String>,
    /// Milliseconds after the beginning at which it is there.
    at: u64,
}

/// Every partition's records, and who owns which partition when.
#[derive(Debug)]
pub(super) struct Log {
    records: BTreeMap<i32, Vec<Produced>>,
    start: tokio::time::Instant,
    owners: watch::Sender<Owners>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Owners {
    generation: u64,
    of: BTreeMap<i32, usize>,
}

/// A read where the name's last digit is even, else a write.
fn event(id: &str, name: &str) -> Bytes {
    let rw = match name.ends_with(['0', '2', '4', '6', '8']) {
        true => "Read",
        false => "Write",
    };
    Bytes::from(format!(
        r#"{{"eventId":"{id}","eventName":"{name}","eventRW":"{rw}","acsRegion":"cn-hangzhou","serviceName":"Ecs","eventTime":"2040-06-21T00:00:00Z","recipientAccountId":"{ACCOUNT}","eventCategory":"Management"}}"#
    ))
}

impl Log {
    /// `partitions` partitions of `each` records. Some events are there twice,
    /// in one partition or in two; some ids are there with other bytes; some
    /// records are no events; some offsets have no record.
    pub(super) fn new(partitions: i32, each: usize, rng: &mut Rng) -> Arc<Self> {
        let mut records: BTreeMap<i32, Vec<Produced>> = BTreeMap::new();
        let mut earlier: Vec<(String, Bytes)> = Vec::new();
        for n in 0..each {
            for number in 0..partitions {
                let all = records.entry(number).or_default();
                let hole = i64::from(rng.happens(100)) * (1 + rng.below(3) as i64);
                let offset = all.last().map_or(0, |r| r.offset + 1) + hole;
                let id = format!("id-{number}-{n}");
                let (id, bytes) = match rng.below(10) {
                    0 => (None, Bytes::from(format!("{{\"broken\": {number}.{n}"))),
                    1 | 2 if !earlier.is_empty() => {
                        let (id, bytes) = rng.pick(&earlier).clone();
                        (Some(id), bytes)
                    }
                    3 if !earlier.is_empty() => {
                        let (id, _) = rng.pick(&earlier).clone();
                        let bytes = event(&id, &format!("Other{number}x{n}"));
                        (Some(id), bytes)
                    }
                    _ => {
                        let bytes = event(&id, &format!("Op{n}"));
                        (Some(id), bytes)
                    }
                };
                if let Some(id) = &id {
                    earlier.push((id.clone(), bytes.clone()));
                }
                all.push(Produced {
                    offset,
                    bytes,
                    id,
                    at: n as u64 * 900,
                });
            }
        }
        Arc::new(Self {
            records,
            start: tokio::time::Instant::now(),
            owners: watch::Sender::default(),
        })
    }

    pub(super) fn records(&self) -> impl Iterator<Item = (i32, &Produced)> {
        let all = self.records.iter();
        all.flat_map(|(number, records)| records.iter().map(move |r| (*number, r)))
    }

    /// Where every partition ends.
    pub(super) fn goal(&self) -> Position {
        let ends = self.records.iter().map(|(number, records)| {
            let next = records.last().map_or(0, |r| r.offset + 1);
            (partition(*number), next)
        });
        Position(ends.collect())
    }

    /// Where every partition ends now: what was produced lies before it.
    pub(super) fn end(&self) -> Position {
        let passed = self.start.elapsed().as_millis() as u64;
        let ends = self.records.iter().map(|(number, records)| {
            let there = records.iter().take_while(|r| r.at <= passed);
            (partition(*number), there.last().map_or(0, |r| r.offset + 1))
        });
        Position(ends.collect())
    }

    /// From now on partition `n` is read by process `owners[n]`.
    pub(super) fn assign(&self, owners: &[usize]) {
        self.owners.send_modify(|o| {
            o.generation += 1;
            o.of = (0..).zip(owners.iter().copied()).collect();
        });
    }

    pub(super) fn source(self: &Arc<Self>, process: usize, rng: Rng) -> MemorySource {
        MemorySource {
            log: Arc::clone(self),
            owners: self.owners.subscribe(),
            process,
            begun: None,
            at: BTreeMap::new(),
            rng,
            asleep_until: None,
        }
    }
}

/// The log as one process reads it.
#[derive(Debug)]
pub(super) struct MemorySource {
    log: Arc<Log>,
    owners: watch::Receiver<Owners>,
    process: usize,
    /// The generation of owners that it began with.
    begun: Option<u64>,
    at: BTreeMap<i32, i64>,
    rng: Rng,
    /// A process that does not notice that its partitions moved.
    asleep_until: Option<tokio::time::Instant>,
}

impl MemorySource {
    /// What changes of owners it does not notice for so long.
    pub(super) fn not_noticing(mut self, seconds: u64) -> Self {
        self.asleep_until = Some(tokio::time::Instant::now() + Duration::from_secs(seconds));
        self
    }

    /// When something may be there next.
    fn next_at(&self, notices: bool) -> tokio::time::Instant {
        let mine = self.at.iter().filter_map(|(number, first)| {
            let mut all = self.log.records[number].iter();
            let next = all.find(|r| r.offset >= *first)?;
            Some(self.log.start + Duration::from_millis(next.at))
        });
        let asleep = self.asleep_until.filter(|_| !notices);
        let far = tokio::time::Instant::now() + Duration::from_secs(3600);
        let least = mine.chain(asleep).min().unwrap_or(far);
        least.max(tokio::time::Instant::now() + Duration::from_millis(1))
    }

    fn ready(&mut self) -> Option<Received> {
        let passed = self.log.start.elapsed().as_millis() as u64;
        let numbers: Vec<i32> = self.at.keys().copied().collect();
        let begin = self.rng.below(numbers.len().max(1) as u64) as usize;
        for n in 0..numbers.len() {
            let number = numbers[(begin + n) % numbers.len()];
            let first = self.at[&number];
            let most = 1 + self.rng.below(8) as usize;
            let there: Vec<&Produced> = self.log.records[&number]
                .iter()
                .filter(|r| r.offset >= first && r.at <= passed)
                .take(most)
                .collect();
            let Some(last) = there.last() else { continue };
            let next = last.offset + 1;
            let records = there.iter().map(|r| Record {
                offset: r.offset,
                item: 0,
                bytes: r.bytes.clone(),
                refusal: None,
                origin: None,
            });
            let received = Received {
                partition: partition(number),
                first,
                next,
                // The same for every record, however batches are cut.
                envelope: Arc::new(Envelope {
                    received: Micros(DAWN),
                    sender: "test".to_owned(),
                    accounts: Among::All,
                    account: None,
                }),
                records: records.collect(),
                mark: None,
            };
            self.at.insert(number, next);
            return Some(received);
        }
        None
    }
}

#[async_trait]
impl Source for MemorySource {
    async fn begin(&mut self, committed: &Position) -> Result<BTreeSet<Partition>, SourceError> {
        let owners = self.owners.borrow_and_update().clone();
        self.begun = Some(owners.generation);
        let mine = owners
            .of
            .iter()
            .filter(|(_, owner)| **owner == self.process);
        self.at = mine
            .map(|(number, _)| (*number, committed.of(&partition(*number))))
            .collect();
        Ok(self.at.keys().map(|number| partition(*number)).collect())
    }

    async fn next(&mut self, _max_bytes: usize) -> Result<Taken, SourceError> {
        loop {
            let notices = self
                .asleep_until
                .is_none_or(|until| tokio::time::Instant::now() >= until);
            if notices && self.begun != Some(self.owners.borrow().generation) {
                return Ok(Taken::Changed);
            }
            if let Some(received) = self.ready() {
                return Ok(Taken::Records(vec![received]));
            }
            let wake = self.next_at(notices);
            tokio::select! {
                changed = self.owners.changed(), if notices => {
                    changed.map_err(|e| SourceError::Kafka(e.to_string()))?;
                }
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }
}

/// What the log has to become.
#[derive(Debug)]
pub(super) struct Expected {
    /// Every event's bytes: one row each.
    pub(super) events: BTreeSet<(String, Bytes)>,
    /// Every record that is none: one row each in quarantine.
    pub(super) refused: BTreeSet<(i32, i64)>,
}

impl Log {
    pub(super) fn expected(&self) -> Expected {
        let mut expected = Expected {
            events: BTreeSet::new(),
            refused: BTreeSet::new(),
        };
        for (number, record) in self.records() {
            match &record.id {
                Some(id) => {
                    expected.events.insert((id.clone(), record.bytes.clone()));
                }
                None => {
                    expected.refused.insert((number, record.offset));
                }
            }
        }
        expected
    }
}

/// A place to keep what all processes of a schedule agree on.
pub(super) type Shared<T> = Arc<Mutex<T>>;
