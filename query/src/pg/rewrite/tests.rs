//! Statements in other words.

use datafusion::sql::sqlparser::ast::Query;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::Naming;
use super::parameters::declared;

fn parsed(sql: &str) -> Query {
    *Parser::new(&PostgreSqlDialect {})
        .try_with_sql(sql)
        .and_then(|mut p| p.parse_query())
        .expect(sql)
}

fn rewritten(sql: &str) -> String {
    let mut query = parsed(sql);
    super::rewrite(&mut query, Naming::Own);
    query.to_string()
}

#[test]
fn questions_of_events_stay_as_they_are() {
    for sql in [
        "SELECT event_name, count(*) FROM history WHERE event_time > '2026-01-01' GROUP BY 1 ORDER BY 2 DESC LIMIT 10",
        "SELECT *, row_number() OVER (PARTITION BY account_id ORDER BY event_time) FROM trails.\"My-trail\" AS t",
        "WITH x AS (SELECT 1 AS n) SELECT (SELECT n FROM x WHERE x.n = h.log_offset) FROM history AS h",
        "SELECT request_parameters -> 'a' ->> 'b', raw::TEXT FROM history UNION ALL SELECT 'a', NULL",
        "SELECT a.event_id, b.event_id FROM history AS a JOIN history AS b ON a.raw = b.raw",
        "SELECT * FROM history WHERE region IN (SELECT region FROM quarantine)",
        "SELECT unnest(flags) FROM history, UNNEST(resources) AS r",
    ] {
        assert_eq!(rewritten(sql), parsed(sql).to_string());
    }
}

#[test]
fn what_only_postgresql_says() {
    for (sql, want) in [
        (
            "SELECT relname FROM pg_class WHERE relname OPERATOR(pg_catalog.~) '^(x)$' COLLATE pg_catalog.default",
            "SELECT relname FROM pg_class WHERE relname ~ '^(x)$'",
        ),
        (
            "SELECT 1 FROM pg_class WHERE oid = 'history'::regclass",
            "SELECT 1 FROM pg_class WHERE oid = cairn_reg_in('regclass', 'history')",
        ),
        (
            "SELECT c.oid::pg_catalog.regclass FROM pg_class AS c",
            "SELECT cairn_reg_out('regclass', c.oid) AS \"oid\" FROM pg_class AS c",
        ),
        (
            "SELECT count(*) FROM pg_class WHERE reloftype::pg_catalog.regtype::pg_catalog.text = 'x'",
            "SELECT count(*) FROM pg_class WHERE cairn_reg_out('regtype', reloftype) = 'x'",
        ),
        (
            "SELECT 1 FROM pg_class WHERE relkind = ANY('{r,v}')",
            "SELECT 1 FROM pg_class WHERE relkind = ANY(ARRAY['r', 'v'])",
        ),
        ("SELECT version()", "SELECT version() AS \"version\""),
        (
            "SELECT pg_catalog.current_schema",
            "SELECT pg_catalog.current_schema",
        ),
        (
            "SELECT current_schema, CURRENT_USER",
            "SELECT current_schema() AS \"current_schema\", current_user() AS \"current_user\"",
        ),
        ("SELECT 1, 1", "SELECT 1, 1 AS \"?column?:1\""),
        (
            "SELECT d.oid, d.* FROM pg_database AS d",
            "SELECT d.oid AS \"oid:1\", d.* FROM pg_database AS d",
        ),
        (
            "SELECT oid FROM pg_type WHERE typreceive <> 0",
            "SELECT oid FROM pg_type WHERE typreceive <> '-'",
        ),
    ] {
        assert_eq!(rewritten(sql), want, "{sql}");
    }
}

#[test]
fn columns_have_postgresqls_names_for_its_clients() {
    for (sql, want) in [
        (
            "SELECT count(*), region FROM history",
            "SELECT count(*) AS \"count\", region FROM history",
        ),
        (
            "SELECT log_offset::TEXT, 1",
            "SELECT log_offset::TEXT AS \"log_offset\", 1 AS \"?column?\"",
        ),
        (
            "SELECT DISTINCT lower(a) FROM t ORDER BY lower(a) DESC, b",
            "SELECT DISTINCT lower(a) AS \"lower\" FROM t ORDER BY 1 DESC, b",
        ),
        (
            "SELECT max(a) AS x FROM (SELECT lower(b) AS a) AS t",
            "SELECT max(a) AS x FROM (SELECT lower(b) AS a) AS t",
        ),
    ] {
        let mut query = parsed(sql);
        super::rewrite(&mut query, Naming::Postgres);
        assert_eq!(query.to_string(), want, "{sql}");
    }
}

#[test]
fn what_cannot_have_rows_keeps_its_names() {
    for (sql, want) in [
        (
            "SELECT i.indisunique, pg_get_indexdef(i.indexrelid), count AS n FROM pg_index AS i JOIN pg_class c ON c.oid = i.indrelid ORDER BY 1",
            "SELECT CAST(NULL AS BOOLEAN) AS \"indisunique\", CAST(NULL AS TEXT) AS \"pg_get_indexdef\", CAST(NULL AS TEXT) AS \"n\" WHERE false",
        ),
        (
            "SELECT a FROM (SELECT unnest(conkey) AS a FROM pg_constraint) AS x GROUP BY a",
            "SELECT CAST(NULL AS TEXT) AS \"a\" WHERE false",
        ),
        (
            "SELECT relname, (SELECT pg_get_expr(d.adbin, 1) FROM pg_attrdef AS d) FROM pg_class",
            "SELECT relname, CAST(NULL AS TEXT) AS \"pg_get_expr\" FROM pg_class",
        ),
        // An empty table on the right of a left join takes no row away.
        (
            "SELECT 1 FROM pg_class AS c LEFT JOIN pg_index AS i ON c.oid = i.indrelid",
            "SELECT 1 FROM pg_class AS c LEFT JOIN pg_index AS i ON c.oid = i.indrelid",
        ),
        // A count of no rows is a row.
        (
            "SELECT count(*) FROM pg_index",
            "SELECT count(*) FROM pg_index",
        ),
        // Something of one's own may have that name.
        (
            "WITH pg_index AS (SELECT 1 AS x) SELECT x FROM pg_index",
            "WITH pg_index AS (SELECT 1 AS x) SELECT x FROM pg_index",
        ),
        (
            "SELECT x FROM trails.pg_index",
            "SELECT x FROM trails.pg_index",
        ),
    ] {
        assert_eq!(rewritten(sql), want, "{sql}");
    }
}

#[test]
fn parameters_have_the_types_that_they_are_given() {
    assert!(declared("SELECT 1").is_empty());
    let found = declared("SELECT $1, $2::oid[], CAST($3 AS pg_catalog.int4), ($4)::text");
    assert_eq!(Vec::from_iter(found), [(2, 1028), (3, 23), (4, 25)]);
    assert!(declared("SELECT $1 FROM").is_empty());
}
