//! Kafka's topics as a source of records, and as the log that doors write to.
//!
//! # What others use
//!
//! - [`KafkaOptions`], with [`KafkaOptions::check`]: pure data from the configuration.
//! - [`KafkaSource::open`]: a [`crate::source::Source`] for the pipeline, and a
//!   [`KafkaHandle`] for everybody else: [`KafkaHandle::end`] (where the logs
//!   end, for flushes and for the places of changes), [`KafkaHandle::report`]
//!   (after each commit of history), [`KafkaHandle::board`],
//!   [`KafkaHandle::closed`] (after the source was dropped).
//! - [`KafkaBoard::status`]: every owned partition, its lag, and why it stands.
//! - [`KafkaProducer`]: HTTP's way into the intake topic.
//! - [`Epochs`] and [`Acceptances`], which `serve` implements over control
//!   documents.
//!
//! # What is promised
//!
//! Each record of a topic is handed out in offset order, from the offset that
//! `begin` was given, without a gap that nobody accepted, and never after a
//! newer `begin`. By which mechanism:
//!
//! - **Offsets are part of the assignment.** One thread polls, assigns and
//!   unassigns. librdkafka drops what an older assignment fetched, and the
//!   buffer between thread and pipeline is cleared under the lock under which
//!   the change is announced.
//! - **Ownership.** When the group gives or takes, `next` says
//!   [`Changed`](crate::source::Taken::Changed) and nothing comes until `begin`.
//!   Partitions that are taken away are held until `begin`, at most 15 s. The
//!   thread goes on polling meanwhile and always, so the group never loses
//!   patience with a process whose pipeline waits for its disk; a process that
//!   is stopped altogether is dropped after `session_timeout`, and what it
//!   still believes does not matter: its commit is refused. A partition that is
//!   stopped is owned all the same: it is in what `begin` returns, and nothing
//!   comes of it.
//! - **A member that comes back.** With [`KafkaOptions::instance`] a process
//!   that was killed and starts again has its partitions at once, and others
//!   notice nothing (KIP-345). Such a member leaves the group when its source
//!   is dropped, by taking its subscription back, for closing a consumer leaves
//!   it in. The group gives it what it had and looks at nothing else, so it is
//!   looked for what was given to nobody. Of two with one name the later one
//!   has the place: `next` of the earlier one fails for good, and says why.
//! - **Holes.** Transactions leave offsets without records. A position passes
//!   them with the next record, and at the end of a partition with librdkafka's
//!   notice that all below an offset was polled: that notice stands in the
//!   partition's own queue behind its last record, and is dropped with it when
//!   the assignment changes, so it cannot overtake one. Statistics, which can,
//!   are for showing only.
//! - **Lives of a topic.** The source is named `topic`, or `topic@n` for the
//!   n-th id that the topic had. Nothing is handed out before its topic was
//!   seen, *after* the record was polled, to have the id that it was begun
//!   under. That costs a question to the cluster, for many records at a time.
//!   Known limit: the answer is as new as what the broker that gives it has
//!   heard of its controller.
//! - **First sight.** [`Epochs::epoch_of`] keeps where each partition's log
//!   began when the id was first seen. A partition that history does not name
//!   begins there; one that came later begins at 0.
//! - **Gaps.** A log that begins after the offset that is due stops its
//!   partition, and no other, until [`Acceptances::accepted`] says otherwise:
//!   then one row of quarantine (`source_gap`) stands for what was gone.
//! - **Logs that lost their ends.** A log that *ends* before the offset that is
//!   due has lost records, and may give their offsets to others: also one that
//!   has grown past that offset since. With each position a [`Mark`] is committed,
//!   and each begin asks the log for it. A log that differs stops its partition.
//!   Once that is accepted the partition is another source, `topic@n`, from the
//!   first offset that differs on: so no offset names two records. A log of
//!   which history has no mark yet can be recognised by its length alone.
//! - **Memory.** librdkafka holds about 16 MiB of one queue for all partitions
//!   (and a fetch of at most 16 MiB); behind it wait `buffer_bytes`, and one
//!   batch of about 1 MiB, or of one record that decompresses to the limit.
//!   Beyond that fetching pauses.
//!
//! [`Mark`]: crate::source::Mark
//!
//! # Records and events
//!
//! A record of an ordinary topic may be one event, or several as a body of HTTP
//! may hold them, gzip or zstd; [`MAX_ITEMS`] at most. Its envelope says
//! `kafka:TOPIC` and the rule's account, and was received when it was polled. A
//! record of the intake topic is one event as a door took it, with the
//! envelope in [`ENVELOPE_HEADER`].
//!
//! A rule with a dialect or with `suspend` decodes each event once more than
//! the judge does: only so does the source know that a record is bad before it
//! hands it out. Events that the judge alone would refuse do not exist: both
//! use the same decoder and limits.
//!
//! # Threads
//!
//! `kafka-poll` polls; `kafka-watch` asks the cluster. Both end when the source
//! is dropped.

mod begin;
mod board;
mod bootstrap;
mod client;
mod compare;
mod covered;
mod ends;
mod epochs;
mod options;
mod poll;
mod producer;
mod raw;
mod record;
mod renew;
mod shared;
mod source;
mod topic_id;
mod topics;
mod track;
mod watch;

pub use board::{
    Acceptable, KafkaBoard, KafkaStatus, PartitionState, PartitionStatus, StoppedReason,
};
pub use ends::KafkaEnds;
pub use epochs::{
    Acceptances, Epoch, Epochs, EpochsError, MemoryEpochs, NothingAccepted, Renewed, topic_of,
};
pub use options::{KafkaOptions, KafkaSecurity, Mechanism, OptionsError, Protocol, Secret};
pub use producer::{KafkaProducer, SendError, SendFailure};
pub use record::{ENVELOPE_HEADER, MAX_ITEMS};
pub use source::{KafkaDeps, KafkaHandle, KafkaSource, OpenError};
pub use topic_id::TopicId;
pub use topics::{DialectHint, OnBadRecord, RuleError, Rules, TopicRule};
