//! Rows come back: whole files, or what lies between two positions.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, RecordBatch, RecordBatchOptions, new_null_array,
};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes;
use cairn_schemas::Position;
use cairn_schemas::columns::{OUTLINE_COLUMN, PARTITION_COLUMN, RAW_COLUMN};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, ArrowReaderOptions, RowFilter};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use super::error::TableError;
use super::facts::Columns;
use super::{Listing, Table};
use crate::outline;
use crate::view::DataFile;

/// Rows of a batch that is read. Events of 512 KiB each, side by side, would pass
/// what Arrow's offsets can tell: that is an error.
const BATCH_ROWS: usize = 4096;

/// Rows, batch by batch.
pub type RowStream = BoxStream<'static, Result<RecordBatch, TableError>>;

/// How one file is read.
pub(super) struct Reading {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) table: String,
    pub(super) schema: SchemaRef,
    pub(super) batch_rows: usize,
    /// Rows outside of it are left out.
    pub(super) between: Option<(Position, Option<Position>)>,
}

impl Table {
    /// The rows of `file`, which some listing of this table named, in its
    /// order. `columns` are the wanted ones; they come in the table's order.
    pub fn read(&self, file: &DataFile, columns: Option<&[&str]>) -> RowStream {
        let mut reading = self.reading(BATCH_ROWS);
        if let Some(columns) = columns {
            reading.schema = self.project(columns);
        }
        reading.stream(file.clone())
    }

    /// The rows whose place in the log is at or after `from` and, where `to`
    /// is given, before `to`, of the newest version known here: file by file,
    /// in the order of the files' first places. Holds one batch at a time, and
    /// the compressed row group that it comes from.
    pub fn rows_between(&self, from: &Position, to: Option<&Position>) -> RowStream {
        self.rows_between_in(&self.files(), from, to)
    }

    /// [`Self::rows_between`] of a listing that the caller holds.
    pub fn rows_between_in(
        &self,
        listing: &Listing,
        from: &Position,
        to: Option<&Position>,
    ) -> RowStream {
        self.stream_between(listing, Arc::clone(&self.spec.schema), from, to)
    }

    /// The rows of `listing` between two places, of these columns only (they come
    /// in the table's order), in any order: so many files are read at once. Holds a batch of each of them.
    pub fn columns_side_by_side(
        &self,
        listing: &Listing,
        columns: &[&str],
        from: &Position,
        to: &Position,
        files: usize,
    ) -> RowStream {
        let columns = self.project(columns);
        let (listed, reading) = self.what_lies_between(listing, columns, from, Some(to));
        futures::stream::iter(listed)
            .map(move |file| reading.stream(file))
            .flatten_unordered(files)
            .boxed()
    }

    fn stream_between(
        &self,
        listing: &Listing,
        schema: SchemaRef,
        from: &Position,
        to: Option<&Position>,
    ) -> RowStream {
        let (files, reading) = self.what_lies_between(listing, schema, from, to);
        futures::stream::iter(files)
            .map(move |file| reading.stream(file))
            .flatten()
            .boxed()
    }

    /// The files to be read for what lies between two places, and how.
    fn what_lies_between(
        &self,
        listing: &Listing,
        schema: SchemaRef,
        from: &Position,
        to: Option<&Position>,
    ) -> (Vec<DataFile>, Reading) {
        let mut files: Vec<DataFile> = listing
            .files
            .iter()
            .filter(|f| overlaps(f, from, to))
            .cloned()
            .collect();
        files.sort_by_key(|f| f.offsets.first().map(|r| r.first));
        let mut reading = self.reading(BATCH_ROWS);
        reading.schema = schema;
        reading.between = Some((from.clone(), to.cloned()));
        (files, reading)
    }

    pub(super) fn reading(&self, batch_rows: usize) -> Reading {
        Reading {
            store: Arc::clone(&self.log.store),
            table: self.spec.name.clone(),
            schema: Arc::clone(&self.spec.schema),
            batch_rows,
            between: None,
        }
    }

    pub(super) fn project(&self, columns: &[&str]) -> SchemaRef {
        let fields: Vec<_> = self
            .spec
            .schema
            .fields()
            .iter()
            .filter(|f| columns.contains(&f.name().as_str()))
            .map(Arc::clone)
            .collect();
        Arc::new(Schema::new(fields))
    }
}

/// Whether `file` may hold a row between the two. A file that does not say
/// where its rows come from may.
fn overlaps(file: &DataFile, from: &Position, to: Option<&Position>) -> bool {
    file.offsets.is_empty()
        || file.offsets.iter().any(|r| {
            r.next > from.of(&r.partition) && to.is_none_or(|t| r.first < t.of(&r.partition))
        })
}

impl Reading {
    /// The rows of `file`.
    pub(super) fn stream(&self, file: DataFile) -> RowStream {
        let reading = Reading {
            store: Arc::clone(&self.store),
            table: self.table.clone(),
            schema: Arc::clone(&self.schema),
            batch_rows: self.batch_rows,
            between: self.between.clone().filter(|(from, to)| {
                // A file that lies wholly between them needs no filter.
                file.offsets.is_empty()
                    || !file.offsets.iter().all(|r| {
                        r.first >= from.of(&r.partition)
                            && to.as_ref().is_none_or(|t| r.next <= t.of(&r.partition))
                    })
            }),
        };
        futures::stream::once(reading.open(file))
            .try_flatten()
            .boxed()
    }

    async fn open(self, file: DataFile) -> Result<RowStream, TableError> {
        let table = self.table.clone();
        let key = file.path.clone();
        let fail = move |e: ParquetError| read_error(&table, key.as_ref(), &e);
        let reader = Fetch {
            store: Arc::clone(&self.store),
            path: file.path.clone(),
            size: file.size,
        };
        let mut builder = ParquetRecordBatchStreamBuilder::new(reader)
            .await
            .map_err(&fail)?;
        let names = |names: &[&str]| {
            let stored = builder.schema();
            let roots: Vec<usize> = names
                .iter()
                .filter_map(|n| stored.index_of(n).ok())
                .collect();
            ProjectionMask::roots(builder.parquet_schema(), roots)
        };
        let schema = Arc::clone(&self.schema);
        let mut wanted: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        if wanted.contains(&RAW_COLUMN) && builder.schema().index_of(OUTLINE_COLUMN).is_ok() {
            for name in outline::needed().chain([OUTLINE_COLUMN]) {
                wanted.push(name);
            }
        }
        let mask = names(&wanted);
        if let Some((from, to)) = self.between {
            let place = names(&["log_source", "log_partition", "log_offset"]);
            let filter =
                ArrowPredicateFn::new(place, move |batch| between(&batch, &from, to.as_ref()));
            builder = builder.with_row_filter(RowFilter::new(vec![Box::new(filter)]));
        }
        let stream = builder
            .with_projection(mask)
            .with_batch_size(self.batch_rows)
            .build()
            .map_err(&fail)?;
        let table = self.table;
        Ok(stream
            .map(move |batch| {
                let batch = outline::filled(batch.map_err(&fail)?);
                let whole = batch.and_then(|b| complete(&schema, &b, file.ingest_date));
                whole.map_err(|e| TableError::Damaged {
                    table: table.clone(),
                    what: format!("{}: {e}", file.path),
                })
            })
            .boxed())
    }
}

/// One object's bytes for the Parquet reader.
struct Fetch {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
}

impl AsyncFileReader for Fetch {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move { Ok(self.store.get_range(&self.path, range).await?) }.boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move { Ok(self.store.get_ranges(&self.path, &ranges).await?) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let size = self.size;
            let metadata = ParquetMetaDataReader::new()
                // With it a filter on the place in the log skips pages of `raw`.
                .with_offset_index_policy(PageIndexPolicy::Optional)
                .with_prefetch_hint(Some(64 * 1024))
                .load_and_finish(self, size)
                .await?;
            Ok(Arc::new(metadata))
        }
        .boxed()
    }
}

/// A file that is gone was removed and vacuumed after the caller took its
/// listing; anything that the store did not say is the file's own fault.
fn read_error(table: &str, key: &str, error: &ParquetError) -> TableError {
    let ParquetError::External(source) = error else {
        return TableError::Damaged {
            table: table.to_owned(),
            what: format!("{key}: {error}"),
        };
    };
    let gone = matches!(
        source.downcast_ref(),
        Some(object_store::Error::NotFound { .. })
    );
    TableError::Unavailable {
        table: table.to_owned(),
        action: "reading a file",
        reason: match gone {
            true => format!("{key} is gone; take the table's files anew"),
            false => error.to_string(),
        },
    }
}

fn between(
    batch: &RecordBatch,
    from: &Position,
    to: Option<&Position>,
) -> Result<BooleanArray, ArrowError> {
    let columns = Columns::of(batch);
    let (Some(source), Some(partition), Some(offset)) =
        (columns.source, columns.partition, columns.offset)
    else {
        return Err(ArrowError::SchemaError("no place in the log".to_owned()));
    };
    let mut name = cairn_schemas::Partition {
        source: String::new(),
        number: 0,
    };
    let (mut low, mut high) = (from.of(&name), to.map(|t| t.of(&name)));
    let mut known = false;
    Ok((0..batch.num_rows())
        .map(|row| {
            let (s, p) = (source.value(row), partition.value(row));
            if !known || name.number != p || name.source != s {
                name = cairn_schemas::Partition {
                    source: s.to_owned(),
                    number: p,
                };
                (low, high) = (from.of(&name), to.map(|t| t.of(&name)));
                known = true;
            }
            let o = offset.value(row);
            Some(o >= low && high.is_none_or(|h| o < h))
        })
        .collect())
}

/// `batch` with every column of `schema`: `ingest_date` is not in the file,
/// and a column younger than the file is null.
fn complete(schema: &SchemaRef, batch: &RecordBatch, day: i32) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| {
            if field.name() == PARTITION_COLUMN {
                return Arc::new(Date32Array::from_value(day, rows)) as ArrayRef;
            }
            match batch.column_by_name(field.name()) {
                Some(column) => Arc::clone(column),
                None => new_null_array(field.data_type(), rows),
            }
        })
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}
