//! Tables over a store that fails on purpose, a clock and ids that the test
//! decides, and rows whose every place in the log is known.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::AsArray;
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::Int64Type;
use cairn_faults::{Fault, FaultStore, Plan, Rng, World};
use cairn_schemas::columns::event_schema;
use cairn_schemas::{Clock, IdSource, Micros, Partition, Position};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;

use crate::objects::Opened;
use crate::table::names::DataName;
use crate::table::{Table, TableError, TableOptions, TableSpec};

pub(super) const DAY: i64 = 86_400_000_000;
/// 2025-11-22T12:00:00Z, which every real clock has passed.
pub(super) const NOON: i64 = 1_763_812_800_000_000;

#[derive(Debug)]
pub(super) struct TestClock(pub(super) AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Micros {
        Micros(self.0.load(Ordering::SeqCst))
    }
}

/// Ids that differ in a whole test process, and nothing more.
#[derive(Debug)]
pub(super) struct TestIds;

impl IdSource for TestIds {
    fn fill(&self, out: &mut [u8]) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let n = NEXT.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = n[7 - i % 8];
        }
    }
}

pub(super) fn clock() -> Arc<TestClock> {
    Arc::new(TestClock(AtomicI64::new(NOON + 3600 * 1_000_000)))
}

pub(super) fn memory() -> Opened {
    Opened::new(Arc::new(InMemory::new()), Path::from("tables/history"))
}

/// The same place over a store on which operations go wrong by `plan`, and that
/// store. Nothing takes time on it.
pub(super) fn struck(opened: &Opened, plan: Plan) -> (Opened, FaultStore) {
    let world = World::over(Arc::clone(&opened.store), false);
    let store = world.process("struck", plan, &Rng::new(1));
    let over = Opened {
        store: Arc::new(store.clone()),
        ..opened.clone()
    };
    (over, store)
}

/// The ways in which a put is done, or not done, and says otherwise.
pub(super) const FAULTS: [Fault; 5] = [
    Fault::Before,
    Fault::After,
    Fault::ExistsOwn,
    Fault::DieBefore,
    Fault::DieAfter,
];

/// What `act` comes to; `None` where its process dies of it.
pub(super) async fn alive<T>(store: &FaultStore, act: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = store.died() => None,
        ended = act => Some(ended),
    }
}

pub(super) fn options() -> TableOptions {
    TableOptions {
        pause: Duration::from_micros(100),
        checkpoint_every: 3,
        ..TableOptions::default()
    }
}

pub(super) async fn try_open(opened: &Opened) -> std::result::Result<Table, TableError> {
    Table::open_or_create(
        opened,
        TableSpec::events("history").outlined(true),
        options(),
        clock(),
        Arc::new(TestIds),
    )
    .await
}

pub(super) async fn open(opened: &Opened) -> Table {
    try_open(opened).await.unwrap()
}

pub(super) fn at(next: i64) -> Position {
    Position::at(Partition::embedded(), next)
}

/// When the event at `offset` happened: not in the order of the log.
pub(super) fn event_time(offset: i64) -> i64 {
    NOON - 60_000_000 + (offset * 7919) % 1000 * 1001
}

fn text(field: &str, offset: i64) -> String {
    match field {
        "account_id" => format!("{:012}", offset % 3),
        "log_source" => "log".to_owned(),
        "raw" => raw(offset),
        _ => format!("{field}-{}", offset % 10),
    }
}

/// Of every three one without anything of its own but the time, which several
/// have in common: their outlines are the same.
pub(super) fn raw(offset: i64) -> String {
    let own = match offset % 3 {
        0 => String::new(),
        _ => format!(",\"padding\":\"{offset}\""),
    };
    format!(
        "{{\"eventID\":\"event_id-{0}\",\"userAgent\":\"user_agent-{0}\"{own}}}",
        offset % 10,
    )
}

/// The events `first..next` of the embedded log, ingested at `ingest_time`.
pub(super) fn events_at(first: i64, next: i64, ingest_time: i64) -> RecordBatch {
    let offsets: Vec<i64> = (first..next).collect();
    let rows = offsets.len();
    let schema = event_schema();
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| -> ArrayRef {
            let name = field.name().as_str();
            match name {
                "event_time" => Arc::new(
                    TimestampMicrosecondArray::from_iter_values(
                        offsets.iter().map(|o| event_time(*o)),
                    )
                    .with_timezone("UTC"),
                ),
                "ingest_time" => Arc::new(
                    TimestampMicrosecondArray::from_value(ingest_time, rows).with_timezone("UTC"),
                ),
                "ingest_date" => Arc::new(Date32Array::from_value(Micros(ingest_time).day(), rows)),
                "log_offset" => Arc::new(Int64Array::from(offsets.clone())),
                "log_partition" | "log_item" => Arc::new(Int32Array::from_value(0, rows)),
                "late" => Arc::new(BooleanArray::from(vec![false; rows])),
                _ if field.data_type() == &arrow::datatypes::DataType::Utf8 => Arc::new(
                    StringArray::from_iter_values(offsets.iter().map(|o| text(name, *o))),
                ),
                _ => new_null_array(field.data_type(), rows),
            }
        })
        .collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

pub(super) fn events(first: i64, next: i64) -> RecordBatch {
    events_at(first, next, NOON)
}

/// Every row of the table by offset, read from its files, with its bytes; a
/// row that is there twice fails the test.
pub(super) async fn rows(table: &Table) -> BTreeMap<i64, String> {
    let mut all = BTreeMap::new();
    for file in table.files().files.iter() {
        let batches: Vec<RecordBatch> = table.read(file, None).try_collect().await.unwrap();
        let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(count as u64, file.rows, "{}", file.path);
        for batch in &batches {
            collect(batch, &mut all);
        }
    }
    all
}

pub(super) fn collect(batch: &RecordBatch, all: &mut BTreeMap<i64, String>) {
    let offsets = batch.column_by_name("log_offset").unwrap();
    let raws = batch.column_by_name("raw").unwrap().as_string::<i32>();
    for (row, offset) in offsets
        .as_primitive::<Int64Type>()
        .values()
        .iter()
        .enumerate()
    {
        let before = all.insert(*offset, raws.value(row).to_owned());
        assert_eq!(before, None, "offset {offset} is there twice");
    }
}

/// What [`rows`] has to be after the offsets `0..next`.
pub(super) fn expected(next: i64) -> BTreeMap<i64, String> {
    (0..next).map(|o| (o, raw(o))).collect()
}

/// The name of a file that a crash of `table`'s writer could have left.
pub(super) fn orphan_of(table: &Table) -> Path {
    let name = table.names.path(DataName {
        day: Micros(NOON).day(),
        span: (0, 9),
        commit: &TestIds.hex128(),
        number: 0,
    });
    table.log.key(&name)
}
