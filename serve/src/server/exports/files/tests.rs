use std::io::Read as _;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, ListBuilder, StringArray, StringBuilder, TimestampMicrosecondArray,
};

use super::*;
use crate::export::count;

fn made(mut files: Box<dyn Files>, batches: &[RecordBatch]) -> Vec<Finished> {
    let mut all = Vec::new();
    for batch in batches {
        all.extend(files.batch(batch).unwrap());
    }
    all.extend(files.end().unwrap());
    all
}

fn unpacked(file: &Finished) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(&file.bytes[..])
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn mixed() -> RecordBatch {
    let mut list = ListBuilder::new(StringBuilder::new());
    list.append_value([Some("=x")]);
    list.append_null();
    list.append_value([None::<&str>]);
    RecordBatch::try_from_iter([
        (
            "text",
            Arc::new(StringArray::from(vec![
                Some("=1+1"),
                None,
                Some("a\r\n\"b\";,"),
            ])) as ArrayRef,
        ),
        (
            "=n",
            Arc::new(Int64Array::from(vec![Some(-5), None, Some(7)])),
        ),
        (
            "at",
            Arc::new(
                TimestampMicrosecondArray::from(vec![Some(1), None, Some(0)]).with_timezone("UTC"),
            ),
        ),
        ("list", Arc::new(list.finish())),
    ])
    .unwrap()
}

#[test]
fn csv_is_rfc_4180_and_runs_nothing() {
    let batch = mixed();
    let csv = |neutralise| {
        let files = files(ExportFormat::Csv, neutralise, &batch.schema()).unwrap();
        let made = made(files, std::slice::from_ref(&batch));
        assert_eq!(made.len(), 1);
        assert_eq!(
            (made[0].file.name.as_str(), made[0].file.rows),
            ("part-00000.csv", 3)
        );
        assert_eq!(count::rows("csv", &made[0].bytes), Ok(3));
        String::from_utf8(made[0].bytes.to_vec()).unwrap()
    };
    assert_eq!(
        csv(true),
        "\"text\",\"'=n\",\"at\",\"list\"\r\n\
         \"'=1+1\",-5,1970-01-01T00:00:00.000001Z,\"[\"\"=x\"\"]\"\r\n\
         ,,,\r\n\
         \"a\r\n\"\"b\"\";,\",7,1970-01-01T00:00:00Z,\"[null]\"\r\n"
    );
    assert!(csv(false).starts_with("\"text\",\"=n\",\"at\",\"list\"\r\n\"=1+1\",-5"));
}

#[test]
fn every_format_has_a_file_also_without_rows() {
    let schema = mixed().schema();
    for (format, name) in [
        (ExportFormat::Csv, "part-00000.csv"),
        (ExportFormat::Parquet, "part-00000.parquet"),
        (ExportFormat::Ndjson, "part-00000.ndjson.gz"),
    ] {
        let none = made(files(format, true, &schema).unwrap(), &[]);
        assert_eq!(none.len(), 1);
        assert_eq!(none[0].file.name, name);
        assert_eq!(
            count::rows(format.as_str(), &none[0].bytes),
            Ok(0),
            "{name}"
        );
        let some = made(files(format, true, &schema).unwrap(), &[mixed(), mixed()]);
        assert_eq!(some[0].file.rows, 6);
        assert_eq!(
            count::rows(format.as_str(), &some[0].bytes),
            Ok(6),
            "{name}"
        );
        assert_eq!(some[0].file.sha256, sha256(&some[0].bytes));
    }
}

#[test]
fn files_are_cut() {
    let text = "x".repeat(1 << 20);
    let column: ArrayRef = Arc::new(StringArray::from(vec![text.as_str(); 8]));
    let batch = RecordBatch::try_from_iter([("text", column)]).unwrap();
    let files = files(ExportFormat::Csv, true, &batch.schema()).unwrap();
    let made = made(files, &vec![batch; 6]);
    let names: Vec<&str> = made.iter().map(|f| f.file.name.as_str()).collect();
    assert_eq!(names, ["part-00000.csv", "part-00001.csv"]);
    assert_eq!(made.iter().map(|f| f.file.rows).sum::<u64>(), 48);
    for file in &made {
        assert!(
            file.bytes.starts_with(b"\"text\"\r\n"),
            "each file has its header"
        );
        assert!(file.bytes.len() < FILE_BYTES + (9 << 20));
    }
}

#[test]
fn columns_of_one_name_are_refused() {
    let field = arrow::datatypes::Field::new("a", arrow::datatypes::DataType::Utf8, true);
    let schema: SchemaRef = Arc::new(arrow::datatypes::Schema::new(vec![field.clone(), field]));
    let refused = files(ExportFormat::Ndjson, true, &schema).err().unwrap();
    assert!(refused.to_string().contains("AS"), "{refused}");
    let refused = files(ExportFormat::CloudTrail, true, &schema)
        .err()
        .unwrap();
    assert!(
        refused.to_string().contains("account_id is not among"),
        "{refused}"
    );
}

fn events(rows: &[(&str, Option<&str>, i64, &str, &str)]) -> RecordBatch {
    let texts = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
    let times: Vec<i64> = rows.iter().map(|r| r.2).collect();
    RecordBatch::try_from_iter([
        ("raw", texts(rows.iter().map(|r| Some(r.4)).collect())),
        (
            "account_id",
            texts(rows.iter().map(|r| Some(r.0)).collect()),
        ),
        ("region", texts(rows.iter().map(|r| r.1).collect())),
        (
            "event_time",
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")) as ArrayRef,
        ),
        ("dialect", texts(rows.iter().map(|r| Some(r.3)).collect())),
    ])
    .unwrap()
}

#[test]
fn events_lie_as_cloudtrail_delivers_them() {
    let day = 86_400_000_000;
    let batch = events(&[
        (
            "111111111111",
            Some("eu-west-1"),
            3 * day + 61_000_000,
            "cloudtrail",
            "{\"a\": 1.0}",
        ),
        (
            "111111111111",
            Some("eu-west-1"),
            3 * day + 1,
            "cloudtrail",
            "{\"b\":\"\\u00e9\"}",
        ),
        (
            "111111111111",
            Some("eu-west-1"),
            4 * day,
            "cloudtrail",
            "{}",
        ),
        ("222222222222", None, 0, "cloudtrail", "{}"),
        ("222222222222", Some("../../etc"), 0, "cloudtrail", "{}"),
        ("222222222222", Some("x"), i64::MAX, "cloudtrail", "{}"),
        ("222222222222", Some("x"), 0, "actiontrail", "{}"),
    ]);
    let mut files = files(ExportFormat::CloudTrail, true, &batch.schema()).unwrap();
    let mut made = files.batch(&batch).unwrap();
    assert!(made.is_empty());
    made.extend(files.end().unwrap());
    assert_eq!(files.left_out(), 1);
    let folders: Vec<&str> = made
        .iter()
        .map(|f| f.file.name.rsplit_once('_').unwrap().0)
        .collect();
    assert_eq!(
        folders,
        [
            "AWSLogs/111111111111/CloudTrail/eu-west-1/1970/01/04/111111111111_CloudTrail_eu-west-1_19700104T0000Z",
            "AWSLogs/111111111111/CloudTrail/eu-west-1/1970/01/05/111111111111_CloudTrail_eu-west-1_19700105T0000Z",
            "AWSLogs/222222222222/CloudTrail/______etc/1970/01/01/222222222222_CloudTrail_______etc_19700101T0000Z",
            "AWSLogs/222222222222/CloudTrail/no-region/1970/01/01/222222222222_CloudTrail_no-region_19700101T0000Z",
            "AWSLogs/222222222222/CloudTrail/x/1970/01/01/222222222222_CloudTrail_x_19700101T0000Z",
        ]
    );
    // The bytes are those that were received, spaces and all.
    assert_eq!(
        unpacked(&made[0]),
        "{\"Records\":[{\"a\": 1.0},{\"b\":\"\\u00e9\"}]}"
    );
    for file in &made {
        assert!(
            crate::export::manifest::is_inside(&file.file.name),
            "{}",
            file.file.name
        );
        assert_eq!(count::rows("cloudtrail", &file.bytes), Ok(file.file.rows));
        let unique = file.file.name.rsplit_once('_').unwrap().1;
        assert_eq!(unique.len(), "0123456789ABCDEF.json.gz".len(), "{unique}");
    }
}

#[test]
fn events_lie_as_actiontrail_delivers_them() {
    let batch = events(&[
        (
            "1000000000000001",
            Some("cn-hangzhou"),
            1_000_000,
            "actiontrail",
            "{\"a\":1}",
        ),
        (
            "1000000000000001",
            Some("cn-hangzhou"),
            2_000_000,
            "actiontrail",
            "{\"b\":2}",
        ),
        ("1000000000000001", None, 2_000_000, "cairn", "{}"),
    ]);
    let made = made(
        files(ExportFormat::ActionTrail, true, &batch.schema()).unwrap(),
        &[batch],
    );
    assert_eq!(made.len(), 1);
    assert_eq!(unpacked(&made[0]), "[{\"a\":1},{\"b\":2}]");
    let sum = hex::encode(<md5::Md5 as md5::Digest>::digest(&made[0].bytes));
    assert_eq!(
        made[0].file.name,
        format!(
            "AliyunLogs/Actiontrail/rd-cairn/1000000000000001/cn-hangzhou/1970/01/01/Actiontrail_cn-hangzhou_19700101000001_1002_2_{}_{sum}.gz",
            made[0].bytes.len()
        )
    );
}

#[test]
fn what_is_no_event_is_no_delivery() {
    for raw in ["=1", "[]", "{", "{} {}", ""] {
        let batch = events(&[("111111111111", None, 0, "cloudtrail", raw)]);
        let mut files = files(ExportFormat::CloudTrail, true, &batch.schema()).unwrap();
        assert!(files.batch(&batch).is_err(), "{raw:?}");
    }
    let batch = events(&[("../x", None, 0, "cloudtrail", "{}")]);
    let mut files = files(ExportFormat::CloudTrail, true, &batch.schema()).unwrap();
    assert!(files.batch(&batch).is_err());
}
