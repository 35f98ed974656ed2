//! Statements that are small, and would take a machine: each ends with an error
//! that says which limit it met, or is answered, while others are served.

use std::time::Duration;

use futures::TryStreamExt;

use super::fixture::{A, B, C, Organization, auditor, organization_within, rows, small};
use crate::error::{ErrorKind, Exceeded};
use crate::{Limits, Question};

const TIME: &[Exceeded] = &[Exceeded::Time];
const MEMORY: &[Exceeded] = &[Exceeded::Memory];
const STATEMENT: &[Exceeded] = &[Exceeded::Statement];
/// Whichever is met first.
const ANY: &[Exceeded] = &[Exceeded::Time, Exceeded::Memory, Exceeded::Spill];

fn chain(levels: usize, step: &str, end: &str) -> String {
    let steps: String = (1..=levels)
        .map(|n| format!(", a{n} AS (SELECT {step} FROM a{})", n - 1))
        .collect();
    let end = end.replace('#', &format!("a{levels}"));
    format!("WITH a0 AS (SELECT log_offset AS x, raw AS t FROM history){steps} {end}")
}

fn columns(n: usize) -> String {
    let all: Vec<String> = (0..n).map(|i| format!("log_offset % {}", i + 2)).collect();
    all.join(", ")
}

/// Ends at a limit of these, and others get their answers meanwhile.
///
/// Only the greedy one has little time: a busy machine may be slow for others.
async fn ends(full: &Organization, sql: &str, seconds: u64, limits: &[Exceeded]) {
    let greedy = auditor(&[A, B, C]);
    let mut other = auditor(&[B]);
    other.id = "other".to_owned();
    let mut question = Question::from(sql);
    question.timeout = Some(Duration::from_secs(seconds));
    let asked = async {
        let stream = full.engine.query(&greedy, question).await?;
        stream.try_collect::<Vec<_>>().await
    };
    let (told, served) = tokio::join!(asked, async {
        let mut served = 0;
        for _ in 0..3 {
            let count = rows(&full.engine, &other, "SELECT count(*) FROM history").await;
            served += usize::from(count.as_deref() == Ok(&["600".to_owned()]));
        }
        served
    });
    let start: String = sql.chars().take(100).collect();
    let error = told.expect_err(&start);
    let named = limits.iter().any(|l| error.kind == ErrorKind::Limit(*l));
    assert!(named, "{start}: {error:?}");
    assert_eq!(served, 3, "{start}");
}

async fn engine(memory: usize) -> Organization {
    let limits = Limits {
        timeout: Duration::from_secs(600),
        memory: memory * 2,
        memory_per_query: memory,
        memory_per_principal: memory,
        ..small()
    };
    organization_within(&[A, B, C], limits).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_without_end_ends_at_its_time() {
    let full = engine(256 << 20).await;
    for sql in [
        "SELECT count(*) FROM history a, history b, history c, history d, history e",
        "SELECT max(a.raw || b.raw) FROM history a, history b, history c, history d",
        "SELECT count(*) FROM history a JOIN history b ON a.raw <> b.raw JOIN history c ON b.raw || c.raw ~ '(x+x+)+y'",
        "SELECT count(*) FROM history a, history b, history c WHERE levenshtein(a.raw || b.raw, c.raw || a.raw) > 100",
        "SELECT count(*) FROM history a, history b, history c WHERE regexp_replace(a.raw || b.raw || c.raw, '(a|aa)+$', 'x') = ''",
        "SELECT count(*) FROM history a CROSS JOIN unnest(make_array(1,2,3,4,5,6,7,8)) u CROSS JOIN history b CROSS JOIN history c",
        "SELECT count(*) FROM history a WHERE EXISTS (SELECT 1 FROM history b, history c, history d WHERE b.raw || c.raw || d.raw < a.raw)",
        "SELECT sum(a.log_offset) OVER (ORDER BY b.log_offset) FROM history a, history b, history c ORDER BY 1 LIMIT 1",
        "SELECT a.raw FROM history a, history b, history c, history d ORDER BY a.raw || b.raw DESC LIMIT 3",
        "SELECT count(*) FROM (SELECT a.raw FROM history a, history b, history c UNION ALL SELECT a.raw FROM history a, history b, history c) x",
    ] {
        ends(&full, sql, 2, ANY).await;
    }
    ends(
        &full,
        "SELECT count(*) FROM history a, history b, history c, history d, history e, history f",
        2,
        TIME,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_grows_without_end_ends_at_its_memory() {
    let full = engine(24 << 20).await;
    for sql in [
        "SELECT string_agg(a.raw, ',') FROM history a, history b, history c",
        "SELECT array_agg(a.raw) FROM history a, history b, history c",
        "SELECT count(DISTINCT a.raw || b.raw || c.raw) FROM history a, history b, history c",
        "SELECT a.raw || b.raw, count(*) FROM history a, history b GROUP BY 1 ORDER BY 2",
        "SELECT a.raw || b.raw AS x FROM history a, history b ORDER BY x OFFSET 1000000",
        "SELECT count(*) FROM (SELECT a.raw || b.raw AS x FROM history a, history b UNION SELECT b.raw || a.raw FROM history a, history b) u",
        "SELECT count(*) FROM (SELECT array_agg(a.raw || b.raw) OVER (ORDER BY a.log_offset) AS x FROM history a, history b) u WHERE x IS NOT NULL",
        "SELECT median(a.log_offset * b.log_offset + c.log_offset) FROM history a, history b, history c",
        "SELECT repeat('x', 2000000000)",
        "SELECT max(repeat(raw, 2000000000)) FROM history",
    ] {
        ends(&full, sql, 300, MEMORY).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_grows_while_it_is_planned_is_refused() {
    let full = engine(256 << 20).await;
    let long_list: String = (0..50_000).map(|n| format!("{n},")).collect();
    let nested = format!(
        "SELECT {}1{} FROM history",
        "(".repeat(5000),
        ")".repeat(5000)
    );
    let calls = format!(
        "SELECT {}raw{} FROM history",
        "upper(".repeat(5000),
        ")".repeat(5000)
    );
    let cases = format!(
        "SELECT {}1{} FROM history",
        "CASE WHEN late THEN ".repeat(3000),
        " END".repeat(3000)
    );
    let nots = format!("SELECT {}late FROM history", "NOT ".repeat(9000));
    let minus = format!("SELECT {}1", "- ".repeat(9000));
    for sql in [
        format!("SELECT count(*) FROM history WHERE log_offset IN ({long_list}0)"),
        nested,
        calls,
        cases,
        nots,
        minus,
        // Each level doubles what the one below it says.
        chain(60, "x + x AS x, t", "SELECT count(*) FROM # WHERE x > 5"),
        chain(60, "x + x AS x, t", "SELECT sum(x) FROM #"),
        chain(60, "x + x AS x, t", "SELECT x FROM # ORDER BY x LIMIT 1"),
        chain(
            60,
            "CASE WHEN x > 5 THEN x ELSE x - 1 END AS x, t",
            "SELECT x FROM # WHERE x = 3",
        ),
        chain(
            60,
            "nullif(x, x) AS x, t",
            "SELECT count(*) FROM # a JOIN # b ON a.x = b.x",
        ),
        format!(
            "SELECT count(*) FROM history GROUP BY CUBE ({})",
            columns(16)
        ),
        format!(
            "SELECT count(*) FROM history GROUP BY CUBE ({}), CUBE ({})",
            columns(7),
            columns(8)
        ),
        format!(
            "SELECT count(*) FROM history GROUP BY ROLLUP ({}), ROLLUP ({}), ROLLUP ({})",
            columns(30),
            columns(31),
            columns(32)
        ),
        format!(
            "SELECT 1 FROM history{}",
            ", history".repeat(0)
                + &(0..40)
                    .map(|i| format!(", history h{i}"))
                    .collect::<String>()
        ),
        vec!["SELECT 1"; 3000].join(" UNION ALL "),
    ] {
        ends(&full, &sql, 300, STATEMENT).await;
    }
}
