//! RFC 4180, with its line ends. Texts are always in quotes, so that an empty
//! one differs from none, and a program that splits at semicolons finds none.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::export::cells::neutral;
use crate::server::http::formats::flat_column;

/// Writes a header and rows.
#[derive(Debug)]
pub(super) struct Csv {
    pub(super) neutralise: bool,
}

impl Csv {
    pub(super) fn header(&self, schema: &SchemaRef, out: &mut Vec<u8>) {
        for (n, field) in schema.fields().iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            self.text(field.name(), out);
        }
        out.extend_from_slice(b"\r\n");
    }

    pub(super) fn rows(&self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let columns: Vec<ArrayRef> = batch
            .schema_ref()
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| flat_column(field, column))
            .collect::<Result<_, _>>()?;
        let options = FormatOptions::default().with_display_error(false);
        let mut cells = Vec::with_capacity(columns.len());
        for column in &columns {
            cells.push(match column.data_type() {
                DataType::Utf8 => Cells::Text(column.as_string::<i32>()),
                _ => Cells::Other(column, ArrayFormatter::try_new(column.as_ref(), &options)?),
            });
        }
        for row in 0..batch.num_rows() {
            for (n, column) in cells.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                match column {
                    Cells::Text(texts) if texts.is_null(row) => {}
                    Cells::Text(texts) => self.text(texts.value(row), out),
                    Cells::Other(values, _) if values.is_null(row) => {}
                    // Numbers, times and the like: a minus before a number is
                    // no formula.
                    Cells::Other(values, format) if is_plain(values.data_type()) => {
                        out.extend_from_slice(format.value(row).try_to_string()?.as_bytes());
                    }
                    Cells::Other(_, format) => self.text(&format.value(row).try_to_string()?, out),
                }
            }
            out.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    fn text(&self, text: &str, out: &mut Vec<u8>) {
        let cell = match self.neutralise {
            true => neutral(text),
            false => text.into(),
        };
        out.push(b'"');
        out.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
        out.push(b'"');
    }
}

enum Cells<'a> {
    Text(&'a arrow::array::StringArray),
    Other(&'a ArrayRef, ArrayFormatter<'a>),
}

/// Whether values of this type are written as digits and signs that no
/// spreadsheet runs.
fn is_plain(data_type: &DataType) -> bool {
    data_type.is_numeric()
        || matches!(
            data_type,
            DataType::Boolean | DataType::Date32 | DataType::Date64 | DataType::Timestamp(..)
        )
}
