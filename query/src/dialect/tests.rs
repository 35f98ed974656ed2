use datafusion::sql::sqlparser::parser::Parser;

use super::*;
use crate::session::DEPTH;

#[test]
fn postgres_statements_read_as_they_do_in_postgres() {
    for sql in [
        "SELECT a->'b'->>'c', x::text, 1 # 2, 2 << 3, a || b, a @> b, a ? 'k' FROM t",
        "SELECT E'\\n', U&'d\\0061t', 1_000, $1, 'x' COLLATE \"C\" FROM \"T\" AS t (a, b)",
        "SELECT count(*) FILTER (WHERE a NOTNULL) FROM t GROUP BY b + 1",
        "SELECT extract(year from a), interval '1' day, trim(both 'x' from b), NOT a = b",
        "SELECT t.a[1], ARRAY[1, 2], a::int[] FROM t WHERE a ~ 'x' AND b !~* 'y' AND c IS NOT NULL",
        "SELECT f(a, *), /* a /* nested */ comment */ 2 ^ 3 FROM t FOR UPDATE",
        "EXPLAIN (ANALYZE, VERBOSE false) SELECT * EXCEPT SELECT 1",
        "SELECT at, before FROM changes AS at, b AS before",
    ] {
        let ours = Parser::parse_sql(&Auditors, sql);
        let theirs = Parser::parse_sql(&POSTGRES, sql);
        assert_eq!(
            ours.map_err(|e| e.to_string()),
            theirs.map_err(|e| e.to_string()),
            "{sql}"
        );
    }
}

/// A parser that tries one reading and then another takes twice as long for each
/// level: then this test does not end.
#[test]
fn what_stands_within_itself_is_read_once() {
    for (open, inner, close) in [
        ("lower(", "a", ")"),
        ("f(1, ", "a", ", 2)"),
        ("(", "1", ")"),
        ("(", "SELECT 1", ")"),
        ("(1, ", "1", ")"),
        ("CAST(", "a", " AS text)"),
        ("CASE WHEN ", "a", " THEN 1 END"),
        ("ARRAY[", "1", "]"),
        ("make_array(", "1", ")[1]"),
        ("extract(year FROM ", "a", ")"),
        ("substring(", "a", " FROM 1)"),
        ("trim(", "a", ")"),
        ("position('x' IN ", "a", ")"),
        ("a IN (", "1", ")"),
        ("NOT (", "a", ")"),
        ("EXISTS (SELECT ", "1", ")"),
        ("any_match(a, x -> ", "true", ")"),
        ("count(*) FILTER (WHERE ", "true", ")"),
        ("sum(1) OVER (PARTITION BY ", "a", ")"),
        ("overlay(", "a", " PLACING 'x' FROM 1)"),
        ("try_cast(", "a", " AS text)"),
        ("ceil(", "a", ")"),
        ("floor(", "a", " TO DAY)"),
        ("a BETWEEN ", "1", " AND 2"),
        ("-", "1", ""),
        ("NOT ", "1", ""),
        ("(SELECT ", "1", ")"),
        ("convert(", "1", ", text)"),
        ("interval (", "1", ")"),
        ("path(", "1", ")"),
        ("substr(", "1", ", 2)"),
        ("date(", "1", ")"),
        ("timestamp(", "1", ")"),
        ("values(", "1", ")"),
        ("(a, b) -> (", "1", ")"),
        ("f(x => ", "1", ")"),
        ("t.f(", "1", ")"),
        ("a LIKE (", "1", ")"),
        ("1 + (", "1", ")"),
        ("a[", "1", "]"),
        ("coalesce(NOT (", "1", "))"),
        ("row(", "1", ")"),
        ("struct(", "1", ")"),
        ("map(", "1", ")"),
        ("left(", "1", ")"),
        ("if(", "1", ")"),
    ] {
        for (levels, inner) in [(28, inner), (60, inner), (22, "1 1 1"), (22, "")] {
            let (open, close) = (open.repeat(levels), close.repeat(levels));
            let sql = format!("SELECT {open}{inner}{close} FROM t");
            let parser = Parser::new(&Auditors).with_recursion_limit(DEPTH);
            let _ = parser.try_with_sql(&sql).unwrap().parse_statements();
        }
    }
}
