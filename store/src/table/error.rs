//! Why a table could not do what it was asked, by what the caller can do.

use cairn_schemas::Position;

/// The message is for the operator and not part of the interface.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The store did not answer, or answered with an error. Nothing half-done
    /// is visible; whether the last step landed is found out by trying again.
    #[error("table {table}: {action} failed, try again: {reason}")]
    Unavailable {
        /// The table.
        table: String,
        /// What was tried.
        action: &'static str,
        /// What the store said.
        reason: String,
    },
    /// The table does not stand where the caller thought: somebody else
    /// committed, or an earlier attempt landed after all. Go on from `at`.
    #[error("the table stands at {at:?}, not where the commit starts")]
    Conflict {
        /// Where the table stands.
        at: Position,
    },
    /// Another maintenance run changed the same files first. Nothing was
    /// changed here; the next run sees the new files.
    #[error("table {table}: another maintenance run committed first; nothing was changed")]
    Overtaken {
        /// The table.
        table: String,
    },
    /// What lies in the store is not what was written there. Nobody should go
    /// on before somebody has looked.
    #[error("table {table} is damaged: {what}. Restore the object, or the table, from a backup")]
    Damaged {
        /// The table.
        table: String,
        /// The object and what is wrong with it.
        what: String,
    },
    /// The request itself cannot be met; trying again changes nothing.
    #[error("table {table}: {reason}")]
    Refused {
        /// The table.
        table: String,
        /// Why, and what to do.
        reason: String,
    },
}

impl TableError {
    /// Whether the same call may succeed later without anything else done.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Overtaken { .. })
    }
}
