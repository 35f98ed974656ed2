use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn cut(body: &str) -> Result<Vec<Piece>, BodyError> {
    split(&Bytes::from(body.to_owned()), &ReceiveLimits::default())
}

fn pieces(body: &str) -> Vec<String> {
    cut(body)
        .unwrap_or_else(|error| panic!("{error}: {body:?}"))
        .into_iter()
        .map(|piece| match piece {
            Piece::Event(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            Piece::TooLarge { .. } => panic!("{body:?}"),
        })
        .collect()
}

const A: &str = r#"{"eventId":"a"}"#;
const B: &str = r#"{"eventId":"b","x":[{"y":"} {"},{}]}"#;
const C: &str = r#"{"eventId":"c","Records":1,"s":"\"contents\""}"#;

#[test]
fn every_form_holds_the_same_events() {
    let pretty = |text: &str| {
        serde_json::to_string_pretty(&serde_json::from_str::<Value>(text).unwrap()).unwrap()
    };
    for body in [
        format!("{A}\n{B}\n{C}"),
        format!("{A}\n{B}\n{C}\n"),
        format!("\u{feff}{A}\r\n\r\n{B}\r\n  \n{C}\r\n"),
        format!("{A} {B}\t{C}"),
        format!("{A}{B}{C}"),
        format!("[{A},{B},{C}]"),
        format!(" [\n  {A} ,\n{B}\n,{C} ]\n"),
        format!("[{A}]\n[{B},{C}]"),
        format!("{{\"Records\":[{A},{B},{C}]}}"),
        format!("{{\n \"Records\" : [\n{A},\n{B},\n{C}\n ]\n}}\n"),
        format!("{{\"Records\":[{A}]}}\n{{\"Records\":[{B},{C}]}}\n"),
        format!("{{\"Records\":[{A}]}}\n{B}\n[{C}]"),
        format!("{{\"v\":1,\"Records\":[{A},{B},{C}],\"w\":{{}}}}"),
        format!("{{\"Records\":[{A},{B},{C}],\"w\":1}}"),
        format!("[{{\"Records\":[{A},{B}]}},{C}]"),
        format!("{{\"contents\":{{\"event\":{A}}}}}\n{B}\n{C}"),
    ] {
        assert_eq!(pieces(&body), [A, B, C], "{body}");
    }
    let body = format!("{}\n{}", pretty(A), pretty(B));
    assert_eq!(pieces(&body), [pretty(A), pretty(B)]);
    assert_eq!(pieces(&pretty(B)), [pretty(B)]);
    assert_eq!(pieces(A), [A]);
}

#[test]
fn pieces_are_slices_of_the_body() {
    let body = Bytes::from(format!("{{\"Records\":[{A},{B}]}}\n{C}"));
    let range = body.as_ptr_range();
    for piece in split(&body, &ReceiveLimits::default()).unwrap() {
        let Piece::Event(bytes) = piece else { panic!() };
        assert!(range.contains(&bytes.as_ptr()));
    }
}

#[test]
fn envelopes_of_the_log_service_are_opened() {
    let inner = r#"{"eventId":"é\n","s":"a\"b"}"#;
    let text = serde_json::to_string(inner).unwrap();
    let envelope = format!(r#"{{"timestamp":1,"contents":{{"__topic__":"t","event":{text}}}}}"#);
    assert_eq!(pieces(&envelope), [inner]);
    assert_eq!(
        pieces(&format!("[ {envelope},\n{envelope}]")),
        [inner, inner]
    );
    assert_eq!(
        pieces(&format!("{A}\n{envelope}\n{envelope}")),
        [A, inner, inner]
    );
    // What holds no event in the place for it is a piece as it stands.
    for odd in [
        r#"{"contents":{"event":1}}"#,
        r#"{"contents":{"event":"\ud800"}}"#,
        r#"{"contents":{"event":"\q"}}"#,
        r#"{"contents":{}}"#,
        r#"{"contents":"event"}"#,
        r#"{"contents":{"event":"{}","event":"[]"}}"#,
        r#"{"contents":{"event":"{}"},"contents":{"event":"{}"}}"#,
        r#"{"eventId":"1","contents":{"event":"{}"}}"#,
    ] {
        assert_eq!(pieces(odd), [odd]);
    }
}

#[test]
fn a_wrapper_that_contradicts_itself_is_left_to_the_decoder() {
    for odd in [
        r#"{"Records":[{"a":1}],"Records":[{"b":1}]}"#,
        r#"{"x":1,"Records":[{"a":1}],"Records":[{"b":1}]}"#,
        r#"{"Records":[{"a":1}],"contents":{"event":"{}"}}"#,
        r#"{"eventName":"X","Records":[{"a":1}]}"#,
        r#"{"Records":[{"a":1}],"eventName":"X"}"#,
        r#"{"x":1,"Records":{"a":1}}"#,
        r#"{"Records":null}"#,
    ] {
        assert_eq!(pieces(odd), [odd]);
    }
}

#[test]
fn bad_19_one_bad_line_of_a_hundred() {
    let bad = [
        "not json",
        "{",
        "[",
        "}",
        "{\"a\":",
        "{\"a\":\"unterminated",
        "{\"a\":[1,",
        "{\"a\":{}",
        "{\"a\":1,",
        "{\"a\":1",
        "nul",
        "{\"a\":1}}",
        "{\"a\":1},",
        "{\"a\" 1}",
        "\u{0}",
        "<html>",
        "{\"a\":}",
        "{\"Records\":[{\"a\":1}",
        "[{\"a\":1}",
        "{\"contents\":{\"event\":\"{}\"}",
        "\"",
        "1",
        ",",
    ];
    for bad in bad {
        for place in [0, 56, 99] {
            let lines: Vec<String> = (0..100)
                .map(|n| match n == place {
                    true => bad.to_owned(),
                    false => format!("{{\"eventId\":\"{n}\",\"x\":{{}}}}"),
                })
                .collect();
            let body = lines.join("\n");
            // At the start, what opens an array or a delivery promises that
            // the rest belongs to it: then nothing may be taken.
            let promise = place == 0 && (bad.starts_with('[') || bad.starts_with("{\"Records"));
            if promise {
                assert!(matches!(cut(&body), Err(BodyError::Broken { .. })), "{bad}");
            } else {
                assert_eq!(pieces(&body), lines, "{bad} at {place}");
            }
        }
    }
}

#[test]
fn bad_elements_of_an_array_are_pieces_too() {
    let body = format!("[{A}, nul ,{{\"a\":+1}},[1],\"x\",{B}]");
    assert_eq!(pieces(&body), [A, "nul", "{\"a\":+1}", "[1]", "\"x\"", B]);
}

#[test]
fn bad_03_a_piece_that_is_too_large_leaves_the_others() {
    let limits = ReceiveLimits {
        max_event: A.len(),
        ..ReceiveLimits::default()
    };
    let large = format!("{{\"eventId\":\"{}\"}}", "x".repeat(100));
    let escaped = serde_json::to_string(&large).unwrap();
    for (body, size) in [
        (format!("{A}\n{large}\n{A}"), large.len()),
        (format!("[{A},{large},{A}]"), large.len()),
        (format!("{{\"Records\":[{A},{large},{A}]}}"), large.len()),
        (
            format!("{A}\n{{\"contents\":{{\"event\":{escaped}}}}}\n{A}"),
            large.len(),
        ),
        (format!("{A}\nbroken: {large}\n{A}"), large.len() + 8),
    ] {
        let a = Piece::Event(Bytes::from_static(A.as_bytes()));
        let too_large = Piece::TooLarge { index: 1, size };
        let found = split(&Bytes::from(body.clone()), &limits).unwrap();
        assert_eq!(found, [a.clone(), too_large, a], "{body}");
    }
}

#[test]
fn bodies_that_hold_no_event_in_any_form() {
    for body in ["", " \r\n\t", "\u{feff}", "\u{feff}\n"] {
        assert_eq!(cut(body), Err(BodyError::Empty));
    }
    for body in [
        "<html><body>502</body></html>",
        "hello",
        "eventId=1",
        "\"text\"",
        "42",
        "null",
        "}{",
        "a\nb\nc",
        "{\"a\":",
        "{\"a\"\n",
        "\u{0}\u{1}",
        "PAR1",
    ] {
        assert_eq!(cut(body), Err(BodyError::NotJson), "{body}");
    }
    for body in [&b"\xff\xfe{\0}\0"[..], b"\xff\xff"] {
        let found = split(&Bytes::copy_from_slice(body), &ReceiveLimits::default());
        assert_eq!(found, Err(BodyError::NotJson));
    }
    let gzip = Bytes::from_static(&[0x1f, 0x8b, 8, 0]);
    assert_eq!(
        split(&gzip, &ReceiveLimits::default()),
        Err(BodyError::CompressedTwice)
    );
    // Nothing to take is no error.
    for body in ["[]", "{\"Records\":[]}", " [ ] "] {
        assert!(pieces(body).is_empty());
    }
}

#[test]
fn a_document_that_breaks_off_takes_nothing() {
    let pretty = "{\n  \"Records\": [\n    {\n      \"eventId\": \"a\"\n    },\n    {\n      \"eventId\": \"b\"\n    }\n  ]\n}\n";
    for length in 1..pretty.trim_end().len() {
        let found = cut(&pretty[..length]);
        assert!(
            matches!(found, Err(BodyError::Broken { .. } | BodyError::NotJson)),
            "{length}: {found:?}"
        );
    }
    let array = format!("[{A},\n{B},\n{A}\n");
    let Err(BodyError::Broken { line, byte }) = cut(&array) else {
        panic!("{:?}", cut(&array));
    };
    assert_eq!((line, byte), (4, array.len()));
    let minified = format!("{{\"Records\":[{A},{B}");
    assert!(matches!(
        cut(&minified),
        Err(BodyError::Broken { line: 1, .. })
    ));
    assert!(matches!(
        cut(&format!("[{A} {B}]")),
        Err(BodyError::Broken { .. })
    ));
}

#[test]
fn bad_04_ten_thousand_brackets() {
    let open = "[".repeat(10_000);
    assert!(matches!(cut(&open), Err(BodyError::Broken { .. })));
    let closed = format!("{open}{}", "]".repeat(10_000));
    assert_eq!(pieces(&closed), [&closed[1..closed.len() - 1]]);
    let objects = "{\"a\":".repeat(10_000);
    assert_eq!(cut(&objects), Err(BodyError::NotJson));
    let lines = format!("{A}\n{objects}\n{B}");
    assert_eq!(pieces(&lines), [A, &objects, B]);
}

#[test]
fn too_many_events() {
    let limits = ReceiveLimits {
        max_events: 3,
        ..ReceiveLimits::default()
    };
    for body in [
        format!("{A}\n").repeat(4),
        "[1,2,3,4]".to_owned(),
        format!("{A}\nx\ny\nz"),
        format!("{{\"Records\":[{A},{A},{A},{A}]}}"),
        format!("{{\"x\":0,\"Records\":[{A},{A},{A},{A}]}}"),
    ] {
        let found = split(&Bytes::from(body), &limits);
        assert_eq!(found, Err(BodyError::TooManyEvents { limit: 3 }));
    }
    assert!(split(&Bytes::from(format!("{A}\n").repeat(3)), &limits).is_ok());
}

/// Lines that each open what never closes: looking for their ends must not
/// cost the square of the body.
#[test]
fn hostile_lines_cost_linear_time() {
    let limits = ReceiveLimits {
        max_events: usize::MAX,
        ..ReceiveLimits::default()
    };
    for line in [
        "{\"a\":[",
        "{\"a\":[{}",
        "{\"a\":[1,",
        "[[1],",
        "{\"Records\":[",
        "{\"a\":[",
    ] {
        let body = format!("{A}\n{}", format!("{line}\n").repeat(50_000));
        let found = split(&Bytes::from(body), &limits).unwrap();
        assert_eq!(found.len(), 50_001, "{line}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = split(&Bytes::from(bytes), &ReceiveLimits::default());
    }

    #[test]
    fn brackets_in_any_order_never_panic_and_lose_nothing(
        parts in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\n", " ", "1", "\"a\"", "{\"a\":1}", "\"Records\":[",
            "\"contents\":{\"event\":\"{}\"}", "{\"Records\":[{}]}",
        ]), 0..30)
    ) {
        let body = parts.concat();
        if let Ok(pieces) = cut(&body) {
            for piece in pieces {
                let Piece::Event(bytes) = piece else { panic!() };
                prop_assert!(!bytes.is_empty());
            }
        }
    }

    /// What is put together in any form is cut into what it was made of.
    #[test]
    fn round_trip(
        texts in prop::collection::vec(any::<String>(), 1..20),
        form in 0..5,
    ) {
        let events: Vec<String> = texts
            .iter()
            .map(|t| serde_json::json!({"eventName": t, "n": [{}, t]}).to_string())
            .collect();
        let body = match form {
            0 => events.join("\n"),
            1 => format!("[{}]", events.join(",")),
            2 => format!("{{\"Records\" :\n[{}]}}", events.join(" , ")),
            3 => events.concat(),
            _ => {
                let envelopes: Vec<String> = events
                    .iter()
                    .map(|e| serde_json::json!({"contents": {"event": e}, "t": 1}).to_string())
                    .collect();
                envelopes.join("\r\n")
            }
        };
        prop_assert_eq!(pieces(&body), events);
    }
}
