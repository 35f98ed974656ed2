//! The catalogue of bad inputs, as far as decoding has to answer for it. The
//! numbers are the catalogue's.

use super::*;

/// An event whose one doubtful member is `member`.
fn with(member: &str) -> String {
    format!(
        r#"{{"eventId":"1","eventName":"GetX","eventRW":"Read","eventTime":"2026-01-02T03:04:05Z",{member}}}"#
    )
}

#[test]
fn bad_01_invalid_utf8() {
    for bytes in [
        &b"{\"eventName\":\"\xff\"}"[..],
        b"\xc0\x80",
        b"{}\xed\xa0\x80",
    ] {
        let refusal = decode_for(&envelope(only(&[MINE])), bytes).unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidUtf8);
    }
}

#[test]
fn bad_02_empty() {
    for raw in ["", " ", "\r\n\t "] {
        assert_eq!(reason(raw), Reason::Empty);
    }
}

#[test]
fn bad_03_too_large() {
    let raw = with(&format!(r#""padding":"{}""#, "x".repeat(10 << 20)));
    assert_eq!(reason(&raw), Reason::TooLarge);
    let most = DecodeLimits::default().max_event;
    let room = most - with(r#""padding":"""#).len();
    assert!(mine(&with(&format!(r#""padding":"{}""#, "x".repeat(room)))).is_ok());
    let more = with(&format!(r#""padding":"{}""#, "x".repeat(room + 1)));
    assert_eq!(reason(&more), Reason::TooLarge);
}

#[test]
fn bad_04_ten_thousand_brackets() {
    assert_eq!(reason(&"[".repeat(10_000)), Reason::TooDeep);
    let closed = "[".repeat(10_000) + &"]".repeat(10_000);
    assert_eq!(reason(&closed), Reason::TooDeep);
    let inside = with(&format!(r#""requestParameters":{closed}"#));
    assert_eq!(reason(&inside), Reason::TooDeep);
    // 64 is the limit, the event itself being the first.
    let deep = |n: usize| {
        with(&format!(
            r#""requestParameters":{}{}"#,
            "[".repeat(n),
            "]".repeat(n)
        ))
    };
    assert!(mine(&deep(63)).is_ok());
    assert_eq!(reason(&deep(64)), Reason::TooDeep);
}

#[test]
fn bad_05_a_key_named_twice() {
    for member in [
        r#""recipientAccountId":"100000000001","recipientAccountId":"200000000002""#,
        r#""recipientAccountId":"100000000001","recipientAccountId":"100000000001""#,
        r#""userIdentity":{"accountId":"100000000001","accountId":"200000000002"}"#,
        r#""userIdentity":{"accountId":"100000000001","\u0061ccountId":"200000000002"}"#,
        r#""requestParameters":{"a":[{"b":1,"b":2}]}"#,
        r#""eventId":"2""#,
    ] {
        assert_eq!(reason(&with(member)), Reason::DuplicateKey, "{member}");
    }
}

#[test]
fn bad_06_the_account_of_another() {
    let raw = with(r#""recipientAccountId":"200000000002""#);
    assert_eq!(reason(&raw), Reason::AccountMismatch);
    let raw = with(r#""userIdentity":{"accountId":"200000000002"}"#);
    assert_eq!(reason(&raw), Reason::AccountMismatch);
    // The recipient decides, not who acted.
    let raw =
        with(r#""recipientAccountId":"100000000001","userIdentity":{"accountId":"200000000002"}"#);
    assert_eq!(taken(&raw).account_id, MINE);
}

#[test]
fn bad_07_what_is_no_account() {
    let long = "1".repeat(300);
    for account in [
        "../../x",
        "%2e%2e",
        "a/b",
        "",
        long.as_str(),
        "１２３４５６７８９０１２",
        "10000000000",
        "-10000000000",
        "100000000001 ",
        "10000000000000001",
        "100000000001\\u0000",
        "redacted",
    ] {
        for senders in [only(&[MINE]), Among::All] {
            for member in [
                format!(r#""recipientAccountId":"{account}""#),
                format!(r#""userIdentity":{{"accountId":"{account}"}}"#),
            ] {
                let raw = with(&member);
                let refusal = decode_for(&envelope(senders.clone()), raw.as_bytes()).unwrap_err();
                assert_eq!(refusal.reason, Reason::AccountInvalid, "{account}");
                assert!(refusal.detail.len() < 1_000, "{}", refusal.detail.len());
            }
        }
    }
    for member in [
        "[]",
        "{}",
        "true",
        "1e11",
        "-100000000001",
        "1.5",
        "\"\\ud800\"",
    ] {
        let raw = with(&format!(r#""recipientAccountId":{member}"#));
        assert_eq!(reason(&raw), Reason::AccountInvalid, "{member}");
    }
}

#[test]
fn bad_08_surrogates_nul_and_overrides() {
    let raw = with(r#""userAgent":"a\ud800b","errorMessage":"x\u0000y","apiVersion":"\u202e""#);
    let e = taken(&raw);
    assert_eq!(e.user_agent.as_deref(), Some("a\u{fffd}b"));
    assert!(e.flags.contains(Flags::VALUE_OUT_OF_RANGE));
    assert_eq!(e.error_message.as_deref(), Some("x\0y"));
    assert_eq!(e.api_version.as_deref(), Some("\u{202e}"));
    assert_eq!(e.raw, raw);
    // In JSON columns the text stays as it came.
    let raw = with(r#""requestParameters":{"\udc00":"\ud800"}"#);
    let e = taken(&raw);
    assert_eq!(
        e.request_parameters.as_deref(),
        Some(r#"{"\udc00":"\ud800"}"#)
    );
    assert!(!e.flags.contains(Flags::VALUE_OUT_OF_RANGE));
    // A byte order mark is no JSON; at a body's start, receiving takes it off.
    assert_eq!(
        reason(&format!("\u{feff}{}", with(r#""a":1"#))),
        Reason::InvalidJson
    );
}

#[test]
fn bad_09_numbers_of_any_size() {
    let raw =
        with(r#""eventVersion":1,"apiVersion":18446744073709551616,"errorCode":-0,"n":1e400"#);
    let e = taken(&raw);
    assert_eq!(e.event_version.as_deref(), Some("1"));
    assert_eq!(e.api_version.as_deref(), Some("18446744073709551616"));
    assert_eq!(e.error_code.as_deref(), Some("-0"));
    assert_eq!(
        e.flags & Flags::VALUE_OUT_OF_RANGE,
        Flags::NONE,
        "text holds any digits"
    );
    for number in ["1e400", "18446744073709551616", "-1e400"] {
        let raw = with(&format!(
            r#""isGlobal":{number},"userIdentity":{{"sessionContext":{{"attributes":{{"creationDate":{number}}}}}}}"#
        ));
        let e = taken(&raw);
        assert_eq!((e.is_global, e.session_created), (None, None));
        assert!(e.flags.contains(Flags::VALUE_OUT_OF_RANGE));
        assert!(e.raw.contains(number));
    }
    for raw in [
        with(r#""a":NaN"#),
        with(r#""a":Infinity"#),
        with(r#""a":01"#),
    ] {
        assert_eq!(reason(&raw), Reason::InvalidJson);
    }
}

#[test]
fn bad_10_times_that_are_none() {
    let at = |time: &str| {
        format!(r#"{{"eventId":"1","recipientAccountId":"{MINE}","eventName":"GetX"{time}}}"#)
    };
    for (time, flag) in [
        ("", Flags::EVENT_TIME_MISSING),
        (r#","eventTime":null"#, Flags::EVENT_TIME_MISSING),
        (r#","eventTime":"""#, Flags::EVENT_TIME_MISSING),
        (r#","eventTime":"2026-13-45""#, Flags::EVENT_TIME_INVALID),
        (
            r#","eventTime":"2026-01-02T03:04:05""#,
            Flags::EVENT_TIME_INVALID,
        ),
        (
            r#","eventTime":"12026-01-02T03:04:05Z""#,
            Flags::EVENT_TIME_INVALID,
        ),
        (r#","eventTime":1e400"#, Flags::EVENT_TIME_INVALID),
        (r#","eventTime":[]"#, Flags::EVENT_TIME_INVALID),
        (r#","eventTime":true"#, Flags::EVENT_TIME_INVALID),
    ] {
        let raw = at(time);
        let e = taken(&raw);
        assert_eq!(e.flags, flag | Flags::RW_DERIVED, "{time}");
        assert_eq!((e.event_time, e.late), (NOW, false), "{time}");
    }
    for (time, micros, late) in [
        (
            r#","eventTime":"2026-01-02T03:03:60Z""#,
            NOW.0 - 5 * SECOND,
            false,
        ),
        (
            r#","eventTime":"2026-01-02T04:04:05.000001+01:00""#,
            NOW.0 + 1,
            false,
        ),
        (
            r#","eventTime":"1601-01-01T00:00:00Z""#,
            -11_644_473_600 * SECOND,
            true,
        ),
        (r#","eventTime":1767323045"#, NOW.0, false),
        (r#","eventTime":1767323045000"#, NOW.0, false),
    ] {
        let raw = at(time);
        let e = taken(&raw);
        assert_eq!((e.event_time, e.late), (Micros(micros), late), "{time}");
        assert_eq!(e.flags, Flags::RW_DERIVED, "{time}");
    }
}

#[test]
fn bad_11_three_months_late() {
    let sender = Envelope {
        received: Micros(NOW.0 + 91 * DAY),
        ..envelope(only(&[MINE]))
    };
    let raw = with(r#""recipientAccountId":"100000000001""#);
    let e = decode_for(&sender, raw.as_bytes()).unwrap();
    assert_eq!((e.event_time, e.late, e.flags), (NOW, true, Flags::NONE));
    // Fifteen minutes are the last that are not late.
    for (after, late) in [(15 * 60 * SECOND, false), (15 * 60 * SECOND + 1, true)] {
        let sender = Envelope {
            received: Micros(NOW.0 + after),
            ..envelope(only(&[MINE]))
        };
        assert_eq!(decode_for(&sender, raw.as_bytes()).unwrap().late, late);
    }
}

#[test]
fn bad_12_in_the_future() {
    for (time, flagged) in [
        ("2026-01-02T03:14:05Z", false),
        ("2026-01-02T03:14:05.000001Z", true),
        ("2036-01-02T03:04:05Z", true),
        ("9999-12-31T23:59:59Z", true),
    ] {
        let raw = format!(r#"{{"eventId":"1","eventRW":"Read","eventTime":"{time}"}}"#);
        let e = taken(&raw);
        assert_eq!(
            e.flags.contains(Flags::EVENT_TIME_FUTURE),
            flagged,
            "{time}"
        );
        assert_eq!(e.event_time, super::super::time::parse(time).unwrap());
        assert!(!e.late);
    }
}

#[test]
fn bad_15_no_event_id() {
    for member in [
        r#""eventName":"X""#,
        r#""eventName":"X","eventId":"""#,
        r#""eventName":"X","eventID":null"#,
    ] {
        let raw = format!("{{{member}}}");
        let e = taken(&raw);
        assert_eq!(e.event_id, "gen-log-0-7");
        assert!(e.flags.contains(Flags::EVENT_ID_GENERATED));
        assert_eq!(taken(&raw), e, "a replay makes the same id");
    }
    // An id that is too long has the same short form wherever it lies.
    let long = format!(r#"{{"eventId":"{}"}}"#, "é".repeat(257));
    let id = taken(&long).event_id;
    assert!(id.starts_with("sha256-") && id.len() == 7 + 64);
    assert!(
        taken(&long)
            .flags
            .contains(Flags::EVENT_ID_GENERATED | Flags::VALUE_OUT_OF_RANGE)
    );
    let sender = envelope(only(&[MINE]));
    let partition = Partition {
        source: "topic".to_owned(),
        number: 3,
    };
    let elsewhere = decode(long.as_bytes(), &Context::new(&sender, &partition, 99)).unwrap();
    assert_eq!(elsewhere.event_id, id);
    let longest = format!(r#"{{"eventId":"{}"}}"#, "é".repeat(256));
    assert_eq!(taken(&longest).event_id.len(), 512);
}

#[test]
fn bad_16_the_same_id_in_another_account() {
    let sender = envelope(only(&[MINE, OTHER]));
    let ids: BTreeSet<_> = [MINE, OTHER]
        .map(|account| {
            let raw = with(&format!(r#""recipientAccountId":"{account}""#));
            let e = decode_for(&sender, raw.as_bytes()).unwrap();
            (e.account_id.into_owned(), e.event_id.into_owned())
        })
        .into();
    assert_eq!(ids.len(), 2);
}

#[test]
fn bad_21_unknown_versions_and_fields() {
    let raw =
        with(r#""eventVersion":"99.0-x","novel":{"deep":[1, 2.50, "\u00e9"]},"eventname":"other""#);
    let e = taken(&raw);
    assert_eq!(e.event_version.as_deref(), Some("99.0-x"));
    assert_eq!(
        e.event_name.as_deref(),
        Some("GetX"),
        "names are case-sensitive"
    );
    assert_eq!(e.raw, raw);
}

#[test]
fn bad_22_regions_as_received_and_no_read_write() {
    let e = with(r#""acsRegion":"megov-Northeast-1R""#);
    assert_eq!(taken(&e).region(), Some("megov-Northeast-1R"));
    let e = with(r#""acsRegion":"""#);
    assert_eq!(taken(&e).region(), None);
    let e = r#"{"eventId":"1","eventName":"Obliterate"}"#;
    assert_eq!(taken(e).read_write(), ReadWrite::Write);
    assert!(taken(e).flags.contains(Flags::RW_DERIVED));
}

#[test]
fn what_is_no_object_is_no_event() {
    for raw in ["[]", "1", "\"x\"", "null", "[{\"eventId\":\"1\"}]"] {
        assert_eq!(reason(raw), Reason::NotAnObject, "{raw}");
    }
    for raw in ["{", "{}{}", "{\"a\":1}x", "<html>", "{\"a\":'b'}"] {
        assert_eq!(reason(raw), Reason::InvalidJson, "{raw}");
    }
}
