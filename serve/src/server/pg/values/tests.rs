//! Values in, in both formats.

use super::*;

fn binary(kind: &Type, bytes: &[u8]) -> Result<Param, PgError> {
    param(
        1,
        Some(Bytes::copy_from_slice(bytes)),
        Format::Binary,
        Some(kind),
    )
}

fn shown(kind: &Type, text: &str) -> Result<Param, PgError> {
    param(
        1,
        Some(Bytes::copy_from_slice(text.as_bytes())),
        Format::Text,
        Some(kind),
    )
}

fn zoned(micros: i64) -> Param {
    ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())).into()
}

#[test]
fn binary_values() {
    assert_eq!(
        binary(&Type::INT4, &[255, 255, 255, 251]),
        Ok(ScalarValue::Int32(Some(-5)).into())
    );
    assert_eq!(
        binary(&Type::TIMESTAMPTZ, &[0; 8]),
        Ok(zoned(946_684_800_000_000))
    );
    assert_eq!(
        binary(&Type::DATE, &[0; 4]),
        Ok(ScalarValue::Date32(Some(10_957)).into())
    );
    assert_eq!(
        binary(&Type::UUID, &[0xab; 16]),
        Ok(Param::Text(Some(
            "abababab-abab-abab-abab-abababababab".into()
        )))
    );
    assert_eq!(
        binary(&Type::JSONB, b"\x01{}"),
        Ok(Param::Text(Some("{}".into())))
    );
    let refusals = [
        (&Type::INT4, &[0u8; 3][..], state::BAD_BINARY_OF_TYPE),
        (&Type::INT8, &[0; 9], state::BAD_BINARY_OF_TYPE),
        (&Type::JSONB, b"{}", state::BAD_BINARY_OF_TYPE),
        (&Type::TEXT, b"\xff", state::BAD_TEXT),
        (&Type::TEXT, b"a\0b", state::BAD_TEXT),
        (&Type::INTERVAL, &[0; 16], state::FEATURE_NOT_SUPPORTED),
    ];
    for (kind, bytes, code) in refusals {
        assert_eq!(
            binary(kind, bytes).unwrap_err().code,
            code,
            "{kind} {bytes:?}"
        );
    }
}

#[test]
fn text_values_have_the_type_that_the_client_named() {
    assert_eq!(
        shown(&Type::INT8, "42"),
        Ok(ScalarValue::Int64(Some(42)).into())
    );
    assert_eq!(
        shown(&Type::BOOL, "t"),
        Ok(ScalarValue::Boolean(Some(true)).into())
    );
    assert_eq!(
        shown(&Type::BYTEA, "\\x00ff"),
        Ok(ScalarValue::Binary(Some(vec![0, 255])).into())
    );
    for text in [
        "2024-01-01 00:00:00+00",
        "2024-01-01 00:00:00+00:00",
        "2024-01-01T00:00:00Z",
        "2024-01-01 01:00:00+01:00",
    ] {
        assert_eq!(
            shown(&Type::TIMESTAMPTZ, text),
            Ok(zoned(1_704_067_200_000_000)),
            "{text}"
        );
    }
    let error = shown(&Type::INT4, "secret").unwrap_err();
    assert_eq!(error.code, state::BAD_TEXT_OF_TYPE);
    assert!(!error.message.contains("secret"));
    assert_eq!(
        param(1, Some(Bytes::from_static(b"5")), Format::Text, None),
        Ok(Param::Text(Some("5".into())))
    );
}

#[test]
fn numbers_of_any_length() {
    let words = |w: &[i16]| -> Vec<u8> { w.iter().flat_map(|w| w.to_be_bytes()).collect() };
    for (sent, text) in [
        (vec![0, 0, 0, 0], "0"),
        (vec![0, 0, 0, 2], "0.00"),
        (vec![3, 1, 0x4000, 3, 1, 2345, 6780], "-12345.678"),
        (vec![1, -2, 0, 5, 5000], "0.00005"),
        (vec![1, 2, 0, 0, 1], "100000000"),
    ] {
        assert_eq!(
            binary(&Type::NUMERIC, &words(&sent)),
            Ok(Param::Text(Some(text.into())))
        );
    }
    for sent in [
        vec![1, 0, 0, 0],
        vec![1, 0, 0, 0, 10_000],
        vec![0, 0, -16384, 0],
    ] {
        assert!(binary(&Type::NUMERIC, &words(&sent)).is_err(), "{sent:?}");
    }
    assert!(binary(&Type::NUMERIC, &[0; 7]).is_err());
}
