//! What history committed becomes known to a judge: all of it at the begin of
//! an incarnation, and what others add while it lasts.

use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use async_trait::async_trait;
use cairn_schemas::{AccountId, Micros, Partition, Position};
use cairn_store::table::{Table, TableError};
use futures::TryStreamExt;

use super::Judge;
use crate::seen::{Candidate, ContentId, Place, SeenError, SeenIndex, SeenKey, SeenOptions};

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

/// Opens the index in `folder` and brings it up to what `history` committed
/// below `at`, from history's own rows.
pub async fn open_index(
    folder: &Path,
    options: SeenOptions,
    history: &Table,
    at: &Position,
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
    let mut rows = history.columns_between(LEARNED, &seen.covered(), Some(at));
    while let Some(batch) = rows.try_next().await? {
        // Restoring may write a table out.
        let restored = tokio::task::spawn_blocking(move || {
            let done = each_row(&mut seen, &batch, SeenIndex::restore);
            (seen, done)
        });
        let (back, done) = restored.await?;
        seen = back;
        done?;
    }
    seen.advance(at)?;
    Ok(seen)
}

/// Hands each row of `batch` to `take`, and whether it is flagged as a conflict.
pub(super) fn each_row(
    seen: &mut SeenIndex,
    batch: &RecordBatch,
    mut take: impl FnMut(&mut SeenIndex, Candidate, bool) -> Result<(), SeenError>,
) -> Result<(), CatchUpError> {
    let missing = |name: &str| CatchUpError::Row(format!("column {name} is missing"));
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| missing(name));
    let text = |name: &str| {
        column(name)?
            .as_string_opt::<i32>()
            .ok_or_else(|| missing(name))
    };
    let (accounts, ids, raws) = (text("account_id")?, text("event_id")?, text("raw")?);
    let sources = text("log_source")?;
    let numbers = column("log_partition")?.as_primitive_opt::<Int32Type>();
    let numbers = numbers.ok_or_else(|| missing("log_partition"))?;
    let offsets = column("log_offset")?.as_primitive_opt::<Int64Type>();
    let offsets = offsets.ok_or_else(|| missing("log_offset"))?;
    let items = column("log_item")?.as_primitive_opt::<Int32Type>();
    let items = items.ok_or_else(|| missing("log_item"))?;
    let ingest = column("ingest_time")?.as_primitive_opt::<TimestampMicrosecondType>();
    let ingest = ingest.ok_or_else(|| missing("ingest_time"))?;
    let flags = column("flags")?
        .as_list_opt::<i32>()
        .ok_or_else(|| missing("flags"))?;
    for row in 0..batch.num_rows() {
        let account =
            AccountId::new(accounts.value(row)).map_err(|e| CatchUpError::Row(e.to_string()))?;
        let partition = Partition {
            source: sources.value(row).to_owned(),
            number: numbers.value(row),
        };
        let flagged = flags.is_valid(row) && {
            let names = flags.value(row);
            let names = names
                .as_string_opt::<i32>()
                .ok_or_else(|| missing("flags"))?;
            names.iter().flatten().any(|n| n == "conflicting_duplicate")
        };
        let candidate = Candidate {
            key: SeenKey::of(&account, ids.value(row)),
            content: ContentId::of(raws.value(row).as_bytes()),
            at: Place {
                partition: seen.slot(&partition)?,
                offset: offsets.value(row),
                item: u16::try_from(items.value(row)).unwrap_or(u16::MAX),
            },
            ingest: Micros(ingest.value(row)),
        };
        take(seen, candidate, flagged)?;
    }
    Ok(())
}
