//! What is read, from where, and what was polled of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_schemas::{Micros, Partition};
use cairn_store::log::Envelope;
use tokio::sync::oneshot;

use super::shared::Stopped;
use super::topic_id::TopicId;
use super::topics::TopicRule;
use crate::source::{Mark, Received, Record};

/// What `begin` asks of the poller.
pub(super) enum Command {
    /// Read nothing more; if partitions were taken away, give them up now.
    Halt(oneshot::Sender<Halted>),
    /// Read this, if nothing changed since the `Halt` of `round`.
    Start {
        round: u64,
        plan: Plan,
        done: oneshot::Sender<Result<bool, String>>,
    },
}

/// The answer to [`Command::Halt`].
#[derive(Debug)]
pub(super) struct Halted {
    /// Counts what the group says.
    pub(super) round: u64,
    /// What the group gives to this process.
    pub(super) group: Vec<(String, i32)>,
}

/// What to read from where.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) tracks: Vec<(String, Track)>,
    /// What comes first: gaps that were accepted, starts that are not 0.
    pub(super) first: Vec<Received>,
    pub(super) ids: BTreeMap<String, TopicId>,
    pub(super) stopped: Vec<Stopped>,
    /// Something cannot be read yet that waiting mends.
    pub(super) incomplete: bool,
}

/// One partition that is read.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) partition: Partition,
    /// The next offset.
    pub(super) next: i64,
    /// `None`: the intake topic.
    pub(super) rule: Option<Arc<TopicRule>>,
    /// The leader epoch of the record before `next`, where that is known: it is
    /// told in the assignment, so that librdkafka asks each new leader whether
    /// it has that record.
    pub(super) epoch: Option<i32>,
    /// Nothing more is read of it.
    pub(super) halted: bool,
    /// The envelope of this batch.
    pub(super) envelope: Option<Arc<Envelope>>,
    /// Its newest stretch in the batch.
    pub(super) open: Option<usize>,
    /// The timestamp of the newest record of the batch.
    pub(super) time: Option<Micros>,
}

impl Track {
    pub(super) fn new(partition: Partition, next: i64, rule: Option<Arc<TopicRule>>) -> Self {
        Self {
            partition,
            next,
            rule,
            epoch: None,
            halted: false,
            envelope: None,
            open: None,
            time: None,
        }
    }
}

/// What was polled and is not handed on yet.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) received: Vec<Received>,
    pub(super) bytes: usize,
    /// When it was polled.
    pub(super) now: Micros,
}

impl Batch {
    /// Adds what `track` has up to `next`, to its newest stretch if the
    /// envelope is the same.
    pub(super) fn add(
        &mut self,
        track: &mut Track,
        next: i64,
        envelope: Arc<Envelope>,
        records: Vec<Record>,
        mark: Option<Mark>,
    ) {
        self.bytes += records.iter().map(|r| r.bytes.len() + 64).sum::<usize>();
        let open = track.open.and_then(|index| self.received.get_mut(index));
        match open {
            Some(open) if records.is_empty() || open.envelope == envelope => {
                open.next = next;
                open.mark = mark.or(open.mark);
                open.records.extend(records);
            }
            _ => {
                track.open = Some(self.received.len());
                self.received.push(Received {
                    partition: track.partition.clone(),
                    first: track.next,
                    next,
                    envelope,
                    records,
                    mark,
                });
            }
        }
        track.next = next;
    }
}
