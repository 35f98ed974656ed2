//! What a follower holds between two commits of its table.

use std::sync::Arc;

use arrow::array::RecordBatch;
use cairn_schemas::{Micros, Position};
use cairn_store::table::Listing;
use tokio::time::Instant;

/// How far a follower may look ahead of what its table knows without a commit
/// that only says so: a restart reads as much again.
const LAG: i64 = 500_000;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) scanned: Position,
    /// The newest list whose rows are no longer in `pending`, and its position.
    pub(super) listing: Option<(Arc<Listing>, Position)>,
    pub(super) pending: Vec<RecordBatch>,
    pub(super) pending_rows: usize,
    pub(super) pending_bytes: usize,
    pub(super) pending_since: Option<Instant>,
    /// A flush asked for everything below to be committed.
    pub(super) flush_to: Position,
    pub(super) last_delivery: Option<Micros>,
    pub(super) last_error: Option<String>,
}

impl State {
    /// Where the table stands, as far as this follower knows.
    pub(super) fn position(&self) -> Position {
        self.listing
            .as_ref()
            .map(|l| l.1.clone())
            .unwrap_or_default()
    }

    pub(super) fn lags(&self) -> bool {
        let Some((_, at)) = &self.listing else {
            return false;
        };
        self.scanned
            .0
            .iter()
            .any(|(partition, next)| next - at.of(partition) > LAG)
    }
}
