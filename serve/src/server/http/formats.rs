//! Rows on their way out: one encoder a format, fed batch by batch, so that an
//! answer of any size takes the memory of one batch.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, LineDelimited, WriterBuilder, make_encoder};
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::json;

/// The forms that an answer can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON document.
    Json,
    /// One JSON object a row.
    Ndjson,
    /// RFC 4180, with a header.
    Csv,
    /// The Arrow IPC stream format.
    Arrow,
    /// One Parquet file.
    Parquet,
}

impl Format {
    /// The format that an `Accept` header likes best (RFC 9110, 12.5.1), the first of
    /// those that it likes as much; JSON when it is absent or takes anything.
    /// `None` when it names only others.
    pub fn accepted(header: Option<&str>) -> Option<Self> {
        let Some(header) = header else {
            return Some(Self::Json);
        };
        let mut best: Option<(f32, Self)> = None;
        for item in header.split(',') {
            let mut parts = item.split(';').map(str::trim);
            let Some(format) = parts.next().and_then(Self::of_media_range) else {
                continue;
            };
            // What cannot be read counts as not said.
            let weight = parts
                .find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")))
                .and_then(|q| q.parse().ok())
                .unwrap_or(1.0);
            if weight > best.map_or(0.0, |(most, _)| most) {
                best = Some((weight, format));
            }
        }
        best.map(|(_, format)| format)
    }

    fn of_media_range(range: &str) -> Option<Self> {
        match range.to_ascii_lowercase().as_str() {
            "application/json" | "application/*" | "*/*" => Some(Self::Json),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => {
                Some(Self::Ndjson)
            }
            "text/csv" | "text/*" => Some(Self::Csv),
            "application/vnd.apache.arrow.stream" => Some(Self::Arrow),
            "application/vnd.apache.parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// An encoder for rows of `schema`.
    pub fn encoder(self, schema: &SchemaRef) -> Result<Box<dyn Encode>, ArrowError> {
        self.encoder_with(schema, serde_json::Value::Null)
    }

    /// The same, with what is to be told of the tables' versions where the
    /// format has a place for it.
    pub fn encoder_with(
        self,
        schema: &SchemaRef,
        versions: serde_json::Value,
    ) -> Result<Box<dyn Encode>, ArrowError> {
        Ok(match self {
            Self::Json => Box::new(JsonRows {
                schema: Arc::clone(schema),
                versions,
                rows: 0,
            }),
            Self::Ndjson => Box::new(Ndjson),
            Self::Csv => Box::new(Csv {
                schema: flat_schema(schema),
                begun: false,
            }),
            Self::Arrow => Box::new(ArrowStream(arrow::ipc::writer::StreamWriter::try_new(
                Vec::new(),
                schema,
            )?)),
            Self::Parquet => Box::new(ParquetFile::new(schema)?),
        })
    }
}

/// Writes one answer.
pub trait Encode: Send {
    /// What stands before the first row.
    fn begin(&mut self) -> Result<Vec<u8>, ArrowError> {
        Ok(Vec::new())
    }
    /// The rows of `batch`.
    fn batch(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError>;
    /// What stands after the last row.
    fn end(&mut self, elapsed_ms: u128) -> Result<Vec<u8>, ArrowError>;
}

/// `{"columns": […], "rows": [[…]], "row_count": n, "elapsed_ms": t}`, and
/// `versions` where there are any.
struct JsonRows {
    schema: SchemaRef,
    versions: serde_json::Value,
    rows: usize,
}

impl Encode for JsonRows {
    fn begin(&mut self) -> Result<Vec<u8>, ArrowError> {
        let columns: Vec<_> = self
            .schema
            .fields()
            .iter()
            .map(|f| json!({"name": f.name(), "type": f.data_type().to_string()}))
            .collect();
        Ok(format!(
            "{{\"columns\":{},\"rows\":[",
            serde_json::Value::from(columns)
        )
        .into_bytes())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        let options = EncoderOptions::default().with_explicit_nulls(true);
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            columns.push(make_encoder(field, column, &options)?);
        }
        let mut out = Vec::new();
        for row in 0..batch.num_rows() {
            if self.rows > 0 {
                out.push(b',');
            }
            self.rows += 1;
            out.extend_from_slice(b"\n[");
            for (n, column) in columns.iter_mut().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                if column.is_null(row) {
                    out.extend_from_slice(b"null");
                } else {
                    column.encode(row, &mut out);
                }
            }
            out.push(b']');
        }
        Ok(out)
    }

    fn end(&mut self, elapsed_ms: u128) -> Result<Vec<u8>, ArrowError> {
        let versions = match &self.versions {
            serde_json::Value::Object(each) if !each.is_empty() => {
                format!(",\"versions\":{}", self.versions)
            }
            _ => String::new(),
        };
        Ok(format!(
            "\n],\"row_count\":{},\"elapsed_ms\":{elapsed_ms}{versions}}}\n",
            self.rows
        )
        .into_bytes())
    }
}

struct Ndjson;

impl Encode for Ndjson {
    fn batch(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        let builder = WriterBuilder::new().with_explicit_nulls(true);
        let mut writer = builder.build::<_, LineDelimited>(Vec::new());
        writer.write(batch)?;
        writer.finish()?;
        Ok(writer.into_inner())
    }

    fn end(&mut self, _: u128) -> Result<Vec<u8>, ArrowError> {
        Ok(Vec::new())
    }
}

struct Csv {
    schema: SchemaRef,
    begun: bool,
}

impl Csv {
    fn write(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        let builder = arrow::csv::WriterBuilder::new().with_header(!self.begun);
        self.begun = true;
        let mut writer = builder.build(Vec::new());
        writer.write(batch)?;
        Ok(writer.into_inner())
    }
}

impl Encode for Csv {
    fn begin(&mut self) -> Result<Vec<u8>, ArrowError> {
        // The header stands there also when there are no rows.
        self.write(&RecordBatch::new_empty(Arc::clone(&self.schema)))
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        let columns: Result<Vec<ArrayRef>, ArrowError> = batch
            .schema_ref()
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| flat_column(field, column))
            .collect();
        self.write(&RecordBatch::try_new(Arc::clone(&self.schema), columns?)?)
    }

    fn end(&mut self, _: u128) -> Result<Vec<u8>, ArrowError> {
        Ok(Vec::new())
    }
}

/// CSV has no lists: they become JSON text.
pub(crate) fn flat_schema(schema: &SchemaRef) -> SchemaRef {
    let fields = schema
        .fields()
        .iter()
        .map(|f| match f.data_type().is_nested() {
            true => Arc::new(Field::new(f.name(), DataType::Utf8, true)),
            false => Arc::clone(f),
        });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

pub(crate) fn flat_column(field: &Arc<Field>, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !field.data_type().is_nested() {
        return Ok(Arc::clone(column));
    }
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(field, column, &options)?;
    let mut texts = StringBuilder::new();
    let mut text = Vec::new();
    for row in 0..column.len() {
        if encoder.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        encoder.encode(row, &mut text);
        texts.append_value(String::from_utf8_lossy(&text));
    }
    Ok(Arc::new(texts.finish()))
}

struct ArrowStream(arrow::ipc::writer::StreamWriter<Vec<u8>>);

impl Encode for ArrowStream {
    fn begin(&mut self) -> Result<Vec<u8>, ArrowError> {
        Ok(std::mem::take(self.0.get_mut()))
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        self.0.write(batch)?;
        Ok(std::mem::take(self.0.get_mut()))
    }

    fn end(&mut self, _: u128) -> Result<Vec<u8>, ArrowError> {
        self.0.finish()?;
        Ok(std::mem::take(self.0.get_mut()))
    }
}

/// What the Parquet writer has written and the answer has not taken yet.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a row group may hold before it is written, in bytes. Rows of many long
/// texts are not so many then.
const GROUP: usize = 16 << 20;

struct ParquetFile {
    writer: Option<ArrowWriter<Written>>,
    written: Written,
}

impl ParquetFile {
    fn new(schema: &SchemaRef) -> Result<Self, ArrowError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(64 * 1024))
            .set_created_by("cairn".to_owned())
            .build();
        let written = Written::default();
        let writer = ArrowWriter::try_new(written.clone(), Arc::clone(schema), Some(properties))?;
        Ok(Self {
            writer: Some(writer),
            written,
        })
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.written.0.lock())
    }
}

impl Encode for ParquetFile {
    fn batch(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        if let Some(writer) = &mut self.writer {
            writer.write(batch)?;
            if writer.memory_size() >= GROUP {
                writer.flush()?;
            }
        }
        Ok(self.take())
    }

    fn end(&mut self, _: u128) -> Result<Vec<u8>, ArrowError> {
        if let Some(writer) = self.writer.take() {
            writer.close()?;
        }
        Ok(self.take())
    }
}

#[cfg(test)]
mod tests;
