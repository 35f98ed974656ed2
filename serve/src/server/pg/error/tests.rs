//! Codes and places.

use super::*;

#[test]
fn a_place_is_a_character_of_what_was_sent() {
    let error = QueryError::invalid("there is no column \"x\"").at(2, 8);
    let told = PgError::of_query(&error, "SELECT 'ä',\n  a,   x FROM t", 10);
    assert_eq!(told.position, Some(10 + 12 + 8));
    assert_eq!(told.code, "42703");
}

#[test]
fn who_lost_the_right_loses_the_session() {
    assert!(PgError::of_query(&QueryError::withdrawn(), "", 0).is_fatal());
}

#[test]
fn no_message_can_end_its_field() {
    let fields = PgError::new(state::SYNTAX, "a\0Mb").fields();
    assert!(fields.iter().all(|(_, text)| !text.contains('\0')));
}

#[test]
fn limits_have_codes_that_drivers_know() {
    for (which, code) in [
        (Exceeded::Time, "57014"),
        (Exceeded::Memory, "53200"),
        (Exceeded::Busy, "53300"),
        (Exceeded::Statement, "54001"),
    ] {
        assert_eq!(
            PgError::of_query(&QueryError::limit(which, "m"), "", 0).code,
            code
        );
    }
}
