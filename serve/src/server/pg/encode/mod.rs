//! Rows as PostgreSQL writes values: text and binary, exactly as its own
//! output functions do.
//!
//! Not arrow-pg's encoder, which looks each cell's type up anew, gives a null
//! interval as a value, and an instant beyond the calendar's library as null.
//! What it and this module agree on are the marks of catalog columns.

mod cell;
mod numeric;
mod text;

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, make_encoder};
use bytes::{BufMut as _, BytesMut};
use cairn_query::QueryError;
use pgwire::api::Type;

pub(super) use cell::Cell;

use super::types::{Column, Format};

/// A batch whose rows are written one by one.
#[derive(Debug)]
pub(super) struct Rows {
    cells: Vec<(Cell, Format)>,
    rows: usize,
    next: usize,
}

impl Rows {
    /// Gets `batch` ready for writing as `columns`.
    pub(super) fn new(batch: &RecordBatch, columns: &[Column]) -> Result<Self, QueryError> {
        let schema = batch.schema();
        let fields = schema.fields().iter().zip(batch.columns());
        let cells = fields
            .zip(columns)
            .map(|((field, array), column)| {
                let array = canonical(field, array, &column.kind)?;
                Ok((Cell::new(&array, &column.kind)?, column.format))
            })
            .collect::<Result<Vec<_>, ArrowError>>()
            .map_err(|error| {
                tracing::error!(error = %error, "pg: rows cannot be written");
                QueryError::internal("the rows cannot be written; the server's log says more")
            })?;
        Ok(Self {
            cells,
            rows: batch.num_rows(),
            next: 0,
        })
    }

    /// Whether all rows are written.
    pub(super) fn is_done(&self) -> bool {
        self.next >= self.rows
    }

    /// How many columns there are.
    pub(super) fn columns(&self) -> usize {
        self.cells.len()
    }

    /// Writes from now on as `columns` say.
    pub(super) fn reformat(&mut self, columns: &[Column]) {
        for ((_, format), column) in self.cells.iter_mut().zip(columns) {
            *format = column.format;
        }
    }

    /// Passes over the next row.
    pub(super) fn skip_row(&mut self) {
        self.next += 1;
    }

    /// Writes the next row as a DataRow message.
    pub(super) fn write_row(&mut self, out: &mut BytesMut) {
        out.put_u8(b'D');
        let start = out.len();
        out.put_i32(0);
        self.write_tuple(out);
        let length = i32::try_from(out.len() - start).unwrap_or(i32::MAX);
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// Writes the next row as its number of fields and the fields, each with
    /// its length: the body of a DataRow, and a tuple of a binary COPY.
    pub(super) fn write_tuple(&mut self, out: &mut BytesMut) {
        out.put_i16(i16::try_from(self.cells.len()).unwrap_or(i16::MAX));
        for (cell, format) in &self.cells {
            if cell.is_null(self.next) {
                out.put_i32(-1);
                continue;
            }
            let start = out.len();
            out.put_i32(0);
            match format {
                Format::Text => cell.write_text(self.next, out),
                Format::Binary => cell.write_binary(self.next, out),
            }
            let length = i32::try_from(out.len() - start - 4).unwrap_or(i32::MAX);
            out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        }
        self.next += 1;
    }

    /// Hands the text of each field of the next row to `field`: `None` for null.
    pub(super) fn each_text(&mut self, mut field: impl FnMut(Option<&[u8]>)) {
        let mut text = BytesMut::new();
        for (cell, _) in &self.cells {
            if cell.is_null(self.next) {
                field(None);
                continue;
            }
            text.clear();
            cell.write_text(self.next, &mut text);
            field(Some(&text));
        }
        self.next += 1;
    }
}

/// The array in one of the few types that [`Cell`] writes.
fn canonical(field: &Field, array: &ArrayRef, kind: &Type) -> Result<ArrayRef, ArrowError> {
    if *kind == Type::JSON {
        return json(field, array);
    }
    let to = canonical_type(array.data_type());
    match array.data_type() == &to {
        true => Ok(Arc::clone(array)),
        false => cast(array, &to),
    }
}

fn canonical_type(from: &DataType) -> DataType {
    match from {
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
        DataType::Float16 => DataType::Float32,
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Duration(_) => DataType::Duration(TimeUnit::Microsecond),
        DataType::Interval(_) => DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::Dictionary(_, value) => canonical_type(value),
        DataType::List(inner) | DataType::LargeList(inner) | DataType::FixedSizeList(inner, _) => {
            let item = canonical_type(inner.data_type());
            DataType::List(Arc::new(inner.as_ref().clone().with_data_type(item)))
        }
        other => other.clone(),
    }
}

/// The values as JSON texts.
fn json(field: &Field, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let field = Arc::new(field.clone());
    let mut encoder = make_encoder(&field, array.as_ref(), &options)?;
    let mut text = Vec::new();
    let mut texts = Vec::with_capacity(array.len());
    for row in 0..array.len() {
        if array.is_null(row) {
            texts.push(None);
            continue;
        }
        text.clear();
        encoder.encode(row, &mut text);
        texts.push(Some(String::from_utf8_lossy(&text).into_owned()));
    }
    Ok(Arc::new(StringArray::from(texts)))
}

#[cfg(test)]
mod tests;
