//! Whether logs still hold what was read of them.
//!
//! A log that lost its end, by an unclean election or with a disk, gives the
//! same offsets to other records. As long as it is short, offsets tell; once it
//! has grown past what was read, they do not, and reading on would skip records
//! in silence. So history keeps the [`Mark`] of the newest record that was read,
//! and here the log is asked two things of it:
//!
//! - **Did it lose the record?** Kafka keeps at which offset each leader epoch
//!   began. If the mark's epoch ends before the mark, the record is gone, whatever
//!   lies at its offset now.
//! - **Is there a record where none was?** Between the mark and the position lie
//!   at most markers of transactions and records of aborted ones. If a record
//!   can be read there, the log lost those and grew again.
//!
//! Neither depends on whether the record itself is still there, so compaction,
//! retention and transactions raise no false alarm.
//!
//! librdkafka has no call for the first question, but asks it on each seek to an
//! offset with an epoch, before it fetches. So a consumer is made for the purpose,
//! which reads each log's next record and ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::time::Instant;

use super::client::{Context, GroupConsumer};
use super::raw::{Event, EventQueue, Place, places};
use crate::source::Mark;

/// How long all logs together may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a poll waits, and the pause before a seek is tried again.
const POLL: Duration = Duration::from_millis(50);

/// What was read of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) topic: String,
    pub(super) number: i32,
    /// The newest record, or the log's start where that has passed it.
    pub(super) mark: Mark,
    /// The offset that is due.
    pub(super) next: i64,
    /// An offset that can be fetched from: where the log ends.
    pub(super) end: i64,
}

/// A log that holds other records than those that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The first offset at which it does; `None` where the log does not tell.
    pub(super) from: Option<i64>,
}

/// For each log nothing, or how it differs, or why that cannot be told.
pub(super) type Answers = BTreeMap<(String, i32), Result<Option<Cut>, String>>;

/// Asks the logs of `known`. Blocks: never on a thread of the runtime. A log that
/// does not answer is told as such.
///
/// # Errors
///
/// No broker answers.
pub(super) fn compare(
    config: &ClientConfig,
    context: Context,
    known: &[Known],
) -> Result<Answers, String> {
    if known.is_empty() {
        return Ok(Answers::new());
    }
    let failed = |error: KafkaError| error.to_string();
    let consumer: GroupConsumer = config.create_with_context(context).map_err(failed)?;
    let queue = EventQueue::new(Arc::new(consumer)).ok_or("the consumer has no queue")?;
    let by = Instant::now() + PATIENCE;
    // librdkafka seeks only in partitions that it knows.
    let topics: BTreeSet<&str> = known.iter().map(|k| k.topic.as_str()).collect();
    for topic in topics {
        let metadata = queue.consumer().fetch_metadata(Some(topic), PATIENCE);
        metadata.map_err(failed)?;
    }
    // What is fetched before the seek is dropped. Not at a logical offset: its
    // answer, where it is late, undoes the seek.
    let start = places(known.iter().map(|k| place(k, Offset::Offset(k.end), None)))?;
    queue.consumer().assign(&start).map_err(failed)?;
    seek(&queue, known, by)?;
    Ok(listen(&queue, known, by))
}

fn place(known: &Known, offset: Offset, epoch: Option<i32>) -> Place<'_> {
    Place {
        topic: &known.topic,
        partition: known.number,
        offset,
        epoch,
    }
}

/// Seeks each log's mark, which has its epoch asked for. A partition whose
/// assignment is still on its way says so, and is tried again.
fn seek(queue: &EventQueue, known: &[Known], by: Instant) -> Result<(), String> {
    let mut left: Vec<&Known> = known.iter().collect();
    loop {
        let to = |k: &&Known| {
            let mark = k.mark;
            (Offset::Offset(mark.next), Some(mark.epoch))
        };
        let list = places(left.iter().map(|k| {
            let (offset, epoch) = to(k);
            place(k, offset, epoch)
        }))?;
        let sought = queue.consumer().seek_partitions(list, PATIENCE);
        let sought = sought.map_err(|error| error.to_string())?;
        let failed: BTreeMap<(String, i32), String> = sought
            .elements()
            .into_iter()
            .filter_map(|element| {
                let error = element.error().err()?.to_string();
                Some(((element.topic().to_owned(), element.partition()), error))
            })
            .collect();
        left.retain(|k| failed.contains_key(&(k.topic.clone(), k.number)));
        let Some(((topic, number), error)) = failed.into_iter().next() else {
            return Ok(());
        };
        if Instant::now() >= by {
            return Err(format!("partition {number} of {topic}: {error}"));
        }
        std::thread::sleep(POLL);
    }
}

/// Takes what each log says first.
fn listen(queue: &EventQueue, known: &[Known], by: Instant) -> Answers {
    let asked = known.iter().map(|k| ((k.topic.clone(), k.number), k));
    let asked: BTreeMap<(String, i32), &Known> = asked.collect();
    let mut answers = Answers::new();
    while answers.len() < asked.len() && Instant::now() < by {
        let Some(mut polled) = queue.poll(POLL) else {
            continue;
        };
        let (log, heard) = match polled.read() {
            Event::Message(m) => ((m.topic.to_owned(), m.partition), Heard::Record(m.offset)),
            Event::End {
                topic,
                partition,
                offset,
            } => ((topic, partition), Heard::End(offset)),
            Event::Fault {
                topic,
                partition,
                code,
                text,
                ..
            } => ((topic, partition), Heard::Fault(code, text)),
            _ => continue,
        };
        if let Some(known) = asked.get(&log)
            && heard.is_since(known.mark.next)
            && !answers.contains_key(&log)
        {
            // Nothing more of it. A broker gives of all logs but the first that has
            // something no batch above the fetch's size, so one that goes on being
            // fetched would keep the others waiting until it is at its end.
            let mut list = TopicPartitionList::new();
            list.add_partition(&log.0, log.1);
            let _ = queue.consumer().pause(&list);
            answers.insert(log, judge(known, heard));
        }
    }
    for log in asked.into_keys() {
        answers
            .entry(log)
            .or_insert_with(|| Err("the broker does not answer what its log holds".to_owned()));
    }
    answers
}

/// What a log says first after the seek.
#[derive(Debug)]
enum Heard {
    /// This record comes next.
    Record(i64),
    /// Up to here nothing comes next.
    End(i64),
    /// Something is wrong.
    Fault(RDKafkaErrorCode, String),
}

impl Heard {
    /// Whether it is of a seek to `offset`, and not of what was before.
    fn is_since(&self, offset: i64) -> bool {
        match self {
            Self::Record(at) | Self::End(at) => *at >= offset,
            Self::Fault(..) => true,
        }
    }
}

fn judge(known: &Known, heard: Heard) -> Result<Option<Cut>, String> {
    match heard {
        Heard::Record(offset) if offset < known.next => Ok(Some(Cut {
            from: Some(known.mark.next),
        })),
        Heard::Record(_) | Heard::End(_) => Ok(None),
        // A fetch, not the question for the epoch: the log's start moved on.
        Heard::Fault(code, text)
            if code != RDKafkaErrorCode::AutoOffsetReset || !text.contains(TRUNCATED) =>
        {
            Err(format!("{code}: {text}"))
        }
        Heard::Fault(_, text) => Ok(Some(Cut {
            from: broker_end(&text),
        })),
    }
}

/// How librdkafka calls it.
const TRUNCATED: &str = "log truncation detected";

/// Where the epoch ends by librdkafka's own words, the only ones that tell it.
fn broker_end(text: &str) -> Option<i64> {
    let (_, rest) = text.split_once("broker end offset is ")?;
    let end = rest.find(|c: char| c != '-' && !c.is_ascii_digit())?;
    rest[..end].parse().ok().filter(|offset| *offset >= 0)
}

#[cfg(test)]
mod tests;
