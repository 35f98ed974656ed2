use super::*;

#[test]
fn every_escape_has_its_value() {
    let (text, lossy) = to_text(r#"\"\\\/\b\f\n\r\t\u0000\u00e9\u20ac\ud83d\ude00x"#);
    assert_eq!(text, "\"\\/\u{8}\u{c}\n\r\t\0é€😀x");
    assert!(!lossy);
}

#[test]
fn a_lone_surrogate_is_replaced_and_told() {
    for (inside, expected) in [
        (r"\ud800", "\u{fffd}"),
        (r"\udc00", "\u{fffd}"),
        (r"a\ud800b", "a\u{fffd}b"),
        (r"\ud800\n", "\u{fffd}\n"),
        (r"\ud800\u0041", "\u{fffd}A"),
        (r"\ud800\ud83d\ude00", "\u{fffd}😀"),
        (r"\udc00\ud800", "\u{fffd}\u{fffd}"),
        (r"\ud800A", "\u{fffd}A"),
    ] {
        assert_eq!(to_text(inside), (expected.to_owned(), true), "{inside}");
    }
}

#[test]
fn as_bytes_lone_surrogates_stay_apart() {
    assert_eq!(to_bytes(br"\ud800"), [0xed, 0xa0, 0x80]);
    assert_ne!(to_bytes(br"\ud800"), to_bytes(br"\ud801"));
    assert_ne!(to_bytes(br"\ud800"), to_bytes("\u{fffd}".as_bytes()));
    assert_eq!(to_bytes(br"\ud83d\ude00"), "😀".as_bytes());
    assert_eq!(to_bytes(br"\u0061"), b"a");
}

#[test]
fn what_no_valid_string_holds_does_not_panic() {
    for inside in [r"\", r"\u", r"\u1", r"\ud800\u", r"\ud800\ud", r"\q"] {
        to_bytes(inside.as_bytes());
        to_text(inside);
    }
}
