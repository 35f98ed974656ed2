//! The views `cloudtrail` and `actiontrail`.

use super::fixture::{A, B, C, auditor, batches, organization, rows};
use crate::views::VIEWS;

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_those_that_are_described() {
    let full = organization(&[A]).await;
    for view in VIEWS {
        let sql = format!("SELECT * FROM {} LIMIT 1", view.names[0]);
        let got = batches(&full.engine, &auditor(&[A]), &sql).await.unwrap();
        let got = got[0].schema();
        for (made, said) in got.fields().iter().zip(view.schema().fields()) {
            assert_eq!(made.name(), said.name());
            let plain = |t: &arrow::datatypes::DataType| {
                t.to_string()
                    .replace("non-null ", "")
                    .replace("Utf8View", "Utf8")
            };
            assert_eq!(
                plain(made.data_type()),
                plain(said.data_type()),
                "{}",
                made.name()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_run_with_only_the_name_of_the_table_changed() {
    let full = organization(&[A, B, C]).await;
    for (sql, wanted) in [
        (
            "SELECT eventName, count(*) AS n FROM cloudtrail GROUP BY eventName",
            "CreateUser|300",
        ),
        (
            "SELECT EVENTNAME FROM CloudTrail WHERE eventId = 'id-4'",
            "CreateUser",
        ),
        (
            "SELECT \"eventname\" FROM cloudtrail WHERE eventId = 'id-4'",
            "CreateUser",
        ),
        (
            "SELECT c.userIdentity.accountId IS NULL, c.useridentity.sessioncontext.sessionissuer.username IS NULL FROM cloudtrail c WHERE c.eventId = 'id-4'",
            "true|true",
        ),
        (
            "WITH w AS (SELECT eventName AS eventname2, eventTime t FROM cloudtrail) SELECT count(eventname2) FROM w WHERE t > '2026-11-20 19:00:00'",
            "14",
        ),
        (
            "SELECT element_at(requestParameters, 'UserName') FROM 1a2b3c4d-1111-2222-3333-444455556666 WHERE eventId = 'id-8'",
            "u8",
        ),
        (
            "SELECT requestParameters['UserName'] FROM \"1a2b3c4d-1111-2222-3333-444455556666\" WHERE eventId = 'id-8'",
            "u8",
        ),
        (
            "SELECT count(*) FROM cloudtrail WHERE readOnly = false AND element_at(requestParameters, 'n') = '8'",
            "1",
        ),
        (
            "SELECT count(*) FROM cloudtrail WHERE eventTime > date_add('hour', -2, now())",
            "149",
        ),
        (
            "SELECT \"event.eventName\", \"event.requestParameters.UserName\" FROM log WHERE \"event.eventId\" = 'id-8'",
            "CreateUser|u8",
        ),
        (
            "SELECT \"event.requestParameters.deep.a\" FROM actiontrail WHERE \"EVENT.eventid\" = 'id-8'",
            "[1, 2]",
        ),
        (
            "SELECT \"event.eventTime\", __time__ FROM log WHERE \"event.eventId\" = 'id-8'",
            "2026-11-20T00:08:00Z|1795133280",
        ),
        (
            "SELECT c.eventName FROM cloudtrail FOR SYSTEM_TIME AS OF '2026-11-20T12:00:00Z' AS c WHERE c.eventId = 'id-4'",
            "CreateUser",
        ),
        ("SELECT arbitrary(\"event.eventRW\") FROM log", "Write"),
    ] {
        let got = rows(&full.engine, &auditor(&[A]), sql).await;
        assert_eq!(got.as_deref().map(|r| r[0].as_str()), Ok(wanted), "{sql}");
    }
}

/// A comparison of a column of a view reads the files that the same comparison
/// of the column of history reads.
#[tokio::test(flavor = "multi_thread")]
async fn comparisons_choose_files_through_the_views() {
    let full = organization(&[A, B, C]).await;
    let read = async |sql: &str| {
        full.store.take_read();
        let got = rows(&full.engine, &auditor(&[A]), sql).await.unwrap();
        (got, full.store.take_read())
    };
    for (history, view) in [
        (
            "SELECT count(event_name) FROM history WHERE event_time < '2026-11-20T01:00:00Z'",
            "SELECT count(eventName) FROM cloudtrail WHERE eventTime < '2026-11-20 01:00:00'",
        ),
        (
            "SELECT count(event_name) FROM history WHERE event_time < '2026-11-20T01:00:00Z'",
            "SELECT count(eventName) FROM cloudtrail WHERE eventTime < from_iso8601_timestamp('2026-11-20T01:00:00Z')",
        ),
        (
            "SELECT count(event_name) FROM history WHERE event_time < '2026-11-20T01:00:00Z'",
            "SELECT count(eventName) FROM cloudtrail WHERE eventTime < timestamp '2026-11-20 01:00:00'",
        ),
        (
            "SELECT count(event_name) FROM history WHERE event_time < '2026-11-20T01:00:00Z'",
            "SELECT count(\"event.eventName\") FROM log WHERE \"event.eventTime\" < '2026-11-20T01:00:00Z'",
        ),
        (
            "SELECT count(event_name) FROM history WHERE event_time < '2026-11-20T01:00:00Z'",
            "SELECT count(\"event.eventName\") FROM log WHERE __time__ < 1795136400",
        ),
    ] {
        let (wanted, files) = read(history).await;
        assert!(files.len() < 5, "{history} reads {files:?}");
        assert_eq!(read(view).await, (wanted, files), "{view}");
    }
    for (sql, filter) in [
        (
            "EXPLAIN SELECT eventTime FROM cloudtrail WHERE eventName = 'GetUser'",
            "filters=[event_name",
        ),
        (
            "EXPLAIN SELECT eventTime FROM cloudtrail WHERE userIdentity.type = 'Root'",
            "filters=[identity_type",
        ),
        (
            "EXPLAIN SELECT eventTime FROM cloudtrail WHERE useridentity.principalid = 'p' AND userIdentity.arn = 'a'",
            "filters=[principal_id",
        ),
        (
            "EXPLAIN SELECT eventTime FROM cloudtrail WHERE readOnly = false",
            "filters=[event_rw",
        ),
        (
            "EXPLAIN SELECT 1 FROM log WHERE \"event.userIdentity.accountId\" = '1'",
            "filters=[identity_account_id",
        ),
    ] {
        let plan = rows(&full.engine, &auditor(&[A]), sql)
            .await
            .unwrap()
            .join("\n");
        assert!(plan.contains(filter), "{sql}\n{plan}");
    }
}
