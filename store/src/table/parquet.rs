//! Rows into Parquet: one sorted file per ingest date.
//!
//! Sort order, row groups, pages, encodings and filters decide what a question
//! costs and what an event weighs, so Cairn writes its files itself. All of
//! this is work for a processor and runs apart from the async threads.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use bytes::Bytes;
use cairn_schemas::columns::{OUTLINE_COLUMN, PARTITION_COLUMN};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use parking_lot::Mutex;

use super::facts::{Facts, RowsHash};
use super::ready::Ready;
use super::spec::{ParquetOptions, TableSpec};
use crate::outline::fold::Outlines;

/// Columns whose values hardly ever repeat: a dictionary would be built and
/// then thrown away. Their lengths stand apart from their bytes
/// (`DELTA_LENGTH_BYTE_ARRAY`, which Parquet's Encodings.md prefers to `PLAIN`
/// always): 2 % fewer bytes at rest, and 2 % less work for a processor.
const UNIQUE: &[&str] = &[
    "raw",
    "raw_base64",
    "event_id",
    "request_id",
    "shared_event_id",
    "request_parameters",
    "response_elements",
    "additional_event_data",
];

/// Columns that nobody compares with less-than, or whose least and greatest
/// value in a page tell nothing.
const WITHOUT_STATISTICS: &[&str] = &[
    "raw",
    "raw_outline",
    "raw_base64",
    "event_id",
    "request_id",
    "shared_event_id",
    "request_parameters",
    "response_elements",
    "additional_event_data",
    "user_identity",
    "user_agent",
    "error_message",
    "detail",
];

/// Integers that rise with the rows, or nearly so.
const RISING: &[&str] = &["event_time", "log_offset"];

/// Outlines take 700 bytes and more, and a file without their dictionary is half as
/// large again: theirs may be larger than the default of 1 MiB.
const OUTLINE_DICTIONARY: usize = 8 << 20;

/// A hit of the filter that is none costs one page; ten bits a value.
const BLOOM_FALSE_HITS: f64 = 0.01;

/// About what a row takes in a file, and the most that is asked for ahead.
const ROW_BYTES: usize = 512;
const MOST_ROOM: usize = 64 << 20;

/// Rows that are copied into sorted order at a time: so few that the texts of
/// none of its columns pass the 2 GiB that Arrow's offsets can tell, unless events
/// take 512 KiB in the mean; then merging them fails, and they stay in small files.
pub(super) const CHUNK_ROWS: usize = 4096;

/// How the files of one table are written.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The columns that rows come with: all but `ingest_date`.
    pub(super) schema: SchemaRef,
    /// The columns in the file.
    stored: SchemaRef,
    /// What is known of the events of an outlined table.
    pub(super) outlines: Option<Arc<Mutex<Outlines>>>,
    sort: Option<usize>,
    bloom: Vec<String>,
    options: ParquetOptions,
}

/// One encoded file.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) day: i32,
    pub(super) bytes: Bytes,
    pub(super) facts: Facts,
}

impl Layout {
    pub(super) fn new(spec: &TableSpec, options: &ParquetOptions, outlined: bool) -> Self {
        let schema = undated(&spec.schema);
        let sort = spec.sort_column.and_then(|c| schema.index_of(c).ok());
        Self {
            schema,
            stored: undated(&spec.stored(outlined)),
            outlines: outlined.then(Arc::default),
            sort,
            bloom: spec.bloom_columns.clone(),
            options: options.clone(),
        }
    }

    /// Whether `raw` is kept as an outline.
    pub(super) fn outlined(&self) -> bool {
        self.outlines.is_some()
    }

    /// The sort column's place among the file's columns.
    pub(super) fn sort(&self) -> Option<usize> {
        self.sort
    }

    /// For a file of about `rows` rows, with no value in the columns that are
    /// `empty`; without those, none is known to have none.
    fn properties(&self, rows: usize, empty: &[bool]) -> Result<WriterProperties, ParquetError> {
        let is_empty = |n: usize| empty.get(n).copied().unwrap_or_default();
        let o = &self.options;
        let mut builder = WriterProperties::builder()
            .set_created_by(concat!("cairn version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(o.zstd_level)?))
            .set_max_row_group_row_count(Some(o.row_group_rows))
            .set_data_page_row_count_limit(o.page_rows)
            .set_data_page_size_limit(o.page_bytes)
            .set_statistics_enabled(EnabledStatistics::None);
        if let Some(column) = self.sort.and_then(|c| i32::try_from(c).ok()) {
            builder = builder.set_sorting_columns(Some(vec![SortingColumn {
                column_idx: column,
                descending: false,
                nulls_first: false,
            }]));
        }
        for (n, field) in self.stored.fields().iter().enumerate() {
            builder = column(builder, field.name(), field.data_type());
            if is_empty(n) && !field.data_type().is_nested() {
                // A compressor costs more than what there is to compress.
                let path = ColumnPath::from(field.name().as_str());
                builder = builder.set_column_compression(path, Compression::UNCOMPRESSED);
            }
        }
        // The filter starts at the size for this many values and is folded to
        // what the real number of distinct ones needs.
        let most = rows.clamp(1, o.row_group_rows) as u64;
        for name in &self.bloom {
            if self.schema.index_of(name).is_ok_and(is_empty) {
                continue;
            }
            let path = ColumnPath::from(name.as_str());
            builder = builder
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path.clone(), BLOOM_FALSE_HITS)
                .set_column_bloom_filter_max_ndv(path, most);
        }
        Ok(builder.build())
    }

    /// `batch` without `ingest_date`, which is the last column.
    pub(super) fn undated(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns = batch.columns()[..self.schema.fields().len()].to_vec();
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

fn undated(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter();
    let fields = fields.filter(|f| f.name() != PARTITION_COLUMN);
    Arc::new(Schema::new(fields.map(Arc::clone).collect::<Vec<_>>()))
}

fn column(
    mut builder: WriterPropertiesBuilder,
    name: &str,
    data_type: &DataType,
) -> WriterPropertiesBuilder {
    let path = ColumnPath::from(name);
    if UNIQUE.contains(&name) {
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path.clone(), Encoding::DELTA_LENGTH_BYTE_ARRAY);
    }
    if RISING.contains(&name) {
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED);
    }
    if name == OUTLINE_COLUMN {
        builder = builder.set_column_dictionary_page_size_limit(path.clone(), OUTLINE_DICTIONARY);
    }
    if !data_type.is_nested() && !WITHOUT_STATISTICS.contains(&name) {
        builder = builder.set_column_statistics_enabled(path, EnabledStatistics::Page);
    }
    builder
}

/// Writes one file, batch by batch, in the order given.
pub(super) struct Encoder {
    writer: ArrowWriter<Vec<u8>>,
    layout: Layout,
    facts: Facts,
    day: i32,
}

impl Encoder {
    /// `rows` is the number to expect, for the filters' size.
    pub(super) fn new(layout: &Layout, day: i32, rows: usize) -> Result<Self, ParquetError> {
        Self::without(layout, day, rows, &[])
    }

    /// [`Self::new`] of rows without a value in the columns that are `empty`.
    fn without(
        layout: &Layout,
        day: i32,
        rows: usize,
        empty: &[bool],
    ) -> Result<Self, ParquetError> {
        // Room that is not used is never touched; growing copies.
        let room = rows.saturating_mul(ROW_BYTES).min(MOST_ROOM);
        let writer = ArrowWriter::try_new(
            Vec::with_capacity(room),
            Arc::clone(&layout.stored),
            Some(layout.properties(rows, empty)?),
        )?;
        Ok(Self {
            writer,
            layout: layout.clone(),
            facts: Facts::default(),
            day,
        })
    }

    /// Takes rows that follow those before in the sort order.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        self.put_all(&Ready::new(&self.layout, std::slice::from_ref(batch))?)
    }

    /// Takes rows that came in the sort order.
    fn put_all(&mut self, rows: &Ready) -> Result<(), ParquetError> {
        for rows in rows.in_order() {
            let (batch, hash) = rows?;
            self.put(&batch, hash)?;
        }
        Ok(())
    }

    fn put(&mut self, batch: &RecordBatch, hash: Option<RowsHash>) -> Result<(), ParquetError> {
        self.facts.add(batch);
        self.facts.add_hash(hash);
        self.writer.write(batch)
    }

    /// Bytes so far, about.
    pub(super) fn size(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    pub(super) fn finish(self) -> Result<Encoded, ParquetError> {
        Ok(Encoded {
            day: self.day,
            bytes: Bytes::from(self.writer.into_inner()?),
            facts: self.facts,
        })
    }
}

/// Where one row lies, and what it is sorted by. The place stands last, which
/// makes the sort stable.
type Key = (i64, u32, u32);

/// Encodes `batches` into one sorted file per ingest date, the dates ascending.
pub(super) fn encode(
    layout: &Layout,
    batches: &[RecordBatch],
) -> Result<Vec<Encoded>, ParquetError> {
    let mut days: BTreeMap<i32, Vec<Key>> = BTreeMap::new();
    for (b, batch) in batches.iter().enumerate() {
        add_keys(layout, b, batch, &mut days)?;
    }
    let whole = days.len() == 1;
    let ready = Ready::new(layout, batches)?;
    let mut gather = None;
    let mut files = Vec::with_capacity(days.len());
    for (day, mut keys) in days {
        let mut encoder = Encoder::without(layout, day, keys.len(), ready.empty())?;
        if layout.sort.is_none() || keys.is_sorted() {
            if whole {
                // Already in order: not a byte is copied.
                encoder.put_all(&ready)?;
                files.push(encoder.finish()?);
                continue;
            }
        } else {
            keys.sort_unstable();
        }
        let gather = gather.get_or_insert_with(|| ready.gather());
        for chunk in keys.chunks(CHUNK_ROWS) {
            let rows: Vec<(usize, usize)> = chunk
                .iter()
                .map(|(_, b, row)| (*b as usize, *row as usize))
                .collect();
            let (batch, hash) = ready.rows(gather, &rows)?;
            encoder.put(&batch, hash)?;
        }
        files.push(encoder.finish()?);
    }
    Ok(files)
}

fn add_keys(
    layout: &Layout,
    b: usize,
    batch: &RecordBatch,
    days: &mut BTreeMap<i32, Vec<Key>>,
) -> Result<(), ParquetError> {
    let wrong = |what: &str| ParquetError::General(format!("rows without a usable {what}"));
    let dates = batch
        .column(layout.schema.fields().len())
        .as_primitive_opt::<Date32Type>()
        .ok_or_else(|| wrong(PARTITION_COLUMN))?;
    let times = match layout.sort {
        Some(column) => Some(
            batch
                .column(column)
                .as_primitive_opt::<TimestampMicrosecondType>()
                .ok_or_else(|| wrong("sort column"))?
                .values(),
        ),
        None => None,
    };
    let b = u32::try_from(b).map_err(|_| wrong("number of batches"))?;
    let mut row = 0;
    // Runs of one date, for nearly always a batch has just one.
    while row < dates.len() {
        let day = dates.value(row);
        let run = dates.values()[row..]
            .iter()
            .take_while(|d| **d == day)
            .count();
        let keys = days.entry(day).or_default();
        keys.extend((row..row + run).map(|r| (times.map_or(0, |t| t[r]), b, r as u32)));
        row += run;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
