use super::*;

fn told(search: &str) -> Result<String, QueryError> {
    let sql = format!("{search} | SELECT 1");
    let (rest, search) = split(&sql)?;
    assert_eq!(rest.len(), sql.len());
    assert_eq!(rest.trim(), "SELECT 1");
    let condition = search.expect("there is a bar").0;
    Ok(condition.map_or_else(|| "everything".to_owned(), |c| c.to_string()))
}

#[test]
fn searches_are_read() {
    for (search, wanted) in [
        ("*", "everything"),
        ("* and *", "everything"),
        ("* or x", "everything"),
        ("AccessDenied", "search_has(\"event\", 'AccessDenied')"),
        (
            "* AND \"event.eventRW\": Write",
            "search_has(\"event.eventRW\", 'Write')",
        ),
        (
            "a:b c:d",
            "(search_has(\"a\", 'b') AND search_has(\"c\", 'd'))",
        ),
        (
            "a:b or c:d and e:f",
            "(search_has(\"a\", 'b') OR (search_has(\"c\", 'd') AND search_has(\"e\", 'f')))",
        ),
        (
            "(a: b OR c: 'd e') NOT f: \"it's\"",
            "((search_has(\"a\", 'b') OR search_has(\"c\", 'd e')) AND NOT (search_has(\"f\", 'it''s')))",
        ),
        ("not *", "NOT (true)"),
        ("k: a|b", "search_has(\"k\", 'a|b')"),
        ("k: \"a | select b\"", "search_has(\"k\", 'a | select b')"),
    ] {
        assert_eq!(told(search).unwrap(), wanted, "{search}");
    }
}

#[test]
fn what_a_search_cannot_say_is_an_error_at_its_place() {
    for (search, line, column) in [
        ("", 1, 2),
        ("a and", 1, 7),
        ("a:", 1, 1),
        ("\n  (a", 2, 3),
        ("a)", 1, 2),
        ("a: > 5", 1, 1),
        ("status > 5", 1, 8),
        ("status in [1 5]", 1, 8),
        ("x or \"y", 1, 6),
        (": x", 1, 1),
    ] {
        let sql = format!("{search} | SELECT 1");
        let error = match split(&sql) {
            // A quote that does not end swallows the bar.
            Ok((_, None)) => continue,
            other => other.unwrap_err(),
        };
        let place = crate::ErrorKind::Invalid {
            line: Some(line),
            column: Some(column),
        };
        assert_eq!(error.kind, place, "{search}: {error}");
    }
    let deep = format!("{}a{} | SELECT 1", "(".repeat(100), ")".repeat(100));
    assert!(split(&deep).is_err());
    let many = format!("{} | SELECT 1", "a ".repeat(TERMS + 1));
    assert!(split(&many).is_err());
}

#[test]
fn sql_is_left_alone() {
    for sql in [
        "SELECT 1 | 2",
        "SELECT '* | SELECT 1'",
        "SELECT 1 -- * | SELECT 2",
        "SELECT a || (SELECT 1) FROM t",
        "SELECT $$ a | SELECT b $$",
        "SELECT 1 |",
    ] {
        let (rest, search) = split(sql).unwrap();
        assert!(search.is_none() && rest == sql, "{sql}");
    }
}
