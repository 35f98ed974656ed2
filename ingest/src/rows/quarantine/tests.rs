use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;

use super::*;
use crate::decode::Reason;

#[test]
fn the_bytes_can_be_had_back() {
    let account = AccountId::new("100000000001").unwrap();
    let refusal = Refusal {
        reason: Reason::InvalidUtf8,
        detail: "byte 0".to_owned(),
    };
    let mut rows = QuarantineBuilder::new();
    let raws: [&[u8]; 3] = [b"\xff\xfe", b"", b"abc"];
    for (offset, raw) in raws.iter().enumerate() {
        rows.push(&QuarantineRow {
            ingest_time: Micros(0),
            account: (offset == 0).then_some(&account),
            sender: "s",
            log_source: "log",
            log_partition: 0,
            log_offset: offset as i64,
            log_item: 0,
            origin: None,
            refusal: &refusal,
            raw,
        })
        .unwrap();
    }
    assert_eq!(rows.len(), 3);
    let batch = rows.finish();
    assert!(rows.is_empty());
    let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>();
    let sizes = batch.column_by_name("size").unwrap();
    for (row, raw) in raws.iter().enumerate() {
        let back = STANDARD.decode(text("raw_base64").value(row)).unwrap();
        assert_eq!(back, *raw);
        assert_eq!(
            sizes.as_primitive::<Int64Type>().value(row),
            raw.len() as i64
        );
        assert_eq!(text("reason").value(row), "invalid_utf8");
        assert_eq!(text("account_id").is_valid(row), row == 0);
    }
}
