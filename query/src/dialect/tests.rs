use datafusion::sql::sqlparser::parser::Parser;

use super::*;

#[test]
fn postgres_statements_read_as_they_do_in_postgres() {
    for sql in [
        "SELECT a->'b'->>'c', x::text, 1 # 2, 2 << 3, a || b, a @> b, a ? 'k' FROM t",
        "SELECT E'\\n', U&'d\\0061t', 1_000, $1, 'x' COLLATE \"C\" FROM \"T\" AS t (a, b)",
        "SELECT count(*) FILTER (WHERE a NOTNULL) FROM t GROUP BY b + 1",
        "SELECT extract(year from a), interval '1' day, trim(both 'x' from b), NOT a = b",
        "SELECT t.a[1], ARRAY[1, 2], a::int[] FROM t WHERE a ~ 'x' AND b !~* 'y' AND c IS NOT NULL",
        "SELECT json_object('a': 1), f(x => 1), /* a /* nested */ comment */ 2 ^ 3 FROM t FOR UPDATE",
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
