//! What a file holds and how, seen with a reader that knows nothing of Cairn.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Date32Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use cairn_schemas::columns::event_schema;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;

use super::{Layout, encode};
use crate::table::spec::{ParquetOptions, TableSpec};

/// Rows that come `step` seconds apart, with the columns that tests look at.
fn batch(first: i64, step: i64, rows: i64) -> RecordBatch {
    let schema = event_schema();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        let texts = |text: fn(i64) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(
                (0..rows).map(|n| text(first + n * step)),
            ))
        };
        match field.name().as_str() {
            "event_time" => Arc::new(
                TimestampMicrosecondArray::from_iter_values(
                    (0..rows).map(|n| (first + n * step) * 1_000_000),
                )
                .with_timezone("UTC"),
            ),
            "ingest_date" => Arc::new(Date32Array::from_value(20_000, rows as usize)),
            "raw" => texts(|n| format!("{{\"eventID\":\"{n}\",\"of\":\"some length\"}}")),
            "event_name" => texts(|n| format!("Name{}", n % 3)),
            _ if field.is_nullable() => new_null_array(field.data_type(), rows as usize),
            _ => match field.data_type() {
                DataType::Utf8 => texts(|n| format!("value-{n}")),
                other => {
                    let zeros = StringArray::from_iter_values((0..rows).map(|_| "0"));
                    let zeros: ArrayRef = match other {
                        DataType::Timestamp(..) => {
                            let at = TimestampMicrosecondArray::from_value(0, rows as usize);
                            return Arc::new(at.with_timezone("UTC"));
                        }
                        _ => Arc::new(zeros),
                    };
                    arrow::compute::cast(&zeros, other).unwrap()
                }
            },
        }
    });
    let columns = columns.collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

#[test]
fn rows_out_of_order_are_written_in_order_as_they_were() {
    let layout = Layout::new(
        &TableSpec::events("history"),
        &ParquetOptions::default(),
        false,
    );
    let batches = [batch(1_000, 2, 700), batch(1_001, 2, 500), batch(10, 1, 3)];
    let files = encode(&layout, &batches).unwrap();
    assert_eq!(files.len(), 1);
    let reader = ParquetRecordBatchReaderBuilder::try_new(files[0].bytes.clone()).unwrap();
    // The schema that other readers are told is the table's, not how rows were held.
    assert_eq!(reader.schema().fields(), layout.schema.fields());
    let metadata = Arc::clone(reader.metadata());
    let read: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    let read = concat_batches(&layout.schema, &read).unwrap();

    let mut expected: Vec<i64> = (0..700).map(|n| 1_000 + n * 2).collect();
    expected.extend((0..500).map(|n| 1_001 + n * 2));
    expected.extend(10..13);
    expected.sort_unstable();
    let times = read["event_time"].as_primitive::<TimestampMicrosecondType>();
    let seconds: Vec<i64> = times.values().iter().map(|t| t / 1_000_000).collect();
    assert_eq!(seconds, expected);
    for (row, n) in expected.iter().enumerate() {
        let told = format!("{{\"eventID\":\"{n}\",\"of\":\"some length\"}}");
        assert_eq!(read["raw"].as_string::<i32>().value(row), told);
        let name = read["event_name"].as_string::<i32>().value(row);
        assert_eq!(name, format!("Name{}", n % 3));
    }
    assert_eq!(read["vpc_id"].null_count(), expected.len());

    let group = metadata.row_group(0);
    for column in group.columns() {
        let name = column.column_path().string();
        let plain = column.compression() == Compression::UNCOMPRESSED;
        let hollow = read
            .column_by_name(&name)
            .is_some_and(|c| c.null_count() == expected.len());
        assert_eq!(plain, hollow, "{name}");
        let filtered = column.bloom_filter_offset().is_some();
        let wanted = TableSpec::events("history").bloom_columns.contains(&name);
        assert_eq!(filtered, wanted && !hollow, "{name}");
    }
}
