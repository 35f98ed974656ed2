//! How far the table reached, asked later.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cairn_schemas::Micros;
use cairn_schemas::time::SECOND;

use super::aging::{NO_GRACE, aged};
use super::support::*;
use crate::table::{CompactPolicy, Table, TableError, TableOptions, TableSpec};
use crate::view::{Expired, Moment};

/// Ten rows a minute, from `clock` on.
async fn minutes(table: &Table, clock: &TestClock, commits: i64) {
    for _ in 0..commits {
        clock.0.fetch_add(60 * SECOND, Ordering::SeqCst);
        let from = table.position();
        let first = from.0.values().next().copied().unwrap_or(0);
        let rows = events_at(first, first + 10, clock.0.load(Ordering::SeqCst));
        table
            .commit(vec![rows], &from, &at(first + 10))
            .await
            .unwrap();
    }
}

fn reason(error: TableError) -> String {
    match error {
        TableError::Refused { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_version_and_a_time_tell_how_far_the_table_reached() {
    let (opened, clock) = (memory(), clock());
    let table = aged(&opened, &clock, 0).await;
    let start = clock.0.load(Ordering::SeqCst);
    minutes(&table, &clock, 10).await;
    let ask = async |moment| table.past(moment).await;
    for (version, reach) in [(1, 10), (5, 50), (10, 100)] {
        let told = ask(Moment::Version(version)).await.unwrap();
        assert_eq!((told.version, told.reach), (version, at(reach)));
    }
    let minute = |n: i64| Moment::Time(Micros(start + n * 60 * SECOND));
    for (moment, version) in [(minute(1), 1), (minute(5), 5), (minute(10), 10)] {
        assert_eq!(ask(moment).await.unwrap().version, version);
    }
    let between = Moment::Time(Micros(start + 5 * 60 * SECOND + 59 * SECOND));
    assert_eq!(ask(between).await.unwrap().reach, at(50));
    // Merging and deleting files changes nothing of that.
    let policy = CompactPolicy {
        min_files: 2,
        ..CompactPolicy::default()
    };
    assert_eq!(table.compact(&policy).await.unwrap().removed, 10);
    clock.0.fetch_add(60 * SECOND, Ordering::SeqCst);
    assert_eq!(table.vacuum(NO_GRACE).await.unwrap().removed, 10);
    assert_eq!(ask(minute(5)).await.unwrap().reach, at(50));
    assert_eq!(ask(Moment::Version(5)).await.unwrap().reach, at(50));
    let error = reason(ask(Moment::Version(99)).await.unwrap_err());
    assert!(error.contains("the newest is 11"), "{error}");
    let error = reason(ask(minute(99)).await.unwrap_err());
    assert!(error.contains("future"), "{error}");
    let error = reason(ask(minute(-1)).await.unwrap_err());
    assert!(error.contains("oldest time"), "{error}");
}

#[tokio::test]
async fn where_the_log_was_cleaned_the_oldest_that_is_left_is_named() {
    let (opened, clock) = (memory(), clock());
    let options = TableOptions {
        log_retention: std::time::Duration::ZERO,
        ..options()
    };
    let table = Table::open_or_create(
        &opened,
        TableSpec::events("history"),
        options,
        Arc::clone(&clock) as _,
        Arc::new(TestIds),
    )
    .await
    .unwrap();
    let start = clock.0.load(Ordering::SeqCst);
    minutes(&table, &clock, 10).await;
    // The tenth has come after the checkpoint of the ninth.
    assert!(table.try_clean_log(9).await.unwrap() > 0);
    let error = reason(table.past(Moment::Version(4)).await.unwrap_err());
    assert!(error.contains("can be asked by its number is 9"), "{error}");
    let long_ago = Moment::Time(Micros(start + 60 * SECOND));
    let error = reason(table.past(long_ago).await.unwrap_err());
    assert!(error.contains("oldest time"), "{error}");
    for version in [9, 10] {
        let told = table.past(Moment::Version(version)).await.unwrap();
        assert_eq!(told.reach, at(version * 10));
    }
}

#[tokio::test]
async fn an_expiry_says_what_is_gone() {
    let (opened, clock) = (memory(), clock());
    let table = aged(&opened, &clock, 5).await;
    assert_eq!(table.files().expired, None);
    let before = Micros(NOON - 2 * DAY);
    table.expire(before).await.unwrap();
    let told = table.files();
    assert_eq!(
        told.expired,
        Some(Expired {
            before,
            version: told.version
        })
    );
    // Who opens the table next knows it too.
    let again = open(&opened).await;
    assert_eq!(again.files().expired, told.expired);
    assert_eq!(again.position(), at(50));
}
