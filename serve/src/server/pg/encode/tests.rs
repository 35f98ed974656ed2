//! Values against what PostgreSQL 15's output functions give, both ways.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DurationMillisecondArray,
    Float64Array, Int8Array, Int64Array, IntervalMonthDayNanoArray, ListArray, RecordBatch,
    StringArray, StructArray, TimestampMicrosecondArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{Int32Type, IntervalMonthDayNano, Schema};

use super::super::types;
use super::*;

/// The single value of a column, as a client reads it.
fn value(array: ArrayRef, code: i16) -> (u32, Option<Vec<u8>>) {
    let field = Field::new("c", array.data_type().clone(), true);
    let schema = Arc::new(Schema::new(vec![field]));
    let columns = types::columns(&schema, &[code]).unwrap();
    let batch = RecordBatch::try_new(schema, vec![array]).unwrap();
    let mut rows = Rows::new(&batch, &columns).unwrap();
    let mut out = BytesMut::new();
    rows.write_row(&mut out);
    assert!(rows.is_done());
    assert_eq!(out[0], b'D');
    assert_eq!(out[1..5], (out.len() as i32 - 1).to_be_bytes());
    assert_eq!(out[5..7], [0, 1]);
    let length = i32::from_be_bytes(out[7..11].try_into().unwrap());
    let bytes = usize::try_from(length).ok().map(|n| {
        assert_eq!(out.len(), 11 + n);
        out[11..].to_vec()
    });
    (columns[0].kind.oid(), bytes)
}

fn text(array: ArrayRef) -> String {
    String::from_utf8(value(array, 0).1.expect("not null")).unwrap()
}

fn binary(array: ArrayRef) -> Vec<u8> {
    value(array, 1).1.expect("not null")
}

fn instant(micros: i64) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC"))
}

#[test]
fn instants() {
    for (micros, shown) in [
        (0, "1970-01-01 00:00:00+00"),
        (1_704_164_645_500_000, "2024-01-02 03:04:05.5+00"),
        (1_704_164_645_000_001, "2024-01-02 03:04:05.000001+00"),
        (-1, "1969-12-31 23:59:59.999999+00"),
        (253_402_300_800_000_000, "10000-01-01 00:00:00+00"),
        (-62_135_596_800_000_000, "0001-01-01 00:00:00+00"),
        (-62_135_596_800_000_001, "0001-12-31 23:59:59.999999+00 BC"),
        (i64::MAX, "294247-01-10 04:00:54.775807+00"),
    ] {
        assert_eq!(text(instant(micros)), shown);
    }
    assert_eq!(value(instant(0), 0).0, 1184);
    assert_eq!(binary(instant(946_684_800_000_000)), 0i64.to_be_bytes());
    assert_eq!(binary(instant(0)), (-946_684_800_000_000i64).to_be_bytes());
    let local = TimestampNanosecondArray::from(vec![1_500]);
    assert_eq!(text(Arc::new(local)), "1970-01-01 00:00:00.000001");
}

#[test]
fn dates() {
    for (days, shown) in [
        (0, "1970-01-01"),
        (11_016, "2000-02-29"),
        (-719_163, "0001-12-31 BC"),
    ] {
        assert_eq!(text(Arc::new(Date32Array::from(vec![days]))), shown);
    }
    let date = Arc::new(Date32Array::from(vec![10_958]));
    assert_eq!(binary(date), 1i32.to_be_bytes());
}

#[test]
fn numbers() {
    assert_eq!(text(Arc::new(Int64Array::from(vec![-5]))), "-5");
    assert_eq!(
        binary(Arc::new(Int8Array::from(vec![-5]))),
        (-5i16).to_be_bytes()
    );
    assert_eq!(text(Arc::new(BooleanArray::from(vec![true]))), "t");
    for (number, shown) in [
        (1.0, "1"),
        (-0.5, "-0.5"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e20, "1e+20"),
        (1.5e-7, "1.5e-07"),
        (123_456_789_012_345.0, "123456789012345"),
        (0.0001, "0.0001"),
        (f64::NAN, "NaN"),
        (f64::NEG_INFINITY, "-Infinity"),
    ] {
        assert_eq!(text(Arc::new(Float64Array::from(vec![number]))), shown);
    }
}

fn decimal(value: i128, scale: i8) -> ArrayRef {
    let array = Decimal128Array::from(vec![value]);
    Arc::new(array.with_precision_and_scale(38, scale).unwrap())
}

#[test]
fn decimals() {
    let groups =
        |words: &[i16]| -> Vec<u8> { words.iter().flat_map(|w| w.to_be_bytes()).collect() };
    for (value, scale, shown, sent) in [
        (0, 0, "0", vec![0, 0, 0, 0]),
        (0, 2, "0.00", vec![0, 0, 0, 2]),
        (1, 0, "1", vec![1, 0, 0, 0, 1]),
        (
            -12_345_678,
            3,
            "-12345.678",
            vec![3, 1, 0x4000, 3, 1, 2345, 6780],
        ),
        (5, 5, "0.00005", vec![1, -2, 0, 5, 5000]),
        (100_000_000, 0, "100000000", vec![1, 2, 0, 0, 1]),
        (100_000_001, 4, "10000.0001", vec![3, 1, 0, 4, 1, 0, 1]),
    ] {
        assert_eq!(text(decimal(value, scale)), shown);
        assert_eq!(binary(decimal(value, scale)), groups(&sent), "{shown}");
    }
    let largest = Arc::new(UInt64Array::from(vec![u64::MAX]));
    assert_eq!(text(largest), "18446744073709551615");
}

#[test]
fn texts_and_bytes() {
    assert_eq!(
        text(Arc::new(StringArray::from(vec!["a\0b"]))),
        "a\u{fffd}b"
    );
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]]));
    assert_eq!(text(Arc::clone(&bytes)), "\\x00ff");
    assert_eq!(binary(bytes), b"\x00\xff");
}

#[test]
fn lengths_of_time() {
    let span = |months, days, nanos| -> ArrayRef {
        let value = IntervalMonthDayNano::new(months, days, nanos);
        Arc::new(IntervalMonthDayNanoArray::from(vec![value]))
    };
    for (months, days, nanos, shown) in [
        (0, 0, 0, "00:00:00"),
        (
            14,
            3,
            3_723_004_000_000,
            "1 year 2 mons 3 days 01:02:03.004",
        ),
        (-1, 1, 0, "-1 mons +1 day"),
        (0, 0, -1_000, "-00:00:00.000001"),
    ] {
        assert_eq!(text(span(months, days, nanos)), shown);
    }
    let long = Arc::new(DurationMillisecondArray::from(vec![90_000_000]));
    assert_eq!(text(long), "25:00:00");
    let null: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(vec![None]));
    assert_eq!(value(null, 0).1, None);
}

#[test]
fn lists() {
    let numbers = |items: Vec<Option<i32>>| -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some(
            items,
        )]))
    };
    assert_eq!(text(numbers(vec![Some(1), None, Some(-3)])), "{1,NULL,-3}");
    assert_eq!(value(numbers(vec![]), 0), (1007, Some(b"{}".to_vec())));
    let words = |w: &[i32]| -> Vec<u8> { w.iter().flat_map(|w| w.to_be_bytes()).collect() };
    assert_eq!(
        binary(numbers(vec![Some(7), None])),
        words(&[1, 1, 23, 2, 1, 4, 7, -1])
    );
    assert_eq!(binary(numbers(vec![])), words(&[0, 0, 23]));
    let mut texts = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
    for item in ["a", "", "b c", "q\"\\", "null", "{x}", "ä,"] {
        texts.values().append_value(item);
    }
    texts.append(true);
    assert_eq!(
        text(Arc::new(texts.finish())),
        r#"{a,"","b c","q\"\\","null","{x}","ä,"}"#
    );
}

#[test]
fn what_postgresql_has_no_type_for_is_json() {
    let names: ArrayRef = Arc::new(StringArray::from(vec!["k\"1"]));
    let none: ArrayRef = Arc::new(Int64Array::from(vec![None]));
    let pair = StructArray::from(vec![
        (Arc::new(Field::new("name", DataType::Utf8, true)), names),
        (Arc::new(Field::new("n", DataType::Int64, true)), none),
    ]);
    let pair: ArrayRef = Arc::new(pair);
    assert_eq!(
        value(Arc::clone(&pair), 0),
        (114, Some(br#"{"name":"k\"1","n":null}"#.to_vec()))
    );
    assert_eq!(binary(pair), br#"{"name":"k\"1","n":null}"#);
}

#[test]
fn catalog_columns_are_what_their_marks_say() {
    let mark = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let oid = Field::new("oid", DataType::Int64, true)
        .with_metadata(mark(arrow_pg::datatypes::PG_OID_ALIAS_KEY, "regclass"));
    let kind = Field::new("kind", DataType::Utf8, true)
        .with_metadata(mark(arrow_pg::datatypes::PG_CHAR_KEY, "char"));
    let schema = Arc::new(Schema::new(vec![oid, kind]));
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![4_000_000_000])),
        Arc::new(StringArray::from(vec!["r"])),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
    let columns = types::columns(&schema, &[1]).unwrap();
    assert_eq!((columns[0].kind.oid(), columns[1].kind.oid()), (2205, 18));
    let mut out = BytesMut::new();
    Rows::new(&batch, &columns).unwrap().write_tuple(&mut out);
    let mut expected = vec![0, 2, 0, 0, 0, 4];
    expected.extend(4_000_000_000u32.to_be_bytes());
    expected.extend([0, 0, 0, 1, b'r']);
    assert_eq!(out, expected);
}

#[test]
fn formats_fit_the_columns() {
    let schema = Schema::new(vec![
        Field::new("a", DataType::Int64, true),
        Field::new("b", DataType::Int64, true),
    ]);
    assert!(types::columns(&schema, &[0, 1]).is_ok());
    assert!(types::columns(&schema, &[0, 1, 1]).is_err());
    assert!(types::columns(&schema, &[2]).is_err());
}
