//! Which rows of a batch a trail takes.

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::error::ArrowError;
use cairn_schemas::Partition;
use cairn_schemas::trail::Trail;

use crate::rows::BatchFacts;

/// The rows of `rows` that the trail takes, each by the version at its offset.
/// `None` when it takes none.
pub fn select_batch(trail: &Trail, rows: &RecordBatch) -> Option<RecordBatch> {
    if rows.num_rows() == 0 {
        return None;
    }
    let selected = try_select(trail, rows);
    // The rows come from history, which has these columns by its schema.
    selected.expect("a batch of the event schema has every column that selection asks for")
}

fn try_select(trail: &Trail, rows: &RecordBatch) -> Result<Option<RecordBatch>, ArrowError> {
    let column = |name: &str| -> Result<_, ArrowError> {
        Ok(rows.column(rows.schema_ref().index_of(name)?))
    };
    let sources = column("log_source")?.as_string::<i32>();
    let numbers = column("log_partition")?.as_primitive::<Int32Type>();
    let offsets = column("log_offset")?.as_primitive::<Int64Type>();
    let facts = BatchFacts::new(rows).map_err(|e| ArrowError::SchemaError(e.to_string()))?;
    let mut partition = Partition {
        source: String::new(),
        number: 0,
    };
    let mask = (0..rows.num_rows()).map(|i| {
        if partition.source != sources.value(i) || partition.number != numbers.value(i) {
            partition = Partition {
                source: sources.value(i).to_owned(),
                number: numbers.value(i),
            };
        }
        trail
            .decide(&partition, offsets.value(i), &facts.row(i))
            .is_ok()
    });
    let mask = BooleanArray::from_iter(mask.map(Some));
    match mask.true_count() {
        0 => Ok(None),
        n if n == rows.num_rows() => Ok(Some(rows.clone())),
        _ => filter_record_batch(rows, &mask).map(Some),
    }
}
