//! What lies beside, below or above a table and is not its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use super::aging::{NO_GRACE, aged};
use super::support::*;
use crate::objects::{self, ObjectSettings, Opened, scratch};
use crate::table::log::DeltaLog;
use crate::table::{Table, TableError, TableOptions, TableSpec, create};

async fn put(opened: &Opened, key: &Path) {
    let bytes = PutPayload::from("somebody's");
    opened.store.put(key, bytes).await.unwrap();
}

async fn keys(opened: &Opened) -> Vec<String> {
    let all: Vec<_> = opened.store.list(None).try_collect().await.unwrap();
    let mut keys: Vec<String> = all.iter().map(|o| o.location.to_string()).collect();
    keys.sort();
    keys
}

async fn local(folder: &tempfile::TempDir) -> Opened {
    let url = format!("file://{}/t", folder.path().display());
    objects::open(&url, &ObjectSettings::default())
        .await
        .unwrap()
}

/// Waits until whatever was put is older than no grace at all, by a store's
/// clock of milliseconds.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

/// Both at a bucket's root and in a folder, and all that shares the place.
#[tokio::test]
async fn foreign_files_survive_a_vacuum_without_grace() {
    for root in ["", "tables/history"] {
        let clock = clock();
        clock.0.store(i64::MAX / 2, Ordering::SeqCst);
        let opened = Opened {
            prefix: Path::from(root),
            ..memory()
        };
        let table = aged(&opened, &clock, 2).await;
        let own = orphan_of(&table);
        let own_name = own.filename().unwrap();
        let foreign = [
            "data.parquet".to_owned(),
            "other/data.parquet".to_owned(),
            own_name.to_owned(),
            format!("other/{own_name}"),
            format!("ingest_date=2025-11-22/deeper/{own_name}"),
            format!("other/ingest_date=2025-11-22/{own_name}"),
            "ingest_date=2025-11-22/part-00000-c000.snappy.parquet".to_owned(),
            "ingest_date=2025-11-22/000000000000-000000000009-x-0.parquet".to_owned(),
        ];
        for key in &foreign {
            put(&opened, &table.log.key(key)).await;
        }
        put(&opened, &own).await;
        a_moment().await;
        let report = table.vacuum(NO_GRACE).await.unwrap();
        assert_eq!((report.removed, report.orphans), (0, 1), "{root}");
        let left = keys(&opened).await;
        assert!(!left.contains(&own.to_string()));
        for key in &foreign {
            assert!(left.contains(&table.log.key(key).to_string()), "{key}");
        }
        assert_eq!(rows(&table).await, expected(20));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nested_tables_survive_each_others_vacuum_and_log_cleaning() {
    let clock = clock();
    clock.0.store(i64::MAX / 2, Ordering::SeqCst);
    let outer = memory();
    drop(aged(&outer, &clock, 3).await);
    let places = ["below", "ingest_date=2020-01-01", "_delta_log/below"];
    let mut tables = Vec::new();
    for place in places {
        let opened = outer.at(place);
        tables.push((aged(&opened, &clock, 6).await, opened));
    }
    // Opens although the log's folder holds later entries of another.
    let above = Table::open_or_create(
        &outer,
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
    a_moment().await;
    let before = keys(&outer).await;
    tables.push((above, outer.clone()));
    for (table, _) in &tables {
        let report = table.vacuum(NO_GRACE).await.unwrap();
        assert_eq!((report.removed, report.orphans), (0, 0));
    }
    assert_eq!(keys(&outer).await, before);
    let above = &tables[3].0;
    assert_eq!(above.try_clean_log(3).await.unwrap(), 3, "its own entries");
    for ((_, opened), events) in tables.iter().zip([60, 60, 60, 30]) {
        assert_eq!(rows(&open(opened).await).await, expected(events));
    }
}

#[tokio::test]
async fn a_place_that_holds_anything_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for opened in [memory(), local(&folder).await] {
        let inner = opened.at("a/b");
        open(&inner).await;
        // Above a table, and beside a file.
        let beside = opened.at("c");
        put(&beside, &beside.at("x.txt").prefix).await;
        let before = keys(&opened).await;
        for place in [&opened, &opened.at("a"), &beside] {
            let error = try_open(place).await.unwrap_err();
            assert!(matches!(error, TableError::Refused { .. }), "{error}");
            assert!(error.to_string().contains("an empty place"), "{error}");
        }
        assert_eq!(keys(&opened).await, before, "nothing was put there");
        open(&inner).await;
    }
}

#[tokio::test]
async fn a_log_without_its_first_entry_is_not_written_over() {
    let opened = memory();
    put(&opened, &opened.at("_delta_log/_last_checkpoint").prefix).await;
    let error = try_open(&opened).await.unwrap_err();
    assert!(matches!(error, TableError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn what_an_interrupted_creation_leaves_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let opened = local(&folder).await;
    let log = folder.path().join("t/_delta_log");
    std::fs::create_dir(&log).unwrap();
    std::fs::write(log.join("00000000000000000000.json.cairn-staged#0"), "{").unwrap();
    for what in ["probe", "clock"] {
        let key = opened.at(&scratch(what, &"0a".repeat(16))).prefix;
        put(&opened, &key).await;
    }
    // An empty folder, as consoles make them.
    let bucket = memory();
    bucket
        .store
        .put(&bucket.prefix, PutPayload::default())
        .await
        .unwrap();
    for place in [opened, bucket] {
        let table = open(&place).await;
        table
            .commit(vec![events(0, 10)], &at(0), &at(10))
            .await
            .unwrap();
        assert_eq!(rows(&open(&place).await).await, expected(10));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_creators_each_opens_the_one_table() {
    let folder = tempfile::tempdir().unwrap();
    for opened in [memory(), local(&folder).await] {
        let tables = (0..8).map(|_| {
            let opened = opened.clone();
            tokio::spawn(async move { open(&opened).await })
        });
        let tables = futures::future::try_join_all(tables).await.unwrap();
        tables[0]
            .commit(vec![events(0, 10)], &at(0), &at(10))
            .await
            .unwrap();
        for table in tables {
            table.refresh().await.unwrap();
            assert_eq!(rows(&table).await, expected(10));
        }
    }
}

/// Between the look for a table and the look whether the place is empty.
#[tokio::test]
async fn a_creator_that_another_overtakes_opens_what_that_one_made() {
    let opened = memory();
    let other = open(&opened).await;
    other
        .commit(vec![events(0, 10)], &at(0), &at(10))
        .await
        .unwrap();
    let log = DeltaLog {
        table: "history".to_owned(),
        store: Arc::clone(&opened.store),
        root: opened.prefix.clone(),
    };
    let spec = TableSpec::events("history");
    let now = cairn_schemas::Micros(NOON);
    let state = create(&log, &spec, &options(), now, &TestIds)
        .await
        .unwrap();
    assert_eq!((state.version, state.files.len()), (1, 1));
}

/// A hidden file, written so many seconds ago.
fn hidden(folder: &tempfile::TempDir, name: &str, age: u64) -> PathBuf {
    let path = folder.path().join("t").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(&path).unwrap();
    let now = file.metadata().unwrap().modified().unwrap();
    file.set_modified(now - Duration::from_secs(age)).unwrap();
    path
}

#[tokio::test]
async fn a_vacuum_removes_what_crashes_left_in_the_tables_folders_alone() {
    const OLD: u64 = 4 * 86_400;
    let folder = tempfile::tempdir().unwrap();
    let opened = local(&folder).await;
    let table = Table::open_or_create(
        &opened,
        TableSpec::events("history"),
        options(),
        Arc::new(TestClock((i64::MAX / 2).into())),
        Arc::new(TestIds),
    )
    .await
    .unwrap();
    table
        .commit(vec![events(0, 10)], &at(0), &at(10))
        .await
        .unwrap();
    let listing = table.files();
    let day = listing.files[0].path.parts().next().unwrap();
    let day = day.as_ref();
    let gone = [
        hidden(&folder, &format!("{day}/a.parquet.cairn-staged#7"), OLD),
        hidden(&folder, "_delta_log/1.json.cairn-staged#12", OLD),
    ];
    let kept = [
        hidden(&folder, &format!("{day}/b.parquet.cairn-staged#8"), 60),
        hidden(&folder, &format!("{day}/a.parquet#7"), OLD),
        hidden(&folder, &format!("{day}/deeper/a.cairn-staged#7"), OLD),
        hidden(&folder, &format!("{day}/a.cairn-staged#x"), OLD),
        hidden(&folder, &format!("{day}/.cairn-staged#1"), OLD),
        hidden(&folder, "a.cairn-staged#7", OLD),
        hidden(&folder, "other/a.cairn-staged#7", OLD),
    ];
    // Nothing goes when a store is opened: whose it is is not known then.
    local(&folder).await;
    assert!(gone.iter().all(|path| path.exists()));
    table.vacuum(Default::default()).await.unwrap();
    for path in gone {
        assert!(!path.exists(), "{}", path.display());
    }
    for path in kept {
        assert!(path.exists(), "{}", path.display());
    }
    assert_eq!(rows(&open(&opened).await).await, expected(10));
}
