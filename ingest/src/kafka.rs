//! Kafka's topics as a source of records.
mod begin;
mod board;
mod client;
mod epochs;
mod options;
mod poll;
mod raw;
mod record;
mod shared;
mod source;
mod topic_id;
mod topics;
mod watch;

pub use board::{KafkaBoard, KafkaStatus, PartitionState, PartitionStatus, StoppedReason};
pub use epochs::{
    Acceptances, Epoch, Epochs, EpochsError, MemoryEpochs, NothingAccepted, topic_of,
};
pub use options::{KafkaOptions, KafkaSecurity, Mechanism, OptionsError, Protocol, Secret};
pub use record::{ENVELOPE_HEADER, MAX_ITEMS};
pub use source::{KafkaDeps, KafkaHandle, KafkaSource, OpenError};
pub use topic_id::TopicId;
pub use topics::{DialectHint, OnBadRecord, RuleError, Rules, TopicRule};
