//! The Delta log in the store: entries, checkpoints, and the way from them to
//! a [`State`].
//!
//! Entries are `_delta_log/<version>.json`, put only where none lies. Cairn
//! writes and reads them itself: so it knows at every error which entry stands
//! at a version and whose it is, and a commit costs one put. Checkpoints are
//! made by the Delta kernel, from the entries, as any other engine would make
//! them.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use cairn_schemas::{Micros, Position};
use deltalake_core::DeltaTable;
use deltalake_core::logstore::{StorageConfig, default_logstore};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::error::TableError;
use super::pledge::Pledge;
use super::state::{
    COMMIT_ID, COMMIT_LINES, COMMIT_PLEDGE, COMMIT_PLEDGE_SHA256, COMMIT_SHA256, Entry, State,
    entry_hash, under,
};
use crate::objects::sorted::Sorted;

/// How often an object that cannot be parsed is fetched anew before it counts
/// as damaged: a store may hand out a cut-off body once.
const REREADS: u32 = 3;

/// The log of one table.
#[derive(Debug)]
pub(super) struct DeltaLog {
    pub(super) table: String,
    pub(super) store: Arc<dyn ObjectStore>,
    /// The table's folder.
    pub(super) root: Path,
}

/// What lies in `_delta_log`.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The greatest entry.
    newest: Option<i64>,
    /// Entries, the newest last.
    pub(super) entries: Vec<i64>,
    /// Checkpoints, the newest last.
    pub(super) checkpoints: Vec<i64>,
}

#[derive(Deserialize)]
struct LastCheckpoint {
    version: i64,
}

/// The version and the rest of a name right in `folder`, which is `_delta_log`:
/// what lies deeper is not this log's.
pub(super) fn versioned(folder: &Path, meta: &ObjectMeta) -> Option<(i64, String)> {
    let mut parts = meta.location.prefix_match(folder)?;
    let (first, deeper) = (parts.next()?, parts.next());
    if deeper.is_some() {
        return None;
    }
    let name = first.as_ref();
    let (digits, rest) = (name.get(..20)?, name.get(20..)?);
    Some((digits.parse().ok()?, rest.to_owned()))
}

impl DeltaLog {
    pub(super) fn key(&self, relative: &str) -> Path {
        under(&self.root, &Path::from(relative))
    }

    fn entry_key(&self, version: i64) -> Path {
        self.key(&format!("_delta_log/{version:020}.json"))
    }

    fn checkpoint_key(&self, version: i64) -> Path {
        self.key(&format!("_delta_log/{version:020}.checkpoint.parquet"))
    }

    pub(super) fn unavailable(
        &self,
        action: &'static str,
        reason: impl std::fmt::Display,
    ) -> TableError {
        TableError::Unavailable {
            table: self.table.clone(),
            action,
            reason: reason.to_string(),
        }
    }

    pub(super) fn damaged(&self, what: String) -> TableError {
        TableError::Damaged {
            table: self.table.clone(),
            what,
        }
    }

    /// Puts the entry `version` where none lies. Any error leaves open
    /// whether it landed.
    pub(super) async fn put(&self, version: i64, body: Bytes) -> object_store::Result<()> {
        self.store
            .put_opts(
                &self.entry_key(version),
                PutPayload::from_bytes(body),
                PutMode::Create.into(),
            )
            .await
            .map(|_| ())
    }

    async fn get(&self, key: &Path) -> Result<Option<Bytes>, TableError> {
        let answer = match self.store.get(key).await {
            Ok(answer) => answer.bytes().await,
            Err(e) => Err(e),
        };
        match answer {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.unavailable("reading the log", e)),
        }
    }

    /// Reads the entry `version`; `None` where none lies.
    pub(super) async fn read(&self, version: i64) -> Result<Option<Entry>, TableError> {
        let key = self.entry_key(version);
        let mut wrong = String::new();
        for _ in 0..REREADS {
            let Some(bytes) = self.get(&key).await? else {
                return Ok(None);
            };
            match Entry::parse(&bytes) {
                Ok(entry) => return Ok(Some(entry)),
                Err(e) => wrong = e,
            }
        }
        Err(self.damaged(format!("{key} is {wrong}")))
    }

    /// Takes one entry into `state`.
    pub(super) fn apply(
        &self,
        state: &mut State,
        version: i64,
        entry: Entry,
    ) -> Result<(), TableError> {
        state
            .apply(&self.root, version, entry)
            .map_err(|e| self.damaged(format!("{}: {e}", self.entry_key(version))))
    }

    /// Takes every entry after `state` in. The head is found by asking for the
    /// next entry, never by listing, for a list may lag behind.
    pub(super) async fn follow(&self, state: &mut State) -> Result<bool, TableError> {
        let mut moved = false;
        while let Some(entry) = self.read(state.version + 1).await? {
            let version = state.version + 1;
            self.apply(state, version, entry)?;
            moved = true;
        }
        Ok(moved)
    }

    /// Reads the table as it is now; `None` where there is none.
    pub(super) async fn load(&self) -> Result<Option<State>, TableError> {
        let found = self.find().await?;
        for version in found.checkpoints.iter().rev() {
            match self.read_checkpoint(*version).await {
                Ok(state) => return self.head(state, &found).await.map(Some),
                // An older one, or the entries from the first on, tell the
                // same as long as they are there.
                Err(error) => {
                    tracing::warn!(table = %self.table, version, %error, "checkpoint unreadable");
                }
            }
        }
        let state = State {
            version: -1,
            ..State::default()
        };
        let state = self.head(state, &found).await?;
        Ok((state.version >= 0).then_some(state))
    }

    /// Brings `state` to the head, and checks that no entry is missing below
    /// those that the list showed. An entry may be there and not be found once.
    async fn head(&self, mut state: State, found: &Found) -> Result<State, TableError> {
        let newest = found.newest.max(found.checkpoints.last().copied());
        let mut tries = 0;
        while tries < REREADS {
            // Each entry on the way may be missed: only standing still counts.
            let moved = self.follow(&mut state).await?;
            if newest <= Some(state.version) {
                return Ok(state);
            }
            tries = if moved { 1 } else { tries + 1 };
        }
        Err(self.damaged(format!(
            "{} is missing, and later entries are there",
            self.entry_key(state.version + 1)
        )))
    }

    /// Lists the log, from the last checkpoint on where its hint can be read.
    async fn find(&self) -> Result<Found, TableError> {
        let hint = self.get(&self.key("_delta_log/_last_checkpoint")).await?;
        let hinted = hint.and_then(|b| serde_json::from_slice::<LastCheckpoint>(&b).ok());
        if let Some(LastCheckpoint { version }) = hinted {
            // Sorts before every name of that version.
            let start = self.key(&format!("_delta_log/{version:020}"));
            let found = self.list(Some(&start)).await?;
            if found.checkpoints.contains(&version) && self.probe(version).await {
                return Ok(found);
            }
        }
        self.list(None).await
    }

    async fn probe(&self, version: i64) -> bool {
        self.store.head(&self.checkpoint_key(version)).await.is_ok()
    }

    /// Everything that lies there.
    pub(super) async fn find_all(&self) -> Result<Found, TableError> {
        self.list(None).await
    }

    async fn list(&self, start: Option<&Path>) -> Result<Found, TableError> {
        let folder = self.key("_delta_log");
        let mut listing = match start {
            Some(start) => self.store.list_with_offset(Some(&folder), start),
            None => self.store.list(Some(&folder)),
        };
        let mut found = Found::default();
        while let Some(meta) = listing
            .try_next()
            .await
            .map_err(|e| self.unavailable("listing the log", e))?
        {
            match versioned(&folder, &meta) {
                Some((version, rest)) if rest == ".json" => {
                    found.newest = found.newest.max(Some(version));
                    found.entries.push(version);
                }
                Some((version, rest)) if rest == ".checkpoint.parquet" => {
                    found.checkpoints.push(version);
                }
                _ => {}
            }
        }
        found.entries.sort_unstable();
        found.checkpoints.sort_unstable();
        Ok(found)
    }

    pub(super) async fn read_checkpoint(&self, version: i64) -> Result<State, TableError> {
        let key = self.checkpoint_key(version);
        let bytes = self
            .get(&key)
            .await?
            .ok_or_else(|| self.damaged(format!("{key} is missing")))?;
        let root = self.root.clone();
        let parsed = tokio::task::spawn_blocking(move || {
            let lines = checkpoint_lines(bytes).map_err(|e| e.to_string())?;
            State::from_checkpoint(&root, version, &lines)
        })
        .await
        .map_err(|e| self.unavailable("reading a checkpoint", e))?;
        parsed.map_err(|e| self.damaged(format!("{key}: {e}")))
    }

    /// Has the Delta kernel write a checkpoint of `version`.
    pub(super) async fn write_checkpoint(&self, version: i64) -> Result<(), TableError> {
        let failed = |e: deltalake_core::DeltaTableError| self.unavailable("the checkpoint", e);
        // The kernel sees a store whose root is the table, so that no key has
        // to pass through a URL's escaping. It sorts the lists of a `file:` URL
        // alone, and this is none, whatever lies below.
        let table_only = PrefixStore::new(Arc::clone(&self.store), self.root.clone());
        let store: Arc<dyn ObjectStore> = Arc::new(Sorted::new(Arc::new(table_only)));
        let url = Url::parse("memory:///").map_err(|e| self.unavailable("the checkpoint", e))?;
        let log_store =
            default_logstore(Arc::clone(&store), store, &url, &StorageConfig::default());
        let mut table = DeltaTable::new(log_store);
        table
            .load_version(u64::try_from(version).unwrap_or(0))
            .await
            .map_err(failed)?;
        deltalake_core::checkpoints::create_checkpoint(&table, None)
            .await
            .map_err(failed)
    }
}

/// A checkpoint's rows as the lines of a log entry.
fn checkpoint_lines(bytes: Bytes) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()?;
    let mut lines = Vec::new();
    let mut writer = arrow::json::LineDelimitedWriter::new(&mut lines);
    for batch in reader {
        writer.write(&batch?)?;
    }
    writer.finish()?;
    drop(writer);
    lines.flush()?;
    Ok(lines)
}

/// `actions` under the `commitInfo` that makes them recognisable.
pub(super) fn with_info(
    actions: Vec<Value>,
    operation: &str,
    now: Micros,
    id: &str,
    pledge: Option<&Pledge>,
) -> Vec<Value> {
    let mut info = json!({
        "timestamp": now.0.div_euclid(1000),
        "operation": operation,
        "operationParameters": {},
        "engineInfo": concat!("cairn/", env!("CARGO_PKG_VERSION")),
    });
    info[COMMIT_ID] = json!(id);
    info[COMMIT_LINES] = json!(actions.len());
    info[COMMIT_SHA256] = json!(entry_hash(Some(id), &encode(&actions)));
    if let Some(pledge) = pledge {
        // As text: no engine has to know what it is made of.
        let text = json!(pledge).to_string();
        info[COMMIT_PLEDGE_SHA256] = json!(entry_hash(Some(id), text.as_bytes()));
        info[COMMIT_PLEDGE] = json!(text);
    }
    let mut lines = vec![json!({ "commitInfo": info })];
    lines.extend(actions);
    lines
}

/// The actions that bring a table from `from` to `to`, under `prefix`.
pub(super) fn position_actions(
    prefix: &str,
    from: &Position,
    to: &Position,
    now: Micros,
) -> Vec<Value> {
    let moved = to.0.iter().filter(|(p, next)| **next != from.of(p));
    let action = |(partition, next)| {
        json!({"txn": {
            "appId": format!("{prefix}:{partition}"),
            "version": next,
            "lastUpdated": now.0.div_euclid(1000),
        }})
    };
    moved.map(action).collect()
}

/// The bytes of an entry: one action a line.
pub(super) fn encode(actions: &[Value]) -> Bytes {
    let mut text = String::new();
    for action in actions {
        text.push_str(&action.to_string());
        text.push('\n');
    }
    Bytes::from(text)
}
