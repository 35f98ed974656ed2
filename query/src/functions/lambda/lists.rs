//! The lists of a batch of rows, and lists made anew.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result;

/// A list for each row, or one for all.
pub(super) struct Lists<'a> {
    pub(super) list: &'a ListArray,
    pub(super) one: bool,
    pub(super) rows: usize,
}

impl Lists<'_> {
    fn row(&self, row: usize) -> usize {
        if self.one { 0 } else { row }
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        self.list.is_null(self.row(row))
    }

    /// Where the items of a row lie among all items.
    pub(super) fn items(&self, row: usize) -> std::ops::Range<usize> {
        if self.is_null(row) {
            return 0..0;
        }
        let (row, offsets) = (self.row(row), self.list.value_offsets());
        offsets[row] as usize..offsets[row + 1] as usize
    }

    /// How many items there are in all rows.
    pub(super) fn all(&self) -> usize {
        (0..self.rows).map(|row| self.items(row).len()).sum()
    }
}

/// How many bytes the values of these rows take.
pub(super) fn size_of(values: &dyn Array, rows: &UInt32Array) -> Result<usize> {
    // A view stands for its text: repeating it repeats no text.
    let fixed = values.data_type().is_primitive()
        || matches!(values.data_type(), DataType::Boolean | DataType::Utf8View);
    if fixed {
        return Ok(0);
    }
    let (mut size, mut last) = (0usize, None);
    for row in rows.values() {
        let of_row = match last {
            Some((known, size)) if known == *row => size,
            _ => values
                .slice(*row as usize, 1)
                .to_data()
                .get_slice_memory_size()?,
        };
        last = Some((*row, of_row));
        size = size.saturating_add(of_row);
    }
    Ok(size)
}

pub(super) fn list_of(
    lists: &Lists<'_>,
    item: &FieldRef,
    values: ArrayRef,
    size: impl Fn(usize) -> usize,
) -> Result<ArrayRef> {
    let nulls: Vec<bool> = (0..lists.rows).map(|row| !lists.is_null(row)).collect();
    Ok(Arc::new(ListArray::try_new(
        Arc::clone(item),
        OffsetBuffer::from_lengths((0..lists.rows).map(size)),
        values,
        Some(nulls.into()),
    )?))
}
