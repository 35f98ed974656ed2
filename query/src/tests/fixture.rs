//! Files and fresh rows of three accounts, mixed, as the store hands them over.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use bytes::Bytes;
use cairn_schemas::columns::{
    OUTLINE_COLUMN, PARTITION_COLUMN, RAW_COLUMN, event_schema, quarantine_schema,
};
use cairn_schemas::control::{Principal, Role};
use cairn_schemas::selector::Among;
use cairn_schemas::{AccountId, Clock, Micros, Partition, Position, TrailName, Withheld};
use cairn_store::view::{
    DataFile, Moment, OffsetRange, PastError, TableName, TableSnapshot, TableVersion, Tables,
    ViewError,
};
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use crate::error::QueryError;
use crate::{Engine, Limits, Standing, SystemTable};

pub(crate) const A: &str = "111111111111";
pub(crate) const B: &str = "222222222222";
/// Sixteen digits: more than fits into a view itself.
pub(crate) const C: &str = "5333333333333333";

/// 2026-11-20T00:00:00Z.
pub(crate) const START: i64 = 1_795_132_800_000_000;
pub(crate) const MINUTE: i64 = 60_000_000;

/// One event, reduced to what the tests ask by.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) account: &'static str,
    pub(crate) offset: i64,
    /// Columns that were never filled.
    pub(crate) never: &'static [&'static str],
}

impl Event {
    pub(crate) fn time(&self) -> i64 {
        START + self.offset * MINUTE
    }

    fn text(&self, column: &str) -> Option<String> {
        let n = self.offset;
        if self.never.contains(&column) {
            return None;
        }
        Some(match column {
            "event_id" => format!("id-{n}"),
            "event_name" => {
                ["CreateUser", "DeleteUser", "ListUsers", "GetUser"][(n % 4) as usize].into()
            }
            "service_name" => ["ram", "ecs", "oss"][(n % 3) as usize].into(),
            "event_rw" => if n % 4 < 2 { "Write" } else { "Read" }.into(),
            "region" => if n % 5 == 0 {
                "cn-hangzhou"
            } else {
                "eu-central-1"
            }
            .into(),
            "account_id" => self.account.into(),
            "dialect" => "actiontrail".into(),
            // Numbers in A, words elsewhere: CAST works for A and nobody else.
            "user_name" if self.account == A => format!("{}", n % 7),
            "user_name" => format!("secret-{}-{}", self.account, n % 7),
            // Empty only in B: a division by its length fails for B only.
            "user_agent" if self.account == B => String::new(),
            "user_agent" => "aliyun-cli".into(),
            "source_ip" => format!("10.0.0.{}", n % 200),
            "error_code" if n % 10 == 0 => "NoPermission".into(),
            "request_parameters" if self.account == A => {
                format!("{{\"UserName\": \"u{n}\", \"n\": {n}, \"deep\": {{\"a\": [1, 2]}}}}")
            }
            "request_parameters" => "not json".into(),
            "user_identity" => {
                format!("{{\"userName\": \"{}\"}}", self.text("user_name")?)
            }
            "sender" => "tok".into(),
            "log_source" => "log".into(),
            "raw" => format!("{{\"eventId\": \"id-{n}\"}}"),
            _ => return None,
        })
    }

    fn ingest_date(&self) -> i32 {
        Micros(self.time()).day()
    }
}

/// `n` events: A, B, C, B, A, B, C, … so that every file and every page mixes.
pub(crate) fn events(n: i64) -> Vec<Event> {
    (0..n)
        .map(|offset| Event {
            account: [A, B, C, B][(offset % 4) as usize],
            offset,
            never: &[],
        })
        .collect()
}

/// The schema of rows in which some columns were never filled.
fn schema_of(never: &[&str]) -> SchemaRef {
    let never = never.iter().map(|c| (*c).to_owned()).collect();
    crate::scan::nullable(&event_schema(), &never)
}

fn column(field: &Field, rows: &[Event]) -> ArrayRef {
    let name = field.name().as_str();
    if rows.first().is_some_and(|r| r.never.contains(&name)) {
        return new_null_array(field.data_type(), rows.len());
    }
    match field.data_type() {
        DataType::Utf8 => {
            let values: StringArray = rows
                .iter()
                .map(|r| match r.text(name) {
                    None if !field.is_nullable() => Some(String::new()),
                    other => other,
                })
                .collect();
            Arc::new(values)
        }
        DataType::Timestamp(..) if name == "session_created" => {
            new_null_array(field.data_type(), rows.len())
        }
        DataType::Timestamp(..) => {
            let late = if name == "ingest_time" { 1_000_000 } else { 0 };
            let values: TimestampMicrosecondArray =
                rows.iter().map(|r| Some(r.time() + late)).collect();
            Arc::new(values.with_timezone("UTC"))
        }
        DataType::Boolean => {
            let values: BooleanArray = rows.iter().map(|r| Some(r.offset % 2 == 0)).collect();
            Arc::new(values)
        }
        DataType::Int32 => Arc::new(Int32Array::from(vec![0; rows.len()])),
        DataType::Int64 => Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.offset))),
        DataType::Date32 => Arc::new(Date32Array::from_iter_values(
            rows.iter().map(Event::ingest_date),
        )),
        other => new_null_array(other, rows.len()),
    }
}

/// Rows in the form of the table's schema.
pub(crate) fn batch(rows: &[Event]) -> RecordBatch {
    let schema = schema_of(rows.first().map_or(&[], |r| r.never));
    let arrays = schema.fields().iter().map(|f| column(f, rows)).collect();
    RecordBatch::try_new(schema, arrays).unwrap()
}

/// A store that remembers which objects were read.
#[derive(Debug)]
pub(crate) struct Watched {
    inner: InMemory,
    read: Mutex<BTreeSet<String>>,
}

impl Watched {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: InMemory::new(),
            read: Mutex::default(),
        })
    }

    pub(crate) fn take_read(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.read.lock())
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("watched")
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.read.lock().insert(location.to_string());
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(
        &self,
        location: &Path,
        ranges: &[Range<u64>],
    ) -> object_store::Result<Vec<Bytes>> {
        self.read.lock().insert(location.to_string());
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Rows as a file of an outlined table has them: most of what was received is an
/// outline, and some is whole.
fn outlined(stored: &RecordBatch, rows: &[Event]) -> RecordBatch {
    let raw = stored.schema().index_of(RAW_COLUMN).unwrap();
    let (mut fields, mut columns) = (stored.schema().fields().to_vec(), stored.columns().to_vec());
    let texts = |whole: bool| -> ArrayRef {
        Arc::new(StringArray::from_iter(rows.iter().map(|r| {
            let outline = || Some("{\"eventId\": \"\u{1}event_id\u{1}\"}".to_owned());
            match (r.offset % 7 == 0, whole) {
                (true, true) => r.text(RAW_COLUMN),
                (false, false) => outline(),
                _ => None,
            }
        })))
    };
    fields[raw] = Arc::new(Field::new(RAW_COLUMN, DataType::Utf8, true));
    fields.push(Arc::new(Field::new(OUTLINE_COLUMN, DataType::Utf8, true)));
    columns[raw] = texts(true);
    columns.push(texts(false));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Writes a file as the store does: sorted, without the partition column. Every
/// other one is outlined.
pub(crate) async fn write(store: &Watched, name: &str, rows: &[Event], known: bool) -> DataFile {
    let all = batch(rows);
    let at = all.schema().index_of(PARTITION_COLUMN).unwrap();
    let mut stored = all.project(&(0..at).collect::<Vec<_>>()).unwrap();
    let needed = [RAW_COLUMN, "event_id"];
    if known
        && !rows
            .iter()
            .any(|r| r.never.iter().any(|n| needed.contains(n)))
    {
        stored = outlined(&stored, rows);
    }
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(64))
        .set_data_page_row_count_limit(16)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_bloom_filter_enabled(true)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), stored.schema(), Some(properties)).unwrap();
    writer.write(&stored).unwrap();
    let bytes = writer.into_inner().unwrap();
    let path = Path::from(name);
    let size = bytes.len() as u64;
    store.put(&path, bytes.into()).await.unwrap();
    let (first, last) = (rows.first().unwrap(), rows.last().unwrap());
    let accounts = rows.iter().map(|r| AccountId::new(r.account).unwrap());
    DataFile {
        path,
        size,
        rows: rows.len() as u64,
        ingest_date: first.ingest_date(),
        event_time: Some((Micros(first.time()), Micros(last.time()))),
        ingest_time: Some((
            Micros(first.time() + 1_000_000),
            Micros(last.time() + 1_000_000),
        )),
        offsets: vec![OffsetRange {
            partition: Partition::embedded(),
            first: first.offset,
            next: last.offset + 1,
        }],
        accounts: known.then(|| Arc::new(accounts.collect())),
    }
}

/// Cuts rows into files where the offset allows, and leaves the rest fresh.
pub(crate) async fn snapshot(
    store: &Arc<Watched>,
    url: &str,
    rows: &[Event],
    per_file: i64,
    stored: i64,
) -> TableSnapshot {
    let mut files = vec![];
    for (i, start) in (0..stored).step_by(per_file as usize).enumerate() {
        let end = (start + per_file).min(stored);
        let part: Vec<Event> = rows
            .iter()
            .filter(|r| (start..end).contains(&r.offset))
            .cloned()
            .collect();
        if !part.is_empty() {
            let name = format!("{}/part-{i:04}.parquet", url.replace("://", "-"));
            files.push(write(store, &name, &part, i % 2 == 0).await);
        }
    }
    let fresh: Vec<Event> = rows
        .iter()
        .filter(|r| r.offset >= stored)
        .cloned()
        .collect();
    TableSnapshot {
        schema: schema_of(rows.first().map_or(&[], |r| r.never)),
        store: Arc::clone(store) as Arc<dyn ObjectStore>,
        store_url: url.parse().unwrap(),
        version: 7,
        files: Arc::new(files),
        fresh: fresh.chunks(10).map(batch).collect(),
        reach: Position::at(
            Partition::embedded(),
            rows.last().map_or(0, |r| r.offset + 1),
        ),
        expired: None,
    }
}

#[derive(Debug, Default)]
pub(crate) struct FakeTables {
    pub(crate) there: BTreeMap<TableName, TableSnapshot>,
    /// Only those who read all accounts are told of these.
    pub(crate) untold: BTreeSet<TableName>,
}

#[async_trait]
impl Tables for FakeTables {
    async fn names(&self, readable: &Among<AccountId>) -> Vec<TableName> {
        let told = |t: &&TableName| *readable == Among::All || !self.untold.contains(*t);
        self.there.keys().filter(told).cloned().collect()
    }

    async fn snapshot(&self, table: &TableName) -> Result<Option<TableSnapshot>, ViewError> {
        let same = |t: &TableName| match (t, table) {
            (TableName::Trail(a), TableName::Trail(b)) => a.folded() == b.folded(),
            _ => t == table,
        };
        Ok(self
            .there
            .iter()
            .find(|(t, _)| same(t))
            .map(|(_, s)| s.clone()))
    }

    /// Each version committed a hundred records, one a minute.
    async fn past(
        &self,
        table: &TableName,
        moment: Moment,
    ) -> Result<Option<TableVersion>, PastError> {
        let Some(now) = self.snapshot(table).await? else {
            return Ok(None);
        };
        let version = match moment {
            Moment::Version(version) => version,
            Moment::Time(time) => (time.0 - START) / (100 * MINUTE),
        };
        if version > now.version {
            return Err(PastError::Refused(format!(
                "there is no version {version} yet"
            )));
        }
        let reach = Position::at(Partition::embedded(), version * 100);
        Ok(Some(TableVersion { version, reach }))
    }
}

#[derive(Debug)]
pub(crate) struct Noon;

impl Clock for Noon {
    fn now(&self) -> Micros {
        Micros(START + 12 * 60 * MINUTE)
    }
}

/// A system table that gives each principal a row with its own id.
#[derive(Debug)]
pub(crate) struct Mine;

#[async_trait]
impl SystemTable for Mine {
    fn name(&self) -> &str {
        "queries"
    }

    fn schema(&self) -> SchemaRef {
        let metadata = [("comment".to_owned(), "Who asked.".to_owned())];
        Arc::new(Schema::new(vec![
            Field::new("who", DataType::Utf8, false).with_metadata(metadata.into()),
        ]))
    }

    fn comment(&self) -> &str {
        "The queries of this principal."
    }

    async fn rows(&self, principal: &Principal) -> Result<Vec<RecordBatch>, QueryError> {
        let who = StringArray::from(vec![principal.id.clone()]);
        Ok(vec![
            RecordBatch::try_new(self.schema(), vec![Arc::new(who)]).unwrap(),
        ])
    }
}

/// A view: what went wrong.
#[derive(Debug)]
pub(crate) struct Failures;

#[async_trait]
impl SystemTable for Failures {
    fn name(&self) -> &str {
        "failures"
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("at", event_schema().field(1).data_type().clone(), true),
            Field::new("account", DataType::Utf8, true),
            Field::new("who", DataType::Utf8, true),
            Field::new("n", DataType::Int64, true),
        ]))
    }

    fn comment(&self) -> &str {
        "What went wrong."
    }

    fn view_sql(&self) -> Option<&str> {
        Some(
            "SELECT event_time AS at, account_id AS account, user_name AS who, \
             json_get_int(request_parameters, 'n') AS n FROM history WHERE error_code IS NOT NULL",
        )
    }
}

fn quarantine(store: &Arc<Watched>, of: &[Option<&str>], never: &[&str]) -> TableSnapshot {
    let names = never.iter().map(|c| (*c).to_owned()).collect();
    let schema = crate::scan::nullable(&quarantine_schema(), &names);
    let rows = of.len();
    let arrays = schema
        .fields()
        .iter()
        .map(|f| -> ArrayRef {
            match f.data_type() {
                of if never.contains(&f.name().as_str()) => new_null_array(of, rows),
                DataType::Utf8 if f.name() == "account_id" => {
                    Arc::new(StringArray::from(of.to_vec()))
                }
                DataType::Utf8 => Arc::new(StringArray::from(vec!["x"; rows])),
                DataType::Timestamp(..) => Arc::new(
                    TimestampMicrosecondArray::from(vec![START; rows]).with_timezone("UTC"),
                ),
                DataType::Int32 => Arc::new(Int32Array::from(vec![0; rows])),
                DataType::Int64 => Arc::new(Int64Array::from(vec![1; rows])),
                DataType::Date32 => Arc::new(Date32Array::from(vec![Micros(START).day(); rows])),
                other => new_null_array(other, rows),
            }
        })
        .collect();
    TableSnapshot {
        schema: Arc::clone(&schema),
        store: Arc::clone(store) as Arc<dyn ObjectStore>,
        store_url: "cairn-store://quarantine".parse().unwrap(),
        version: 1,
        files: Arc::default(),
        fresh: vec![RecordBatch::try_new(schema, arrays).unwrap()],
        reach: Position::at(Partition::embedded(), 2),
        expired: None,
    }
}

/// Everybody stands until somebody is named.
#[derive(Debug, Default)]
pub(crate) struct Register(Mutex<Option<String>>);

impl Register {
    pub(crate) fn revoke(&self, id: &str) {
        *self.0.lock() = Some(id.to_owned());
    }
}

impl Standing for Register {
    fn holds(&self, principal: &Principal) -> bool {
        self.0.lock().as_ref() != Some(&principal.id)
    }
}

pub(crate) struct Organization {
    pub(crate) engine: Engine,
    pub(crate) register: Arc<Register>,
    pub(crate) store: Arc<Watched>,
}

pub(crate) fn small() -> Limits {
    Limits {
        threads: 2,
        ..Limits::default()
    }
}

/// 1,200 minutes of events, 20 files and 60 fresh rows, of those accounts.
pub(crate) async fn organization(of: &[&str]) -> Organization {
    organization_within(of, small()).await
}

pub(crate) async fn organization_within(of: &[&str], limits: Limits) -> Organization {
    organization_without(of, &[], limits).await
}

/// The same with columns that were never filled.
pub(crate) async fn organization_without(
    of: &[&str],
    never: &'static [&'static str],
    limits: Limits,
) -> Organization {
    organization_of(1200, of, never, limits).await
}

/// So many minutes of events, the last twentieth fresh.
pub(crate) async fn organization_of(
    minutes: i64,
    of: &[&str],
    never: &'static [&'static str],
    limits: Limits,
) -> Organization {
    let store = Watched::new();
    let rows: Vec<Event> = events(minutes)
        .into_iter()
        .filter(|e| of.contains(&e.account))
        .map(|e| Event { never, ..e })
        .collect();
    let mut tables = FakeTables::default();
    let history = snapshot(
        &store,
        "cairn-store://history",
        &rows,
        57,
        minutes * 19 / 20,
    )
    .await;
    tables.there.insert(TableName::History, history);
    let writes: Vec<Event> = rows.iter().filter(|e| e.offset % 3 == 0).cloned().collect();
    for name in ["Writes", "my-trail"] {
        let url = format!("cairn-store://{}", name.to_lowercase());
        let snapshot = snapshot(&store, &url, &writes, 100, minutes / 2).await;
        let name = TableName::Trail(TrailName::new(name).unwrap());
        tables.there.insert(name, snapshot);
    }
    // A trail of all accounts, and one of B alone: what trails there are does not
    // depend on whose events there are.
    let of_b: Vec<Event> = rows.iter().filter(|e| e.account == B).cloned().collect();
    for (name, rows) in [("Everything", &rows), ("b-only", &of_b)] {
        let url = format!("cairn-store://{}", name.to_lowercase());
        let snapshot = snapshot(&store, &url, rows, 100, minutes * 11 / 12).await;
        let name = TableName::Trail(TrailName::new(name).unwrap());
        tables.untold.insert(name.clone());
        tables.there.insert(name, snapshot);
    }
    let held: Vec<Option<&str>> = [Some(A), Some(B), None]
        .into_iter()
        .filter(|a| a.is_none_or(|a| of.contains(&a)))
        .collect();
    tables
        .there
        .insert(TableName::Quarantine, quarantine(&store, &held, never));
    let register = Arc::new(Register::default());
    let engine = Engine::new(
        Arc::new(tables),
        vec![Arc::new(Mine), Arc::new(Failures)],
        limits,
        Arc::new(Noon),
        Arc::clone(&register) as Arc<dyn Standing>,
    )
    .unwrap();
    Organization {
        engine,
        register,
        store,
    }
}

pub(crate) fn auditor(of: &[&str]) -> Principal {
    Principal {
        id: "auditor".to_owned(),
        role: Role::Auditor,
        accounts: Among::Only(of.iter().map(|a| AccountId::new(a).unwrap()).collect()),
        withheld: Withheld::nothing(),
    }
}

pub(crate) fn auditor_of_all() -> Principal {
    Principal {
        id: "auditor".to_owned(),
        role: Role::Auditor,
        accounts: Among::All,
        withheld: Withheld::nothing(),
    }
}

pub(crate) async fn batches(
    engine: &Engine,
    principal: &Principal,
    sql: &str,
) -> Result<Vec<RecordBatch>, QueryError> {
    engine.query(principal, sql).await?.try_collect().await
}

/// The rows as text, in order.
pub(crate) async fn rows(
    engine: &Engine,
    principal: &Principal,
    sql: &str,
) -> Result<Vec<String>, QueryError> {
    let batches = batches(engine, principal, sql).await?;
    let text = arrow::util::pretty::pretty_format_batches(&batches).unwrap();
    Ok(text
        .to_string()
        .lines()
        .filter(|l| l.starts_with('|'))
        .skip(1)
        .map(|l| {
            let cells: Vec<&str> = l.trim_matches('|').split('|').map(str::trim).collect();
            cells.join("|")
        })
        .collect())
}
