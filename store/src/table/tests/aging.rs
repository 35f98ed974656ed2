//! Expiry, vacuum and the log's own cleaning.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cairn_schemas::Micros;
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, PutPayload};

use super::locked::locked;
use super::support::*;
use crate::objects::{ObjectSettings, Opened};
use crate::table::{
    CompactPolicy, Condition, Table, TableError, TableOptions, TableSpec, VacuumGrace,
};

/// A table whose clock is `clock`, with ten rows of each of `days` days that
/// end today.
pub(super) async fn aged(opened: &Opened, clock: &Arc<TestClock>, days: i64) -> Table {
    let table = Table::open_or_create(
        opened,
        TableSpec::events("history"),
        options(),
        Arc::clone(clock) as _,
        Arc::new(TestIds),
    )
    .await
    .unwrap();
    for n in 0..days {
        let ingested = NOON - (days - 1 - n) * DAY;
        table
            .commit(
                vec![events_at(n * 10, n * 10 + 10, ingested)],
                &at(n * 10),
                &at(n * 10 + 10),
            )
            .await
            .unwrap();
    }
    table
}

async fn objects(opened: &Opened) -> usize {
    let all: Vec<_> = opened
        .store
        .list(Some(&opened.prefix))
        .try_collect()
        .await
        .unwrap();
    all.iter()
        .filter(|o| o.location.as_ref().contains("ingest_date="))
        .count()
}

pub(super) const NO_GRACE: VacuumGrace = VacuumGrace {
    removed: Duration::ZERO,
    orphans: Duration::ZERO,
};

#[tokio::test]
async fn expired_files_go_and_their_objects_after_the_grace() {
    let (opened, clock) = (memory(), clock());
    let table = aged(&opened, &clock, 5).await;
    let reader = table.files();
    let report = table.expire(Micros(NOON - 2 * DAY)).await.unwrap();
    assert_eq!((report.files, report.rows), (2, 20));
    assert_eq!(table.files().files.len(), 3);
    assert_eq!(table.position(), at(50));
    assert_eq!(rows(&table).await.len(), 30);
    assert_eq!(table.expire(Micros(NOON - 2 * DAY)).await.unwrap().files, 0);

    // Within the grace a reader of the older listing reads on.
    let kept = table.vacuum(VacuumGrace::default()).await.unwrap();
    assert_eq!((kept.removed, kept.orphans), (0, 0));
    let old: Vec<_> = table
        .read(&reader.files[0], None)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(old.iter().map(|b| b.num_rows()).sum::<usize>(), 10);

    for _ in 0..8 {
        // Not so long that the table is read anew.
        clock.0.fetch_add(3599 * 1_000_000, Ordering::SeqCst);
        table.refresh().await.unwrap();
    }
    let gone = table.vacuum(VacuumGrace::default()).await.unwrap();
    assert_eq!(gone.removed, 2);
    assert_eq!(objects(&opened).await, 3);
    let error = table
        .read(&reader.files[0], None)
        .try_collect::<Vec<_>>()
        .await
        .unwrap_err();
    assert!(matches!(error, TableError::Unavailable { .. }), "{error}");
    assert_eq!(rows(&open(&opened).await).await.len(), 30);
}

#[tokio::test]
async fn a_clock_that_jumped_removes_nothing() {
    let (opened, clock) = (memory(), clock());
    let table = aged(&opened, &clock, 5).await;
    let future = table.expire(Micros(NOON + DAY)).await;
    assert!(matches!(future, Err(TableError::Refused { .. })));
    clock.0.fetch_add(3650 * DAY, Ordering::SeqCst);
    let jumped = table.expire(Micros(NOON + 3560 * DAY)).await.unwrap_err();
    assert!(jumped.to_string().contains("nothing came in"), "{jumped}");
    assert_eq!(table.expiry_trouble(), Some(jumped.to_string()));
    // Also when events came in under the wrong clock, all the time.
    table
        .commit(vec![events_at(50, 60, NOON + 3650 * DAY)], &at(50), &at(60))
        .await
        .unwrap();
    let jumped = table.expire(Micros(NOON + 3560 * DAY)).await.unwrap_err();
    assert!(matches!(jumped, TableError::Refused { .. }));
    assert_eq!(rows(&table).await, expected(60));
    // Put right, it goes on.
    clock.0.fetch_add(-3650 * DAY, Ordering::SeqCst);
    assert_eq!(table.expire(Micros(NOON - 2 * DAY)).await.unwrap().files, 2);
    assert_eq!(table.expiry_trouble(), None);
}

/// Commits ten rows each that came in at `times`, after the first `done` tens.
async fn came_in(table: &Table, done: i64, times: impl IntoIterator<Item = i64>) {
    for (n, time) in (done..).zip(times) {
        let (from, to) = (n * 10, n * 10 + 10);
        let rows = events_at(from, to, time);
        table.commit(vec![rows], &at(from), &at(to)).await.unwrap();
    }
}

/// Events come in every day, the clock jumps by forty days, and they go on to
/// come in: what lies just before the bound is as old as it always is.
#[tokio::test]
async fn a_clock_that_jumped_while_events_came_in_removes_nothing() {
    let (opened, clock) = (memory(), clock());
    let table = aged(&opened, &clock, 0).await;
    let day = |n: i64| NOON - (200 - n) * DAY;
    came_in(&table, 0, (0..5).map(day)).await;
    came_in(&table, 5, (40..45).map(day)).await;
    clock.0.store(day(45), Ordering::SeqCst);
    let jumped = table.expire(Micros(day(2))).await.unwrap_err();
    assert!(jumped.to_string().contains("nothing came in"), "{jumped}");
    assert_eq!(rows(&table).await, expected(100));
    // What came in after the hole is trusted again.
    came_in(&table, 10, [70, 95, 120].map(day)).await;
    clock.0.store(day(130), Ordering::SeqCst);
    let late = table.expire(Micros(day(42))).await.unwrap();
    assert_eq!(late.files, 7);
}

#[tokio::test]
async fn a_clock_that_is_ahead_of_the_stores_removes_nothing() {
    let (opened, clock) = (memory(), clock());
    let table = aged(&opened, &clock, 0).await;
    let start = table.store_time().await.unwrap() * 1000;
    let hour = DAY / 24;
    came_in(&table, 0, (0..10).map(|n| start - (9 - n) * DAY)).await;
    clock.0.store(start + 2 * hour, Ordering::SeqCst);
    let bound = Micros(start - 5 * DAY);
    let ahead = table.expire(bound).await.unwrap_err();
    assert!(ahead.to_string().contains("by the store's"), "{ahead}");
    assert_eq!(table.expiry_trouble(), Some(ahead.to_string()));
    assert_eq!(rows(&table).await, expected(100));
    clock.0.store(start + hour / 2, Ordering::SeqCst);
    assert_eq!(table.expire(bound).await.unwrap().files, 4);
    assert_eq!(table.expiry_trouble(), None);
}

#[tokio::test]
async fn orphans_go_and_nothing_else() {
    let (opened, clock) = (memory(), clock());
    clock.0.store(i64::MAX / 2, Ordering::SeqCst);
    let table = aged(&opened, &clock, 3).await;
    opened
        .store
        .put(&orphan_of(&table), PutPayload::from("half a file"))
        .await
        .unwrap();
    let young = table.vacuum(VacuumGrace::default()).await.unwrap();
    assert_eq!(
        young.orphans, 0,
        "its writer may still be about to commit it"
    );
    tokio::time::sleep(Duration::from_millis(5)).await;
    let report = table.vacuum(NO_GRACE).await.unwrap();
    assert_eq!((report.removed, report.orphans), (0, 1));
    assert_eq!(rows(&table).await, expected(30));
    assert_eq!(objects(&opened).await, 3);
}

#[tokio::test]
async fn a_vacuum_leaves_what_is_locked_and_tells() {
    let (opened, clock) = (memory(), clock());
    clock.0.store(i64::MAX / 2, Ordering::SeqCst);
    let table = aged(&locked(&opened), &clock, 1).await;
    let orphan = orphan_of(&table);
    let half = PutPayload::from("half a file");
    opened.store.put(&orphan, half).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    // Every run meets it again, until it may go.
    for _ in 0..2 {
        let report = table.vacuum(NO_GRACE).await.unwrap();
        assert_eq!((report.orphans, report.kept), (1, 1));
    }
    assert_eq!(objects(&opened).await, 2);
    assert_eq!(rows(&table).await, expected(10));
}

#[tokio::test]
async fn compacted_files_are_vacuumed_and_the_new_one_stays() {
    let (opened, clock) = (memory(), clock());
    // Long ago by the store's clock, so that every grace is over.
    clock.0.store(1_000_000_000_000_000, Ordering::SeqCst);
    let table = open(&opened).await;
    drop(table);
    let table = aged(&opened, &clock, 1).await;
    for n in 1..6 {
        let (from, to) = (n * 10, n * 10 + 10);
        table
            .commit(vec![events(from, to)], &at(from), &at(to))
            .await
            .unwrap();
    }
    let narrow = CompactPolicy {
        min_files: 2,
        ..CompactPolicy::default()
    };
    assert_eq!(table.compact(&narrow).await.unwrap().removed, 6);
    clock.0.store(i64::MAX / 2, Ordering::SeqCst);
    let report = table.vacuum(VacuumGrace::default()).await.unwrap();
    assert_eq!((report.removed, report.orphans), (6, 0));
    assert_eq!(objects(&opened).await, 1);
    assert_eq!(rows(&open(&opened).await).await, expected(60));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_logs_old_entries_go_and_the_table_opens_from_the_checkpoint() {
    let (opened, clock) = (memory(), clock());
    let table = Table::open_or_create(
        &opened,
        TableSpec::events("history"),
        TableOptions {
            log_retention: Duration::ZERO,
            ..options()
        },
        clock,
        Arc::new(TestIds),
    )
    .await
    .unwrap();
    for n in 0..6 {
        tokio::time::sleep(Duration::from_millis(2)).await;
        table
            .commit(
                vec![events(n * 10, n * 10 + 10)],
                &at(n * 10),
                &at(n * 10 + 10),
            )
            .await
            .unwrap();
    }
    let cleaned = table.try_clean_log(6).await.unwrap();
    // Entries 0 to 5, and the checkpoint of 3.
    assert_eq!(cleaned, 7);
    let again = open(&opened).await;
    assert_eq!(rows(&again).await, expected(60));
    again
        .commit(vec![events(60, 70)], &at(60), &at(70))
        .await
        .unwrap();
    assert_eq!(rows(&open(&opened).await).await, expected(70));
}

#[tokio::test]
async fn a_machine_that_was_suspended_commits_nowhere_in_the_past() {
    let (opened, clock) = (memory(), clock());
    let ours = aged(&opened, &clock, 0).await;
    // While the machine is suspended its steady clock stands still. Others
    // commit the same records, and the log lets go of what is old.
    let theirs = open(&opened).await;
    for n in 0..6 {
        let (from, to) = (at(n * 10), at(n * 10 + 10));
        let rows = events(n * 10, n * 10 + 10);
        theirs.commit(vec![rows], &from, &to).await.unwrap();
    }
    for version in 0..6 {
        let entry = opened.prefix.clone().join("_delta_log");
        let entry = entry.join(format!("{version:020}.json"));
        opened.store.delete(&entry).await.unwrap();
    }
    clock.0.fetch_add(2 * DAY, Ordering::SeqCst);
    let told = ours.commit(vec![events(0, 10)], &at(0), &at(10)).await;
    assert!(
        matches!(&told, Err(TableError::Conflict { at: there }) if *there == at(60)),
        "{told:?}"
    );
    assert_eq!(rows(&open(&opened).await).await, expected(60));

    // Nor does it list files that the vacuum may have taken for orphans.
    let late = ours.prepare(vec![events(60, 70)]).await.unwrap();
    clock.0.fetch_add(2 * DAY, Ordering::SeqCst);
    let told = ours
        .publish_prepared(&late, &at(60), &at(70), Condition::Whole)
        .await;
    assert!(
        matches!(&told, Err(TableError::Unavailable { .. })),
        "{told:?}"
    );
    assert!(ours.is_too_old(&late));
}

/// A folder lists its entries in the order of their hashes, and the newest first
/// on a tmpfs: the checkpoint has to be there all the same, each time it is due.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_are_written_on_a_local_disk() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/tables", folder.path().display());
    let opened = crate::objects::open(&url, &ObjectSettings::default())
        .await
        .unwrap();
    let opened = opened.at("history");
    let table = open(&opened).await;
    for n in 0..36 {
        table.commit(vec![], &at(n), &at(n + 1)).await.unwrap();
    }
    let found = table.log.find_all().await.unwrap();
    let due: Vec<i64> = (1..=12).map(|n| 3 * n).collect();
    assert_eq!(found.checkpoints, due);
    // And what the kernel made of that list is the table.
    for n in 0..36 {
        let entry = opened.at(&format!("_delta_log/{n:020}.json")).prefix;
        opened.store.delete(&entry).await.unwrap();
    }
    assert_eq!(open(&opened).await.position(), at(36));
}
