//! A text column under way that asks for its room once.
//!
//! A builder that starts small doubles again and again, and each time copies
//! what it holds: a tenth of what judging cost. What the rows of the batch before took
//! tells what these will take.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};

/// Past so many bytes nothing is asked for ahead: an outlier must not make
/// the next batch large.
const MOST: usize = 64 << 20;

/// A builder of one text column.
#[derive(Debug, Default)]
pub(super) struct TextColumn {
    builder: StringBuilder,
    rows: usize,
    bytes: usize,
}

impl TextColumn {
    /// Makes room for so many rows like those of the last batch. Only while
    /// there is no row.
    pub(super) fn reserve(&mut self, rows: usize) {
        let bytes = self.bytes.saturating_mul(rows) / self.rows.max(1);
        self.reserve_bytes(rows, bytes + bytes / 16);
    }

    /// Makes room for so many rows of so many bytes together. Only while there
    /// is no row.
    pub(super) fn reserve_bytes(&mut self, rows: usize, bytes: usize) {
        self.builder = StringBuilder::with_capacity(rows, bytes.min(MOST));
    }

    /// Adds a row.
    pub(super) fn append_value(&mut self, value: &str) {
        self.builder.append_value(value);
    }

    /// Adds a row, null without a value.
    pub(super) fn append_option(&mut self, value: Option<&str>) {
        self.builder.append_option(value);
    }

    /// The finished column; there is no row again.
    pub(super) fn finish(&mut self) -> ArrayRef {
        let column = self.builder.finish();
        if !arrow::array::Array::is_empty(&column) {
            self.rows = arrow::array::Array::len(&column);
            self.bytes = column.value_data().len();
        }
        Arc::new(column)
    }
}

#[cfg(test)]
mod tests;
