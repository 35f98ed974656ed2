//! How much values take, each as if its bytes were its own.
//!
//! A view stands for a text that lies elsewhere, perhaps once for many rows, and
//! Arrow's own sizes leave that text out
//! (`ArrayData::get_slice_memory_size`). Here it counts wherever it is spoken
//! of, so that what goes into an operator and comes out again weighs the same
//! both times.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

/// What a text or a list takes beside its bytes.
const ENTRY: usize = size_of::<u128>();

/// Whether values of the type can be of any length.
pub(crate) fn is_long(data_type: &DataType) -> bool {
    !data_type.is_primitive() && *data_type != DataType::Boolean
}

/// All columns of a batch, in bytes.
pub(crate) fn of_batch(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|c| of_array(c)).sum()
}

/// All values of an array, in bytes.
pub(crate) fn of_array(array: &dyn Array) -> usize {
    let rows = array.len();
    let inside = match array.data_type() {
        DataType::Utf8View => lengths(array.as_string_view().views()),
        DataType::BinaryView => lengths(array.as_binary_view().views()),
        DataType::Utf8 => span(array.as_string::<i32>().value_offsets()),
        DataType::LargeUtf8 => span(array.as_string::<i64>().value_offsets()),
        DataType::Binary => span(array.as_binary::<i32>().value_offsets()),
        DataType::LargeBinary => span(array.as_binary::<i64>().value_offsets()),
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            within(lists.value_offsets(), lists.values())
        }
        DataType::LargeList(_) => {
            let lists = array.as_list::<i64>();
            within(lists.value_offsets(), lists.values())
        }
        DataType::Struct(_) => array
            .as_struct()
            .columns()
            .iter()
            .map(|c| of_array(c))
            .sum(),
        _ => return array.to_data().get_slice_memory_size().unwrap_or(0),
    };
    rows * ENTRY + inside
}

/// One value, in bytes: as [`of_array`] counts it as part of an array.
pub(crate) fn of_value(value: &ScalarValue) -> usize {
    match value {
        ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => {
            ENTRY + text.as_ref().map_or(0, String::len)
        }
        ScalarValue::Binary(bytes)
        | ScalarValue::LargeBinary(bytes)
        | ScalarValue::BinaryView(bytes) => ENTRY + bytes.as_ref().map_or(0, Vec::len),
        ScalarValue::List(list) => of_array(list.as_ref()),
        ScalarValue::LargeList(list) => of_array(list.as_ref()),
        ScalarValue::Struct(fields) => of_array(fields.as_ref()),
        ScalarValue::Dictionary(_, value) => of_value(value),
        other => other.size(),
    }
}

/// The texts that an array's views stand for, in bytes: what Arrow's own sizes
/// leave out.
pub(crate) fn of_texts(array: &dyn Array) -> usize {
    match array.data_type() {
        DataType::Utf8View => lengths(array.as_string_view().views()),
        DataType::BinaryView => lengths(array.as_binary_view().views()),
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            slice(lists.value_offsets(), lists.values()).map_or(0, |part| of_texts(&part))
        }
        DataType::Struct(_) => {
            let columns = array.as_struct().columns().iter();
            columns.map(|c| of_texts(c)).sum()
        }
        _ => 0,
    }
}

/// The bytes of text in one row of a batch, whether it has them or its views
/// stand for them, also within lists.
pub(crate) fn of_row(batch: &RecordBatch, row: usize) -> usize {
    let length = |c: &ArrayRef| match c.data_type() {
        DataType::Utf8View => length(c.as_string_view().views()[row]),
        DataType::BinaryView => length(c.as_binary_view().views()[row]),
        DataType::Utf8 => {
            let texts: &StringArray = c.as_string();
            usize::try_from(texts.value_length(row)).unwrap_or(0)
        }
        t if is_long(t) => of_array(&c.slice(row, 1)),
        _ => 0,
    };
    batch.columns().iter().map(length).sum()
}

/// A view's low half is the length of its text, in 32 bits.
fn length(view: u128) -> usize {
    view as u32 as usize
}

fn lengths(views: &[u128]) -> usize {
    views.iter().map(|view| length(*view)).sum()
}

fn span<O: TryInto<usize> + Copy>(offsets: &[O]) -> usize {
    let at = |offset: Option<&O>| offset.and_then(|o| (*o).try_into().ok()).unwrap_or(0);
    at(offsets.last()).saturating_sub(at(offsets.first()))
}

/// The part of `values` that offsets speak of.
fn slice<O: TryInto<usize> + Copy>(offsets: &[O], values: &ArrayRef) -> Option<ArrayRef> {
    let first = (*offsets.first()?).try_into().ok()?;
    let part = span(offsets);
    (first + part <= values.len()).then(|| values.slice(first, part))
}

fn within<O: TryInto<usize> + Copy>(offsets: &[O], values: &ArrayRef) -> usize {
    slice(offsets, values).map_or(0, |part| of_array(&part))
}

#[cfg(test)]
mod tests;
