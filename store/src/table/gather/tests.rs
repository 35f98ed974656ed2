//! Gathered rows say what copied rows say, in fewer copies.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast, interleave_record_batch};
use arrow::datatypes::{DataType, Field, Schema};

use super::{Gather, empty};

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("event_time", DataType::Int64, false),
        Field::new("raw", DataType::Utf8, true),
        Field::new("user_name", DataType::Utf8, true),
        Field::new("vpc_id", DataType::Utf8, true),
    ])
}

fn batch(first: i64, rows: i64) -> RecordBatch {
    let text = |n: i64| (n % 5 != 0).then(|| format!("{{\"event\":{n},\"of\":\"a longer text\"}}"));
    RecordBatch::try_new(
        Arc::new(schema()),
        vec![
            Arc::new(Int64Array::from_iter_values(first..first + rows)),
            Arc::new(StringArray::from_iter((first..first + rows).map(text))),
            Arc::new(StringArray::from_iter(
                (first..first + rows).map(|n| (n % 3 == 0).then(|| format!("user-{n}"))),
            )),
            Arc::new(StringArray::new_null(rows as usize)),
        ],
    )
    .unwrap()
}

#[test]
fn rows_are_those_that_copying_gives() {
    // One of them a slice: its texts do not begin where its memory does.
    let batches = [batch(0, 40), batch(100, 30).slice(7, 20), batch(500, 1)];
    let places: Vec<(usize, usize)> = (0..60)
        .map(|n| match n % 4 {
            0 => (1, n % 20),
            1 => (2, 0),
            _ => (0, (n * 7) % 40),
        })
        .collect();
    let gather = Gather::new(&schema(), &batches, &empty(&schema(), &batches));
    let rows = gather.rows(&places).unwrap();
    let sources: Vec<&RecordBatch> = batches.iter().collect();
    let copied = interleave_record_batch(&sources, &places).unwrap();
    assert_eq!(rows.num_rows(), 60);
    assert_eq!(*rows.column(1).data_type(), DataType::Utf8View);
    for (n, field) in schema().fields().iter().enumerate() {
        let plain = cast(rows.column(n), field.data_type()).unwrap();
        assert_eq!(&plain, copied.column(n), "{}", field.name());
    }
}

#[test]
fn large_texts_stay_where_they_lie() {
    let batches = [batch(1, 4), batch(21, 4)];
    let gather = Gather::new(&schema(), &batches, &empty(&schema(), &batches));
    let rows = gather.rows(&[(1, 2), (0, 0)]).unwrap();
    let place = |text: &str| text.as_ptr();
    let (raw, names) = (rows.column(1).as_string_view(), rows.column(2));
    let source = |b: usize| batches[b].column(1).as_string::<i32>();
    assert_eq!(place(raw.value(0)), place(source(1).value(2)));
    assert_eq!(place(raw.value(1)), place(source(0).value(0)));
    assert_eq!(*names.data_type(), DataType::Utf8);
    assert_eq!(rows.column(3).null_count(), 2);
}
