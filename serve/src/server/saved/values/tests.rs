use serde_json::json;

use super::*;

const NOW: Micros = Micros(1_795_132_800_000_000);

fn parameter(kind: ParameterKind, default: Option<&str>) -> Parameter {
    Parameter {
        name: "p".to_owned(),
        kind,
        default: default.map(str::to_owned),
        says: String::new(),
    }
}

fn of(kind: ParameterKind, text: &str) -> Option<ScalarValue> {
    value(&parameter(kind, None), Some(&json!(text)), NOW).ok()
}

#[test]
fn values_have_the_type_that_is_declared() {
    let at = |micros| {
        Some(ScalarValue::TimestampMicrosecond(
            Some(micros),
            Some("UTC".into()),
        ))
    };
    for (text, wanted) in [
        ("now", at(NOW.0)),
        ("-1d", at(NOW.0 - 86_400 * SECOND)),
        ("-12h", at(NOW.0 - 43_200 * SECOND)),
        ("-90m", at(NOW.0 - 5400 * SECOND)),
        ("1970-01-01T00:00:01Z", at(SECOND)),
        ("1970-01-02", at(86_400 * SECOND)),
        ("-", None),
        ("--1d", None),
        ("-1y", None),
        ("-9223372036854775807d", None),
        ("yesterday", None),
        ("", None),
    ] {
        assert_eq!(of(ParameterKind::Timestamp, text), wanted, "{text}");
    }
    assert_eq!(
        of(ParameterKind::Bigint, "12"),
        Some(ScalarValue::Int64(Some(12)))
    );
    assert_eq!(of(ParameterKind::Bigint, "1.5"), None);
    assert_eq!(of(ParameterKind::Double, "NaN"), None);
    assert_eq!(
        of(ParameterKind::Boolean, "true"),
        Some(ScalarValue::Boolean(Some(true)))
    );
    assert_eq!(
        of(ParameterKind::Text, "' OR 1=1"),
        Some(ScalarValue::from("' OR 1=1"))
    );
}

#[test]
fn what_is_not_given_is_the_default() {
    let with = |default| {
        let parameters = [parameter(ParameterKind::Bigint, default)];
        bound("SELECT :p", &parameters, &BTreeMap::new(), NOW)
    };
    let question = with(Some("7")).unwrap();
    assert_eq!(question.sql, "SELECT $1");
    assert_eq!(question.params, [Param::Typed(ScalarValue::Int64(Some(7)))]);
    assert!(with(None).unwrap_err().message().contains("has no value"));
    let given = BTreeMap::from([("q".to_owned(), json!(1))]);
    let parameters = [parameter(ParameterKind::Bigint, Some("7"))];
    let error = bound("SELECT :p", &parameters, &given, NOW).unwrap_err();
    assert!(error.message().contains("no parameter"));
}
