//! What is too large, written out.

use crate::error::{ErrorKind, Exceeded};
use crate::tests::fixture::{A, auditor, organization, rows};

fn doubled(levels: usize, end: &str) -> String {
    let steps: String = (1..=levels)
        .map(|n| format!(", a{n} AS (SELECT x + x AS x FROM a{})", n - 1))
        .collect();
    format!("WITH a0 AS (SELECT log_offset AS x FROM history){steps} {end}")
        .replace('#', &format!("a{levels}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_doubles_is_refused_and_what_does_not_is_answered() {
    let full = organization(&[A]).await;
    let ask = async |sql: &str| rows(&full.engine, &auditor(&[A]), sql).await;
    let few = doubled(6, "SELECT sum(x) / 64 FROM # WHERE x > 64");
    let plain = ask("SELECT sum(log_offset) FROM history WHERE log_offset > 1").await;
    assert_eq!(ask(&few).await, plain);
    for end in [
        "SELECT sum(x) FROM # WHERE x > 64",
        "SELECT 1 FROM history WHERE log_offset IN (SELECT x FROM #)",
        "SELECT (SELECT max(x) FROM #)",
        "SELECT 1 FROM history h WHERE EXISTS (SELECT 1 FROM # WHERE x = h.log_offset)",
        "SELECT x FROM # UNION SELECT x FROM #",
        "SELECT max(x) FROM (SELECT DISTINCT x FROM # ORDER BY x LIMIT 10) y WHERE x > 3",
    ] {
        let told = ask(&doubled(40, end)).await.map_err(|e| e.kind);
        assert_eq!(told, Err(ErrorKind::Limit(Exceeded::Statement)), "{end}");
    }
    // Long is not large.
    let steps: String = (1..=60)
        .map(|n| format!(", a{n} AS (SELECT x + 1 AS x FROM a{})", n - 1))
        .collect();
    let long = format!(
        "WITH a0 AS (SELECT 0 AS x FROM history){steps} SELECT max(x) FROM a60 WHERE x > 2"
    );
    assert_eq!(ask(&long).await.unwrap(), ["60"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_by_of_many_sets_is_refused() {
    let full = organization(&[A]).await;
    let ask = async |sql: &str| rows(&full.engine, &auditor(&[A]), sql).await;
    let many: Vec<String> = (2..20).map(|n| format!("log_offset % {n}")).collect();
    for groups in [
        format!("CUBE ({})", many[..9].join(", ")),
        format!("CUBE ({})", many.join(", ")),
        format!(
            "CUBE ({}), ROLLUP ({})",
            many[..5].join(", "),
            many[5..].join(", ")
        ),
    ] {
        let told = ask(&format!("SELECT count(*) FROM history GROUP BY {groups}")).await;
        let kind = told.map_err(|e| e.kind);
        assert_eq!(kind, Err(ErrorKind::Limit(Exceeded::Statement)), "{groups}");
    }
    let fine = "SELECT count(*) FROM history GROUP BY CUBE (region, event_rw, late)";
    assert!(ask(fine).await.is_ok());
}
