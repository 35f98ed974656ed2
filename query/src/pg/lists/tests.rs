//! Lists read.

use super::*;

#[test]
fn lists_are_read() {
    let read = |written: &str| {
        let items = items(written)?;
        let shown = items.into_iter().map(|i| i.unwrap_or("(null)".to_owned()));
        Some(shown.collect::<Vec<_>>().join("|"))
    };
    for (written, want) in [
        ("{}", Some("")),
        ("{a, b}", Some("a|b")),
        ("{\"a,b\",c}", Some("a,b|c")),
        ("{\"\", x}", Some("|x")),
        ("{NULL,\"NULL\",null}", Some("(null)|NULL|(null)")),
        ("{\"a\\\"b\\\\\"}", Some("a\"b\\")),
        ("{two words}", Some("two words")),
        ("{{1},{2}}", None),
        ("{\"a}", None),
        ("a", None),
    ] {
        assert_eq!(read(written).as_deref(), want, "{written}");
    }
}

#[test]
fn items_have_a_type() {
    let made = value("{1,NULL,3}", &DataType::Int64).unwrap();
    assert_eq!(made.data_type(), DataType::new_list(DataType::Int64, true));
    assert!(value("{1,x}", &DataType::Int64).is_none());
}
