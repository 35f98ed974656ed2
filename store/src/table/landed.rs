//! After a long time: whether a commit landed, and whether its files are there.
//!
//! A process may stand still between any two steps, for longer than the log
//! keeps its entries and the vacuum spares what nothing lists. Whoever took
//! that long looks before it goes on.

use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStoreExt;
use serde_json::Value;
use tokio::time::Instant;

use super::age::MAINTENANCE;
use super::commit::CONFIRMED;
use super::error::TableError;
use super::state::State;
use super::{Head, Table};

/// For how long files may wait for their commit: far less than the vacuum
/// spares orphans, [`super::VacuumGrace::orphans`].
const FILES_WAIT: Duration = Duration::from_secs(24 * 3600);

/// The objects of a commit that is not in the log yet.
#[derive(Debug)]
pub(super) struct Made {
    /// When the first was begun.
    pub(super) since: Instant,
    /// By path; the bytes are kept until the commit is through.
    pub(super) files: Vec<(String, Bytes)>,
}

impl Made {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            files: Vec::new(),
        }
    }

    /// Whether the vacuum may take them for orphans before their commit lands.
    pub(super) fn is_old(&self) -> bool {
        !self.files.is_empty() && self.since.elapsed() >= FILES_WAIT
    }
}

impl Table {
    /// Whether the commit `id` is in `state` already: a put that was given up
    /// may land while its process stands still. Its files are made sure of.
    pub(super) async fn has_landed(
        &self,
        state: &State,
        id: &str,
        made: &Made,
    ) -> Result<bool, TableError> {
        let known =
            |path: &String| state.files.contains_key(path) || state.removed.contains_key(path);
        let landed = state.has_landed(id) || made.files.iter().any(|(path, _)| known(path));
        if landed && made.is_old() {
            for (path, bytes) in &made.files {
                self.restore(state, path, bytes).await?;
            }
        }
        Ok(landed)
    }

    /// A put that took so long that the log may have been cleaned beneath it
    /// can land on a number that is long past, where nobody reads it; and the
    /// vacuum may have taken its files for orphans before it landed.
    pub(super) async fn settle(
        &self,
        head: &mut Head,
        lines: &[Value],
        made: &Made,
    ) -> Result<(), TableError> {
        if head.seen.elapsed() < CONFIRMED {
            head.seen = Instant::now();
            return Ok(());
        }
        self.reload(head).await?;
        let state = &head.state;
        let landed = lines.iter().all(|line| {
            let path = line["add"]["path"].as_str();
            let app = line["txn"]["appId"].as_str();
            path.is_none_or(|p| state.files.contains_key(p) || state.removed.contains_key(p))
                && app.is_none_or(|a| state.txns.get(a).copied() >= line["txn"]["version"].as_i64())
        });
        if landed {
            for (path, bytes) in &made.files {
                self.restore(state, path, bytes).await?;
            }
            return Ok(());
        }
        // Merged or expired by others and forgotten since is as good as not
        // landed: what the caller does next is the same.
        let maintenance = lines
            .iter()
            .any(|line| line["txn"]["appId"].as_str() == Some(MAINTENANCE));
        Err(match maintenance {
            true => TableError::Overtaken {
                table: self.spec.name.clone(),
            },
            false => TableError::Conflict {
                at: state.position(&self.options.position_prefix),
            },
        })
    }

    /// Puts a listed file again should it be gone.
    async fn restore(&self, state: &State, path: &str, bytes: &Bytes) -> Result<(), TableError> {
        if !state.files.contains_key(path) {
            return Ok(());
        }
        match self.log.store.head(&self.log.key(path)).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::NotFound { .. }) => {
                tracing::warn!(table = %self.spec.name, path, "a file was vacuumed before its commit landed, put again");
                self.put_object(path, bytes.clone()).await
            }
            Err(e) => Err(self.log.unavailable("checking a file", e)),
        }
    }
}
