//! Answers that need more memory than there is for them.

use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;

use super::fixture::{B, Organization, auditor, batches, organization_within, rows, small};
use crate::Limits;
use crate::error::{ErrorKind, Exceeded};

/// 360,000 texts of some 120 bytes, none twice.
const TEXTS: &str =
    "(SELECT repeat(a.raw, 5) || b.event_id AS x FROM history a CROSS JOIN history b) t";
const ALL: usize = 360_000;

async fn within(dir: &Path, spill: u64) -> Organization {
    let limits = Limits {
        memory: 32 << 20,
        memory_per_query: 32 << 20,
        spill_dir: Some(dir.to_owned()),
        spill,
        ..small()
    };
    organization_within(&[B], limits).await
}

fn files(dir: &Path) -> usize {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .map(|path| if path.is_dir() { files(&path) } else { 1 })
        .sum()
}

async fn whole(full: &Organization, sql: &str) -> RecordBatch {
    let all = batches(&full.engine, &auditor(&[B]), sql).await.unwrap();
    concat_batches(&all[0].schema(), &all).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sort_larger_than_memory_spills_and_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let full = within(dir.path(), 4 << 30).await;
    let sorted = whole(&full, &format!("SELECT x FROM {TEXTS} ORDER BY x")).await;
    assert_eq!(sorted.num_rows(), ALL);
    let texts = sorted.column(0).as_string::<i32>();
    assert!((1..ALL).all(|i| texts.value(i - 1) < texts.value(i)));
    assert!(full.engine.spilled_bytes() > 32 << 20);
    assert_eq!(files(dir.path()), 0, "files of a query that is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aggregation_larger_than_memory_spills_and_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let full = within(dir.path(), 4 << 30).await;
    let sql = format!("SELECT x, count(*) AS n FROM {TEXTS} GROUP BY x");
    let groups = whole(&full, &sql).await;
    assert_eq!(groups.num_rows(), ALL);
    let counts = groups.column(1).as_primitive::<Int64Type>();
    assert!(counts.values().iter().all(|n| *n == 1));
    assert!(full.engine.spilled_bytes() > 8 << 20);
    assert_eq!(files(dir.path()), 0, "files of a query that is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spill_that_may_not_be_so_large_is_told_as_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let full = within(dir.path(), 1 << 20).await;
    for sql in [
        format!("SELECT x FROM {TEXTS} ORDER BY x"),
        format!("SELECT x, count(*) FROM {TEXTS} GROUP BY x"),
    ] {
        let told = rows(&full.engine, &auditor(&[B]), &sql).await.unwrap_err();
        assert_eq!(told.kind, ErrorKind::Limit(Exceeded::Spill), "{sql}");
        assert!(told.hint.unwrap().contains("spill_bytes"), "{sql}");
        // Its tasks end a moment after its error is told.
        for _ in 0..500 {
            if files(dir.path()) == 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(files(dir.path()), 0, "files of a query that failed");
    }
    // And what is free again is free for the next.
    let count = rows(&full.engine, &auditor(&[B]), "SELECT count(*) FROM history").await;
    assert_eq!(count.unwrap(), ["600"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_may_be_spilled_memory_is_the_limit() {
    let limits = Limits {
        memory: 32 << 20,
        memory_per_query: 32 << 20,
        spill_dir: None,
        ..small()
    };
    let full = organization_within(&[B], limits).await;
    let sql = format!("SELECT x FROM {TEXTS} ORDER BY x");
    let told = rows(&full.engine, &auditor(&[B]), &sql).await.unwrap_err();
    assert_eq!(told.kind, ErrorKind::Limit(Exceeded::Memory));
}
