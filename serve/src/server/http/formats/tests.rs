use super::*;
use arrow::array::{Int64Array, ListArray, StringArray};
use arrow::datatypes::Int64Type;

fn rows() -> RecordBatch {
    let names = StringArray::from(vec![Some("a,\"b\"\n"), None]);
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]);
    RecordBatch::try_from_iter_with_nullable([
        (
            "n",
            Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef,
            true,
        ),
        ("name", Arc::new(names) as ArrayRef, true),
        ("list", Arc::new(list) as ArrayRef, true),
    ])
    .unwrap()
}

fn encoded(format: Format, batches: &[RecordBatch]) -> Vec<u8> {
    let mut encoder = format.encoder(&rows().schema()).unwrap();
    let mut out = encoder.begin().unwrap();
    for batch in batches {
        out.extend(encoder.batch(batch).unwrap());
    }
    out.extend(encoder.end(7).unwrap());
    out
}

#[test]
fn json_is_one_document_also_without_rows() {
    let two: serde_json::Value =
        serde_json::from_slice(&encoded(Format::Json, &[rows(), rows()])).unwrap();
    assert_eq!(two["row_count"], 4);
    assert_eq!(two["rows"][0], json!([1, "a,\"b\"\n", [1, null]]));
    assert_eq!(two["rows"][3], json!([2, null, null]));
    assert_eq!(two["columns"][1]["name"], "name");
    let none: serde_json::Value = serde_json::from_slice(&encoded(Format::Json, &[])).unwrap();
    assert_eq!(none["rows"], json!([]));
}

#[test]
fn ndjson_and_csv() {
    let text = String::from_utf8(encoded(Format::Ndjson, &[rows()])).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(text.contains("\"name\":null"), "{text}");
    let text = String::from_utf8(encoded(Format::Csv, &[rows(), rows()])).unwrap();
    assert!(
        text.starts_with("n,name,list\n1,\"a,\"\"b\"\"\n\",\"[1,null]\"\n2,,\n"),
        "{text}"
    );
    assert_eq!(text.matches("n,name,list").count(), 1);
    assert_eq!(encoded(Format::Csv, &[]), b"n,name,list\n");
}

#[test]
fn arrow_and_parquet_come_back() {
    let bytes = encoded(Format::Arrow, &[rows(), rows()]);
    let reader = arrow::ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap();
    assert_eq!(
        reader.map(|b| b.unwrap()).collect::<Vec<_>>(),
        [rows(), rows()]
    );
    let bytes = bytes::Bytes::from(encoded(Format::Parquet, &[rows()]));
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(bytes, 100).unwrap();
    assert_eq!(reader.map(|b| b.unwrap().num_rows()).sum::<usize>(), 2);
}

#[test]
fn accept_chooses() {
    assert_eq!(Format::accepted(None), Some(Format::Json));
    assert_eq!(
        Format::accepted(Some("text/html, text/csv;q=0.5")),
        Some(Format::Csv)
    );
    assert_eq!(Format::accepted(Some("*/*")), Some(Format::Json));
    assert_eq!(Format::accepted(Some("image/png")), None);
    for (header, wanted) in [
        ("text/csv;q=0.1, application/json", Some(Format::Json)),
        ("text/csv;q=0, */*;q=0.1", Some(Format::Json)),
        ("text/csv;q=0", None),
        ("text/*", Some(Format::Csv)),
        ("text/csv, application/json", Some(Format::Csv)),
        (
            "Text/CSV; q=0.9, application/vnd.apache.parquet",
            Some(Format::Parquet),
        ),
    ] {
        assert_eq!(Format::accepted(Some(header)), wanted, "{header}");
    }
}

#[test]
fn parquet_of_long_texts_is_not_kept_until_the_end() {
    let mut state = 1_u64;
    let row = |_| {
        // Nothing that a dictionary or the compression would make small.
        let letter = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            char::from(b' ' + (state >> 58) as u8)
        };
        let text: String = (0..1 << 20).map(letter).collect();
        let texts: ArrayRef = Arc::new(StringArray::from(vec![text]));
        RecordBatch::try_from_iter([("text", texts)]).unwrap()
    };
    let batches: Vec<RecordBatch> = (0..40).map(row).collect();
    let mut encoder = Format::Parquet.encoder(&batches[0].schema()).unwrap();
    let mut out = encoder.begin().unwrap();
    let mut early = 0;
    for batch in &batches {
        let part = encoder.batch(batch).unwrap();
        early += part.len();
        out.extend(part);
    }
    out.extend(encoder.end(7).unwrap());
    assert!(early > out.len() / 2, "{early} of {} bytes", out.len());
    let bytes = bytes::Bytes::from(out);
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    assert!(reader.metadata().num_row_groups() > 1);
    let read: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    let whole = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    let back = arrow::compute::concat_batches(&batches[0].schema(), &read).unwrap();
    assert_eq!(back, whole);
}
