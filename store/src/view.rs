//! What a table shows to readers: the files that its newest version lists and
//! the rows that are not in a file yet, met in one snapshot without a gap and
//! without an overlap.
//!
//! This is the only thing that `query` knows of what `ingest` holds in memory.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use cairn_schemas::selector::Among;
use cairn_schemas::{AccountId, Micros, Partition, Position, TrailName};
use object_store::ObjectStore;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use url::Url;

/// The log offsets that a file holds rows of, in one partition: `first..next`.
/// Not every offset of the range need be in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetRange {
    /// The partition.
    pub partition: Partition,
    /// The lowest offset in the file.
    pub first: i64,
    /// One more than the highest offset in the file.
    pub next: i64,
}

/// One Parquet file of a table. It holds every column of the table but
/// `ingest_date`, whose one value stands here, and its rows are sorted by
/// [`cairn_schemas::columns::SORT_COLUMN`] ascending (event tables).
#[derive(Clone, Debug)]
pub struct DataFile {
    /// Its full key in the snapshot's store.
    pub path: Path,
    /// Bytes.
    pub size: u64,
    /// Rows.
    pub rows: u64,
    /// The partition value, days since the epoch.
    pub ingest_date: i32,
    /// The least and the greatest `event_time`, exact.
    pub event_time: Option<(Micros, Micros)>,
    /// The least and the greatest `ingest_time`, exact.
    pub ingest_time: Option<(Micros, Micros)>,
    /// Which parts of the log its rows come from.
    pub offsets: Vec<OffsetRange>,
    /// The accounts whose rows it holds, where they are few enough to list
    /// (at most 256).
    pub accounts: Option<Arc<BTreeSet<AccountId>>>,
}

/// A state of a table, in a form that lasts: files are merged and replaced, but
/// the records below a place in the log stay the same records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableVersion {
    /// The table's version.
    pub version: i64,
    /// Every row of a record below is in it, and no other row. It may lie
    /// beyond what the version's files reach, for the newest rows are in no
    /// file yet.
    pub reach: Position,
}

/// Up to where retention has removed rows from a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Rows that were ingested before this may be gone.
    pub before: Micros,
    /// The version from which on they are.
    pub version: i64,
}

/// What a state of a table is asked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The version of this number.
    Version(i64),
    /// The newest version that was committed by then.
    Time(Micros),
}

/// Why a past state could not be told.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// There was no such state, or nothing tells of it any more. For the asker.
    #[error("{0}")]
    Refused(String),
    /// The table cannot be read now.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// A table at one moment. Cheap to clone; never changes.
#[derive(Clone)]
pub struct TableSnapshot {
    /// The table's columns, `ingest_date` among them, last.
    pub schema: SchemaRef,
    /// The store that the files lie in.
    pub store: Arc<dyn ObjectStore>,
    /// A URL that names that store and no other in this process, such as
    /// `cairn-store://0`.
    pub store_url: Url,
    /// The table version that lists `files`.
    pub version: i64,
    /// The committed files.
    pub files: Arc<Vec<DataFile>>,
    /// Rows acknowledged and not in `files` yet, in the order of the log.
    pub fresh: Vec<RecordBatch>,
    /// Every row of a record below is in `files` or in `fresh`, but for those
    /// that retention removed.
    pub reach: Position,
    /// What retention removed.
    pub expired: Option<Expired>,
}

impl TableSnapshot {
    /// What is asked for to get the same rows again.
    pub fn as_version(&self) -> TableVersion {
        TableVersion {
            version: self.version,
            reach: self.reach.clone(),
        }
    }
}

impl fmt::Debug for TableSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableSnapshot")
            .field("store_url", &self.store_url.as_str())
            .field("version", &self.version)
            .field("files", &self.files.len())
            .field(
                "fresh",
                &self.fresh.iter().map(RecordBatch::num_rows).sum::<usize>(),
            )
            .finish_non_exhaustive()
    }
}

/// A table by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableName {
    /// Every event of 90 days.
    History,
    /// What could not become an event.
    Quarantine,
    /// A trail's table.
    Trail(TrailName),
}

/// Why a snapshot could not be had.
#[derive(Debug, thiserror::Error)]
#[error("table {table:?} cannot be read now: {reason}")]
pub struct ViewError {
    /// The table.
    pub table: TableName,
    /// What went wrong, for the operator.
    pub reason: String,
}

/// Every table that there is. Whose rows are seen is the caller's to decide:
/// nothing here knows of principals, and a snapshot holds every account's.
#[async_trait]
pub trait Tables: Send + Sync + fmt::Debug {
    /// The tables at this moment that a reader of these accounts may know of:
    /// trails by [`cairn_schemas::trail::Trail::visible_to`], deleted ones not
    /// among them.
    async fn names(&self, readable: &Among<AccountId>) -> Vec<TableName>;

    /// The table as it is now: every event acknowledged before the call is in
    /// it (for a trail: every one that it takes). `None` when there is no such
    /// table. A trail is found in whatever case its name is written, also one
    /// that [`Tables::names`] does not tell of. May be called from many tasks; holds nothing after it returns
    /// but the files' names, which stay readable for the vacuum's grace.
    async fn snapshot(&self, table: &TableName) -> Result<Option<TableSnapshot>, ViewError>;

    /// How far the table's files reached at `moment`: committed rows alone.
    /// `None` when there is no such table. A snapshot that is taken after this
    /// returns reaches as far.
    async fn past(
        &self,
        table: &TableName,
        moment: Moment,
    ) -> Result<Option<TableVersion>, PastError>;
}
