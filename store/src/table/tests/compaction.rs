//! Compaction changes files and no row, whoever else is at work.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;

use cairn_faults::Plan;

use super::support::*;
use crate::objects::Opened;
use crate::table::{CompactPolicy, Table, TableError};

fn policy() -> CompactPolicy {
    CompactPolicy {
        min_files: 3,
        ..CompactPolicy::default()
    }
}

/// `count` commits of ten rows each.
async fn filled(opened: &Opened, count: i64) -> Table {
    let table = open(opened).await;
    for n in 0..count {
        table
            .commit(
                vec![events(n * 10, n * 10 + 10)],
                &at(n * 10),
                &at(n * 10 + 10),
            )
            .await
            .unwrap();
    }
    table
}

async fn sorted(table: &Table) {
    for file in table.files().files.iter() {
        let mut last = i64::MIN;
        let batches: Vec<RecordBatch> = table.read(file, None).try_collect().await.unwrap();
        for batch in &batches {
            for t in batch
                .column(1)
                .as_primitive::<TimestampMicrosecondType>()
                .values()
            {
                assert!(*t >= last, "{}", file.path);
                last = *t;
            }
        }
    }
}

#[tokio::test]
async fn small_files_become_one_sorted_file_with_the_same_rows() {
    let opened = memory();
    let table = filled(&opened, 7).await;
    let tag = |t: &Table| {
        let head = t.head.try_lock().unwrap();
        let live = head.state.files.values().next().unwrap();
        live.add.tags.clone().unwrap()["cairn.rows_xxh3"]
            .clone()
            .unwrap()
    };
    let report = table.compact(&policy()).await.unwrap();
    assert_eq!(
        (report.groups, report.removed, report.added, report.rows),
        (1, 7, 1, 70)
    );
    let listing = table.files();
    assert_eq!(listing.files.len(), 1);
    assert_eq!(listing.files[0].offsets[0].next, 70);
    assert_eq!(listing.files[0].accounts.as_ref().unwrap().len(), 3);
    assert_eq!(rows(&table).await, expected(70));
    sorted(&table).await;
    assert_eq!(table.position(), at(70));

    // The same rows committed at once hash to the same.
    let at_once = open(&memory()).await;
    at_once
        .commit(vec![events(0, 70)], &at(0), &at(70))
        .await
        .unwrap();
    assert_eq!(tag(&table), tag(&at_once));

    // What followers ask is answered from the one file too.
    let mut found = BTreeMap::new();
    for batch in table
        .rows_between(&at(15), Some(&at(44)))
        .try_collect::<Vec<_>>()
        .await
        .unwrap()
    {
        collect(&batch, &mut found);
    }
    assert_eq!(
        found.keys().copied().collect::<Vec<_>>(),
        (15..44).collect::<Vec<_>>()
    );

    let again = table.compact(&policy()).await.unwrap();
    assert_eq!(again.groups, 0);
    assert_eq!(rows(&open(&opened).await).await, expected(70));
}

#[tokio::test]
async fn target_size_cuts_files_and_groups_keep_their_bounds() {
    let opened = memory();
    let table = filled(&opened, 9).await;
    let small = CompactPolicy {
        target_bytes: 1,
        max_files: 4,
        ..policy()
    };
    let report = table.compact(&small).await.unwrap();
    // Nine files: two groups of four; the ninth alone is not worth it.
    assert_eq!((report.groups, report.removed), (2, 8));
    assert_eq!(rows(&table).await, expected(90));
    sorted(&table).await;
}

#[tokio::test]
async fn the_quarantine_is_compacted_without_an_order() {
    use arrow::array::{ArrayRef, Date32Array, Int32Array, Int64Array, StringArray};
    let spec = crate::table::TableSpec::quarantine();
    let opened = memory();
    let table = Table::open_or_create(&opened, spec.clone(), options(), clock(), Arc::new(TestIds))
        .await
        .unwrap();
    for n in 0..4i64 {
        let columns = spec.schema.fields().iter().map(|f| -> ArrayRef {
            match f.name().as_str() {
                "ingest_time" | "log_time" => Arc::new(
                    arrow::array::TimestampMicrosecondArray::from_value(NOON, 1)
                        .with_timezone("UTC"),
                ),
                "log_partition" | "log_item" => Arc::new(Int32Array::from_value(0, 1)),
                "log_offset" => Arc::new(Int64Array::from_value(n, 1)),
                "size" => Arc::new(Int64Array::from_value(3, 1)),
                "ingest_date" => Arc::new(Date32Array::from_value(
                    cairn_schemas::Micros(NOON).day(),
                    1,
                )),
                "account_id" => Arc::new(StringArray::from(vec![None::<&str>])),
                _ => Arc::new(StringArray::from(vec!["log"])),
            }
        });
        let batch = RecordBatch::try_new(Arc::clone(&spec.schema), columns.collect()).unwrap();
        let listing = table.commit(vec![batch], &at(n), &at(n + 1)).await.unwrap();
        assert!(listing.files[0].accounts.is_none());
    }
    let report = table.compact(&policy()).await.unwrap();
    assert_eq!((report.removed, report.added, report.rows), (4, 1, 4));
    let file = table.files().files[0].clone();
    let batches: Vec<RecordBatch> = table.read(&file, None).try_collect().await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 4);
}

#[tokio::test]
async fn appends_and_compaction_do_not_hinder_each_other() {
    for _ in 0..10 {
        let opened = memory();
        let table = filled(&opened, 5).await;
        let other = open(&opened).await;
        let narrow = policy();
        let (compacted, appended) = tokio::join!(other.compact(&narrow), async {
            for n in 5..9 {
                table
                    .commit(
                        vec![events(n * 10, n * 10 + 10)],
                        &at(n * 10),
                        &at(n * 10 + 10),
                    )
                    .await
                    .unwrap();
            }
        });
        let () = appended;
        assert_eq!(compacted.unwrap().groups, 1);
        let fresh = open(&opened).await;
        assert_eq!(rows(&fresh).await, expected(90));
        assert_eq!(fresh.position(), at(90));
        assert!(fresh.files().files.len() < 9);
    }
}

#[tokio::test]
async fn of_two_compactions_one_wins() {
    for _ in 0..10 {
        let opened = memory();
        filled(&opened, 5).await;
        let (a, b) = (open(&opened).await, open(&opened).await);
        let same = policy();
        let (x, y) = tokio::join!(a.compact(&same), b.compact(&same));
        let groups: Vec<u64> = [&x, &y]
            .iter()
            .map(|r| match r {
                Ok(report) => report.groups,
                Err(TableError::Overtaken { .. }) => 0,
                Err(e) => panic!("{e}"),
            })
            .collect();
        assert_eq!(groups.iter().sum::<u64>(), 1, "{x:?} {y:?}");
        assert_eq!(rows(&open(&opened).await).await, expected(50));
    }
}

#[tokio::test]
async fn every_put_of_a_compaction_may_fail() {
    for fault in FAULTS {
        for at_put in 0..4 {
            let opened = memory();
            filled(&opened, 5).await;
            let (over, store) = struck(&opened, Plan::at_put(at_put, fault));
            let table = open(&over).await;
            let done = alive(&store, table.compact(&policy())).await;
            let what = format!("{fault:?} at {at_put}: {done:?}");
            assert!(done.is_none_or(|done| done.is_ok()), "{what}");
            let fresh = open(&opened).await;
            assert_eq!(rows(&fresh).await, expected(50), "{what}");
            fresh.compact(&policy()).await.unwrap();
            assert_eq!(fresh.files().files.len(), 1, "{what}");
            assert_eq!(rows(&fresh).await, expected(50), "{what}");
        }
    }
}

#[tokio::test]
async fn rows_that_changed_at_rest_are_not_compacted() {
    // One byte of one event altered: in what no column holds, and in a column.
    for (event, other) in [("\"16\"", "\"51\""), ("user_agent-6", "user_agent-x")] {
        not_compacted(forged(event, other).await).await;
    }
}

/// `bytes` in the place of the second commit's file, with as many rows.
async fn not_compacted(bytes: bytes::Bytes) {
    let opened = memory();
    let table = filled(&opened, 3).await;
    let victim = table.files().files[1].path.clone();
    let size = table.files().files[1].size;
    // Whoever can change the file can change its size in the log as well.
    let entry = opened.at("_delta_log/00000000000000000002.json").prefix;
    let log = opened
        .store
        .get(&entry)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    let log = String::from_utf8(log.to_vec()).unwrap();
    let log = log
        .replace(
            &format!("\"size\":{size}"),
            &format!("\"size\":{}", bytes.len()),
        )
        .replace("cairnSha256", "forgotten");
    opened.store.put(&entry, log.into()).await.unwrap();
    for n in [
        "_delta_log/_last_checkpoint",
        "_delta_log/00000000000000000003.checkpoint.parquet",
    ] {
        opened.store.delete(&opened.at(n).prefix).await.unwrap();
    }
    opened.store.put(&victim, bytes.into()).await.unwrap();
    let table = open(&opened).await;
    let error = table.compact(&policy()).await.unwrap_err();
    assert!(error.to_string().contains("would have changed"), "{error}");
    assert_eq!(table.files().files.len(), 3);
}

/// A file like that of the second commit, with one text altered wherever it stands.
async fn forged(text: &str, other: &str) -> bytes::Bytes {
    let table = open(&memory()).await;
    let batch = events(10, 20);
    let mut columns = batch.columns().to_vec();
    for name in ["raw", "user_agent"] {
        let at = batch.schema().index_of(name).unwrap();
        let texts = columns[at].as_string::<i32>().iter().flatten();
        let texts = texts.map(|t| t.replace(text, other));
        columns[at] = Arc::new(arrow::array::StringArray::from_iter_values(texts));
    }
    let batch = RecordBatch::try_new(batch.schema(), columns).unwrap();
    let listing = table.commit(vec![batch], &at(0), &at(20)).await.unwrap();
    let answer = table.store().get(&listing.files[0].path).await.unwrap();
    answer.bytes().await.unwrap()
}
