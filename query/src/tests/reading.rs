//! Names, forms and the cost of reading.

use std::time::Duration;

use arrow::datatypes::DataType;
use futures::TryStreamExt;

use super::fixture::{
    A, B, C, auditor, auditor_of_all, batches, organization, organization_within, rows, small,
};
use crate::Limits;

#[tokio::test(flavor = "multi_thread")]
async fn names_resolve_as_people_write_them() {
    let full = organization(&[A, B, C]).await;
    let count = async |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        rows(&full.engine, &auditor_of_all(), &sql).await.unwrap()[0].clone()
    };
    for history in [
        "history",
        "HISTORY",
        "events",
        "public.history",
        "cairn.public.events",
        "\"history\"",
    ] {
        assert_eq!(count(history).await, "1200", "{history}");
    }
    for trail in [
        "trails.writes",
        "trails.Writes",
        "trails.\"Writes\"",
        "trails.\"writes\"",
        "trails.\"WRITES\"",
        "cairn.trails.writes",
        "trails.\"my-trail\"",
    ] {
        assert_eq!(count(trail).await, "400", "{trail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_columns_are_described() {
    let full = organization(&[A]).await;
    let ask = async |sql| rows(&full.engine, &auditor(&[A]), sql).await.unwrap();
    let tables = ask("SHOW TABLES").await;
    let named: Vec<&str> = tables
        .iter()
        .map(|t| t.split('|').nth(1).unwrap())
        .collect();
    assert_eq!(
        named,
        [
            "history",
            "events",
            "quarantine",
            "cloudtrail",
            "actiontrail",
            "log",
            "queries",
            "failures",
            "Writes",
            "my-trail"
        ]
    );
    assert!(ask("SHOW TABLES LIKE 'h%'").await[0].starts_with("public|history|BASE TABLE|Every"));
    assert_eq!(ask("SHOW TABLES FROM trails").await.len(), 2);
    let columns = ask("DESCRIBE history").await;
    assert_eq!(columns.len(), cairn_schemas::columns::EVENT_COLUMNS.len());
    assert!(
        columns[1].starts_with("event_time|timestamp|NO|When it happened"),
        "{}",
        columns[1]
    );
    assert_eq!(ask("DESC queries").await, ["who|text|NO|Who asked."]);
    assert_eq!(ask("SHOW COLUMNS FROM trails.writes").await, columns);
    let stream = full
        .engine
        .query(
            &auditor(&[A]),
            "SELECT 1 FROM events JOIN history USING (event_id) CROSS JOIN trails.writes",
        )
        .await
        .unwrap();
    assert_eq!(stream.tables(), ["history", "trails.Writes"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_comes_out_as_plain_text() {
    let full = organization(&[A, B]).await;
    let sql = "SELECT event_id, upper(user_name) u, array_agg(region) r, 'x' x, \
               request_parameters->'n' n FROM history GROUP BY 1, 2, 5 LIMIT 3";
    let stream = full.engine.query(&auditor(&[A]), sql).await.unwrap();
    let schema = stream.schema();
    let got: Vec<_> = stream.try_collect().await.unwrap();
    assert!(!got.is_empty());
    for batch in &got {
        assert_eq!(batch.schema(), schema);
    }
    assert_eq!(schema.field(0).data_type(), &DataType::Utf8);
    assert_eq!(schema.field(1).data_type(), &DataType::Utf8);
    assert_eq!(schema.field(3).data_type(), &DataType::Utf8);
    assert_eq!(schema.field(4).data_type(), &DataType::Utf8);
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_first_opens_the_newest_files() {
    let full = organization(&[A, B, C]).await;
    for sql in [
        "SELECT event_id FROM trails.writes WHERE log_offset < 600 ORDER BY event_time DESC LIMIT 3",
        "SELECT * FROM trails.writes WHERE event_rw = 'Write' AND log_offset < 600 ORDER BY event_time DESC LIMIT 3",
    ] {
        full.store.take_read();
        let got = rows(&full.engine, &auditor_of_all(), sql).await.unwrap();
        assert_eq!(got.len(), 3);
        let read = full.store.take_read();
        assert!(read.len() <= 3, "{sql}: {read:?}");
        assert!(
            read.iter().any(|f| f.ends_with("part-0005.parquet")),
            "{read:?}"
        );
    }
    // Satisfied by the fresh rows alone.
    let sql = "SELECT event_id FROM history ORDER BY event_time DESC LIMIT 5";
    full.store.take_read();
    let got = rows(&full.engine, &auditor_of_all(), sql).await.unwrap();
    assert_eq!(got, ["id-1199", "id-1198", "id-1197", "id-1196", "id-1195"]);
    let read = full.store.take_read();
    assert!(read.len() <= 3, "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_first_opens_the_oldest_files() {
    let full = organization(&[A, B, C]).await;
    let sql = "SELECT event_id FROM history ORDER BY event_time LIMIT 3";
    let got = rows(&full.engine, &auditor_of_all(), sql).await.unwrap();
    assert_eq!(got, ["id-0", "id-1", "id-2"]);
    let read = full.store.take_read();
    assert!(read.len() <= 6, "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_matter_stay_closed() {
    let full = organization(&[A, B, C]).await;
    let opened = async |sql: &str| {
        full.store.take_read();
        batches(&full.engine, &auditor_of_all(), sql).await.unwrap();
        full.store.take_read().len()
    };
    // 20 files of 57 minutes each.
    let hour = "event_time >= '2026-11-20T06:00:00Z' AND event_time < '2026-11-20T06:30:00Z'";
    assert!(opened(&format!("SELECT count(*) FROM history WHERE {hour}")).await <= 2);
    let ns = "event_time >= TIMESTAMP '2026-11-20 06:00:00' AND event_time < TIMESTAMP '2026-11-20 06:30:00'";
    assert!(opened(&format!("SELECT count(*) FROM history WHERE {ns}")).await <= 2);
    let since = "event_time > now() - INTERVAL '10 minutes' AND event_time <= now()";
    assert!(opened(&format!("SELECT count(*) FROM history WHERE {since}")).await <= 2);
    assert_eq!(
        opened("SELECT count(*) FROM history WHERE log_offset = 100").await,
        1
    );
    assert_eq!(
        opened("SELECT count(*) FROM history WHERE ingest_date < DATE '2026-11-19'").await,
        0
    );
    assert_eq!(opened("EXPLAIN SELECT * FROM history").await, 0);
    full.store.take_read();
    let nobody = auditor(&[]);
    batches(&full.engine, &nobody, "SELECT * FROM history")
        .await
        .unwrap();
    assert_eq!(full.store.take_read().len(), 0);
    // No file that is known to hold none of these accounts.
    let stranger = auditor(&["999999999999"]);
    batches(&full.engine, &stranger, "SELECT * FROM history")
        .await
        .unwrap();
    assert!(full.store.take_read().len() <= 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_part_of_the_plan() {
    let limits = Limits {
        concurrent: 1,
        timeout: Duration::from_secs(20),
        ..small()
    };
    // One place, which the statement itself holds: a view that took another
    // would wait for it until the time is up.
    let full = organization_within(&[A, B, C], limits).await;
    let ask = async |principal, sql: &str| rows(&full.engine, &principal, sql).await.unwrap();
    let count = "SELECT count(*) FROM failures";
    assert_eq!(ask(auditor_of_all(), count).await, ["120"]);
    assert_eq!(ask(auditor(&[A]), count).await, ["60"]);
    assert_eq!(ask(auditor(&[C]), count).await, ["60"]);
    assert_eq!(ask(auditor(&[]), count).await, ["0"]);
    let newest = "SELECT at, f.account, who, n FROM public.failures f ORDER BY at DESC LIMIT 1";
    assert_eq!(
        ask(auditor(&[A]), newest).await,
        [format!("2026-11-20T19:40:00Z|{A}|4|1180")]
    );
    let joined = "SELECT count(*) FROM failures f JOIN history h ON h.event_time = f.at \
                  JOIN failures g ON g.at = f.at WHERE EXISTS (SELECT 1 FROM failures)";
    assert_eq!(ask(auditor(&[A]), joined).await, ["60"]);
    assert_eq!(ask(auditor(&[A]), "DESCRIBE failures").await.len(), 4);

    // What is asked of the view is asked of history: files that cannot matter
    // stay closed.
    full.store.take_read();
    let hour = "SELECT count(*) FROM failures WHERE at >= '2026-11-20T06:00:00Z' \
                AND at < '2026-11-20T06:30:00Z'";
    assert_eq!(ask(auditor_of_all(), hour).await, ["3"]);
    assert!(full.store.take_read().len() <= 2);
    let stream = full.engine.query(&auditor(&[A]), count).await.unwrap();
    assert_eq!(stream.tables(), ["failures", "history"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_that_is_not_told_of_shows_own_rows_to_who_knows_its_name() {
    let full = organization(&[A, B, C]).await;
    let ask = async |principal, sql: &str| rows(&full.engine, &principal, sql).await;
    for everything in [
        "trails.everything",
        "trails.Everything",
        "trails.\"Everything\"",
        "cairn.trails.everything",
    ] {
        let sql = format!("SELECT count(*), count(DISTINCT account_id) FROM {everything}");
        assert_eq!(ask(auditor(&[A]), &sql).await.unwrap(), ["300|1"]);
        assert_eq!(ask(auditor_of_all(), &sql).await.unwrap(), ["1200|3"]);
    }
    let sql = "SELECT * FROM trails.\"b-only\"";
    assert!(ask(auditor(&[A]), sql).await.unwrap().is_empty());
    assert_eq!(ask(auditor(&[B]), sql).await.unwrap().len(), 600);

    // Nothing lists it, describes it or suggests it, not even to who names it.
    for sql in [
        "SHOW TABLES",
        "SHOW TABLES FROM trails",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM information_schema.columns",
    ] {
        let told = |rows: Vec<String>| {
            let rows = rows.join("\n").to_lowercase();
            (rows.contains("everything"), rows.contains("b-only"))
        };
        let scoped = told(ask(auditor(&[A, B]), sql).await.unwrap());
        assert_eq!(scoped, (false, false), "{sql}");
        let all = told(ask(auditor_of_all(), sql).await.unwrap());
        assert_eq!(all, (true, true), "{sql}");
    }
    let refused = async |sql: &str| ask(auditor(&[A, B]), sql).await.unwrap_err();
    let gone = refused("DESCRIBE trails.nothing").await;
    let untold = refused("DESCRIBE trails.everything").await;
    assert_eq!(untold.kind, gone.kind);
    assert_eq!(untold.hint, gone.hint);
    assert_eq!(untold.message, "there is no table trails.everything");
    for sql in [
        "SHOW COLUMNS FROM trails.\"b-only\"",
        "SELECT * FROM trails.everythin",
        "SELECT * FROM everything",
        "SELECT * FROM \"b-only\"",
        "SELECT * FROM other.trails.everything",
    ] {
        let error = refused(sql).await;
        let hint = error.hint.unwrap_or_default();
        assert!(!hint.contains("trails."), "{sql}: {hint}");
    }
}

/// Found by chance: see the setting of the engine that it is about.
#[tokio::test(flavor = "multi_thread")]
async fn the_greatest_of_a_column_beside_the_least_of_an_expression() {
    let full = organization(&[A, B, C]).await;
    for (sql, expected) in [
        (
            "SELECT min(coalesce(resource_name, event_id)), max(log_offset) FROM history",
            "id-0|1196",
        ),
        (
            "SELECT min(log_offset), max(log_offset % 1000) FROM history WHERE log_offset >= 4",
            "4|996",
        ),
        (
            "SELECT max(ingest_time) > min(event_time), min(lower(event_id)) FROM history",
            "true|id-0",
        ),
    ] {
        let told = rows(&full.engine, &auditor(&[A]), sql).await.unwrap();
        assert_eq!(told, [expected], "{sql}");
    }
}

/// Found by chance: columns of grouping sets are null where they are not in the
/// set, though the literal or the account that they hold is constant.
#[tokio::test(flavor = "multi_thread")]
async fn grouping_sets_come_in_the_order_asked_for() {
    let full = organization(&[A, B, C]).await;
    for (sql, expected) in [
        (
            "SELECT 'x' AS k, account_id, count(*) FROM history \
             GROUP BY GROUPING SETS (('x'), (account_id), ()) \
             ORDER BY 1 NULLS FIRST, 2 DESC NULLS LAST",
            vec!["|111111111111|300", "||300", "x||300"],
        ),
        (
            "SELECT 'x' AS k, account_id, max(log_offset) FROM history \
             GROUP BY ROLLUP ('x', account_id) ORDER BY 1 DESC, 2 DESC LIMIT 1",
            vec!["||1196"],
        ),
        (
            "SELECT coalesce(account_id, region) AS k, account_id, count(*) FROM history \
             GROUP BY GROUPING SETS ((coalesce(account_id, region)), (account_id), ()) \
             ORDER BY 1 NULLS FIRST, 2 DESC LIMIT 2",
            vec!["||300", "|111111111111|300"],
        ),
    ] {
        let told = rows(&full.engine, &auditor(&[A]), sql).await.unwrap();
        assert_eq!(told, expected, "{sql}");
    }
}
