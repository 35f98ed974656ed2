//! Names and numbers of types.

use arrow::datatypes::{DataType, Field, TimeUnit};

use super::*;

#[test]
fn every_line_is_a_type() {
    let lines = include_str!("../data/types.tsv").lines();
    let types = lines.filter(|l| !l.starts_with('#')).count();
    assert_eq!(all().len(), types);
    for t in all() {
        // What an array and its item say of each other agrees.
        if let Some(array) = get(t.array) {
            assert_eq!(array.elem, t.oid, "{}", t.name);
        }
        assert_eq!(get(t.oid).map(|t| t.name), Some(t.name));
    }
}

#[test]
fn names_are_read_as_they_are_written() {
    for (name, oid) in [
        ("text", 25),
        ("pg_catalog.int4", 23),
        ("INTEGER", 23),
        ("character varying(10)", 1043),
        ("text[]", 1009),
        ("timestamp with time zone", 1184),
        ("\"char\"", 18),
        ("char", 1042),
        ("oid[]", 1028),
    ] {
        assert_eq!(named(name).map(|t| t.oid), Some(oid), "{name}");
    }
    assert!(named("no_such_type").is_none());
    assert_eq!(shown(1184), "timestamp with time zone");
    assert_eq!(shown(1009), "text[]");
    assert_eq!(shown(2287), "record[]");
    assert_eq!(shown_with(1043, 14), "character varying(10)");
    assert_eq!(shown_with(1700, (10 << 16) + 2 + 4), "numeric(10,2)");
}

#[test]
fn columns_have_types() {
    let of = |data_type| super::of(&Field::new("x", data_type, true));
    assert_eq!(of(DataType::Utf8), 25);
    assert_eq!(
        of(DataType::Timestamp(
            TimeUnit::Microsecond,
            Some("UTC".into())
        )),
        1184
    );
    let texts = DataType::new_list(DataType::Utf8, true);
    assert_eq!(of(texts), 1009);
    let records = DataType::new_list(DataType::Struct(arrow::datatypes::Fields::empty()), true);
    assert_eq!(of(records), 114);
    let lists = DataType::new_list(DataType::new_list(DataType::Int64, true), true);
    assert_eq!(of(lists), 114);
}
