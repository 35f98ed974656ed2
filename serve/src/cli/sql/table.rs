//! Rows as a table for people: every cell made visible first, so that no
//! value can drive the terminal or break the frame.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches;

use crate::cli::Failure;
use crate::cli::output::visible;

/// Text up to this size is laid out as one table. A larger answer becomes
/// several tables under one another, each with its heading, so that memory
/// stays bounded.
const BLOCK: usize = 16 << 20;

/// Collects rows and writes tables.
#[derive(Debug, Default)]
pub(super) struct TableWriter {
    block: Vec<RecordBatch>,
    bytes: usize,
    rows: u64,
    written: bool,
}

fn unreadable(error: ArrowError) -> Failure {
    Failure::Other(format!("the answer cannot be shown: {error}"))
}

impl TableWriter {
    /// Takes a batch, and writes a table where enough have come.
    pub(super) fn push(
        &mut self,
        batch: &RecordBatch,
        sink: &mut dyn Write,
    ) -> Result<(), Failure> {
        self.rows += batch.num_rows() as u64;
        let text = as_text(batch).map_err(unreadable)?;
        self.bytes += text.get_array_memory_size();
        self.block.push(text);
        if self.bytes > BLOCK {
            self.write(sink)?;
        }
        Ok(())
    }

    /// Writes what is left, the heading at least; returns how many rows there
    /// were in all.
    pub(super) fn finish(
        mut self,
        schema: Option<&Schema>,
        sink: &mut dyn Write,
    ) -> Result<u64, Failure> {
        if self.block.is_empty() && !self.written {
            let schema = schema.cloned().unwrap_or_else(Schema::empty);
            let empty = RecordBatch::new_empty(Arc::new(schema));
            self.block.push(as_text(&empty).map_err(unreadable)?);
        }
        self.write(sink)?;
        Ok(self.rows)
    }

    fn write(&mut self, sink: &mut dyn Write) -> Result<(), Failure> {
        if self.block.is_empty() {
            return Ok(());
        }
        let table = pretty_format_batches(&self.block).map_err(unreadable)?;
        writeln!(sink, "{table}")?;
        self.block.clear();
        self.bytes = 0;
        self.written = true;
        Ok(())
    }
}

fn as_text(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let options = FormatOptions::default().with_null("NULL");
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
        let cells = (0..column.len())
            .map(|row| {
                let cell = formatter.value(row).try_to_string()?;
                Ok(visible(&cell).into_owned())
            })
            .collect::<Result<Vec<_>, ArrowError>>()?;
        fields.push(Field::new(visible(field.name()), DataType::Utf8, false));
        columns.push(Arc::new(StringArray::from(cells)));
    }
    // An answer may have rows and no columns.
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}
