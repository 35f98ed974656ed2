//! What windows and groups hold on to counts as the query's memory.

use std::time::Duration;

use super::fixture::{
    A, B, C, Organization, auditor_of_all, batches, organization_within, rows, small,
};
use crate::Limits;
use crate::error::{ErrorKind, Exceeded};

async fn within(memory: usize) -> Organization {
    let limits = Limits {
        memory,
        memory_per_query: memory,
        ..small()
    };
    organization_within(&[A, B, C], limits).await
}

/// The answer's rows; tried again while the query before gives back what it took.
pub(super) async fn served(full: &Organization, sql: &str) -> Vec<String> {
    let mut told = rows(&full.engine, &auditor_of_all(), sql).await;
    for _ in 0..100 {
        if told.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        told = rows(&full.engine, &auditor_of_all(), sql).await;
    }
    told.unwrap()
}

/// 60,000 pairs of events, of 22 bytes and 544.
const PAIRS: &str = "(SELECT a.raw AS raw, a.raw || b.raw || repeat('x', 500) AS both FROM history a CROSS JOIN \
                     (SELECT raw FROM history LIMIT 50) b)";
const ROWS: usize = 1200 * 50;

#[tokio::test(flavor = "multi_thread")]
async fn what_windows_hold_and_make_is_counted() {
    let full = within(8 << 20).await;
    // One of them is long, and would be there 1,200 times.
    let one_long = "(SELECT event_id, CASE WHEN event_id = (SELECT min(event_id) FROM history) \
                    THEN repeat(raw, 10000) ELSE raw END AS x FROM history)";
    for sql in [
        format!("SELECT string_agg(both, ',') OVER (ROWS UNBOUNDED PRECEDING) FROM {PAIRS}"),
        format!("SELECT array_agg(both) OVER (ROWS UNBOUNDED PRECEDING) FROM {PAIRS}"),
        format!("SELECT first_value(x) OVER (ORDER BY event_id) FROM {one_long}"),
        // Rows that wait for the end of the input.
        format!("SELECT both, count(*) OVER () FROM {PAIRS}"),
        format!("SELECT lag(both) OVER (), count(*) OVER () FROM {PAIRS}"),
        // What is kept from row to row.
        format!(
            "SELECT max(n) FROM (SELECT count(DISTINCT both) OVER (ROWS UNBOUNDED PRECEDING) AS n FROM {PAIRS})"
        ),
    ] {
        let told = rows(&full.engine, &auditor_of_all(), &sql).await;
        let kind = told.map(|rows| rows.len()).map_err(|e| e.kind);
        assert_eq!(kind, Err(ErrorKind::Limit(Exceeded::Memory)), "{sql}");
    }
    // What goes on is held no longer, and numbers are no burden.
    for (sql, n) in [
        (
            format!("SELECT count(x) FROM (SELECT lag(both) OVER () AS x FROM {PAIRS})"),
            ROWS - 1,
        ),
        (
            format!("SELECT count(x) FROM (SELECT row_number() OVER () AS x FROM {PAIRS})"),
            ROWS,
        ),
        (
            format!(
                "SELECT max(x) FROM (SELECT sum(length(both)) OVER (ROWS 3 PRECEDING) AS x FROM {PAIRS})"
            ),
            4 * 544,
        ),
    ] {
        assert_eq!(served(&full, &sql).await, [n.to_string()], "{sql}");
    }
    let short = "SELECT max(cardinality(x)) FROM (SELECT array_agg(event_name) OVER (PARTITION BY account_id \
                 ORDER BY event_id ROWS 2 PRECEDING) AS x FROM history)";
    assert_eq!(served(&full, short).await, ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lists_hold_on_to_is_counted() {
    let full = within(8 << 20).await;
    for sql in [
        format!("SELECT cardinality(array_agg(both)) FROM {PAIRS}"),
        format!("SELECT raw, cardinality(array_agg(both)) FROM {PAIRS} GROUP BY raw"),
        format!("SELECT cardinality(array_agg(DISTINCT both)) FROM {PAIRS}"),
        format!("SELECT length(string_agg(both, ',')) FROM {PAIRS}"),
    ] {
        let told = rows(&full.engine, &auditor_of_all(), &sql).await;
        let kind = told.map(|rows| rows.len()).map_err(|e| e.kind);
        assert_eq!(kind, Err(ErrorKind::Limit(Exceeded::Memory)), "{sql}");
    }
    for (sql, n) in [
        ("SELECT cardinality(array_agg(raw)) FROM history", "1200"),
        (
            "SELECT sum(n) FROM (SELECT cardinality(array_agg(raw)) AS n FROM history GROUP BY event_name)",
            "1200",
        ),
        (
            "SELECT cardinality(array_agg(raw ORDER BY event_id)) FROM history",
            "1200",
        ),
        (
            "SELECT count(*) FROM (SELECT unnest(array_agg(raw)) FROM history)",
            "1200",
        ),
    ] {
        assert_eq!(served(&full, sql).await, [n], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_cut_is_bounded() {
    let full = within(8 << 20).await;
    let of = |times: usize| format!("SELECT string_agg(repeat(raw, {times}), ',') FROM history");
    // 1,200 times 22 bytes, 50 times: 1.3 MB; and 100 times, which the query may
    // hold, but not give.
    // (Not as text for people, which takes long.)
    let asked = |times| {
        let (full, sql) = (&full, of(times));
        async move { batches(&full.engine, &auditor_of_all(), &sql).await }
    };
    assert_eq!(asked(50).await.unwrap()[0].num_rows(), 1);
    let told = asked(100).await.unwrap_err();
    assert_eq!(told.kind, ErrorKind::Limit(Exceeded::Memory));
    assert!(told.message.contains("a row of the answer"), "{told}");
}
