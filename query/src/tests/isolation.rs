//! The oracle: whatever an auditor of A asks of the full store, the answer is
//! the one of a store that never held anything but A's rows.

use super::fixture::{A, B, C, auditor, auditor_of_all, organization, rows};

const QUERIES: &[&str] = &[
    "SELECT count(*) FROM history",
    "SELECT count(*), min(account_id), max(account_id) FROM history",
    "SELECT count(DISTINCT account_id) FROM events",
    "SELECT min(event_time), max(event_time), min(user_name), max(user_name) FROM history",
    "SELECT min(log_offset), max(log_offset), sum(log_offset) FROM history",
    "SELECT account_id, count(*) FROM history GROUP BY account_id ORDER BY 1",
    "SELECT event_name, count(*) FROM history GROUP BY 1 ORDER BY 1",
    "SELECT region, event_rw, count(*), approx_distinct(user_name) FROM history GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT * FROM history ORDER BY event_time DESC LIMIT 10",
    "SELECT event_id FROM history ORDER BY event_time DESC LIMIT 10",
    "SELECT event_id FROM history ORDER BY event_time LIMIT 10",
    "SELECT event_id, event_time FROM history ORDER BY event_time DESC LIMIT 5 OFFSET 7",
    "SELECT event_id FROM history WHERE event_name = 'CreateUser' ORDER BY event_time DESC LIMIT 3",
    "SELECT event_id FROM history WHERE event_name LIKE 'Create%' AND user_name ~ '^[0-9]+$' ORDER BY event_time DESC LIMIT 3",
    "SELECT event_id FROM history ORDER BY user_name, event_id LIMIT 10",
    "SELECT event_id FROM history ORDER BY user_name DESC, event_id LIMIT 10",
    "SELECT count(*) FROM (SELECT event_id FROM history LIMIT 100)",
    "SELECT count(*) FROM history WHERE account_id = '222222222222'",
    "SELECT count(*) FROM history WHERE account_id <> '111111111111'",
    "SELECT count(*) FROM history WHERE account_id IN ('222222222222', '5333333333333333')",
    "SELECT count(*) FROM history WHERE account_id = '111111111111' OR account_id = '222222222222'",
    "SELECT count(*) FROM history WHERE account_id IS NULL",
    "SELECT count(*) FROM history WHERE NOT (account_id = '111111111111')",
    "SELECT count(*) FROM history WHERE user_name = 'secret-222222222222-3'",
    "SELECT count(*) FROM history WHERE user_name LIKE 'secret%'",
    "SELECT count(*) FROM history WHERE event_id = 'id-1'",
    "SELECT count(*) FROM history WHERE event_id = 'id-4'",
    "SELECT count(*) FROM history WHERE log_offset BETWEEN 100 AND 199",
    "SELECT count(*) FROM history WHERE event_time >= '2026-11-20T06:00:00Z' AND event_time < '2026-11-20T07:00:00Z'",
    "SELECT count(*) FROM history WHERE event_time > now() - INTERVAL '1 hour'",
    "SELECT count(*) FROM history WHERE ingest_date = DATE '2026-11-20'",
    "SELECT count(*) FROM history WHERE late",
    "SELECT count(*) FROM history WHERE NOT late AND error_code IS NOT NULL",
    "SELECT count(*) FROM history WHERE account_id = 111111111111",
    "SELECT count(*) FROM history WHERE CAST(account_id AS BIGINT) > 0",
    // Error oracles: they fail as soon as a row of B or C is looked at.
    "SELECT count(*) FROM history WHERE CASE WHEN account_id = '222222222222' THEN 1 / 0 ELSE 1 END = 1",
    "SELECT count(*) FROM history WHERE 10 / (CASE WHEN account_id = '222222222222' THEN 0 ELSE 1 END) > 1",
    "SELECT count(*) FROM history WHERE CAST(user_name AS INT) > 3",
    "SELECT sum(CAST(user_name AS INT)) FROM history",
    "SELECT count(*) FROM history WHERE 100 / length(user_agent) > 1",
    "SELECT max(100 / length(user_agent)) FROM history",
    "SELECT count(*) FROM history WHERE account_id = '222222222222' AND CAST(user_name AS INT) > 0",
    "SELECT count(*) FROM history WHERE user_name = 'secret-222222222222-3' AND 1 / (log_offset - log_offset) = 1",
    "SELECT count(*) FROM history WHERE account_id = '111111111111' AND 1 / (log_offset - log_offset) = 1",
    "SELECT CAST(user_name AS INT) FROM history ORDER BY event_time DESC LIMIT 1",
    "SELECT user_name::int % 2 AS odd, count(*) FROM history GROUP BY 1 ORDER BY 1",
    // Joins, subqueries, set operations, windows.
    "SELECT count(*) FROM history a JOIN history b ON a.user_name = b.user_name",
    "SELECT count(*) FROM history a JOIN trails.writes b ON a.event_id = b.event_id",
    "SELECT a.account_id, b.account_id, count(*) FROM history a JOIN history b ON a.source_ip = b.source_ip GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT count(*) FROM history a LEFT JOIN trails.\"my-trail\" b ON a.event_id = b.event_id AND b.account_id <> a.account_id WHERE b.event_id IS NULL",
    "SELECT count(*) FROM history a CROSS JOIN (SELECT DISTINCT account_id FROM history) b",
    "SELECT count(*) FROM history WHERE user_name IN (SELECT user_name FROM history WHERE account_id = '222222222222')",
    "SELECT count(*) FROM history h WHERE EXISTS (SELECT 1 FROM history i WHERE i.source_ip = h.source_ip AND i.account_id <> h.account_id)",
    "SELECT count(*) FROM history h WHERE NOT EXISTS (SELECT 1 FROM trails.writes t WHERE t.event_id = h.event_id)",
    "SELECT (SELECT count(*) FROM history) - (SELECT count(*) FROM events)",
    "SELECT (SELECT max(event_id) FROM history WHERE account_id = '222222222222')",
    "WITH b AS (SELECT * FROM history WHERE account_id = '222222222222') SELECT count(*) FROM b",
    "WITH x AS (SELECT event_id, account_id FROM history), y AS (SELECT * FROM x WHERE account_id > '2') SELECT count(*) FROM y",
    "SELECT account_id FROM history UNION SELECT account_id FROM trails.writes ORDER BY 1",
    "SELECT event_id FROM history EXCEPT SELECT event_id FROM trails.writes ORDER BY 1 LIMIT 5",
    "SELECT event_id FROM history INTERSECT SELECT event_id FROM trails.writes ORDER BY 1 LIMIT 5",
    "SELECT count(*) FROM (SELECT event_id FROM history UNION ALL SELECT event_id FROM trails.writes)",
    "SELECT event_id, row_number() OVER (ORDER BY event_time) AS n FROM history ORDER BY n LIMIT 5",
    "SELECT event_id, lag(account_id) OVER (ORDER BY event_time, event_id) AS before FROM history ORDER BY event_time LIMIT 5",
    "SELECT DISTINCT first_value(account_id) OVER (ORDER BY log_offset ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM history",
    "SELECT account_id, rank() OVER (PARTITION BY account_id ORDER BY event_time DESC) AS r FROM history ORDER BY r LIMIT 2",
    "SELECT h.event_id, l.n FROM history h, LATERAL (SELECT count(*) AS n FROM trails.writes t WHERE t.user_name = h.user_name) l ORDER BY h.event_time LIMIT 3",
    "SELECT string_agg(DISTINCT account_id, ',') FROM history",
    "SELECT array_agg(DISTINCT account_id) FROM history",
    "SELECT count(*) FILTER (WHERE account_id = '222222222222') FROM history",
    "SELECT account_id, event_name, count(*) FROM history GROUP BY ROLLUP (account_id, event_name) ORDER BY 1, 2",
    "SELECT approx_percentile_cont(log_offset, 0.5) > 0 FROM history",
    "SELECT event_name, max(event_time) FROM history GROUP BY event_name ORDER BY 2 DESC LIMIT 2",
    // JSON: rows of B and C hold none.
    "SELECT request_parameters->>'UserName' FROM history ORDER BY event_time DESC LIMIT 2",
    "SELECT count(*) FROM history WHERE json_get_int(request_parameters, 'n') > 500",
    "SELECT sum(json_get_int(request_parameters, 'deep', 'a', 1)) FROM history",
    "SELECT count(*) FROM history WHERE request_parameters ? 'UserName'",
    // What describes the tables.
    "SHOW TABLES",
    "SHOW COLUMNS FROM history",
    "DESCRIBE trails.writes",
    "SELECT * FROM information_schema.tables ORDER BY 2, 3",
    "SELECT count(*) FROM information_schema.columns",
    "SELECT * FROM information_schema.views",
    "SELECT * FROM information_schema.schemata ORDER BY 2",
    "SELECT * FROM queries",
    "SELECT * FROM failures ORDER BY at",
    "SELECT count(*) FROM failures WHERE account <> '111111111111' OR who LIKE 'secret%'",
    "SELECT count(*) FROM failures WHERE CAST(who AS INT) > 3",
    "SELECT sum(CASE WHEN account = '222222222222' THEN 1 / 0 ELSE n END) FROM failures",
    "DESCRIBE failures",
    "DESCRIBE trails.\"b-only\"",
    "SELECT count(*) FROM trails.everything",
    "SELECT * FROM \"b-only\"",
    "SELECT arrow_typeof(event_time), arrow_typeof(user_name) FROM history LIMIT 1",
    "SELECT now(), current_date",
    // Plans.
    "EXPLAIN SELECT count(*) FROM history",
    "EXPLAIN SELECT * FROM history WHERE account_id = '222222222222' ORDER BY event_time DESC LIMIT 10",
    "EXPLAIN SELECT a.event_id FROM history a JOIN trails.writes b ON a.event_id = b.event_id WHERE a.user_name LIKE 'x%'",
    "EXPLAIN SELECT event_id FROM history WHERE event_time > now() - INTERVAL '1 hour' AND CAST(user_name AS INT) > 3",
    "EXPLAIN SELECT count(*) FROM quarantine",
    "EXPLAIN SELECT * FROM failures WHERE at > now() - INTERVAL '1 hour' AND CAST(who AS INT) > 3",
    "EXPLAIN SELECT max(account_id) FROM trails.everything",
    // Quarantine: what belongs to nobody is for those who see everything.
    "SELECT count(*) FROM quarantine",
    "SELECT count(*) FROM quarantine WHERE account_id IS NULL",
];

async fn answer(
    organization: &super::fixture::Organization,
    sql: &str,
) -> Result<Vec<String>, &'static str> {
    rows(&organization.engine, &auditor(&[A]), sql)
        .await
        .map_err(|e| e.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_sees_what_a_store_of_their_own_would_show() {
    let full = organization(&[A, B, C]).await;
    let alone = organization(&[A]).await;
    let mut wrong = vec![];
    for sql in QUERIES {
        let (got, expected) = (answer(&full, sql).await, answer(&alone, sql).await);
        if got != expected {
            wrong.push(format!("{sql}\n  full:  {got:?}\n  alone: {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oracles_have_teeth() {
    // The same questions of one who may see all do fail: so the answers above
    // are those of the account filter, and not of a lucky plan.
    let full = organization(&[A, B, C]).await;
    let failing = [
        "SELECT count(*) FROM history WHERE CASE WHEN account_id = '222222222222' THEN 1 / 0 ELSE 1 END = 1",
        "SELECT count(*) FROM history WHERE CAST(user_name AS INT) > 3",
        "SELECT max(100 / length(user_agent)) FROM history",
    ];
    for sql in failing {
        let told = rows(&full.engine, &auditor_of_all(), sql).await;
        assert_eq!(told.map_err(|e| e.code()), Err("invalid_query"), "{sql}");
        assert!(answer(&full, sql).await.is_ok(), "{sql}");
    }
    for sql in QUERIES.iter().take(34) {
        assert!(answer(&full, sql).await.is_ok(), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_those_of_the_principal() {
    let full = organization(&[A, B, C]).await;
    let count = async |principal| {
        let rows = rows(&full.engine, &principal, "SELECT count(*) FROM history").await;
        rows.unwrap()[0].parse::<u64>().unwrap()
    };
    assert_eq!(count(auditor_of_all()).await, 1200);
    assert_eq!(count(auditor(&[A])).await, 300);
    assert_eq!(count(auditor(&[B])).await, 600);
    assert_eq!(count(auditor(&[C])).await, 300);
    assert_eq!(count(auditor(&[A, C])).await, 600);
    assert_eq!(count(auditor(&[])).await, 0);
    assert_eq!(count(auditor(&["999999999999"])).await, 0);
    let mut sender = auditor_of_all();
    sender.role = cairn_schemas::control::Role::Sender;
    assert_eq!(count(sender).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn quarantine_without_an_account_is_for_those_who_see_all() {
    let full = organization(&[A, B, C]).await;
    let sql = "SELECT account_id FROM quarantine ORDER BY 1 NULLS LAST";
    let seen = async |p| rows(&full.engine, &p, sql).await.unwrap();
    assert_eq!(seen(auditor(&[A])).await, [A]);
    assert_eq!(seen(auditor_of_all()).await, [A, B, ""]);
}
