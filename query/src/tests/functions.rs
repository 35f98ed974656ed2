//! What the functions give, as constants and over rows.

use std::time::Duration;

use super::fixture::{A, B, Organization, auditor, organization, organization_within, rows, small};
use crate::{ErrorKind, Limits};

async fn ask(full: &Organization, sql: &str) -> Vec<String> {
    match rows(&full.engine, &auditor(&[A]), sql).await {
        Ok(rows) => rows,
        Err(error) => panic!("{sql}\n{error:?}"),
    }
}

const J: &str = r#"'{"a": {"b": [10, {"c": "x\"y"}], "d.e": 1.50}, "s": "t", "n": null, "k": true, "l": [1, "z", null]}'"#;

/// An expression of constants, and its value.
const CONSTANTS: &[(&str, &str)] = &[
    ("json_extract($J, '$.a.b[0]')", "10"),
    ("json_extract($J, '$.a.b[1]')", r#"{"c": "x\"y"}"#),
    ("json_extract($J, '$.a[\"d.e\"]')", "1.50"),
    ("json_extract($J, '$.l[*]')", r#"[1,"z",null]"#),
    ("json_extract($J, '$.a.b[*].c')", r#"["x\"y"]"#),
    ("json_extract($J, '$.nothing')", ""),
    ("json_extract($J, '$.l[9]')", ""),
    ("json_extract('not json', '$.l')", ""),
    ("json_extract($J, 'a.b[0]')", "10"),
    ("json_extract_scalar($J, '$.a.b[1].c')", r#"x"y"#),
    ("json_extract_scalar($J, '$.a')", ""),
    ("json_extract_scalar($J, '$.n')", ""),
    ("json_extract_scalar($J, '$.k')", "true"),
    ("json_extract_scalar(json_parse($J), '$.s')", "t"),
    ("json_parse('{') IS NULL", "true"),
    ("json_format(json_extract($J, '$.l'))", r#"[1, "z", null]"#),
    ("json_array_length('[1, [2, 3]]')", "2"),
    ("json_array_get('[1, \"b\"]', 1)", "\"b\""),
    ("json_array_contains('[1, \"b\"]', 'b')", "true"),
    ("json_array_contains('[1, \"b\"]', 'c')", "false"),
    ("element_at(json_map($J), 's')", "t"),
    ("element_at(json_map($J), 'n') IS NULL", "true"),
    ("json_map($J)['k']", "true"),
    ("json_map($J)['none'] IS NULL", "true"),
    ("element_at($J, 's')", "t"),
    ("cardinality(json_map($J))", "5"),
    ("map_keys(json_map($J))", "[a, s, n, k, l]"),
    ("element_at(map_values(json_map('{\"q\": 7}')), 1)", "7"),
    (
        "CAST(json_extract($J, '$.l') AS array(varchar))",
        "[1, z, ]",
    ),
    ("CAST('[1, 2]' AS array(bigint))[2] + 1", "3"),
    ("CAST($J AS map(varchar, varchar))['s']", "t"),
    ("split('a/b/c', '/')[1]", "a"),
    ("split('a/b/c', '/')[3]", "c"),
    ("split('a/b/c', '/')[4] IS NULL", "true"),
    ("split('a/b/c', '/', 2)[2]", "b/c"),
    ("element_at(split('a/b/c', '/'), -1)", "c"),
    ("element_at(split('a/b/c', '/'), 0) IS NULL", "true"),
    ("cardinality(split('a,b', ','))", "2"),
    ("contains(split('a,b', ','), 'b')", "true"),
    (
        "reduce(split('a,b,c', ','), '', (s, x) -> x || s, s -> s)",
        "cba",
    ),
    (
        "reduce(make_array(1, 2, 3), 0, (s, x) -> s + x, s -> s * 10)",
        "60",
    ),
    // What a step makes decides what the start is.
    (
        "reduce(make_array(1.5, 2.5), 0, (s, x) -> s + x, s -> s)",
        "4.0",
    ),
    (
        "reduce(CAST(NULL AS array(bigint)), 0, (s, x) -> s + x, s -> s) IS NULL",
        "true",
    ),
    (
        "reduce(make_array(1, NULL), 0, (s, x) -> s + coalesce(x, 5), s -> s)",
        "6",
    ),
    (
        "reduce(make_array(1, 2), 0, (s, x) -> x, s -> s) + reduce(make_array(7), 0, (s, x) -> s, s -> s)",
        "2",
    ),
    (
        "reduce(slice(make_array(1), 2, 1), 9, (s, x) -> 0 * s, s -> s)",
        "9",
    ),
    ("contains(split('a,b', ','), 'c')", "false"),
    ("contains('haystack', 'st')", "true"),
    ("array_position(split('a,b', ','), 'b')", "2"),
    ("array_position(split('a,b', ','), 'z')", "0"),
    ("slice(split('a,b,c,d', ','), 2, 2)", "[b, c]"),
    ("slice(split('a,b,c,d', ','), -2, 5)", "[c, d]"),
    ("array_join(split('a,b', ','), '+')", "a+b"),
    ("filter(split('a,b,c', ','), x -> x <> 'b')", "[a, c]"),
    ("transform(split('a,b', ','), x -> upper(x))", "[A, B]"),
    ("transform(split('a,b', ','), (x) -> x || '!')", "[a!, b!]"),
    ("any_match(split('a,b', ','), x -> x = 'b')", "true"),
    ("all_match(split('a,b', ','), x -> x = 'b')", "false"),
    ("none_match(split('a,b', ','), x -> x = 'c')", "true"),
    (
        "transform(filter(split('1,2,3', ','), x -> x <> '2'), y -> CAST(y AS bigint) * 2)",
        "[2, 6]",
    ),
    (
        "transform(split('a,b', ','), x -> cardinality(filter(split('a,a,b', ','), y -> y = x)))",
        "[2, 1]",
    ),
    (
        "cardinality(filter(map_keys(json_map($J)), k -> k = 's'))",
        "1",
    ),
    (
        "date_format(from_iso8601_timestamp('2026-01-02T03:04:05Z'), '%Y-%m-%d %H:%i:%s')",
        "2026-01-02 03:04:05",
    ),
    (
        "date_format('2026-01-02T15:04:05Z', '%a %b %c %e %k %l %p %W %M %y %j %T %f')",
        "Fri Jan 1 2 15 3 PM Friday January 26 002 15:04:05 000000",
    ),
    (
        "date_parse('2026-01-02 03:04:05', '%Y-%m-%d %H:%i:%s') = timestamp '2026-01-02 03:04:05'",
        "true",
    ),
    (
        "date_format(date_parse('02/2026', '%m/%Y'), '%Y-%m-%d')",
        "2026-02-01",
    ),
    ("day_of_week(from_iso8601_timestamp('2026-01-04'))", "7"),
    ("day_of_week(timestamp '2026-01-05 00:00:00')", "1"),
    ("day_of_year('2026-02-01')", "32"),
    ("hour(timestamp '2026-01-05 13:00:00')", "13"),
    (
        "to_iso8601(from_iso8601_timestamp('2026-01-02T03:04:05+02:00'))",
        "2026-01-02T01:04:05Z",
    ),
    (
        "to_unixtime(from_iso8601_timestamp('1970-01-01T00:01:00Z'))",
        "60.0",
    ),
    (
        "to_iso8601(from_unixtime(90.5))",
        "1970-01-01T00:01:30.500000Z",
    ),
    (
        "to_iso8601(date_add('month', 1, timestamp '2026-01-31 00:00:00'))",
        "2026-02-28T00:00:00Z",
    ),
    (
        "to_iso8601(date_add('day', -7, timestamp '2026-01-08 00:00:00'))",
        "2026-01-01T00:00:00Z",
    ),
    (
        "date_diff('hour', timestamp '2026-01-01 00:00:00', timestamp '2026-01-02 01:59:00')",
        "25",
    ),
    (
        "date_diff('month', timestamp '2026-01-31 00:00:00', timestamp '2026-03-30 00:00:00')",
        "1",
    ),
    ("date('2026-01-02T03:04:05Z')", "2026-01-02"),
    (
        "regexp_extract('arn:aws:iam::123:user/bob', 'user/(.*)', 1)",
        "bob",
    ),
    ("regexp_extract('abc', 'x') IS NULL", "true"),
    ("regexp_like('abc', '^a.c$')", "true"),
    ("strpos('abc', 'c')", "3"),
    (
        "url_extract_host('https://example.org:8443/a/b?c=d')",
        "example.org",
    ),
    (
        "url_extract_port('https://example.org:8443/a/b?c=d')",
        "8443",
    ),
    (
        "url_extract_parameter('https://example.org/a?c=d', 'c')",
        "d",
    ),
    ("url_extract_path('nonsense') IS NULL", "true"),
    ("if(1 > 2, 'a', 'b')", "b"),
    ("if(1 > 2, 'a') IS NULL", "true"),
    ("try(CAST('x' AS bigint)) IS NULL", "true"),
    ("try(1 / 0) IS NULL", "true"),
    ("try_cast('12' AS bigint)", "12"),
    ("'{\"a\": {\"b\": 1}}' -> 'a' ->> 'b'", "1"),
    ("'{\"a\": 1}' ? 'a'", "true"),
];

#[tokio::test(flavor = "multi_thread")]
async fn constants_give_what_they_should() {
    let full = organization(&[A]).await;
    let mut wrong = vec![];
    for (expression, value) in CONSTANTS {
        let sql = format!("SELECT {}", expression.replace("$J", J));
        let got = rows(&full.engine, &auditor(&[A]), &sql).await;
        let got = got.map(|rows| rows[0].clone());
        if got.as_deref() != Ok(value) {
            wrong.push(format!("{expression}\n  wanted {value}\n  got {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A question, and its rows.
const OVER_ROWS: &[(&str, &str, &[&str])] = &[
    (
        "json",
        "SELECT json_extract_scalar(request_parameters, '$.deep.a[1]'), element_at(request_parameters, 'n') FROM history WHERE log_offset = 4",
        &["2|4"],
    ),
    (
        "map",
        "SELECT element_at(json_map(request_parameters), 'UserName'), cardinality(json_map(request_parameters)) FROM history WHERE log_offset = 8",
        &["u8|3"],
    ),
    (
        "list",
        "SELECT split(source_ip, '.')[4], array_position(split(source_ip, '.'), '0') FROM history WHERE log_offset = 12",
        &["12|2"],
    ),
    (
        "captures",
        "SELECT cardinality(filter(split('4,8,12', ','), x -> CAST(x AS bigint) <= log_offset)) FROM history WHERE log_offset IN (4, 8) ORDER BY log_offset",
        &["1", "2"],
    ),
    (
        "time",
        "SELECT date_format(event_time, '%d.%m.%Y %H:%i'), day_of_week(event_time), hour(event_time) FROM history WHERE log_offset = 64",
        &["20.11.2026 01:04|5|1"],
    ),
    (
        "arbitrary",
        "SELECT arbitrary(account_id), count_if(event_rw = 'Read'), approx_distinct(event_name) FROM history",
        &["111111111111|0|1"],
    ),
    (
        "max_by",
        "SELECT max_by(event_id, event_time), min_by(event_id, event_time) FROM history",
        &["id-1196|id-0"],
    ),
    (
        "percentile",
        "SELECT approx_percentile(log_item, 0.5) FROM history",
        &["0.0"],
    ),
    (
        "window",
        "SELECT user_name, n, rank() OVER (ORDER BY n DESC, user_name) FROM (SELECT user_name, count(*) n FROM history GROUP BY 1) ORDER BY 3 LIMIT 2",
        &["0|43|1", "1|43|2"],
    ),
    (
        "unnest",
        "SELECT h.event_id, p.piece FROM history h CROSS JOIN UNNEST(split(h.source_ip, '.')) AS p(piece) WHERE h.log_offset = 8 ORDER BY 2",
        &["id-8|0", "id-8|0", "id-8|10", "id-8|8"],
    ),
    (
        "unnest after a comma",
        "SELECT event_id, k, v FROM history, UNNEST(json_map(request_parameters)) AS m(k, v) WHERE log_offset = 8 AND k <> 'deep' ORDER BY k",
        &["id-8|UserName|u8", "id-8|n|8"],
    ),
    (
        "unnest of an unnest",
        "SELECT b FROM history CROSS JOIN UNNEST(split('x-y,z', ',')) AS t(a) CROSS JOIN UNNEST(split(t.a, '-')) AS u(b) WHERE log_offset = 8 ORDER BY b",
        &["x", "y", "z"],
    ),
    (
        "rows without items",
        "SELECT count(*), count(r) FROM history LEFT JOIN UNNEST(flags) AS f(r) ON TRUE",
        &["300|0"],
    ),
    (
        "no items, no rows",
        "SELECT count(*) FROM history CROSS JOIN UNNEST(flags) AS f(r)",
        &["0"],
    ),
    (
        "operators stay operators",
        "SELECT request_parameters ->> 'UserName', coalesce(error_code, request_parameters ->> 'n') FROM history WHERE log_offset = 4",
        &["u4|4"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn rows_give_what_they_should() {
    let full = organization(&[A, B]).await;
    for (what, sql, wanted) in OVER_ROWS {
        assert_eq!(ask(&full, sql).await, *wanted, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_in_the_statement_is_said() {
    let full = organization(&[A]).await;
    for (sql, says) in [
        ("SELECT json_extract(raw, '$.a[') FROM history", "JSON path"),
        (
            "SELECT date_format(event_time, '%Q') FROM history",
            "date pattern",
        ),
        (
            "SELECT regexp_extract(raw, '(') FROM history",
            "regular expression",
        ),
        ("SELECT from_iso8601_timestamp('yesterday')", "ISO 8601"),
        ("SELECT filter(flags, x -> 'a') FROM history", "condition"),
        ("SELECT filter(raw, x -> x = 'a') FROM history", "list"),
        ("SELECT split(raw) FROM history", "split(text, separator"),
        (
            "SELECT element_at(log_offset, 1) FROM history",
            "element_at",
        ),
        (
            "SELECT CAST(raw AS map(bigint, varchar)) FROM history",
            "keys",
        ),
        (
            "SELECT date_add('fortnight', 1, event_time) FROM history",
            "unit",
        ),
        (
            "SELECT transform(flags, a -> transform(flags, b -> transform(flags, c -> transform(flags, d -> d)))) FROM history",
            "nest deeper",
        ),
    ] {
        let error = rows(&full.engine, &auditor(&[A]), sql).await.unwrap_err();
        assert!(error.message.contains(says), "{sql}: {error:?}");
        assert_ne!(error.kind, ErrorKind::Internal, "{sql}");
    }
}

/// What other accounts' rows hold makes no difference: A's rows are numbers
/// and JSON, B's are neither.
#[tokio::test(flavor = "multi_thread")]
async fn functions_see_no_rows_of_others() {
    let full = organization(&[A, B]).await;
    let alone = organization(&[A]).await;
    for sql in [
        "SELECT count(*) FROM history WHERE CAST(user_name AS bigint) >= 0",
        "SELECT sum(cardinality(json_map(request_parameters))) FROM history",
        "SELECT count(*) FROM history WHERE any_match(split(user_name, '-'), x -> CAST(x AS bigint) > 3)",
        "SELECT count(*) FROM history CROSS JOIN UNNEST(split(user_name, '-')) AS t(x) WHERE CAST(x AS bigint) > 3",
        "SELECT count(*) FROM cloudtrail WHERE CAST(element_at(requestParameters, 'n') AS bigint) > 100",
        "SELECT count(*) FROM log WHERE CAST(\"event.requestParameters.n\" AS bigint) > 100",
    ] {
        assert_eq!(ask(&full, sql).await, ask(&alone, sql).await, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lambdas_meet_the_limits() {
    let limits = Limits {
        timeout: Duration::from_secs(2),
        ..small()
    };
    let full = organization_within(&[A], limits).await;
    // A thousand items in each of 300 rows: too much to make, and too much to do.
    let many = "split(repeat('x,', 1000), ',')";
    for sql in [
        format!(
            "SELECT count(transform({many}, a -> raw || raw || a || repeat('y', 1000))) FROM history"
        ),
        format!(
            "SELECT count(transform({many}, a -> cardinality(transform({many}, b -> cardinality(transform({many}, c -> c || b || a)))))) FROM history"
        ),
    ] {
        let error = rows(&full.engine, &auditor(&[A]), &sql).await.unwrap_err();
        assert!(
            matches!(error.kind, ErrorKind::Limit(_)),
            "{sql}: {error:?}"
        );
    }
}
