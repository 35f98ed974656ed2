//! Tables in a world, and events whose every place in the log is known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::DataType;
use cairn_schemas::columns::event_schema;
use cairn_schemas::{Clock, IdSource, Micros, Partition, Position};
use cairn_store::objects::Opened;
use cairn_store::table::{Table, TableError, TableOptions, TableSpec};
use object_store::path::Path;
use parking_lot::Mutex;

use crate::check::{self, Place, Truth};
use crate::{DAWN, FaultStore, Rng, World};

pub(super) const HOUR: i64 = 3_600_000_000;
pub(super) const ROOT: &str = "tables/history";

/// The world's time as Cairn's clock.
#[derive(Debug)]
pub(super) struct WorldClock(pub(super) World);

impl Clock for WorldClock {
    fn now(&self) -> Micros {
        Micros(self.0.now())
    }
}

/// Ids of one process.
#[derive(Debug)]
pub(super) struct SeededIds(Mutex<Rng>);

impl SeededIds {
    pub(super) fn new(rng: &Rng, process: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new(rng.fork(&format!("ids of {process}")))))
    }
}

impl IdSource for SeededIds {
    fn fill(&self, out: &mut [u8]) {
        let mut rng = self.0.lock();
        for byte in out {
            *byte = (rng.next() >> 32) as u8;
        }
    }
}

pub(super) fn options() -> TableOptions {
    TableOptions {
        checkpoint_every: 4,
        ..TableOptions::default()
    }
}

/// One process' view of the table of events.
pub(super) async fn open(
    world: &World,
    store: &FaultStore,
    ids: &Arc<SeededIds>,
) -> Result<Table, TableError> {
    open_at(
        world,
        store,
        ids,
        ROOT,
        TableSpec::events("history").outlined(true),
    )
    .await
}

pub(super) async fn open_at(
    world: &World,
    store: &FaultStore,
    ids: &Arc<SeededIds>,
    root: &str,
    spec: TableSpec,
) -> Result<Table, TableError> {
    open_with(world, store, ids, root, spec, options()).await
}

pub(super) async fn open_with(
    world: &World,
    store: &FaultStore,
    ids: &Arc<SeededIds>,
    root: &str,
    spec: TableSpec,
    options: TableOptions,
) -> Result<Table, TableError> {
    let opened = Opened::new(Arc::new(store.clone()), Path::from(root));
    let clock = Arc::new(WorldClock(world.clone()));
    // What makes files fast to ask makes them slow to write, and is not at stake.
    let spec = TableSpec {
        bloom_columns: Vec::new(),
        ..spec
    };
    Table::open_or_create(&opened, spec, options, clock, Arc::clone(ids) as _).await
}

pub(super) fn partition(number: i32) -> Partition {
    Partition {
        source: "log".to_owned(),
        number,
    }
}

/// When the record at `offset` was received: half an hour after the one before,
/// the first some days before the world begins.
pub(super) fn ingested(offset: i64) -> i64 {
    DAWN - 60 * HOUR + offset * (HOUR / 2)
}

pub(super) fn raw(partition: i32, offset: i64) -> String {
    format!(
        "{{\"eventId\":\"{partition}-{offset}\",\"padding\":\"{}\"}}",
        "x".repeat(30)
    )
}

/// The records `first..next` of a partition as rows, marked as the work of one
/// `attempt` to commit them.
pub(super) fn events(number: i32, first: i64, next: i64, attempt: &str) -> RecordBatch {
    let offsets: Vec<i64> = (first..next).collect();
    let rows = offsets.len();
    let times = |at: &dyn Fn(i64) -> i64| -> ArrayRef {
        let values = offsets.iter().map(|o| at(*o));
        Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC"))
    };
    let schema = event_schema();
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| -> ArrayRef {
            match field.name().as_str() {
                "event_time" => times(&|o| ingested(o) - (o * 7919) % 1000 * 1001),
                "ingest_time" => times(&ingested),
                "ingest_date" => Arc::new(Date32Array::from_iter_values(
                    offsets.iter().map(|o| Micros(ingested(*o)).day()),
                )),
                "log_offset" => Arc::new(Int64Array::from(offsets.clone())),
                "log_item" => Arc::new(Int32Array::from_value(0, rows)),
                "log_partition" => Arc::new(Int32Array::from_value(number, rows)),
                "late" => Arc::new(BooleanArray::from(vec![false; rows])),
                name if field.data_type() == &DataType::Utf8 && !field.is_nullable() => {
                    let text = |o: &i64| match name {
                        "account_id" => format!("{:012}", o % 3),
                        "log_source" => "log".to_owned(),
                        "raw" => raw(number, *o),
                        "event_id" => format!("{number}-{o}"),
                        _ => format!("{name}-{}", o % 10),
                    };
                    Arc::new(StringArray::from_iter_values(offsets.iter().map(text)))
                }
                "request_id" => Arc::new(StringArray::from(vec![attempt; rows])),
                _ => new_null_array(field.data_type(), rows),
            }
        })
        .collect();
    RecordBatch::try_new(schema, columns).expect("columns of one length")
}

/// What is known of the table from outside of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// The records of each partition, by their number.
    pub(super) ends: BTreeMap<i32, i64>,
    /// What was answered with Ok: partition, offset and the attempt's mark.
    pub(super) acknowledged: BTreeMap<(i32, i64), String>,
    /// Marks of attempts that were answered with a conflict.
    pub(super) refused: BTreeSet<String>,
    /// The latest moment up to which rows may have been let go.
    pub(super) expired: i64,
}

impl Ledger {
    pub(super) fn goal(&self) -> Position {
        Position(
            self.ends
                .iter()
                .map(|(n, end)| (partition(*n), *end))
                .collect(),
        )
    }

    /// Holds the raw objects against what was produced and answered: every
    /// record that retention did not let go of is there once, as produced.
    pub(super) async fn check(&self, world: &World) -> Result<Truth, String> {
        let truth = check::read(world.store().as_ref(), &Path::from(ROOT), "log").await?;
        let rows = truth.by_place()?;
        for (number, end) in &self.ends {
            let at = truth.position("log", "log", *number);
            if at != *end {
                return Err(format!("partition {number} stands at {at}, not at {end}"));
            }
            for offset in 0..*end {
                let place: Place = ("log".to_owned(), *number, offset, 0);
                let Some(row) = rows.get(&place) else {
                    if ingested(offset) < self.expired {
                        continue;
                    }
                    return Err(format!("{place:?} is lost"));
                };
                let mark = row.texts.get("request_id").cloned().unwrap_or_default();
                let same = row.raw == raw(*number, offset)
                    && row.account == format!("{:012}", offset % 3)
                    && row.ingest_time == ingested(offset);
                if !same {
                    return Err(format!("{place:?} is not as it was produced: {row:?}"));
                }
                if self.refused.contains(&mark) {
                    return Err(format!("{place:?} is of {mark}, which was refused"));
                }
                let promised = self.acknowledged.get(&(*number, offset));
                if promised.is_some_and(|promised| *promised != mark) {
                    return Err(format!(
                        "{place:?} is of {mark}, and {promised:?} was acknowledged"
                    ));
                }
            }
        }
        let produced: i64 = self.ends.values().sum();
        if truth.rows.len() as i64 > produced {
            return Err(format!("{} rows of {produced} records", truth.rows.len()));
        }
        Ok(truth)
    }
}
