//! What auditors write elsewhere and the engine does not know by itself.

use super::fixture::{A, B, C, Organization, auditor, organization, rows};
use crate::QueryError;

async fn ask(full: &Organization, sql: &str) -> Result<Vec<String>, QueryError> {
    rows(&full.engine, &auditor(&[A]), sql).await
}

fn owned(rows: &[&str]) -> Vec<String> {
    rows.iter().map(|row| (*row).to_owned()).collect()
}

/// Whether there is a row, as a value. A's offsets are multiples of four.
const EXISTS: &[(&str, &[&str])] = &[
    ("SELECT EXISTS (SELECT 1 FROM history)", &["true"]),
    (
        "SELECT EXISTS (SELECT 1 FROM history WHERE account_id = '222222222222') AS other",
        &["false"],
    ),
    (
        "SELECT NOT EXISTS (SELECT event_id, raw FROM history WHERE event_name = 'none') AND true",
        &["true"],
    ),
    (
        "SELECT EXISTS (SELECT 1 FROM history GROUP BY event_name HAVING count(*) > 1000000)",
        &["false"],
    ),
    (
        "SELECT event_id, EXISTS (SELECT 1 FROM trails.writes w WHERE w.event_id = h.event_id) AS taken \
         FROM history h ORDER BY event_time LIMIT 4",
        &["id-0|true", "id-4|false", "id-8|false", "id-12|true"],
    ),
    // Compared by more than equality.
    (
        "SELECT event_id, EXISTS (SELECT 1 FROM history i WHERE i.event_time > h.event_time) AS more \
         FROM history h ORDER BY event_time DESC LIMIT 2",
        &["id-1196|false", "id-1192|true"],
    ),
    (
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM history i WHERE i.log_offset = h.log_offset + 4) \
         THEN 'followed' ELSE 'last' END AS c, count(*) FROM history h GROUP BY 1 ORDER BY 1",
        &["followed|299", "last|1"],
    ),
    (
        "SELECT count(*) FILTER (WHERE EXISTS (SELECT 1 FROM trails.writes w WHERE w.event_id = h.event_id)) AS n, \
         sum(CASE WHEN EXISTS (SELECT 1 FROM history WHERE event_name = 'none') THEN 1 ELSE 0 END) AS m \
         FROM history h",
        &["100|0"],
    ),
    (
        "SELECT event_id FROM history h \
         ORDER BY EXISTS (SELECT 1 FROM trails.writes w WHERE w.event_id = h.event_id), event_time LIMIT 2",
        &["id-4", "id-8"],
    ),
    (
        "SELECT b, count(*) FROM (SELECT EXISTS (SELECT 1 FROM trails.writes w WHERE w.event_id = h.event_id) AS b \
         FROM history h) GROUP BY b ORDER BY b",
        &["false|200", "true|100"],
    ),
    // What a join to nothing would leave null is false.
    (
        "SELECT EXISTS (SELECT 1 FROM history i WHERE i.user_name = h.missing) FROM (SELECT CAST(NULL AS varchar) AS missing) h",
        &["false"],
    ),
    (
        "SELECT EXISTS (SELECT 1 FROM history WHERE event_id = 'id-4') = EXISTS (SELECT 1 FROM history WHERE event_id = 'id-5')",
        &["false"],
    ),
    // As before.
    (
        "SELECT count(*) FROM history h WHERE EXISTS (SELECT 1 FROM trails.writes w WHERE w.event_id = h.event_id) OR log_offset = 4",
        &["101"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn exists_is_a_value() {
    let full = organization(&[A, B, C]).await;
    for (sql, wanted) in EXISTS {
        let got = ask(&full, sql).await;
        assert_eq!(got, Ok(owned(wanted)), "{sql}");
    }
    let sql = "SELECT event_name IN (SELECT event_name FROM trails.writes) FROM history";
    let error = ask(&full, sql).await.unwrap_err();
    assert!(error.hint.unwrap().contains("EXISTS"), "{}", error.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn unnest_tells_the_places() {
    let full = organization(&[A, B, C]).await;
    for (sql, wanted) in [
        (
            "SELECT item, n FROM UNNEST(make_array('a', 'b')) WITH ORDINALITY AS u(item, n) ORDER BY n",
            &["a|1", "b|2"][..],
        ),
        (
            "SELECT event_id, piece, n FROM history CROSS JOIN UNNEST(split(event_id, '-')) WITH ORDINALITY AS u(piece, n) \
             WHERE event_id IN ('id-4', 'id-8') ORDER BY event_id, n",
            &["id-4|id|1", "id-4|4|2", "id-8|id|1", "id-8|8|2"],
        ),
        (
            "SELECT u.ordinality FROM (SELECT split('a,b,c', ',') AS l) t, UNNEST(t.l) WITH ORDINALITY AS u ORDER BY 1",
            &["1", "2", "3"],
        ),
        // Of several lists the longest counts, and of none there is no place.
        (
            "SELECT a, b, n FROM (SELECT 1) t CROSS JOIN UNNEST(make_array(1), make_array(7, 8)) WITH ORDINALITY AS u(a, b, n) ORDER BY n",
            &["1|7|1", "|8|2"],
        ),
        (
            "SELECT x, piece, n FROM (SELECT 1 AS x, CAST(NULL AS varchar) AS s) t \
             LEFT JOIN UNNEST(split(s, ',')) WITH ORDINALITY AS u(piece, n) ON TRUE",
            &["1||"],
        ),
        (
            "SELECT k, v, n FROM (SELECT 1) t CROSS JOIN UNNEST(json_map('{\"a\": 1, \"b\": 2}')) WITH ORDINALITY AS u(k, v, n) ORDER BY n",
            &["a|1|1", "b|2|2"],
        ),
    ] {
        assert_eq!(ask(&full, sql).await, Ok(owned(wanted)), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_before_a_bar_chooses_the_events() {
    let full = organization(&[A, B, C]).await;
    for (sql, wanted) in [
        ("* | SELECT count(1) AS n", &["300"][..]),
        ("* | select count(1) from log", &["300"]),
        (
            "\"event.eventName\": createuser | SELECT count(*)",
            &["300"],
        ),
        ("\"event.eventName\": GetUser | SELECT count(*)", &["0"]),
        (
            "\"event.serviceName\": ecs and \"event.acsRegion\": eu-* | SELECT count(*) AS n, count(DISTINCT \"event.serviceName\") AS s",
            &["80|1"],
        ),
        (
            "(\"event.eventId\": id-4 or \"event.eventId\": id-8) | WITH l AS (SELECT \"event.eventId\" AS e FROM log) SELECT e FROM l ORDER BY 1",
            &["id-4", "id-8"],
        ),
        // A member of a column of JSON, and a word of the whole event.
        (
            "\"event.requestParameters.UserName\": u8 | SELECT \"event.eventId\"",
            &["id-8"],
        ),
        ("\"id-4\" | SELECT count(*)", &["1"]),
        // Nobody finds what is another's.
        (
            "\"event.userIdentity.userName\": secret* | SELECT count(*)",
            &["0"],
        ),
        (
            "not \"event.errorCode\": * | SELECT count(*) FROM log WHERE \"event.errorCode\" IS NOT NULL",
            &["0"],
        ),
        (
            "* not \"event.errorCode\": NoPermission | SELECT count(*)",
            &["240"],
        ),
    ] {
        assert_eq!(ask(&full, sql).await, Ok(owned(wanted)), "{sql}");
    }
    let error = ask(&full, "* and\n  x: > 5 | SELECT 1").await.unwrap_err();
    let place = crate::ErrorKind::Invalid {
        line: Some(2),
        column: Some(3),
    };
    assert_eq!(error.kind, place, "{error}");
    // Places in what follows are those of the whole text.
    let error = ask(&full, "*\n| SELECT no_such FROM log")
        .await
        .unwrap_err();
    let place = crate::ErrorKind::Invalid {
        line: Some(2),
        column: Some(10),
    };
    assert_eq!(error.kind, place, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_reduced_row_by_row() {
    let full = organization(&[A, B, C]).await;
    for (sql, wanted) in [
        // Lists of different lengths, and a column from outside.
        (
            "SELECT event_id, reduce(split(event_id || repeat('-x', log_offset / 4), '-'), '', \
             (s, x) -> s || x || '.', s -> s || service_name) FROM history WHERE log_offset < 12 ORDER BY log_offset",
            &["id-0|id.0.ram", "id-4|id.4.x.ecs", "id-8|id.8.x.x.oss"][..],
        ),
        (
            "SELECT sum(reduce(CAST('[1, 2, 3]' AS array(bigint)), log_offset, (s, x) -> s + x, s -> s - log_offset)) FROM history",
            &["1800"],
        ),
        (
            "SELECT count(*) FROM history WHERE reduce(CASE WHEN log_offset % 8 = 0 THEN make_array(1, 2) END, 0, \
             (s, x) -> s + x, s -> s) = 3",
            &["150"],
        ),
        // In one another.
        (
            "SELECT reduce(make_array(1, 2), 0, (s, x) -> s + reduce(make_array(10, 20), x, (t, y) -> t + y, t -> t), s -> s) \
             FROM history LIMIT 1",
            &["63"],
        ),
    ] {
        assert_eq!(ask(&full, sql).await, Ok(owned(wanted)), "{sql}");
    }
    for sql in [
        "SELECT reduce(make_array(1), 0, (s, x) -> s + x)",
        "SELECT reduce(1, 0, (s, x) -> s + x, s -> s)",
        "SELECT reduce(make_array(1), 0, (s, x, y) -> s + x, s -> s)",
    ] {
        let error = ask(&full, sql).await.unwrap_err();
        assert_eq!(error.code(), "invalid_query", "{sql}: {error}");
    }
    // What doubles with each item meets its bound.
    let sql = "SELECT length(reduce(split(repeat('x,', 60), ','), raw, (s, x) -> s || s, s -> s)) FROM history";
    let error = ask(&full, sql).await.unwrap_err();
    assert_eq!(error.code(), "query_memory", "{error}");
}
