use datafusion::error::DataFusionError;

use super::*;

#[test]
fn the_nearest_name_is_offered_and_no_far_one() {
    let names = ["event_name", "event_time", "user_name", "region"];
    let near = |given| closest(given, names.into_iter());
    assert_eq!(near("eventName"), Some("event_name"));
    assert_eq!(near("event_nme"), Some("event_name"));
    assert_eq!(near("username"), Some("user_name"));
    assert_eq!(near("regions"), Some("region"));
    assert_eq!(near("password"), None);
}

#[test]
fn places_are_read_from_the_parsers_words() {
    let e =
        parse_error("sql parser error: Expected: an expression, found: EOF at Line: 3, Column: 14");
    assert_eq!(
        e.kind,
        ErrorKind::Invalid {
            line: Some(3),
            column: Some(14)
        }
    );
    assert_eq!(e.message, "Expected: an expression, found: EOF");
    let wrapped = r#"SQL error: ParserError("Expected: an SQL statement, found: SELEC at Line: 1, Column: 1")"#;
    assert_eq!(
        parse_error(wrapped).message,
        "Expected: an SQL statement, found: SELEC"
    );
    assert_eq!(
        parse_error("sql parser error: recursion limit exceeded").kind,
        ErrorKind::Limit(Exceeded::Statement)
    );
}

#[test]
fn no_value_of_a_row_is_told() {
    let quoting = [
        DataFusionError::ArrowError(
            Box::new(ArrowError::CastError(
                "Cannot cast string 'hunter2' to Int64".into(),
            )),
            None,
        ),
        DataFusionError::ArrowError(Box::new(ArrowError::ParseError("hunter2".into())), None),
        DataFusionError::ArrowError(
            Box::new(ArrowError::InvalidArgumentError("hunter2".into())),
            None,
        ),
        DataFusionError::Execution("bad value hunter2".into()),
        DataFusionError::Internal("hunter2".into()),
        DataFusionError::External("hunter2".into()),
        DataFusionError::ResourcesExhausted("hunter2".into()),
        DataFusionError::IoError(std::io::Error::other("hunter2")),
    ];
    for error in quoting {
        let wrapped = DataFusionError::Context("hunter2".into(), Box::new(error));
        let told = QueryError::running(&wrapped);
        assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
    }
}

#[test]
fn our_own_errors_come_through_whatever_wraps_them() {
    let own = QueryError::limit(Exceeded::Time, "too late");
    let wrapped = DataFusionError::Context("x".into(), Box::new(own.clone().into()));
    assert_eq!(QueryError::running(&wrapped), own);
    assert_eq!(QueryError::planning(&wrapped), own);
}
