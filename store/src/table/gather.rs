//! Rows of several batches, brought into one order.
//!
//! Sorting is copying, and most of what there is to copy are a few large
//! texts. Those are not copied here but pointed at (`Utf8View`): the Parquet
//! writer takes either form for one column, and copies them once, into a page.
//! Small texts are copied all the same: the writer looks at each of them
//! several times, and pointers to all over the memory cost more than they save.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray, new_null_array};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

/// The columns that hold most of an event's bytes.
const LARGE: &[&str] = &[
    "raw",
    "raw_base64",
    "request_parameters",
    "response_elements",
    "additional_event_data",
    "user_identity",
];

/// Batches, and how rows of them become a batch.
#[derive(Debug)]
pub(super) struct Gather {
    /// With views where the batches have large texts.
    schema: SchemaRef,
    columns: Vec<Vec<ArrayRef>>,
}

impl Gather {
    /// Of the columns of `schema`, which are the first ones of each batch, with no
    /// value in those that are [`empty`].
    pub(super) fn new(schema: &Schema, batches: &[RecordBatch], empty: &[bool]) -> Self {
        let mut fields = Vec::with_capacity(schema.fields().len());
        let mut columns: Vec<Vec<ArrayRef>> = Vec::with_capacity(schema.fields().len());
        for (n, (field, empty)) in schema.fields().iter().zip(empty).enumerate() {
            if *empty {
                // Nothing to look at, row by row.
                fields.push(Arc::clone(field));
                columns.push(Vec::new());
                continue;
            }
            let arrays = batches.iter().map(|batch| Arc::clone(batch.column(n)));
            if LARGE.contains(&field.name().as_str()) && *field.data_type() == DataType::Utf8 {
                fields.push(Arc::new(viewed(field)));
                columns.push(arrays.map(|array| view(&array)).collect());
            } else {
                fields.push(Arc::clone(field));
                columns.push(arrays.collect());
            }
        }
        Self {
            schema: Arc::new(Schema::new(fields)),
            columns,
        }
    }

    /// The rows at these places, each a batch and a row of it.
    pub(super) fn rows(&self, places: &[(usize, usize)]) -> Result<RecordBatch, ArrowError> {
        let columns = self.columns.iter().zip(self.schema.fields());
        let columns = columns.map(|(arrays, field)| {
            if arrays.is_empty() {
                return Ok(new_null_array(field.data_type(), places.len()));
            }
            let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
            interleave(&arrays, places)
        });
        RecordBatch::try_new(Arc::clone(&self.schema), columns.collect::<Result<_, _>>()?)
    }
}

/// Which columns of `schema`, the first ones of each batch, hold no value at all:
/// most events lack what the other dialect has.
pub(super) fn empty(schema: &Schema, batches: &[RecordBatch]) -> Vec<bool> {
    let hollow = |array: &ArrayRef| array.null_count() == array.len();
    let columns = 0..schema.fields().len();
    columns
        .map(|n| batches.iter().all(|batch| hollow(batch.column(n))))
        .collect()
}

fn viewed(field: &Field) -> Field {
    field.clone().with_data_type(DataType::Utf8View)
}

/// The same texts in the same memory.
fn view(array: &ArrayRef) -> ArrayRef {
    Arc::new(StringViewArray::from(array.as_string::<i32>()))
}

#[cfg(test)]
mod tests;
