use std::collections::BTreeSet;

use futures::TryStreamExt;
use serde_json::json;

use super::*;
use crate::Question;
use crate::error::ErrorKind;
use crate::tests::fixture::{A, B, C, auditor, auditor_of_all, organization, rows};

#[test]
fn times_are_read_as_people_write_them() {
    let noon = time("2026-11-20T12:00:00Z").unwrap();
    for same in [
        "2026-11-20 12:00:00",
        "2026-11-20T12:00:00.000000",
        "2026-11-20T13:00:00+01:00",
        " 2026-11-20T12:00:00Z ",
    ] {
        assert_eq!(time(same), Some(noon), "{same}");
    }
    assert_eq!(time("2026-11-20").unwrap().0, noon.0 - 12 * 3_600_000_000);
    for wrong in ["", "yesterday", "12", "2026-13-01", "now()"] {
        assert_eq!(time(wrong), None, "{wrong}");
    }
}

#[test]
fn what_was_told_is_understood_again() {
    let told = json!({
        "history": {"version": 12, "reach": {"log/0": 500}},
        "trails.x": 7,
        "quarantine": "2026-11-20T12:00:00Z",
    });
    let as_of = AsOf::from_json(&told).unwrap();
    assert_eq!(as_of.to_json(), told);
    let time = AsOf::from_json(&json!("2026-11-20")).unwrap();
    assert_eq!(time.to_json(), json!("2026-11-20T00:00:00Z"));
    for wrong in [
        json!(12),
        json!("last week"),
        json!({"history": 1.5}),
        json!({"history": {"version": 1}}),
        json!({"history": {"version": 1, "reach": {"log": 1}}}),
        json!({"history": [1]}),
    ] {
        let error = AsOf::from_json(&wrong).unwrap_err();
        assert!(error.hint.is_some(), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn past_states_are_asked_for_in_sql() {
    let full = organization(&[A, B, C]).await;
    let ask = async |sql: &str| rows(&full.engine, &auditor_of_all(), sql).await;
    for (table, expected) in [
        ("history", "1200"),
        (
            "history FOR SYSTEM_TIME AS OF '2026-11-20T05:00:00Z'",
            "300",
        ),
        (
            "History FOR SYSTEM_TIME AS OF TIMESTAMP '2026-11-20 05:00:00' AS h",
            "300",
        ),
        ("public.history VERSION AS OF 3", "300"),
        ("events VERSION AS OF 7 x", "700"),
        ("\"history@3\"", "300"),
        ("trails.writes VERSION AS OF 3", "100"),
        (
            "trails.\"my-trail\" TIMESTAMP AS OF '2026-11-20 05:00:00'",
            "100",
        ),
        ("history VERSION AS OF 0", "0"),
    ] {
        let count = ask(&format!("SELECT count(*) FROM {table}")).await.unwrap();
        assert_eq!(count, [expected], "{table}");
    }
    // Two states in one statement: what came in between.
    let since = "SELECT count(*), min(now.log_offset), max(now.log_offset) FROM history VERSION AS OF 5 AS now \
                 LEFT JOIN history VERSION AS OF 3 old ON now.event_id = old.event_id WHERE old.event_id IS NULL";
    assert_eq!(ask(since).await.unwrap(), ["200|300|499"]);
    // The name of the table still qualifies its columns.
    let qualified = "SELECT count(history.event_id) FROM history VERSION AS OF 3 \
                     WHERE history.log_offset >= 290 AND EXISTS (SELECT 1 FROM history VERSION AS OF 3)";
    assert_eq!(ask(qualified).await.unwrap(), ["10"]);
    for wrong in [
        "SELECT 1 FROM history FOR SYSTEM_TIME AS OF now()",
        "SELECT 1 FROM history FOR SYSTEM_TIME AS OF 'last week'",
        "SELECT 1 FROM history FOR SYSTEM_TIME AS OF $1",
        "SELECT 1 FROM history VERSION AS OF 99",
        "SELECT 1 FROM queries VERSION AS OF 3",
        "SELECT 1 FROM failures VERSION AS OF 3",
        "SELECT 1 FROM information_schema.tables VERSION AS OF 3",
        "SELECT 1 FROM nothing VERSION AS OF 3",
        "SELECT 1 FROM \"history@soon\"",
        "SELECT 1 FROM history AT(TIMESTAMP => '2026-11-20')",
    ] {
        let error = ask(wrong).await.unwrap_err();
        assert!(
            matches!(error.kind, ErrorKind::Invalid { .. }),
            "{wrong}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_can_be_had_again_by_what_it_told() {
    let full = organization(&[A, B, C]).await;
    let sql = "SELECT event_id FROM history UNION SELECT event_id FROM trails.writes";
    let ask = async |principal, as_of| {
        let question = Question {
            as_of,
            ..sql.into()
        };
        let stream = full.engine.query(principal, question).await?;
        let versions = stream.versions().clone();
        let batches: Vec<_> = stream.try_collect().await?;
        let ids: BTreeSet<String> = batches
            .iter()
            .flat_map(|b| b.column(0).as_string::<i32>().iter().flatten())
            .map(str::to_owned)
            .collect();
        Ok::<_, QueryError>((ids, versions))
    };
    let of_a = auditor(&[A]);
    let (all, versions) = ask(&of_a, None).await.unwrap();
    assert_eq!(all.len(), 300);
    assert_eq!(
        versions.keys().collect::<Vec<_>>(),
        ["history", "trails.Writes"]
    );
    let told = AsOf::from_json(&json!(versions)).unwrap();
    let (again, versions_again) = ask(&of_a, Some(told)).await.unwrap();
    assert_eq!((again, versions_again), (all, versions.clone()));
    // An earlier state, which each table has its own name for.
    let earlier = AsOf::from_json(&json!({"history": 2, "trails.Writes": 1})).unwrap();
    let (earlier, versions) = ask(&of_a, Some(earlier)).await.unwrap();
    assert_eq!(earlier.len(), 50);
    assert_eq!(versions["history"].version, 2);
    // What is not named, or cannot be reached, is not guessed.
    let partly = AsOf::from_json(&json!({"history": 2})).unwrap();
    assert!(ask(&of_a, Some(partly)).await.is_err());
    let ahead = json!({"version": 7, "reach": {"log/0": 1201}});
    let ahead = AsOf::from_json(&json!({"history": ahead, "trails.Writes": 1})).unwrap();
    let error = ask(&of_a, Some(ahead)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_over_the_state_that_is_asked_for() {
    let full = organization(&[A, B, C]).await;
    let ask = async |sql: &str, at: &str| {
        let question = Question {
            as_of: Some(AsOf::from_json(&json!(at)).unwrap()),
            ..sql.into()
        };
        let stream = full.engine.query(&auditor_of_all(), question).await?;
        let batches: Vec<_> = stream.try_collect().await?;
        Ok::<usize, QueryError>(batches.iter().map(|b| b.num_rows()).sum())
    };
    let hours = "2026-11-20T05:00:00Z";
    assert_eq!(ask("SELECT * FROM failures", hours).await.unwrap(), 30);
    let error = ask("SELECT * FROM queries", hours).await.unwrap_err();
    assert!(error.message.contains("tells of now"), "{error}");
    assert_eq!(ask("SELECT 1", hours).await.unwrap(), 1);
}
