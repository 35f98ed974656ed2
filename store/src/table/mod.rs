//! Tables: Parquet files under a Delta log, written exactly once.
//!
//! One [`Table`] is the one committer of its table in this process; others may
//! run elsewhere, and put-if-absent on the log's next entry decides between
//! them. Each commit carries the table's new [`Position`] as `txn` actions in
//! the same entry as its files, so a crash anywhere repeats from the committed
//! position and changes nothing that was committed.
//!
//! In the order of a commit:
//!
//! - [`spec`]: what a table is, and how it is kept
//! - [`parquet`] and [`facts`]: rows become sorted files, and what is known of them
//! - [`names`]: which objects are the table's own
//! - [`commit`]: the one durable act
//! - [`pledge`]: what it decides for another table
//! - [`landed`]: what a process makes sure of that stood still for long
//! - [`state`] and [`log`]: the Delta log, read and written
//! - [`read`]: rows come back
//! - [`past`]: how far the files reached at an earlier version or time
//! - [`merge`] and [`compact`]: many small files become few large ones
//! - [`clocks`]: whose time decides what is old
//! - [`age`]: old files go, then their objects, then the log's old entries

mod age;
mod clocks;
mod commit;
mod compact;
mod error;
mod facts;
mod gather;
mod landed;
mod log;
mod merge;
mod names;
mod parquet;
mod past;
mod pledge;
mod read;
mod ready;
mod spec;
mod state;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::datatypes::SchemaRef;
use cairn_schemas::columns::PARTITION_COLUMN;
use cairn_schemas::{Clock, IdSource, Micros, Position};
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};
use url::Url;

pub use age::{ExpireReport, VacuumGrace, VacuumReport};
pub use compact::{CompactPolicy, CompactReport};

pub use commit::{Condition, Prepared};
pub use error::TableError;
pub use pledge::Pledge;
pub use read::RowStream;
pub use spec::{ParquetOptions, TableOptions, TableSpec};

use crate::objects::{DurableLocal, Opened, is_scratch, scratch};
use crate::view::{DataFile, Expired};
use landed::Since;
use log::DeltaLog;
use names::DataNames;
use state::State;

/// What a table lists at one version.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The version.
    pub version: i64,
    /// The files, by day and then by place in the log.
    pub files: Arc<Vec<DataFile>>,
    /// What retention removed.
    pub expired: Option<Expired>,
}

/// A table. Cheap to share in an `Arc`; every method takes `&self`. Reading
/// never waits for writing.
pub struct Table {
    spec: TableSpec,
    options: TableOptions,
    layout: parquet::Layout,
    log: DeltaLog,
    names: DataNames,
    /// The disk, where the table lies on one.
    local: Option<DurableLocal>,
    store_url: Url,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    /// Held through a whole compaction or expiry: one at a time. Taken before
    /// `head`.
    maintenance: tokio::sync::Mutex<()>,
    /// Held by whoever commits or refreshes: one at a time.
    head: tokio::sync::Mutex<Head>,
    /// What readers see; replaced as a whole after each change of `head`.
    shown: RwLock<Shown>,
    /// How many deletions the store refused last, as it was told.
    denied: AtomicU64,
    /// Why nothing was expired last.
    not_expired: Mutex<Option<String>>,
}

/// The newest state known, owned by whoever holds the lock.
#[derive(Debug)]
struct Head {
    state: State,
    /// When the store last said that nothing stands after `state`.
    seen: Since,
    /// The version at which the log was last cleaned.
    cleaned: i64,
    /// A checkpoint that could not be written: the version at which it is tried
    /// again, and how many commits that is after the last try.
    owed: Option<(i64, i64)>,
}

#[derive(Clone)]
struct Shown {
    listing: Arc<Listing>,
    position: Position,
    pledged: Position,
}

impl Shown {
    fn of(state: &State, prefix: &str) -> Self {
        Self {
            listing: listing(state),
            position: state.position(prefix),
            pledged: state.position(pledge::PLEDGED),
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.shown.read();
        f.debug_struct("Table")
            .field("name", &self.spec.name)
            .field("root", &self.log.root.as_ref())
            .field("version", &shown.listing.version)
            .field("files", &shown.listing.files.len())
            .finish_non_exhaustive()
    }
}

impl Table {
    /// Opens the table that lies in `opened`'s folder, or makes it there. Two
    /// may do so at once: one makes it, both open it. Refuses a table with
    /// other columns, other properties, or features that Cairn does not know,
    /// and makes none where anything else lies.
    pub async fn open_or_create(
        opened: &Opened,
        spec: TableSpec,
        options: TableOptions,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self, TableError> {
        let log = DeltaLog {
            table: spec.name.clone(),
            store: Arc::clone(&opened.store),
            root: opened.prefix.clone(),
        };
        if spec.schema.fields().last().map(|f| f.name().as_str()) != Some(PARTITION_COLUMN) {
            return Err(TableError::Refused {
                table: spec.name,
                reason: "its last column has to be ingest_date".to_owned(),
            });
        }
        let state = match log.load().await? {
            Some(state) => state,
            None => create(&log, &spec, &options, clock.now(), ids.as_ref()).await?,
        };
        let outlined = check(&spec, &state)?;
        let shown = Shown::of(&state, &options.position_prefix);
        Ok(Self {
            layout: parquet::Layout::new(&spec, &options.parquet, outlined),
            names: DataNames::new(&state.metadata.id),
            local: opened.local.clone(),
            store_url: opened.store_url.clone(),
            maintenance: tokio::sync::Mutex::new(()),
            head: tokio::sync::Mutex::new(Head {
                cleaned: 0,
                owed: None,
                state,
                seen: Since::now(clock.as_ref()),
            }),
            shown: RwLock::new(shown),
            denied: AtomicU64::new(0),
            not_expired: Mutex::default(),
            spec,
            options,
            log,
            clock,
            ids,
        })
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Its columns, `ingest_date` last.
    pub fn schema(&self) -> &SchemaRef {
        &self.spec.schema
    }

    /// The store that its files lie in.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.log.store
    }

    /// A URL that names that store and no other in this process.
    pub fn store_url(&self) -> &Url {
        &self.store_url
    }

    /// The table's folder in the store.
    pub fn root(&self) -> &Path {
        &self.log.root
    }

    /// The files of the newest version known here.
    pub fn files(&self) -> Arc<Listing> {
        Arc::clone(&self.shown.read().listing)
    }

    /// Where the newest version known here stands.
    pub fn position(&self) -> Position {
        self.shown.read().position.clone()
    }

    /// [`Self::files`] and [`Self::position`] of one and the same version.
    pub fn files_at(&self) -> (Arc<Listing>, Position) {
        let shown = self.shown.read();
        (Arc::clone(&shown.listing), shown.position.clone())
    }

    /// Picks up what others have committed.
    pub async fn refresh(&self) -> Result<Arc<Listing>, TableError> {
        let mut head = self.head.lock().await;
        let outcome = self.catch_up(&mut head).await;
        self.show(&head.state);
        outcome?;
        Ok(self.files())
    }

    /// Makes `state` what readers see.
    fn show(&self, state: &State) {
        if self.shown.read().listing.version == state.version {
            return;
        }
        let shown = Shown::of(state, &self.options.position_prefix);
        *self.shown.write() = shown;
    }

    fn refused(&self, reason: impl Into<String>) -> TableError {
        TableError::Refused {
            table: self.spec.name.clone(),
            reason: reason.into(),
        }
    }
}

fn listing(state: &State) -> Arc<Listing> {
    Arc::new(Listing {
        version: state.version,
        files: Arc::new(state.data_files()),
        expired: age::expired_up_to(state),
    })
}

/// Makes the table, where nothing else lies. Losing the race for it is as good.
async fn create(
    log: &DeltaLog,
    spec: &TableSpec,
    options: &TableOptions,
    now: Micros,
    ids: &dyn IdSource,
) -> Result<State, TableError> {
    let actions =
        first_entry(spec, options, now, &ids.hex128()).map_err(|column| TableError::Refused {
            table: spec.name.clone(),
            reason: format!("Delta has no type for column {column}"),
        })?;
    // (1) Nothing else may lie there: what Cairn makes of the place and what
    // somebody else does would get in each other's way.
    if let Some(other) = foreign(log).await? {
        // Unless another made the table since it was looked for.
        return log.load().await?.ok_or_else(|| TableError::Refused {
            table: spec.name.clone(),
            reason: format!("something else lies there ({other}); give the table an empty place"),
        });
    }
    // (2) The log's first entry, which is the table. A crash before it leaves
    // nothing that (1) sees, so the next start makes the table; a crash after
    // it leaves the table.
    let put = log.put(0, log::encode(&actions)).await;
    // Whatever the answer: what lies there now is the table.
    match (log.load().await?, put) {
        (Some(state), _) => Ok(state),
        (None, Err(e)) => Err(log.unavailable("making the table", e)),
        (None, Ok(())) => Err(log.unavailable(
            "making the table",
            "the store does not show what was put there",
        )),
    }
}

/// One of the objects in the table's place that no interrupted start of
/// Cairn's can have left.
async fn foreign(log: &DeltaLog) -> Result<Option<Path>, TableError> {
    let mut listing = log.store.list(Some(&log.root));
    while let Some(meta) = listing
        .try_next()
        .await
        .map_err(|e| log.unavailable("looking whether the place is empty", e))?
    {
        let relative = age::relative(&log.root, &meta.location);
        // Without a name and bytes: how consoles show an empty folder.
        let folder = relative.is_empty() && meta.size == 0;
        if !folder && !is_scratch(&relative) {
            return Ok(Some(meta.location));
        }
    }
    Ok(None)
}

fn first_entry(
    spec: &TableSpec,
    options: &TableOptions,
    now: Micros,
    id: &str,
) -> Result<Vec<Value>, String> {
    let schema = spec.delta_schema(spec.outlined)?;
    let mut configuration = json!({
        "delta.checkpointInterval": options.checkpoint_every.max(1).to_string(),
        // Cairn cleans the log itself, and knows how long its writers may sleep.
        "delta.enableExpiredLogCleanup": "false",
    });
    for (key, value) in &spec.properties {
        configuration[key] = json!(value);
    }
    let uuid = format!(
        "{}-{}-{}-{}-{}",
        &id[..8],
        &id[8..12],
        &id[12..16],
        &id[16..20],
        &id[20..]
    );
    let actions = vec![
        // The widest protocol: every engine reads and writes it.
        json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}),
        json!({"metaData": {
            "id": uuid,
            "name": spec.name,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema.to_string(),
            "partitionColumns": [PARTITION_COLUMN],
            "configuration": configuration,
            "createdTime": now.0 / 1000,
        }}),
    ];
    Ok(log::with_info(actions, "CREATE TABLE", now, id, None))
}

/// Refuses a table that is not the one meant; tells whether it is outlined.
fn check(spec: &TableSpec, state: &State) -> Result<bool, TableError> {
    let refused = |reason: String| TableError::Refused {
        table: spec.name.clone(),
        reason,
    };
    let protocol = state.protocol;
    if protocol.min_reader_version > 1 || protocol.min_writer_version > 2 {
        return Err(refused(format!(
            "another engine turned on features that Cairn does not know (protocol {}, {}); \
             restore the table from before that",
            protocol.min_reader_version, protocol.min_writer_version
        )));
    }
    let stored: Value = serde_json::from_str(&state.metadata.schema_string)
        .map_err(|e| refused(format!("its schema cannot be read: {e}")))?;
    // As it was made, whatever would be made today.
    let mut outlined = None;
    for either in [false, true] {
        let wanted = spec
            .delta_schema(either)
            .map_err(|column| refused(format!("Delta has no type for column {column}")))?;
        if spec::bare(&stored) == spec::bare(&wanted) {
            outlined.get_or_insert(either);
        }
    }
    let parted = state.metadata.partition_columns == [PARTITION_COLUMN];
    let Some(outlined) = outlined.filter(|_| parted) else {
        return Err(refused(
            "what lies there has other columns; give the table another place, or run the \
             version of Cairn that made it"
                .to_owned(),
        ));
    };
    for (key, value) in &spec.properties {
        let there = state.metadata.configuration.get(key).cloned().flatten();
        if there.as_ref() != Some(value) {
            return Err(refused(format!(
                "what lies there belongs to something else: {key} is {}, not {value}; \
                 give the table another place",
                there.as_deref().unwrap_or("not set")
            )));
        }
    }
    Ok(outlined)
}

#[cfg(test)]
mod tests;
