//! Rows as clients take them: plain text instead of views into shared buffers,
//! in pieces of bounded size, and counted.

use std::fmt::Display;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, UnionArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion_functions_json::{JsonUnionEncoder, JsonUnionValue};

use crate::error::{Exceeded, QueryError};
use crate::limits::Limits;
use crate::weight;

/// Text of one piece, in bytes. Rows that share a long text share its bytes
/// only as long as they are views. A few pieces wait for a slow reader, in no
/// memory pool and for each query that runs.
const PIECE: u64 = 2 << 20;

pub(crate) fn plain_type(data_type: &DataType) -> DataType {
    let item = |f: &Arc<Field>| Arc::new(plain_field(f));
    match data_type {
        // What -> gives is a union of JSON's types, which hardly any client
        // can read; it comes out as the JSON text that it stands for.
        DataType::Utf8View | DataType::Union(..) => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        // SQL knows no numbers without a sign: what row_number() gives would
        // be a numeric, or a text, to whoever reads it.
        DataType::UInt64 => DataType::Int64,
        DataType::List(f) => DataType::List(item(f)),
        DataType::LargeList(f) => DataType::LargeList(item(f)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(item).collect::<Fields>()),
        DataType::Dictionary(_, value) => plain_type(value),
        other => other.clone(),
    }
}

fn plain_field(field: &Field) -> Field {
    field.clone().with_data_type(plain_type(field.data_type()))
}

/// The schema of what [`Output::parts`] makes of batches of `schema`.
pub(crate) fn plain_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<Field> = schema.fields().iter().map(|f| plain_field(f)).collect();
    Arc::new(Schema::new(fields))
}

/// Which part of a query's memory one row of its answer may have. A row cannot
/// be cut into pieces, and every form of it is a few times as large again.
const ROW: usize = 4;

/// Turns batches into what clients take, and counts.
#[derive(Debug)]
pub(crate) struct Output {
    max_row: usize,
    max_rows: Option<u64>,
    max_bytes: Option<u64>,
    rows: u64,
    bytes: u64,
}

impl Output {
    /// Within `limits`, and within `max_rows` where the caller has one.
    pub(crate) fn new(limits: &Limits, max_rows: Option<u64>) -> Self {
        Self {
            max_row: limits.memory_per_query / ROW,
            max_rows: limits.max_rows.into_iter().chain(max_rows).min(),
            max_bytes: limits.max_bytes,
            rows: 0,
            bytes: 0,
        }
    }

    /// The batch, in one piece or more. Each is made when it is asked for, so
    /// that no more of them lie about than have a taker.
    pub(crate) fn parts<'a>(
        &'a mut self,
        batch: &'a RecordBatch,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, QueryError>> + Send + 'a, QueryError> {
        self.rows += batch.num_rows() as u64;
        if self.max_rows.is_some_and(|most| self.rows > most) {
            return Err(
                QueryError::limit(Exceeded::Rows, "the query gives more rows than it may")
                    .with_hint("add a LIMIT, or narrow the time range"),
            );
        }
        let schema = plain_schema(&batch.schema());
        let mut start = 0;
        Ok(std::iter::from_fn(move || {
            let rows = piece_rows(batch, start);
            if rows == 0 {
                return None;
            }
            let piece = batch.slice(start, rows);
            start += rows;
            Some(
                self.check_row(&piece)
                    .and_then(|()| self.plain(&schema, &piece)),
            )
        }))
    }

    /// Fails where the piece is one row that is too large. Of several, all
    /// together are a piece's size at most.
    fn check_row(&self, piece: &RecordBatch) -> Result<(), QueryError> {
        if piece.num_rows() != 1 || weight::of_row(piece, 0) <= self.max_row {
            return Ok(());
        }
        let text = format!(
            "a row of the answer is larger than {} bytes, a quarter of what the query may take",
            self.max_row
        );
        Err(QueryError::limit(Exceeded::Memory, text)
            .with_hint("put fewer values into one text or list, or ask for them row by row"))
    }

    fn plain(
        &mut self,
        schema: &SchemaRef,
        batch: &RecordBatch,
    ) -> Result<RecordBatch, QueryError> {
        let inside = |e: ArrowError| {
            if matches!(e, ArrowError::CastError(_)) {
                return QueryError::invalid("a whole number is larger than bigint can hold")
                    .with_hint("CAST it AS decimal(20, 0), or AS varchar");
            }
            tracing::error!(error = %e, "query: rows cannot be put out");
            QueryError::internal("the rows cannot be put out; the server's log says more")
        };
        let arrays = batch
            .columns()
            .iter()
            .zip(schema.fields())
            .map(
                |(array, field)| match array.data_type() == field.data_type() {
                    true => Ok(Arc::clone(array)),
                    false => plain_array(array, field.data_type()),
                },
            )
            .collect::<Result<Vec<ArrayRef>, _>>()
            .map_err(inside)?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let plain = RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)
            .map_err(inside)?;
        self.bytes += plain
            .columns()
            .iter()
            .map(|c| c.to_data().get_slice_memory_size().unwrap_or(0) as u64)
            .sum::<u64>();
        if self.max_bytes.is_some_and(|most| self.bytes > most) {
            return Err(QueryError::limit(
                Exceeded::Bytes,
                "the query gives more bytes than it may",
            )
            .with_hint("ask for fewer columns, or add a LIMIT"));
        }
        Ok(plain)
    }
}

fn plain_array(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let Some(union) = array.as_any().downcast_ref::<UnionArray>() else {
        // What does not fit fails, and does not become null.
        let options = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        return cast_with_options(array, to, &options);
    };
    let Some(json) = JsonUnionEncoder::from_union(union.clone()) else {
        return Err(ArrowError::NotYetImplemented(
            "a union that is not JSON".into(),
        ));
    };
    let text = |value: &dyn Display| Some(value.to_string());
    let texts: StringArray = (0..json.len())
        .map(|row| match json.get_value(row) {
            JsonUnionValue::JsonNull => None,
            JsonUnionValue::Bool(b) => text(&b),
            JsonUnionValue::Int(i) => text(&i),
            JsonUnionValue::Float(f) => text(&serde_json::Value::from(f)),
            JsonUnionValue::Str(s) => text(&serde_json::Value::from(s)),
            JsonUnionValue::Array(raw) | JsonUnionValue::Object(raw) => text(&raw),
        })
        .collect();
    Ok(Arc::new(texts))
}

/// How many rows from `start` on make a piece: one at least, where there are any.
fn piece_rows(batch: &RecordBatch, start: usize) -> usize {
    let mut size = 0;
    let fits = |row: &usize| {
        size += weight::of_row(batch, *row) as u64;
        size <= PIECE
    };
    let left = batch.num_rows() - start;
    (start..batch.num_rows())
        .take_while(fits)
        .count()
        .max(left.min(1))
}

#[cfg(test)]
mod tests;
