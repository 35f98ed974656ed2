//! Old files go: first from the list, later from the store; and the log's old
//! entries go once a checkpoint tells the same.
//!
//! Three clocks meet here, the machine's, the store's and the events'. Nothing
//! is removed on the word of one of them alone.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use cairn_schemas::Micros;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use serde_json::{Value, json};

use super::error::TableError;
use super::landed::Made;
use super::log::{versioned, with_info};
use super::names::is_own_folder;
use super::state::{LiveFile, State, under};
use super::{Head, Table};
use crate::view::Expired;

/// The `appId` that every maintenance commit carries: of two that started from
/// one version, other engines too let only one through.
pub(super) const MAINTENANCE: &str = "maint";

/// The `appId` that an expiry's commit carries with its bound, in microseconds.
const EXPIRED_BEFORE: &str = "expired-before";
/// The `appId` that an expiry's commit carries with its own version.
const EXPIRED_IN: &str = "expired-in";

/// What expiries have removed, as their commits tell.
pub(super) fn expired_up_to(state: &State) -> Option<Expired> {
    Some(Expired {
        before: Micros(*state.txns.get(EXPIRED_BEFORE)?),
        version: *state.txns.get(EXPIRED_IN)?,
    })
}

/// After how many versions the log's folder is listed to be cleaned.
const CLEAN_EVERY: i64 = 200;

/// What [`Table::expire`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpireReport {
    /// Files that left the table.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes; [`Table::vacuum`] frees them.
    pub bytes: u64,
}

/// How long objects stay after the table let go of them.
#[derive(Clone, Copy, Debug)]
pub struct VacuumGrace {
    /// Objects that were removed from the table: as long as a reader may take.
    pub removed: Duration,
    /// Objects that the table never listed: as long as a writer may sleep
    /// between the file and the commit.
    pub orphans: Duration,
}

impl Default for VacuumGrace {
    fn default() -> Self {
        Self {
            removed: Duration::from_secs(6 * 3600),
            orphans: Duration::from_secs(3 * 24 * 3600),
        }
    }
}

/// What [`Table::vacuum`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VacuumReport {
    /// Objects to delete that had been in the table.
    pub removed: u64,
    /// Objects to delete that never were.
    pub orphans: u64,
    /// The bytes of both.
    pub bytes: u64,
    /// How many of both the store did not let go of, for they are locked or the
    /// key has no right to delete. They are tried again at the next run.
    pub kept: u64,
}

/// The action that takes `live` out of the table.
pub(super) fn remove(live: &LiveFile, now: Micros, data_change: bool) -> Value {
    json!({"remove": {
        "path": live.add.path,
        "dataChange": data_change,
        "deletionTimestamp": now.0.div_euclid(1000),
        "extendedFileMetadata": true,
        "partitionValues": live.add.partition_values,
        "size": live.add.size,
    }})
}

/// The fence of a maintenance commit made from `state`.
pub(super) fn fence(state: &State) -> Value {
    json!({"txn": {"appId": MAINTENANCE, "version": state.version + 1}})
}

impl Table {
    /// Takes the files out of the table whose rows were all ingested before
    /// `before`. A file that does not say when stays.
    ///
    /// A wrong clock must not cost the evidence, so this refuses a `before`
    /// that is not in the past, and a clock that the store or the table's own
    /// rows contradict ([`super::clocks`]). Nothing has changed then; the next
    /// call looks anew.
    pub async fn expire(&self, before: Micros) -> Result<ExpireReport, TableError> {
        let done = self.try_expire(before).await;
        *self.not_expired.lock() = done.as_ref().err().map(ToString::to_string);
        done
    }

    async fn try_expire(&self, before: Micros) -> Result<ExpireReport, TableError> {
        let now = self.clock.now();
        if before >= now {
            return Err(self.refused(
                "expiry up to a moment that is not in the past; check the machine's clock and the retention",
            ));
        }
        let _only = self.maintenance.lock().await;
        let mut head = self.head.lock().await;
        self.catch_up(&mut head).await?;
        let old: BTreeSet<String> = expired(&head.state, before)
            .map(|live| live.add.path.clone())
            .collect();
        if old.is_empty() {
            self.show(&head.state);
            return Ok(ExpireReport::default());
        }
        self.check_gap(&head.state, before)?;
        self.check_clock().await?;
        let mut report = ExpireReport::default();
        for live in old.iter().filter_map(|path| head.state.files.get(path)) {
            report.files += 1;
            report.rows += live.file.rows;
            report.bytes += live.file.size;
        }
        let id = self.ids.hex128();
        let fenced = head.state.txns.get(MAINTENANCE).copied();
        let done = self
            .publish(&mut head, &id, &Made::new(self.clock.as_ref()), |state| {
                self.check_fence(state, fenced)?;
                let mut actions: Vec<Value> = old
                    .iter()
                    .filter_map(|path| state.files.get(path))
                    .map(|live| remove(live, now, true))
                    .collect();
                actions.push(fence(state));
                // Whoever asks for an earlier version is told by these what of
                // it is gone.
                let up_to = state.txns.get(EXPIRED_BEFORE).copied();
                let up_to = up_to.unwrap_or(i64::MIN).max(before.0);
                for (app, version) in [(EXPIRED_BEFORE, up_to), (EXPIRED_IN, state.version + 1)] {
                    actions.push(json!({"txn": {"appId": app, "version": version}}));
                }
                Ok(with_info(actions, "DELETE", now, &id, None))
            })
            .await;
        self.show(&head.state);
        done?;
        self.checkpoint_if_due(&mut head).await;
        Ok(report)
    }

    /// Whether no maintenance was committed since `fenced` was read.
    pub(super) fn check_fence(&self, state: &State, fenced: Option<i64>) -> Result<(), TableError> {
        if state.txns.get(MAINTENANCE).copied() == fenced {
            return Ok(());
        }
        Err(TableError::Overtaken {
            table: self.spec.name.clone(),
        })
    }

    /// Deletes the objects that the table let go of longer ago than `grace`,
    /// and those that it never listed and that are older than its other grace.
    /// Only data files that this table's own writer made are ever deleted, by
    /// their names; and on local disk what a crash left of its writes.
    pub async fn vacuum(&self, grace: VacuumGrace) -> Result<VacuumReport, TableError> {
        // By the earlier of two clocks: a machine whose own jumped ahead would
        // take another writer's newest file for an old orphan.
        let now = self
            .clock
            .now()
            .0
            .div_euclid(1000)
            .min(self.store_time().await?);
        let removed_before = now.saturating_sub(millis(grace.removed));
        let orphan_before = now.saturating_sub(millis(grace.orphans));
        // First what lies there, then what is listed: an object put after the
        // listing is not in it, one committed meanwhile is in the state.
        let objects = self.objects().await?;
        let state = {
            let mut head = self.head.lock().await;
            self.catch_up(&mut head).await?;
            self.show(&head.state);
            head.state.clone()
        };
        let mut report = VacuumReport::default();
        let mut doomed = Vec::new();
        for object in objects {
            let relative = relative(&self.log.root, &object.location);
            if state.files.contains_key(&relative) {
                continue;
            }
            let count = match state.removed.get(&relative) {
                Some(at) if *at < removed_before => &mut report.removed,
                None if object.last_modified.timestamp_millis() < orphan_before => {
                    &mut report.orphans
                }
                _ => continue,
            };
            *count += 1;
            report.bytes += object.size;
            doomed.push(object.location);
        }
        report.kept = self.delete(doomed, "vacuum").await?;
        // Should one have escaped the list, it is an orphan to the next run.
        {
            let mut head = self.head.lock().await;
            head.state.removed.retain(|_, at| *at >= removed_before);
        }
        self.sweep(orphan_before).await?;
        Ok(report)
    }

    /// Removes the hidden files in the table's own folders that were last
    /// written before `before`.
    async fn sweep(&self, before: i64) -> Result<(), TableError> {
        let (Some(local), Ok(before)) = (&self.local, u64::try_from(before)) else {
            return Ok(());
        };
        let before = SystemTime::UNIX_EPOCH + Duration::from_millis(before);
        local
            .sweep(&self.log.root, is_own_folder, before)
            .await
            .map_err(|e| self.log.unavailable("removing what a crash left", e))
    }

    /// Every data file under the table's folder that its own writer made. A
    /// folder may hold more than the table: what is not known to be ours by
    /// its name must never get on this list, for what is on it gets deleted.
    async fn objects(&self) -> Result<Vec<ObjectMeta>, TableError> {
        self.log
            .store
            .list(Some(&self.log.root))
            .try_filter(|o| {
                let ours = self.names.made(&relative(&self.log.root, &o.location));
                futures::future::ready(ours)
            })
            .try_collect()
            .await
            .map_err(|e| self.log.unavailable("listing the files", e))
    }

    /// Deletes `keys`, and tells how many of them the store would not let go
    /// of, for they are locked or the key has no right to delete. That is no
    /// failure: somebody wants them kept.
    async fn delete(&self, keys: Vec<Path>, action: &'static str) -> Result<u64, TableError> {
        let keys = futures::stream::iter(keys).map(Ok).boxed();
        let mut answers = self.log.store.delete_stream(keys);
        let (mut kept, mut first) = (0, None);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(e) if is_denied(&e) => {
                    kept += 1;
                    first.get_or_insert(e);
                }
                Err(e) => return Err(self.log.unavailable(action, e)),
            }
        }
        // Once: every run meets the same ones until their lock ends.
        if let Some(error) = first
            && self.denied.swap(kept, Ordering::Relaxed) != kept
        {
            tracing::warn!(table = %self.spec.name, action, kept, %error, "the store does not let go of objects that are no longer needed; they stay until their lock ends, and are tried again");
        }
        Ok(kept)
    }

    /// Deletes entries and checkpoints that the newest checkpoint stands for
    /// and that are older than the log's retention, by the store's clock. An
    /// entry that a paused writer could still take its number from must stay:
    /// on a number that is free again it would commit where nobody reads.
    pub(super) async fn clean_log(&self, head: &mut Head) {
        let upto = head.state.version;
        if upto - head.cleaned < CLEAN_EVERY {
            return;
        }
        head.cleaned = upto;
        if let Err(error) = self.try_clean_log(upto).await {
            tracing::warn!(table = %self.spec.name, %error, "log not cleaned");
        }
    }

    pub(super) async fn try_clean_log(&self, upto: i64) -> Result<u64, TableError> {
        let folder = self.log.key("_delta_log");
        let metas: Vec<(i64, ObjectMeta)> = self
            .log
            .store
            .list(Some(&folder))
            .try_filter_map(|m| {
                let version = versioned(&folder, &m).map(|(version, _)| version);
                futures::future::ok(version.map(|version| (version, m)))
            })
            .try_collect()
            .await
            .map_err(|e| self.log.unavailable("listing the log", e))?;
        let Some(newest) = metas.iter().map(|(_, m)| m.last_modified).max() else {
            return Ok(0);
        };
        let keep_from = newest.timestamp_millis() - millis(self.options.log_retention);
        let old: Vec<Path> = metas
            .into_iter()
            .filter(|(version, m)| {
                *version < upto && m.last_modified.timestamp_millis() < keep_from
            })
            .map(|(_, m)| m.location)
            .collect();
        let count = old.len() as u64;
        let kept = self.delete(old, "cleaning the log").await?;
        Ok(count - kept)
    }
}

/// Whether the store refused because of a lock or a missing right. Where one
/// request deletes many, the reason is only in the text.
fn is_denied(error: &object_store::Error) -> bool {
    use object_store::Error::{Generic, PermissionDenied};
    match error {
        PermissionDenied { .. } => true,
        Generic { source, .. } => {
            let text = source.to_string();
            ["AccessDenied", "ObjectLocked"]
                .iter()
                .any(|code| text.contains(code))
        }
        _ => false,
    }
}

/// The files whose rows were all ingested before `before`.
pub(super) fn expired(state: &State, before: Micros) -> impl Iterator<Item = &LiveFile> {
    state
        .files
        .values()
        .map(AsRef::as_ref)
        .filter(move |live| live.file.ingest_time.is_some_and(|(_, last)| last < before))
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// `key` as the log names it.
pub(super) fn relative(root: &Path, key: &Path) -> String {
    match key.prefix_match(root) {
        Some(parts) => under(&Path::default(), &parts.collect()).to_string(),
        None => key.to_string(),
    }
}
