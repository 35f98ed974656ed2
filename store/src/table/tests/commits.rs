//! Exactly once: plain, under every fault of every put, and against others.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Date32Type, TimestampMicrosecondType};
use cairn_faults::{Fault, FaultStore, Plan};
use cairn_schemas::{Micros, Position};
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, PutPayload};

use super::support::*;
use crate::objects::{ObjectSettings, Opened};
use crate::table::state::Entry;
use crate::table::{Table, TableError, TableSpec};

#[tokio::test]
async fn what_was_committed_is_read_back_sorted_and_reopens_equal() {
    let opened = memory();
    let table = open(&opened).await;
    let listing = table
        .commit(vec![events(0, 300), events(300, 400)], &at(0), &at(410))
        .await
        .unwrap();
    assert_eq!(listing.files.len(), 1);
    let file = &listing.files[0];
    assert_eq!(file.rows, 400);
    assert_eq!(file.ingest_date, Micros(NOON).day());
    let times: Vec<i64> = (0..400).map(event_time).collect();
    let exact = (*times.iter().min().unwrap(), *times.iter().max().unwrap());
    assert_eq!(file.event_time, Some((Micros(exact.0), Micros(exact.1))));
    assert_eq!(file.ingest_time, Some((Micros(NOON), Micros(NOON))));
    assert_eq!((file.offsets[0].first, file.offsets[0].next), (0, 400));
    assert_eq!(file.accounts.as_ref().unwrap().len(), 3);
    assert_eq!(table.position(), at(410));

    let batches: Vec<RecordBatch> = table.read(file, None).try_collect().await.unwrap();
    assert_eq!(batches[0].schema(), *table.schema());
    let mut last = i64::MIN;
    for batch in &batches {
        for t in batch
            .column(1)
            .as_primitive::<TimestampMicrosecondType>()
            .values()
        {
            assert!(*t >= last);
            last = *t;
        }
        let days = batch.column_by_name("ingest_date").unwrap();
        assert_eq!(days.as_primitive::<Date32Type>().value(0), file.ingest_date);
    }
    assert_eq!(rows(&table).await, expected(400));

    let again = open(&opened).await;
    assert_eq!(again.position(), table.position());
    assert_eq!(again.files().version, table.files().version);
    assert_eq!(
        format!("{:?}", again.files().files),
        format!("{:?}", table.files().files)
    );
}

#[tokio::test]
async fn columns_can_be_chosen() {
    let table = open(&memory()).await;
    table
        .commit(vec![events(0, 5)], &at(0), &at(5))
        .await
        .unwrap();
    let file = table.files().files[0].clone();
    let wanted = ["ingest_date", "event_id"];
    let batches: Vec<RecordBatch> = table
        .read(&file, Some(&wanted))
        .try_collect()
        .await
        .unwrap();
    let schema = batches[0].schema();
    let names: Vec<&String> = schema.fields().iter().map(|f| f.name()).collect();
    assert_eq!(names, ["event_id", "ingest_date"]);
    let none: Vec<RecordBatch> = table.read(&file, Some(&[])).try_collect().await.unwrap();
    assert_eq!(none.iter().map(RecordBatch::num_rows).sum::<usize>(), 5);
}

#[tokio::test]
async fn a_batch_over_midnight_becomes_a_file_per_day() {
    let table = open(&memory()).await;
    let rows_in = vec![
        events_at(0, 10, NOON + DAY),
        events_at(10, 20, NOON),
        events_at(20, 30, NOON + DAY),
    ];
    let listing = table.commit(rows_in, &at(0), &at(30)).await.unwrap();
    let days: Vec<(i32, u64)> = listing
        .files
        .iter()
        .map(|f| (f.ingest_date, f.rows))
        .collect();
    let today = Micros(NOON).day();
    assert_eq!(days, [(today, 10), (today + 1, 20)]);
    assert!(
        listing.files[0]
            .path
            .as_ref()
            .contains("/ingest_date=2025-11-22/000000000010-")
    );
    assert_eq!(rows(&table).await, expected(30));
}

#[tokio::test]
async fn a_commit_may_only_advance_and_starts_where_the_table_stands() {
    let table = open(&memory()).await;
    table.commit(vec![], &at(0), &at(7)).await.unwrap();
    assert_eq!(table.position(), at(7));
    assert!(table.files().files.is_empty());
    let version = table.files().version;
    table.commit(vec![], &at(7), &at(7)).await.unwrap();
    assert_eq!(
        table.files().version,
        version,
        "nothing to say, nothing said"
    );

    let stale = table.commit(vec![events(0, 5)], &at(0), &at(5)).await;
    assert!(matches!(stale, Err(TableError::Conflict { at: p }) if p == at(7)));
    let back = table.commit(vec![], &at(7), &at(3)).await;
    assert!(matches!(back, Err(TableError::Refused { .. })));
    let outside = table.commit(vec![events(5, 9)], &at(7), &at(9)).await;
    assert!(matches!(outside, Err(TableError::Refused { .. })));
    assert_eq!(table.files().version, version);
}

#[tokio::test]
async fn rows_between_gives_exactly_those() {
    let table = open(&memory()).await;
    for n in 0..4 {
        table
            .commit(
                vec![events(n * 10, n * 10 + 10)],
                &at(n * 10),
                &at(n * 10 + 10),
            )
            .await
            .unwrap();
    }
    for (from, to) in [
        (0, None),
        (5, Some(25)),
        (10, Some(20)),
        (39, None),
        (40, None),
        (3, Some(3)),
    ] {
        let to_position = to.map(at);
        let mut found = BTreeMap::new();
        let stream = table.rows_between(&at(from), to_position.as_ref());
        for batch in stream.try_collect::<Vec<_>>().await.unwrap() {
            collect(&batch, &mut found);
        }
        let wanted: Vec<i64> = (from..to.unwrap_or(40)).collect();
        assert_eq!(
            found.keys().copied().collect::<Vec<_>>(),
            wanted,
            "{from}..{to:?}"
        );
    }
}

/// Commits five batches as the pipeline does: after a conflict it goes on from
/// where the table stands, after a failure it opens the table anew, by `opened`
/// and no longer by the struck one. `None` where the struck process died.
async fn scenario(opened: &Opened, over: &Opened, store: &FaultStore) -> Option<Table> {
    let mut table = match alive(store, try_open(over)).await? {
        Ok(table) => table,
        Err(_) => open(opened).await,
    };
    let ends = [10, 20, 20, 35, 50];
    let mut position = table.position();
    for end in ends {
        loop {
            let first = position.of(&cairn_schemas::Partition::embedded());
            if first >= end {
                break;
            }
            let (rows, to) = (vec![events(first, end)], at(end));
            let done = alive(store, table.commit(rows, &position, &to)).await?;
            match done {
                Ok(_) => position = at(end),
                Err(TableError::Conflict { at }) => position = at,
                Err(TableError::Unavailable { .. }) => {
                    table = open(opened).await;
                    position = table.position();
                }
                Err(e) => panic!("{e}"),
            }
        }
    }
    Some(table)
}

#[tokio::test]
async fn every_put_may_fail_landed_or_not_and_rows_are_there_once() {
    let count = {
        let opened = memory();
        let (over, counted) = struck(&opened, Plan::none());
        scenario(&opened, &over, &counted).await.unwrap();
        counted.puts()
    };
    assert!(count >= 10, "{count} puts");
    for fault in FAULTS {
        for at_put in 0..count {
            for for_ever in [false, true] {
                let opened = memory();
                let plan = Plan::at_put(at_put, fault);
                let plan = if for_ever { plan.for_ever() } else { plan };
                let (over, store) = struck(&opened, plan);
                let table = match scenario(&opened, &over, &store).await {
                    Some(table) => table,
                    // Whoever is started after it finds no faults any more.
                    None => {
                        let (over, healthy) = struck(&opened, Plan::none());
                        scenario(&opened, &over, &healthy).await.unwrap()
                    }
                };
                let what = format!("{fault:?} at {at_put}, for ever {for_ever}");
                assert_eq!(table.position(), at(50), "{what}");
                let fresh = open(&opened).await;
                assert_eq!(fresh.position(), at(50), "{what}");
                assert_eq!(rows(&fresh).await, expected(50), "{what}");
            }
        }
    }
}

/// A bit that is wrong in an entry is noticed, or changes nothing of what it
/// says.
#[tokio::test]
async fn no_flipped_bit_of_an_entry_is_taken_for_what_was_put() {
    let opened = memory();
    let table = open(&opened).await;
    let to = at(40);
    table
        .commit(vec![events(0, 40)], &at(0), &to)
        .await
        .unwrap();
    let whole = open_entry(&table, 1).await.unwrap();
    let first = whole.iter().position(|b| *b == b'\n').unwrap();
    let id = Entry::parse(&whole).unwrap().commit_id().map(str::to_owned);
    let mut noticed = 0;
    for bit in 0..whole.len() * 8 {
        let mut wrong = whole.to_vec();
        wrong[bit / 8] ^= 1 << (bit % 8);
        match Entry::parse(&wrong) {
            Err(_) => noticed += 1,
            // In the first line stands what nobody goes by: a time, a name.
            Ok(entry) => {
                assert!(bit / 8 < first, "bit {bit} was not noticed");
                assert_eq!(entry.commit_id().map(str::to_owned), id, "bit {bit}");
            }
        }
    }
    assert!(noticed > (whole.len() - first) * 8);
}

#[tokio::test]
async fn of_two_from_one_position_one_wins() {
    for _ in 0..20 {
        let opened = memory();
        let (a, b) = (open(&opened).await, open(&opened).await);
        let (from, to) = (at(0), at(10));
        let (x, y) = tokio::join!(
            a.commit(vec![events(0, 10)], &from, &to),
            b.commit(vec![events(0, 10)], &from, &to)
        );
        let lost = match (&x, &y) {
            (Ok(_), Err(e)) | (Err(e), Ok(_)) => e,
            _ => panic!("{x:?} {y:?}"),
        };
        assert!(matches!(lost, TableError::Conflict { at: p } if *p == at(10)));
        assert_eq!(rows(&a).await, expected(10));
        b.refresh().await.unwrap();
        assert_eq!(rows(&b).await, expected(10));
    }
}

#[tokio::test]
async fn committers_of_different_partitions_do_not_hinder_each_other() {
    let opened = memory();
    let (a, b) = (open(&opened).await, open(&opened).await);
    let other = cairn_schemas::Partition {
        source: "audit".to_owned(),
        number: 1,
    };
    let theirs = Position::at(other.clone(), 5);
    a.commit(vec![events(0, 10)], &at(0), &at(10))
        .await
        .unwrap();
    b.commit(vec![], &Position::default(), &theirs)
        .await
        .unwrap();
    a.commit(vec![events(10, 20)], &at(10), &at(20))
        .await
        .unwrap();
    let fresh = open(&opened).await;
    assert_eq!(fresh.position().of(&other), 5);
    assert_eq!(rows(&fresh).await, expected(20));
}

#[tokio::test]
async fn two_may_make_the_table_at_once() {
    let opened = memory();
    let (a, b) = tokio::join!(try_open(&opened), try_open(&opened));
    let (a, b) = (a.unwrap(), b.unwrap());
    a.commit(vec![events(0, 4)], &at(0), &at(4)).await.unwrap();
    b.refresh().await.unwrap();
    assert_eq!(rows(&b).await, expected(4));
}

#[tokio::test]
async fn another_table_is_refused() {
    let opened = memory();
    let spec = |id: &str| TableSpec::events("trail").with_property("cairn.trail_id", id);
    let make = |spec| Table::open_or_create(&opened, spec, options(), clock(), Arc::new(TestIds));
    make(spec("one")).await.unwrap();
    make(spec("one")).await.unwrap();
    let other = make(spec("two")).await.unwrap_err();
    assert!(
        other.to_string().contains("cairn.trail_id is one, not two"),
        "{other}"
    );
    let columns = make(TableSpec::quarantine()).await.unwrap_err();
    assert!(matches!(columns, TableError::Refused { .. }), "{columns}");
}

#[tokio::test]
async fn a_damaged_log_is_not_opened() {
    let opened = memory();
    let table = open(&opened).await;
    table
        .commit(vec![events(0, 4)], &at(0), &at(4))
        .await
        .unwrap();
    table
        .commit(vec![events(4, 8)], &at(4), &at(8))
        .await
        .unwrap();
    let entry = |n: i64| opened.at(&format!("_delta_log/{n:020}.json")).prefix;
    let whole = opened
        .store
        .get(&entry(2))
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    let line = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
    for wrong in [
        &b""[..],
        &whole[..whole.len() / 2],
        &whole[..line],
        &[0u8; 100][..],
    ] {
        let body = PutPayload::from(wrong.to_vec());
        opened.store.put(&entry(2), body).await.unwrap();
        let error = try_open(&opened).await.unwrap_err();
        assert!(matches!(error, TableError::Damaged { .. }), "{error}");
    }
    opened
        .store
        .put(&entry(2), PutPayload::from(whole))
        .await
        .unwrap();
    opened.store.delete(&entry(1)).await.unwrap();
    let error = try_open(&opened).await.unwrap_err();
    assert!(error.to_string().contains("01.json is missing"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_tell_the_same_and_can_be_done_without() {
    let opened = memory();
    let table = open(&opened).await;
    for n in 0..8 {
        table
            .commit(
                vec![events(n * 10, n * 10 + 10)],
                &at(n * 10),
                &at(n * 10 + 10),
            )
            .await
            .unwrap();
    }
    let checkpoint = opened
        .at("_delta_log/00000000000000000006.checkpoint.parquet")
        .prefix;
    opened.store.head(&checkpoint).await.unwrap();
    // With the entries below the checkpoint gone, it has to be read.
    for n in 0..6 {
        let entry = opened.at(&format!("_delta_log/{n:020}.json")).prefix;
        opened.store.delete(&entry).await.unwrap();
    }
    let again = open(&opened).await;
    assert_eq!(again.position(), at(80));
    assert_eq!(
        format!("{:?}", again.files().files),
        format!("{:?}", table.files().files)
    );
    assert_eq!(rows(&again).await, expected(80));
    // A damaged newest checkpoint, and an older one that is whole.
    opened
        .store
        .put(&checkpoint, PutPayload::from("PAR1"))
        .await
        .unwrap();
    for n in 4..6 {
        let source = open_entry(&table, n).await;
        assert!(source.is_none());
    }
    let hint = opened.at("_delta_log/_last_checkpoint").prefix;
    opened
        .store
        .put(&hint, PutPayload::from("no json"))
        .await
        .unwrap();
    let error = try_open(&opened).await.unwrap_err();
    assert!(matches!(error, TableError::Damaged { .. }), "{error}");
}

async fn open_entry(table: &Table, n: i64) -> Option<bytes::Bytes> {
    let key = table.log.key(&format!("_delta_log/{n:020}.json"));
    table.store().get(&key).await.ok()?.bytes().await.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delta_itself_reads_the_table_on_local_disk() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/tables", folder.path().display());
    let opened = crate::objects::open(&url, &ObjectSettings::default())
        .await
        .unwrap();
    let opened = opened.at("history");
    let table = open(&opened).await;
    for n in 0..4 {
        table
            .commit(
                vec![events(n * 10, n * 10 + 10)],
                &at(n * 10),
                &at(n * 10 + 10),
            )
            .await
            .unwrap();
    }
    let place = url::Url::from_directory_path(folder.path().join("tables/history")).unwrap();
    let delta = deltalake_core::open_table(place).await.unwrap();
    assert_eq!(delta.version(), Some(4));
    let files: Vec<_> = delta.get_file_uris().unwrap().collect();
    assert_eq!(files.len(), 4);
    let state = delta.snapshot().unwrap();
    let txn = state
        .transaction_version(delta.log_store().as_ref(), "log:log/0")
        .await
        .unwrap();
    assert_eq!(txn, Some(40));
    assert_eq!(rows(&open(&opened).await).await, expected(40));
}

#[tokio::test]
async fn a_checkpoint_that_failed_is_written_after_the_next_commit() {
    let opened = memory();
    open(&opened).await;
    // Three entries, and then the checkpoint of version 3.
    let (over, store) = struck(&opened, Plan::at_put(3, Fault::Before));
    let table = open(&over).await;
    let has = async |version: i64| {
        let key = format!("_delta_log/{version:020}.checkpoint.parquet");
        opened.store.head(&table.log.key(&key)).await.is_ok()
    };
    for n in 0..3 {
        table.commit(vec![], &at(n), &at(n + 1)).await.unwrap();
    }
    assert_eq!(store.faults(), 1);
    assert!(!has(3).await, "it failed");
    table.commit(vec![], &at(3), &at(4)).await.unwrap();
    assert!(has(4).await, "and was made up for");
    table.commit(vec![], &at(4), &at(5)).await.unwrap();
    assert!(!has(5).await, "once");
    assert_eq!(open(&opened).await.position(), at(5));
}
