//! The embedded log.

use bytes::Bytes;
use cairn_schemas::Micros;
use cairn_schemas::ids::AccountId;
use cairn_schemas::selector::Among;
use serde::{Deserialize, Serialize};

/// What the door knew about the sender when it received a batch. It lies in
/// the log beside the events, so that a replay judges them as the first run
/// did, whatever became of the token since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// When the batch was received.
    pub received: Micros,
    /// The id of the token or source.
    pub sender: String,
    /// The accounts that the sender may write for.
    pub accounts: Among<AccountId>,
    /// The account that the sender named for events that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
}

/// Records that were appended together: one envelope, consecutive offsets.
#[derive(Clone, Debug)]
pub struct LogBatch {
    /// The sender's envelope.
    pub envelope: std::sync::Arc<Envelope>,
    /// The offset of the first payload.
    pub first: i64,
    /// The events, byte for byte as received.
    pub payloads: Vec<Bytes>,
}
