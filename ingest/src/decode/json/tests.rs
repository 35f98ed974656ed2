use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn read(text: &str) -> Result<Tape<'_>, Fault> {
    Tape::read(text, 64)
}

/// Whether serde_json takes the text as far as syntax goes: no ranges of
/// numbers, no surrogates, no repeated keys.
fn serde_takes(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[test]
fn what_is_json_is_taken_and_what_is_not_is_refused() {
    for text in [
        "{}",
        "[]",
        " [ ] ",
        "{ }",
        "0",
        "-0",
        "1.5e-3",
        "1E+9",
        "1e400",
        "\"\"",
        "true",
        "null",
        "\"\\u00e9\\n\\/\"",
        "\"\\ud800\"",
        "[1,[2,[3]],{\"a\":{}}]",
        "\n{\"a\" : 1 ,\t\"b\":[]}\r\n",
        "18446744073709551616",
        "\"\u{7f}\u{2028}\"",
        "[\"\",{},[]]",
    ] {
        assert!(read(text).is_ok(), "{text}");
        assert!(serde_takes(text), "{text}");
    }
    for text in [
        "",
        " ",
        "{",
        "[",
        "\"",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "[1,]",
        "[,1]",
        "{,}",
        "01",
        "+1",
        "1.",
        ".5",
        "1e",
        "-",
        "tru",
        "True",
        "NaN",
        "Infinity",
        "nul",
        "'a'",
        "{a:1}",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12\"",
        "\"\n\"",
        "\"\u{1}\"",
        "[1 2]",
        "{} {}",
        "[]]",
        "{]",
        "[}",
        "{\"a\":1 \"b\":2}",
        "\u{feff}{}",
        "//c\n1",
        "{1:2}",
        "[1}",
        "\u{c}1",
    ] {
        assert!(matches!(read(text), Err(Fault::Syntax { .. })), "{text:?}");
        assert!(!serde_takes(text), "{text:?}");
    }
}

#[test]
fn values_are_ranges_of_the_text() {
    let text = r#" {"a" : {"x":[1, 2]} , "b":"c\td", "e":-0.50} "#;
    let tape = read(text).unwrap();
    assert_eq!(tape.raw(0), text.trim());
    let a = tape.member(0, "a").unwrap();
    assert_eq!(tape.raw(a), r#"{"x":[1, 2]}"#);
    let x = tape.member(a, "x").unwrap();
    let elements: Vec<_> = tape.elements(x).map(|e| tape.raw(e)).collect();
    assert_eq!(elements, ["1", "2"]);
    let b = tape.member(0, "b").unwrap();
    assert_eq!(tape.kind(b), Kind::Escaped);
    assert_eq!(tape.string(b).0, "c\td");
    assert_eq!(tape.raw(tape.member(0, "e").unwrap()), "-0.50");
    assert_eq!(tape.member(0, "x"), None);
    assert_eq!(tape.member(x, "x"), None, "an array has no members");
    assert_eq!(tape.elements(a).count(), 0, "an object has no elements");
}

#[test]
fn a_key_named_twice_is_found_wherever_it_stands() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"c":{},"a":3}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"\u0061":1,"a":2}"#,
        r#"{"x":{"y":[{"k":1,"z":{"k":0},"k":2}]}}"#,
        r#"{"":1,"":2}"#,
        r#"{"\ud800":1,"\ud800":2}"#,
        r#"{"\ud83d\ude00":1,"😀":2}"#,
        r#"{"recipientAccountId":1,"recipientAccount\u0049d":2}"#,
    ] {
        assert!(
            matches!(read(text), Err(Fault::DuplicateKey { .. })),
            "{text}"
        );
    }
    for text in [
        r#"{"a":1,"A":1}"#,
        r#"{"a":{"a":{"a":1}}}"#,
        r#"[{"a":1},{"a":1}]"#,
        r#"{"a":{"b":1},"c":{"b":1}}"#,
        r#"{"\ud800":1,"\ud801":2}"#,
        r#"{"a":1,"\\u0061":2}"#,
        "{\"\u{e9}\":1,\"e\u{301}\":2}", // composed and decomposed: other bytes
    ] {
        assert!(read(text).is_ok(), "{text}");
    }
}

#[test]
fn a_key_named_twice_among_thousands_is_found() {
    let many = |n: usize, twice: usize| {
        let members: Vec<String> = (0..n)
            .map(|i| format!("\"key{}\":{i}", if i == n - 1 { twice } else { i }))
            .collect();
        format!("{{\"inner\":{{{}}}}}", members.join(","))
    };
    for n in [FEW_KEYS, FEW_KEYS + 1, FEW_KEYS + 2, 50_000] {
        assert!(read(&many(n, n - 1)).is_ok(), "{n}");
        for twice in [0, n / 2, n - 2] {
            let fault = read(&many(n, twice)).unwrap_err();
            let expected = format!("key{twice}");
            assert!(
                matches!(&fault, Fault::DuplicateKey { key, .. } if *key == expected),
                "{n} {twice} {fault:?}"
            );
        }
    }
}

#[test]
fn keys_whose_hashes_meet_are_still_two_keys() {
    // The same length, first eight and last eight bytes.
    let text = r#"{"aaaaaaaa1bbbbbbbb":1,"aaaaaaaa2bbbbbbbb":2}"#;
    assert!(read(text).is_ok());
    let text = r#"{"aaaaaaaa1bbbbbbbb":1,"aaaaaaaa2bbbbbbbb":2,"aaaaaaaa2bbbbbbbb":3}"#;
    assert!(read(text).is_err());
}

#[test]
fn depth_is_held_without_recursion() {
    let deep = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    assert!(read(&deep(64)).is_ok());
    assert_eq!(read(&deep(65)).unwrap_err(), Fault::Depth { at: 64 });
    assert_eq!(
        read(&"[".repeat(10_000)).unwrap_err(),
        Fault::Depth { at: 64 }
    );
    assert_eq!(
        read(&"{\"a\":".repeat(10_000)).unwrap_err(),
        Fault::Depth { at: 64 * 5 }
    );
    // No limit worth the name, and still no stack to overflow.
    let million = deep(1_000_000);
    assert!(Tape::read(&million, usize::MAX).is_ok());
}

#[test]
fn plain_end_finds_the_first_of_its_bytes_at_every_place() {
    for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
        for length in 0..40 {
            for place in 0..length {
                let mut bytes = vec![b'x'; length];
                bytes[place] = special;
                assert_eq!(plain_end(&bytes, 0), place);
            }
        }
    }
    let plain: Vec<u8> = (0x20..=0xff)
        .filter(|b| !matches!(b, b'"' | b'\\'))
        .collect();
    assert_eq!(plain_end(&plain, 0), plain.len());
}

/// Text of JSON's own characters: mostly broken, in every way there is.
fn jsonish() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"b\"", "\"c\\n\"", "\\", "\\u00e9", "\\ud8",
        "1", "-", "0", "2.5", "e9", "true", "false", "null", " ", "\n", "é", "\u{1}", "{}", "[]",
        "{\"k\":", "[1,", "\"x\":",
    ]);
    prop::collection::vec(pieces, 0..24).prop_map(|v| v.concat())
}

/// A value that is JSON, of all kinds and shapes.
fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..8)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}

/// What the tape says, put together again.
fn rebuild(tape: &Tape<'_>, at: At) -> serde_json::Value {
    match tape.kind(at) {
        Kind::Null => serde_json::Value::Null,
        Kind::True => true.into(),
        Kind::False => false.into(),
        Kind::Number => serde_json::from_str(tape.raw(at)).unwrap(),
        Kind::Plain | Kind::Escaped => tape.string(at).0.into_owned().into(),
        Kind::Array => tape.elements(at).map(|e| rebuild(tape, e)).collect(),
        Kind::Object => tape
            .members(at)
            .map(|(k, v)| (tape.key(k).into_owned(), rebuild(tape, v)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn takes_what_serde_json_takes(text in jsonish()) {
        match read(&text) {
            Ok(_) => prop_assert!(serde_takes(&text)),
            Err(Fault::Syntax { .. }) => prop_assert!(!serde_takes(&text)),
            // These stop the reading before the syntax is known.
            Err(Fault::Depth { .. } | Fault::DuplicateKey { .. }) => {}
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        prop_assert_eq!(read(&text).is_ok(), serde_takes(&text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn reads_the_values_that_serde_json_reads(value in value(), pretty in any::<bool>()) {
        let text = if pretty {
            serde_json::to_string_pretty(&value).unwrap()
        } else {
            value.to_string()
        };
        let tape = read(&text).unwrap();
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(rebuild(&tape, 0), back);
        prop_assert_eq!(tape.raw(0), text.as_str());
    }

    #[test]
    fn one_byte_changed_is_judged_as_serde_json_judges(
        value in value(), at in any::<prop::sample::Index>(), byte in 0u8..0x7f,
    ) {
        let mut bytes = value.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(text) = std::str::from_utf8(&bytes) {
            match read(text) {
                Err(Fault::Depth { .. } | Fault::DuplicateKey { .. }) => {}
                other => prop_assert_eq!(other.is_ok(), serde_takes(text)),
            }
        }
    }
}
