//! Whether a reader may still have what was theirs when they asked.

use std::fmt;

use cairn_schemas::control::Principal;

/// Knows who stands as they stood. A query runs for as long as its rows are
/// taken, and a cursor stays open for longer; whoever lost the right to the
/// rows in between must not get the next batch.
pub trait Standing: Send + Sync + fmt::Debug {
    /// Whether `principal`, as it was when it asked, still holds: its token is
    /// valid, its role is the same, and it may read no less than then. Asked
    /// before every batch of every query from many tasks, so it answers from
    /// memory and does not wait.
    fn holds(&self, principal: &Principal) -> bool;
}
