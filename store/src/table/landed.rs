//! After a long time: whether a commit landed, and whether its files are there.
//!
//! A process may stand still between any two steps, for longer than the log
//! keeps its entries and the vacuum spares what nothing lists. Whoever took
//! that long looks before it goes on.

use std::time::Duration;

use bytes::Bytes;
use cairn_schemas::{Clock, Micros};
use object_store::ObjectStoreExt;
use serde_json::Value;
use tokio::time::Instant;

use super::age::MAINTENANCE;
use super::commit::{CONFIRMED, Prepared};
use super::error::TableError;
use super::state::State;
use super::{Head, Table};

/// For how long files may wait for their commit: far less than the vacuum
/// spares orphans, [`super::VacuumGrace::orphans`].
const FILES_WAIT: Duration = Duration::from_secs(24 * 3600);

/// A moment from which the time that passed is told by the clock that says more
/// of two: the steady one stands still while the machine is suspended, and the
/// wall clock may be set back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    steady: Instant,
    wall: Micros,
}

impl Since {
    pub(super) fn now(clock: &dyn Clock) -> Self {
        Self {
            steady: Instant::now(),
            wall: clock.now(),
        }
    }

    pub(super) fn elapsed(&self, clock: &dyn Clock) -> Duration {
        let wall = clock.now().0.saturating_sub(self.wall.0);
        let wall = Duration::from_micros(u64::try_from(wall).unwrap_or(0));
        self.steady.elapsed().max(wall)
    }
}

/// The objects of a commit that is not in the log yet.
#[derive(Debug)]
pub(super) struct Made {
    /// When the first was begun.
    pub(super) since: Since,
    /// By path; the bytes are kept until the commit is through.
    pub(super) files: Vec<(String, Bytes)>,
}

impl Made {
    pub(super) fn new(clock: &dyn Clock) -> Self {
        Self {
            since: Since::now(clock),
            files: Vec::new(),
        }
    }

    /// Whether the vacuum may take them for orphans before their commit lands.
    pub(super) fn is_old(&self, clock: &dyn Clock) -> bool {
        !self.files.is_empty() && self.since.elapsed(clock) >= FILES_WAIT
    }
}

impl Table {
    /// Whether the files of `prepared` were written so long ago that they may be
    /// gone: they are not published any more, and the rows have to be prepared
    /// anew, once it is known that they have not landed.
    pub fn is_too_old(&self, prepared: &Prepared) -> bool {
        prepared.made.is_old(self.clock.as_ref())
    }

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
        if landed && made.is_old(self.clock.as_ref()) {
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
        if head.seen.elapsed(self.clock.as_ref()) < CONFIRMED {
            head.seen = Since::now(self.clock.as_ref());
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
