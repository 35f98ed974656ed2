//! What a table amounts to, by its objects alone.
//!
//! The log is replayed from its first entry, each entry is held against the
//! state before it, each checkpoint against the state at its version, and
//! every file is read row by row. Whatever does not fit is an error that names
//! the object.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::received::received;

/// A place in the log: source, partition, offset, and which of the record's events.
pub type Place = (String, i32, i64, i32);

/// One row, as far as the checks go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Where its record came from.
    pub place: Place,
    /// The account, where there is one.
    pub account: String,
    /// The received bytes: `raw`, or what `raw_base64` holds.
    pub raw: String,
    /// When it was ingested, in microseconds since 1970.
    pub ingest_time: i64,
    /// Every other text column that is not null.
    pub texts: BTreeMap<String, String>,
}

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Its newest version; -1 where there is no table.
    pub version: i64,
    /// Its files: paths under its folder, and how many rows.
    pub files: BTreeMap<String, u64>,
    /// Its transactions.
    pub txns: BTreeMap<String, i64>,
    /// Its rows, in no order.
    pub rows: Vec<Row>,
}

impl Truth {
    /// Every row by its place. Fails where two have one.
    pub fn by_place(&self) -> Result<BTreeMap<Place, &Row>, String> {
        let mut all = BTreeMap::new();
        for row in &self.rows {
            if all.insert(row.place.clone(), row).is_some() {
                return Err(format!("{:?} is there twice", row.place));
            }
        }
        Ok(all)
    }

    /// Where the table stands in `source/partition`, by transactions named
    /// `prefix:source/partition`.
    pub fn position(&self, prefix: &str, source: &str, partition: i32) -> i64 {
        let app = format!("{prefix}:{source}/{partition}");
        self.txns.get(&app).copied().unwrap_or(0)
    }
}

/// An entry of the log, taken apart.
#[derive(Debug, Default)]
struct Entry {
    adds: Vec<Value>,
    removes: Vec<Value>,
    txns: Vec<(String, i64)>,
    commit: Option<String>,
    operation: String,
    has_metadata: bool,
}

/// Reads the table under `root` in `store`, whose positions are transactions
/// named `prefix:…`, and checks everything that can be known from it alone:
///
/// - the log has no hole, no commit is in it twice, and no entry adds what is
///   there, removes what is not, or moves a position back;
/// - the rows that an entry adds lie between the positions before and after it;
/// - merging changes no row;
/// - every checkpoint says what the entries up to it say;
/// - every file that is listed lies there, is as large and has as many rows as
///   the log says, and no place is in two rows.
pub async fn read(store: &dyn ObjectStore, root: &Path, prefix: &str) -> Result<Truth, String> {
    let (entries, checkpoints) = log_of(store, root).await?;
    let mut reader = Reader {
        store,
        root,
        prefix,
        commits: BTreeSet::new(),
        ever: BTreeSet::new(),
        rows: BTreeMap::new(),
        truth: Truth {
            version: -1,
            ..Truth::default()
        },
    };
    for (version, bytes) in entries {
        if version != reader.truth.version + 1 {
            return Err(format!(
                "entry {version} follows entry {}",
                reader.truth.version
            ));
        }
        let entry = parse(&bytes).map_err(|e| format!("entry {version}: {e}"))?;
        reader
            .apply(version, entry)
            .await
            .map_err(|e| format!("entry {version}: {e}"))?;
        reader.truth.version = version;
        if let Some(bytes) = checkpoints.get(&version) {
            let state = (&reader.truth.files, &reader.truth.txns);
            compare(bytes.clone(), state).map_err(|e| format!("checkpoint {version}: {e}"))?;
        }
    }
    let live: Vec<String> = reader.truth.files.keys().cloned().collect();
    for path in live {
        let rows = reader.rows_of(&path).await?;
        reader.truth.rows.extend(rows);
    }
    reader.truth.by_place()?;
    Ok(reader.truth)
}

struct Reader<'a> {
    store: &'a dyn ObjectStore,
    root: &'a Path,
    prefix: &'a str,
    commits: BTreeSet<String>,
    /// Every path that was ever added.
    ever: BTreeSet<String>,
    rows: BTreeMap<String, Vec<Row>>,
    truth: Truth,
}

impl Reader<'_> {
    async fn apply(&mut self, version: i64, entry: Entry) -> Result<(), String> {
        if (version == 0) != entry.has_metadata {
            return Err("the table is made once, by its first entry".to_owned());
        }
        if let Some(id) = &entry.commit
            && !self.commits.insert(id.clone())
        {
            return Err(format!("commit {id} is there twice"));
        }
        let mut gone = Vec::new();
        for remove in &entry.removes {
            let path = text(remove, "path")?;
            if self.truth.files.remove(&path).is_none() {
                return Err(format!("removes {path}, which is not listed"));
            }
            gone.push(path);
        }
        let before = self.truth.txns.clone();
        for (app, next) in &entry.txns {
            let last = self.truth.txns.insert(app.clone(), *next);
            // How far rows have expired is a bound and no count: two may come
            // to the same one, each with files of its own.
            let stays = app == "expired-before" && last == Some(*next);
            if last.is_some_and(|last| last >= *next) && !stays {
                return Err(format!("{app} goes from {last:?} to {next}"));
            }
        }
        let mut fresh = Vec::new();
        for add in &entry.adds {
            fresh.extend(self.add(add).await?);
        }
        if entry.operation == "OPTIMIZE" {
            return self.merged(&gone, fresh).await;
        }
        for row in &fresh {
            let (source, partition, offset, _) = &row.place;
            let app = format!("{}:{source}/{partition}", self.prefix);
            let from = before.get(&app).copied().unwrap_or(0);
            let to = self.truth.txns.get(&app).copied().unwrap_or(0);
            if !(from..to).contains(offset) {
                return Err(format!(
                    "a row of {:?}, and its partition goes from {from} to {to}",
                    row.place
                ));
            }
        }
        Ok(())
    }

    /// Lists a file; its rows, as far as the object still lies there.
    async fn add(&mut self, add: &Value) -> Result<Vec<Row>, String> {
        let path = text(add, "path")?;
        if !self.ever.insert(path.clone()) {
            return Err(format!("{path} is added a second time"));
        }
        let stats: Value = serde_json::from_str(&text(add, "stats")?).map_err(|e| e.to_string())?;
        let count = stats["numRecords"].as_u64().ok_or("no numRecords")?;
        let key = self.key(&path);
        let rows = match self.store.get(&key).await {
            Ok(object) => {
                let size = object.meta.size;
                if add["size"].as_u64() != Some(size) {
                    return Err(format!(
                        "{path} has {size} bytes, the log says {}",
                        add["size"]
                    ));
                }
                let bytes = object.bytes().await.map_err(|e| e.to_string())?;
                let rows = rows_of(bytes).map_err(|e| format!("{path}: {e}"))?;
                if rows.len() as u64 != count {
                    return Err(format!(
                        "{path} has {} rows, the log says {count}",
                        rows.len()
                    ));
                }
                rows
            }
            // Vacuumed, which is right if an entry to come removes it: whether
            // everything that is listed in the end lies there is looked at then.
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error.to_string()),
        };
        self.rows.insert(path.clone(), rows.clone());
        self.truth.files.insert(path, count);
        Ok(rows)
    }

    /// Merging: the rows that came are the rows that went.
    async fn merged(&mut self, gone: &[String], mut fresh: Vec<Row>) -> Result<(), String> {
        let mut old = Vec::new();
        for path in gone {
            match self.rows.get(path) {
                Some(rows) if !rows.is_empty() => old.extend(rows.iter().cloned()),
                _ => return Ok(()),
            }
        }
        if fresh.is_empty() {
            // Merged again since, and vacuumed.
            return Ok(());
        }
        old.sort();
        fresh.sort();
        match old == fresh {
            true => Ok(()),
            false => Err(format!(
                "merging made {} rows of {}, or others",
                fresh.len(),
                old.len()
            )),
        }
    }

    fn key(&self, path: &str) -> Path {
        self.root.parts().chain(Path::from(path).parts()).collect()
    }

    async fn rows_of(&self, path: &str) -> Result<Vec<Row>, String> {
        let key = self.key(path);
        self.store
            .head(&key)
            .await
            .map_err(|e| format!("{path} is listed: {e}"))?;
        Ok(self.rows.get(path).cloned().unwrap_or_default())
    }
}

type Log = (BTreeMap<i64, Bytes>, BTreeMap<i64, Bytes>);

async fn log_of(store: &dyn ObjectStore, root: &Path) -> Result<Log, String> {
    let folder: Path = root
        .parts()
        .chain(Path::from("_delta_log").parts())
        .collect();
    let (mut entries, mut checkpoints) = (BTreeMap::new(), BTreeMap::new());
    let all: Vec<_> = store
        .list(Some(&folder))
        .try_collect()
        .await
        .map_err(|e| e.to_string())?;
    for meta in all {
        let name = meta.location.filename().unwrap_or_default().to_owned();
        let into = match name.get(20..) {
            Some(".json") => &mut entries,
            Some(".checkpoint.parquet") => &mut checkpoints,
            _ => continue,
        };
        let version: i64 = name[..20]
            .parse()
            .map_err(|_| format!("{name} is no entry"))?;
        let object = store.get(&meta.location).await.map_err(|e| e.to_string())?;
        into.insert(version, object.bytes().await.map_err(|e| e.to_string())?);
    }
    Ok((entries, checkpoints))
}

fn text(value: &Value, key: &str) -> Result<String, String> {
    let text = value[key]
        .as_str()
        .ok_or_else(|| format!("no {key} in {value}"))?;
    Ok(text.to_owned())
}

fn parse(bytes: &[u8]) -> Result<Entry, String> {
    let mut entry = Entry::default();
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let (key, value) = value
            .as_object()
            .filter(|o| o.len() == 1)
            .and_then(|o| o.iter().next())
            .ok_or("a line that is no single action")?;
        match key.as_str() {
            "add" => entry.adds.push(value.clone()),
            "remove" => entry.removes.push(value.clone()),
            "txn" => {
                let version = value["version"].as_i64().ok_or("a txn without a version")?;
                entry.txns.push((self::text(value, "appId")?, version));
            }
            "metaData" => entry.has_metadata = true,
            "commitInfo" => {
                entry.commit = value["cairnCommitId"].as_str().map(str::to_owned);
                entry.operation = self::text(value, "operation")?;
            }
            _ => {}
        }
    }
    Ok(entry)
}

/// Holds a checkpoint against the entries.
fn compare(
    bytes: Bytes,
    (files, txns): (&BTreeMap<String, u64>, &BTreeMap<String, i64>),
) -> Result<(), String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|e| e.to_string())?;
    let (mut listed, mut stands) = (BTreeSet::new(), BTreeMap::new());
    for batch in reader {
        let batch = batch.map_err(|e| e.to_string())?;
        for path in inner(&batch, "add", "path")?.into_iter().flatten() {
            listed.insert(path);
        }
        let apps = inner(&batch, "txn", "appId")?;
        let versions = batch
            .column_by_name("txn")
            .and_then(|c| {
                c.as_struct_opt()?
                    .column_by_name("version")?
                    .as_primitive_opt::<Int64Type>()
            })
            .ok_or("no txn.version")?;
        for (row, app) in apps.into_iter().enumerate() {
            if let Some(app) = app {
                stands.insert(app, versions.value(row));
            }
        }
    }
    if !listed.iter().eq(files.keys()) {
        return Err(format!("lists {listed:?}, the entries {:?}", files.keys()));
    }
    if &stands != txns {
        return Err(format!("stands at {stands:?}, the entries at {txns:?}"));
    }
    Ok(())
}

/// Column `field` of struct column `name`, row by row.
fn inner(batch: &RecordBatch, name: &str, field: &str) -> Result<Vec<Option<String>>, String> {
    let missing = || format!("no {name}.{field}");
    let outer = batch
        .column_by_name(name)
        .and_then(|c| c.as_struct_opt())
        .ok_or_else(missing)?;
    let column = outer.column_by_name(field).ok_or_else(missing)?;
    Ok((0..batch.num_rows())
        .map(|row| {
            let there = outer.is_valid(row) && column.is_valid(row);
            there.then(|| text_at(column.as_ref(), row)).flatten()
        })
        .collect())
}

fn text_at(column: &dyn Array, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    if let Some(texts) = column.as_string_opt::<i32>() {
        return Some(texts.value(row).to_owned());
    }
    column
        .as_string_opt::<i64>()
        .map(|texts| texts.value(row).to_owned())
}

/// Every row of a data file.
fn rows_of(bytes: Bytes) -> Result<Vec<Row>, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|e| e.to_string())?;
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|e| e.to_string())?;
        let column = |name: &str| {
            batch
                .column_by_name(name)
                .ok_or_else(|| format!("no column {name}"))
        };
        let partitions = column("log_partition")?.as_primitive::<Int32Type>().clone();
        let items = batch
            .column_by_name("log_item")
            .map(|c| c.as_primitive::<Int32Type>().clone());
        let offsets = column("log_offset")?.as_primitive::<Int64Type>().clone();
        let ingested = column("ingest_time")?
            .as_primitive::<TimestampMicrosecondType>()
            .clone();
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            let mut texts: BTreeMap<String, String> = schema
                .fields()
                .iter()
                .zip(batch.columns())
                .filter_map(|(field, column)| {
                    Some((field.name().clone(), text_at(column.as_ref(), row)?))
                })
                .collect();
            let source = texts.remove("log_source").ok_or("a row without a source")?;
            let raw = texts.remove("raw").or_else(|| texts.remove("raw_base64"));
            let raw = match texts.remove("raw_outline") {
                Some(_) if raw.is_some() => return Err("a row with both its forms".to_owned()),
                Some(outline) => Some(received(&outline, &texts, &batch, row)?),
                None => raw,
            };
            rows.push(Row {
                place: (
                    source,
                    partitions.value(row),
                    offsets.value(row),
                    items.as_ref().map_or(0, |items| items.value(row)),
                ),
                account: texts.remove("account_id").unwrap_or_default(),
                raw: raw.ok_or("a row without its bytes")?,
                ingest_time: ingested.value(row),
                texts,
            });
        }
    }
    Ok(rows)
}
