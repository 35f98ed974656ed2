//! What is told of statements that are wrong: where, why, and what to do.

use super::fixture::{A, B, C, auditor, organization, rows};
use crate::error::{ErrorKind, QueryError};

fn place(error: &QueryError) -> Option<(u64, u64)> {
    match error.kind {
        ErrorKind::Invalid { line, column } => line.zip(column),
        _ => None,
    }
}

/// A statement, where it is wrong, and what the message and the hint are.
type Wrong = (&'static str, (u64, u64), &'static str, &'static str);

const WRONG: &[Wrong] = &[
    // Names of tables.
    (
        "SELECT user_name FROM histroy",
        (1, 23),
        "there is no table histroy",
        "did you mean history?",
    ),
    (
        "SELECT histroy, 1\n  FROM histroy",
        (2, 8),
        "there is no table histroy",
        "did you mean history?",
    ),
    (
        "SELECT * FROM trails.nope",
        (1, 15),
        "there is no table trails.nope",
        "SHOW TABLES lists the tables",
    ),
    (
        "DESCRIBE histroy",
        (1, 10),
        "there is no table histroy",
        "did you mean history?",
    ),
    (
        "SELECT 1 FROM history h JOIN histroy FOR SYSTEM_TIME AS OF '2026-11-20' k ON true",
        (1, 30),
        "there is no table histroy",
        "did you mean history?",
    ),
    // Names of columns.
    (
        "SELECT event_name FROM history ORDER BY event_tme",
        (1, 41),
        "there is no column \"event_tme\"",
        "did you mean \"event_time\"?",
    ),
    (
        "SELECT x.user_name FROM history h",
        (1, 8),
        "there is no column \"x.user_name\"",
        "no table or alias is called \"x\" here: there is \"h\"",
    ),
    (
        "SELECT h.user_nam FROM history h",
        (1, 8),
        "there is no column \"h.user_nam\"",
        "did you mean \"user_name\"?",
    ),
    (
        "SELECT 1 FROM history\nWHERE event_name = ConsoleLogin",
        (2, 20),
        "there is no column \"consolelogin\"",
        "a text stands in single quotes: 'ConsoleLogin'; DESCRIBE history lists the columns",
    ),
    (
        "SELECT 1 FROM history WHERE region IN ('x', \"user_nam\")",
        (1, 45),
        "there is no column \"user_nam\"",
        "did you mean \"user_name\"? A text stands in single quotes: 'user_nam'",
    ),
    (
        "SELECT user_name FROM history h JOIN history k ON h.event_id = k.event_id",
        (1, 8),
        "the column \"user_name\" is ambiguous: more than one table has it",
        "put the name or the alias of its table before it, as in t.user_name",
    ),
    (
        "SELECT user_name, count(*) FROM history",
        (1, 8),
        "the column \"user_name\" in SELECT is neither in GROUP BY nor in an aggregate",
        "add it to GROUP BY, or put it into an aggregate, such as max(user_name)",
    ),
    // Functions.
    (
        "SELECT lenght(user_name) FROM history",
        (1, 8),
        "there is no function \"lenght\"",
        "did you mean length?",
    ),
    // The end.
    (
        "SELECT event_name FROM history WHERE",
        (1, 37),
        "Expected: an expression, found: EOF",
        "the statement ends where an expression should follow",
    ),
    (
        "SELECT 1 +\n  -- more\n",
        (1, 11),
        "Expected: an expression, found: EOF",
        "the statement ends where an expression should follow",
    ),
    // Texts that are no times, dates or numbers.
    (
        "SELECT 1 FROM history WHERE event_time > '2026-13-45'",
        (1, 42),
        "'2026-13-45' cannot be converted to a timestamp",
        "a timestamp is written '2026-01-02 03:04:05' or '2026-01-02T03:04:05Z'; TRY_CAST gives null where CAST fails",
    ),
    (
        "SELECT CAST('alice' AS INT)",
        (1, 13),
        "'alice' cannot be converted to a number",
        "TRY_CAST gives null where CAST fails",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_where_and_what_to_do() {
    let full = organization(&[A, B, C]).await;
    let mut faults = String::new();
    for (sql, at, message, hint) in WRONG {
        let error = rows(&full.engine, &auditor(&[B]), sql).await.unwrap_err();
        let right = error.code() == "invalid_query"
            && place(&error) == Some(*at)
            && error.message == *message
            && error.hint.as_deref() == Some(*hint);
        if !right {
            faults.push_str(&format!("{sql}\n  {error:?}\n"));
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_called_wrongly_is_named() {
    let full = organization(&[A]).await;
    let ask = async |sql| rows(&full.engine, &auditor(&[A]), sql).await.unwrap_err();
    let error = ask("SELECT 1, max(1,2)").await;
    assert_eq!(error.message, "max takes 1 argument, and 2 are given");
    assert_eq!(place(&error), Some((1, 11)));
    let error = ask("SELECT length(user_name, 1) FROM history").await;
    assert_eq!(error.message, "length takes 1 argument, and 2 are given");
    assert_eq!(
        error.hint.as_deref(),
        Some("it is called as length(String)")
    );
    let mut faults = String::new();
    for sql in [
        "SELECT substr(user_name) FROM history",
        "SELECT length(user_name, 1) FROM history",
        "SELECT lower() FROM history",
        "SELECT count(DISTINCT) FROM history",
        "SELECT sum(user_name) FROM history",
    ] {
        let error = ask(sql).await;
        let engines = ["rror: ", " { ", "user-defined"];
        let plain = !engines.iter().any(|word| error.message.contains(word));
        if !plain || place(&error).is_none() {
            faults.push_str(&format!("{sql}\n  {error:?}\n"));
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_shown_is_named() {
    let full = organization(&[A]).await;
    let ask = async |sql| rows(&full.engine, &auditor(&[A]), sql).await.unwrap_err();
    for (sql, message, hint) in [
        (
            "SHOW TABLE",
            "SHOW TABLE is not possible here",
            "SHOW TABLES lists the tables",
        ),
        (
            "show column",
            "SHOW COLUMN is not possible here",
            "SHOW COLUMNS FROM history lists the columns of history",
        ),
        (
            "SHOW nonsense",
            "SHOW nonsense is not possible here",
            "use SELECT, WITH, VALUES, EXPLAIN, SHOW TABLES, SHOW COLUMNS or DESCRIBE",
        ),
    ] {
        let error = ask(sql).await;
        assert_eq!(error.kind, ErrorKind::Forbidden, "{sql}");
        assert_eq!(error.message, message);
        assert_eq!(error.hint.as_deref(), Some(hint));
    }
}

/// The engine's and the views' own names are no help, and others' no business.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_nothing_that_the_statement_does_not() {
    let full = organization(&[A, B, C]).await;
    for sql in [
        "SELECT x.user_name FROM history",
        "SELECT x.eventName FROM cloudtrail",
        "SELECT x.user_name FROM (SELECT user_name FROM history) AS s",
        "error | SELECT x.event",
        "SELECT b.nothing FROM trails.\"b-only\" AS b",
        "SELECT x.y FROM trails.everything AS e",
    ] {
        let error = rows(&full.engine, &auditor(&[A]), sql).await.unwrap_err();
        let hint = error.hint.clone().unwrap_or_default();
        let quoted = hint.split('"').skip(1).step_by(2);
        for name in quoted {
            assert!(sql.contains(name), "{sql}: {error:?}");
        }
        assert!(place(&error).is_some(), "{sql}: {error:?}");
    }
}
