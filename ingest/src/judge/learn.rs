//! What history committed becomes known to a judge: all of it at the begin of
//! an incarnation, and what others add while it lasts.

use std::path::Path;
use std::pin::pin;

use arrow::array::{Array, AsArray, ListArray, PrimitiveArray, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use async_trait::async_trait;
use cairn_schemas::{AccountId, Micros, Partition, Position};
use cairn_store::table::{Listing, Table, TableError};
use cairn_store::view::DataFile;
use futures::{Stream, StreamExt, TryStreamExt};
use parking_lot::Mutex;

use super::Judge;
use crate::seen::{Candidate, ContentId, Place, SeenError, SeenIndex, SeenKey, SeenOptions, Slot};

/// The columns of history that are learned from.
pub const LEARNED: &[&str] = &[
    "account_id",
    "event_id",
    "ingest_time",
    "raw",
    "flags",
    "log_source",
    "log_partition",
    "log_offset",
    "log_item",
];

/// Opens judges, one for each incarnation of the pipeline that cannot go on
/// with the one before.
#[async_trait]
pub trait MakeJudge: Send + Sync + std::fmt::Debug {
    /// A judge that knows what `history` committed below `at`, and nothing
    /// else. The judge before it is gone.
    async fn make(&self, history: &Table, at: &Position) -> Result<Judge, CatchUpError>;
}

/// Why a judge could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum CatchUpError {
    /// History could not be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The index could not be written.
    #[error(transparent)]
    Seen(#[from] SeenError),
    /// History holds something that no event is.
    #[error("history holds a row that is no event ({0}); was the table written by something else?")]
    Row(String),
    /// A task of ours panicked.
    #[error("opening the duplicate index ended abruptly: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// How far the duplicate index has come in taking in what history holds, while it
/// does: a process without its data folder reads the whole hot window. Shared.
#[derive(Debug, Default)]
pub struct CatchingUp(Mutex<Option<(u64, u64)>>);

impl CatchingUp {
    /// How many rows were taken in, and about how many there are; `None` where
    /// nothing is being taken in.
    pub fn progress(&self) -> Option<(u64, u64)> {
        *self.0.lock()
    }

    /// States that about so many rows are to be taken in.
    pub fn tell(&self, rows: u64) {
        *self.0.lock() = (rows > 0).then_some((0, rows));
    }

    fn add(&self, rows: usize) {
        if let Some((done, of)) = &mut *self.0.lock() {
            *done += rows as u64;
            *of = (*of).max(*done);
        }
    }
}

/// Ends what is told when it is dropped, however that comes about.
struct Telling<'c>(&'c CatchingUp);

impl<'c> Telling<'c> {
    fn of(rows: u64, to: &'c CatchingUp) -> Self {
        to.tell(rows);
        Self(to)
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        *self.0.0.lock() = None;
    }
}

/// Opens the index in `folder` and brings it up to what `history` committed
/// below `at`, from history's own rows; `progress` tells how far that is.
pub async fn open_index(
    folder: &Path,
    options: SeenOptions,
    history: &Table,
    at: &Position,
    progress: &CatchingUp,
) -> Result<SeenIndex, CatchUpError> {
    let folder = folder.to_owned();
    let options = SeenOptions {
        committed: Some(at.clone()),
        ..options
    };
    let opened = tokio::task::spawn_blocking(move || SeenIndex::open(&folder, options));
    let mut seen = opened.await??;
    for aside in seen.set_aside() {
        tracing::warn!(what = ?aside, "a part of the duplicate index was set aside and is rebuilt");
    }
    let (files, covered) = (history.files(), seen.covered());
    let telling = Telling::of(rows_between(&files, &covered, at), progress);
    let mut rows = pin!(learnable(history, &files, &covered, at));
    while let Some(rows) = rows.try_next().await? {
        telling.0.add(rows.len());
        // Restoring may write a table out.
        let restored = tokio::task::spawn_blocking(move || {
            let done = rows.each(&mut seen, SeenIndex::restore);
            (seen, done)
        });
        let (back, done) = restored.await?;
        seen = back;
        done?;
    }
    seen.advance(at)?;
    Ok(seen)
}

/// About how many rows of `listing` lie between the two.
fn rows_between(listing: &Listing, from: &Position, to: &Position) -> u64 {
    let inside = |file: &&DataFile| {
        let mut ranges = file.offsets.iter();
        ranges.any(|r| r.next > from.of(&r.partition) && r.first < to.of(&r.partition))
    };
    listing.files.iter().filter(inside).map(|f| f.rows).sum()
}

/// How many files are read at once.
const FILES: usize = 4;
/// How many batches of them are hashed at once.
const HASHED: usize = 2;

/// What there is to learn of some rows of history: their names, their bytes'
/// hash, their places. Not the bytes, so that many take little memory.
#[derive(Debug, Default)]
pub struct Learnable {
    partitions: Vec<Partition>,
    rows: Vec<LearnableRow>,
}

#[derive(Debug)]
struct LearnableRow {
    key: SeenKey,
    content: ContentId,
    /// Its index among `partitions`.
    partition: usize,
    offset: i64,
    item: u16,
    ingest: Micros,
    /// Whether it bears `conflicting_duplicate`.
    flagged: bool,
}

/// The rows of `listing` from `from` to `at`, in any order. Files are read side
/// by side, and hashed on threads that may block.
pub fn learnable(
    history: &Table,
    listing: &Listing,
    from: &Position,
    at: &Position,
) -> impl Stream<Item = Result<Learnable, CatchUpError>> + Send + use<> {
    let rows = history.columns_side_by_side(listing, LEARNED, from, at, FILES);
    let hash = async |batch: Result<RecordBatch, TableError>| {
        let batch = batch?;
        tokio::task::spawn_blocking(move || Learnable::of(&batch)).await?
    };
    rows.map(hash).buffer_unordered(HASHED)
}

impl Learnable {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Of rows with the columns of [`LEARNED`].
    pub fn of(batch: &RecordBatch) -> Result<Self, CatchUpError> {
        let columns = Columns::of(batch)?;
        let mut learnable = Self::default();
        for row in 0..batch.num_rows() {
            let account = AccountId::new(columns.accounts.value(row))
                .map_err(|e| CatchUpError::Row(e.to_string()))?;
            let (source, number) = (columns.sources.value(row), columns.numbers.value(row));
            let partition = learnable.partition(source, number);
            learnable.rows.push(LearnableRow {
                key: SeenKey::of(&account, columns.ids.value(row)),
                content: ContentId::of(columns.raws.value(row).as_bytes()),
                partition,
                offset: columns.offsets.value(row),
                item: u16::try_from(columns.items.value(row)).unwrap_or(u16::MAX),
                ingest: Micros(columns.ingest.value(row)),
                flagged: columns.is_flagged(row)?,
            });
        }
        Ok(learnable)
    }

    fn partition(&mut self, source: &str, number: i32) -> usize {
        let mut known = self.partitions.iter().rev();
        let found = known.position(|p| p.number == number && p.source == source);
        if let Some(back) = found {
            return self.partitions.len() - 1 - back;
        }
        self.partitions.push(Partition {
            source: source.to_owned(),
            number,
        });
        self.partitions.len() - 1
    }

    /// Hands each row to `take`, and whether it is flagged as a conflict.
    pub(super) fn each(
        &self,
        seen: &mut SeenIndex,
        mut take: impl FnMut(&mut SeenIndex, Candidate, bool) -> Result<(), SeenError>,
    ) -> Result<(), SeenError> {
        let slots: Result<Vec<Slot>, SeenError> =
            self.partitions.iter().map(|p| seen.slot(p)).collect();
        let slots = slots?;
        for row in &self.rows {
            let candidate = Candidate {
                key: row.key,
                content: row.content,
                at: Place {
                    partition: slots[row.partition],
                    offset: row.offset,
                    item: row.item,
                },
                ingest: row.ingest,
            };
            take(seen, candidate, row.flagged)?;
        }
        Ok(())
    }
}

/// The columns of [`LEARNED`].
struct Columns<'b> {
    accounts: &'b StringArray,
    ids: &'b StringArray,
    raws: &'b StringArray,
    sources: &'b StringArray,
    numbers: &'b PrimitiveArray<Int32Type>,
    offsets: &'b PrimitiveArray<Int64Type>,
    items: &'b PrimitiveArray<Int32Type>,
    ingest: &'b PrimitiveArray<TimestampMicrosecondType>,
    flags: &'b ListArray,
}

fn missing(name: &str) -> CatchUpError {
    CatchUpError::Row(format!("column {name} is missing"))
}

impl<'b> Columns<'b> {
    fn of(batch: &'b RecordBatch) -> Result<Self, CatchUpError> {
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| missing(name));
        let text = |name: &str| {
            let column = column(name)?.as_string_opt::<i32>();
            column.ok_or_else(|| missing(name))
        };
        let number = |name: &str| {
            let column = column(name)?.as_primitive_opt::<Int32Type>();
            column.ok_or_else(|| missing(name))
        };
        let (offsets, ingest) = (column("log_offset")?, column("ingest_time")?);
        Ok(Self {
            accounts: text("account_id")?,
            ids: text("event_id")?,
            raws: text("raw")?,
            sources: text("log_source")?,
            numbers: number("log_partition")?,
            items: number("log_item")?,
            offsets: offsets
                .as_primitive_opt()
                .ok_or_else(|| missing("log_offset"))?,
            ingest: ingest
                .as_primitive_opt()
                .ok_or_else(|| missing("ingest_time"))?,
            flags: column("flags")?
                .as_list_opt::<i32>()
                .ok_or_else(|| missing("flags"))?,
        })
    }

    fn is_flagged(&self, row: usize) -> Result<bool, CatchUpError> {
        if !self.flags.is_valid(row) {
            return Ok(false);
        }
        let names = self.flags.value(row);
        let names = names
            .as_string_opt::<i32>()
            .ok_or_else(|| missing("flags"))?;
        Ok(names.iter().flatten().any(|n| n == "conflicting_duplicate"))
    }
}
