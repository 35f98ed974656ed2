//! Several processes on one history, in one test: each with a pipeline, a
//! duplicate index and a way to the store of its own, over one store and one
//! log in memory. And the checker of what they leave behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use async_trait::async_trait;
use cairn_schemas::selector::Among;
use cairn_schemas::{Micros, keys};
use cairn_store::log::Envelope;
use cairn_store::objects::Opened;
use cairn_store::table::{Table, TableOptions, TableSpec};
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tempfile::TempDir;
use tokio::sync::watch;

use super::super::*;
use crate::decode::DecodeLimits;
use crate::judge::CatchingUp;
use crate::source::memory::MemoryLog;
use crate::testing::{ACCOUNT, TestClock, TestIds, TestJudges};

/// What becomes of a process's calls to the store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mode {
    Open,
    /// Puts below this folder fail, and nothing lies there.
    Refuses(&'static str),
    /// Puts of log entries land, and nobody hears of it.
    Deaf,
    /// The same, of the entries of this table alone.
    DeafTo(&'static str),
    /// Puts wait until the mode is another, and then are done.
    Hangs,
    /// Reading data files waits until the mode is another.
    HangsReading,
}

impl Mode {
    fn is_deaf_to(self, location: &Path) -> bool {
        let location = location.as_ref();
        let table = match self {
            Self::Deaf => "",
            Self::DeafTo(table) => table,
            _ => return false,
        };
        location.contains("_delta_log") && location.contains(table)
    }
}

#[derive(Debug)]
pub(super) struct Gate {
    inner: Arc<dyn ObjectStore>,
    mode: watch::Sender<Mode>,
    /// How many puts were refused, or landed unheard.
    tried: AtomicUsize,
}

impl Gate {
    pub(super) fn tried(&self) -> usize {
        self.tried.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

fn broken() -> Error {
    Error::Generic {
        store: "Gate",
        source: "made to fail".into(),
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Gate {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        // On a runtime of one thread the Delta kernel blocks it until these are there.
        let is_checkpoint = location.as_ref().contains("checkpoint");
        let mut mode = self.mode.subscribe();
        let mode = *mode
            .wait_for(|m| *m != Mode::Hangs || is_checkpoint)
            .await
            .map_err(|_| broken())?;
        match mode {
            Mode::Refuses(below) if location.as_ref().contains(below) => {
                self.tried.fetch_add(1, Ordering::Relaxed);
                return Err(broken());
            }
            mode if mode.is_deaf_to(location) => {
                let _ = self.inner.put_opts(location, payload, opts).await;
                self.tried.fetch_add(1, Ordering::Relaxed);
                return Err(broken());
            }
            _ => {}
        }
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if location.as_ref().ends_with(".parquet") {
            let mut mode = self.mode.subscribe();
            let reads = mode.wait_for(|m| *m != Mode::HangsReading).await;
            reads.map_err(|_| broken())?;
        }
        let mode = *self.mode.borrow();
        if mode.is_deaf_to(location) {
            return Err(broken());
        }
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Counts commits that got through, and those that another's was faster than.
#[derive(Debug, Default)]
struct Counting {
    commits: AtomicUsize,
    conflicts: AtomicUsize,
}

impl Observer for Counting {
    fn judged(&self, _: &Judged) {}
    fn committed(&self, _: &Position, _: Duration) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }
    fn commit_failed(&self, _: &TableError) {}
    fn commit_behind(&self) {
        self.conflicts.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) struct Process {
    pub(super) history: Arc<History>,
    pub(super) handle: PipelineHandle,
    pub(super) gate: Arc<Gate>,
    counting: Arc<Counting>,
    pub(super) progress: Arc<CatchingUp>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<std::result::Result<(), PipelineError>>,
}

impl Process {
    /// Commits that got through, and conflicts.
    pub(super) fn counts(&self) -> (usize, usize) {
        let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (of(&self.counting.commits), of(&self.counting.conflicts))
    }
}

pub(super) struct World {
    pub(super) log: MemoryLog,
    store: Arc<dyn ObjectStore>,
    folders: Vec<TempDir>,
    pub(super) processes: Vec<Option<Process>>,
    pub(super) options: PipelineOptions,
    /// By what processes judge that start from now on.
    pub(super) limits: DecodeLimits,
    /// Of the next life, so that its ids are its own.
    lives: u64,
    envelope: Arc<Envelope>,
}

pub(super) fn partition(number: i32) -> cairn_schemas::Partition {
    cairn_schemas::Partition {
        source: "audit".to_owned(),
        number,
    }
}

pub(super) fn owned(numbers: &[i32]) -> BTreeSet<cairn_schemas::Partition> {
    numbers.iter().map(|n| partition(*n)).collect()
}

/// An event with the id of `key`; another variant has other bytes.
pub(super) fn event(key: usize, variant: usize) -> bytes::Bytes {
    bytes::Bytes::from(format!(
        r#"{{"eventId":"id-{key}","eventName":"Op{variant}","eventRW":"Read","acsRegion":"cn-hangzhou","serviceName":"Ecs","eventTime":"2026-01-01T00:00:00Z","recipientAccountId":"{ACCOUNT}","eventCategory":"Management"}}"#
    ))
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    folder.unwrap()
}

async fn open_tables(store: Arc<dyn ObjectStore>, life: u64) -> (Arc<Table>, Arc<Table>) {
    let root = Opened::new(store, Path::from("cairn"));
    let open = async |key: &str, spec, life| {
        let options = TableOptions {
            pause: Duration::from_micros(100),
            attempts: 2,
            checkpoint_every: 7,
            ..TableOptions::default()
        };
        let (clock, ids) = (
            Arc::new(TestClock::default()),
            Arc::new(TestIds(std::sync::atomic::AtomicU64::new(life))),
        );
        let table = Table::open_or_create(&root.at(key), spec, options, clock, ids).await;
        Arc::new(table.unwrap())
    };
    (
        open(
            keys::HISTORY,
            TableSpec::events("history").outlined(true),
            2 * life,
        )
        .await,
        open(keys::QUARANTINE, TableSpec::quarantine(), 2 * life + 1).await,
    )
}

impl World {
    pub(super) async fn new(processes: usize, options: PipelineOptions) -> Self {
        let mut world = Self {
            log: MemoryLog::default(),
            store: Arc::new(InMemory::new()),
            folders: (0..processes).map(|_| folder()).collect(),
            processes: Vec::new(),
            options,
            limits: DecodeLimits::default(),
            lives: 0,
            envelope: Arc::new(Envelope {
                received: Micros(1_767_312_000_000_000),
                sender: "test".to_owned(),
                accounts: Among::All,
                account: None,
            }),
        };
        for n in 0..processes {
            world.processes.push(None);
            world.start(n).await;
        }
        world
    }

    /// One process more.
    pub(super) async fn join(&mut self) {
        self.folders.push(folder());
        self.processes.push(None);
        self.start(self.processes.len() - 1).await;
    }

    /// The offsets of what quarantine has of partition 0.
    pub(super) async fn refused(&self) -> Vec<i64> {
        let (_, quarantine) = open_tables(Arc::clone(&self.store), 1 << 20).await;
        let mut offsets: Vec<i64> = rows_of(&quarantine)
            .await
            .iter()
            .map(|r| r.offset)
            .collect();
        offsets.sort_unstable();
        offsets
    }

    /// Process `n` finds nothing of what it kept when it starts.
    pub(super) fn lose_folder(&mut self, n: usize) {
        assert!(self.processes[n].is_none());
        self.folders[n] = folder();
    }

    pub(super) async fn start(&mut self, n: usize) {
        self.start_as(n, Mode::Open).await;
    }

    /// Its calls to the store meet `mode` once its tables are open.
    pub(super) async fn start_as(&mut self, n: usize, mode: Mode) {
        assert!(self.processes[n].is_none());
        self.lives += 1;
        let gate = Arc::new(Gate {
            inner: Arc::clone(&self.store),
            mode: watch::Sender::new(Mode::Open),
            tried: AtomicUsize::new(0),
        });
        let store = Arc::clone(&gate) as Arc<dyn ObjectStore>;
        let (table, quarantine) = open_tables(store, self.lives).await;
        let history = Arc::new(History::new(table, quarantine, 64 << 20));
        gate.set(mode);
        self.log.deafen(n, false);
        let counting = Arc::<Counting>::default();
        let progress = Arc::<CatchingUp>::default();
        let (pipeline, handle) = Pipeline::new(
            Box::new(self.log.source(n)),
            Arc::new(TestJudges {
                folder: self.folders[n].path().to_owned(),
                entries: 8,
                limits: self.limits,
                progress: Arc::clone(&progress),
            }),
            Arc::clone(&history),
            Arc::new(Boards::new(1_000)),
            Arc::clone(&counting) as Arc<dyn Observer>,
            self.options.clone(),
        );
        let stop = CancellationToken::new();
        let running = pipeline.run(stop.clone());
        let task = tokio::spawn(async move {
            running
                .await
                .inspect_err(|error| eprintln!("process {n} has ended: {error}"))
        });
        self.processes[n] = Some(Process {
            history,
            handle,
            gate,
            counting,
            progress,
            stop,
            task,
        });
    }

    pub(super) fn of(&self, n: usize) -> &Process {
        self.processes[n].as_ref().expect("it runs")
    }

    /// Ends as a crash of the process does. What hangs in the store never lands.
    pub(super) async fn crash(&mut self, n: usize) {
        let process = self.processes[n].take().expect("it runs");
        process.task.abort();
        let _ = process.task.await;
        free(self.folders[n].path()).await;
    }

    pub(super) async fn stop(&mut self, n: usize) {
        let process = self.processes[n].take().expect("it runs");
        process.stop.cancel();
        process.task.await.unwrap().unwrap();
        // Stopped before it had begun, it was opening a judge.
        free(self.folders[n].path()).await;
    }

    /// What process `n` ended with by itself.
    pub(super) async fn ended(&mut self, n: usize) -> PipelineError {
        let process = self.processes[n].take().expect("it runs");
        let ended = tokio::time::timeout(PATIENCE, process.task).await;
        let ended = ended.expect("it ends some time").unwrap();
        ended.expect_err("nobody stopped it")
    }

    pub(super) fn send(&self, to: i32, records: Vec<bytes::Bytes>) {
        self.log.append(&partition(to), &self.envelope, records);
    }

    /// Waits until process `n` has judged everything of what it reads.
    pub(super) async fn judged(&self, n: usize) {
        let process = self.of(n);
        until("everything is judged", || {
            let (end, head) = (self.log.end(), process.history.head());
            let owned = process.history.owned();
            let owned = owned.borrow();
            !owned.is_empty() && owned.iter().all(|p| head.of(p) >= end.of(p))
        })
        .await;
    }

    pub(super) async fn owns(&self, n: usize, numbers: &[i32]) {
        let wanted = owned(numbers);
        let process = self.of(n);
        until("it owns them", || {
            assert!(!process.task.is_finished(), "process {n} has ended");
            **process.history.owned().borrow() == wanted
        })
        .await;
    }

    pub(super) async fn flush(&self, n: usize) {
        let flushed = self.of(n).handle.flush(self.log.end());
        let flushed = tokio::time::timeout(PATIENCE, flushed).await;
        assert!(flushed.expect("it is committed some time"), "it has ended");
    }

    /// Looks, again and again, until process `n` shows everything below `at`.
    pub(super) async fn shows(&self, n: usize, at: &Position) {
        let history = &self.of(n).history;
        let looking = async {
            while !history.refresh().await.is_ok_and(|now| now.reaches(at)) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        assert!(
            tokio::time::timeout(PATIENCE, looking).await.is_ok(),
            "in vain: {at:?}"
        );
    }

    /// The checker: looks at the store with eyes of its own.
    pub(super) async fn check(&self) {
        let (table, quarantine) = open_tables(Arc::clone(&self.store), 1 << 20).await;
        assert_eq!(
            table.position().of_records(),
            self.log.end(),
            "where history stands"
        );
        let rows = rows_of(&table).await;
        let refused = rows_of(&quarantine).await;
        let mut places = BTreeSet::new();
        let mut contents = BTreeSet::new();
        let mut unflagged: BTreeMap<String, usize> = BTreeMap::new();
        for row in &rows {
            let record = &self.log.records(&row.partition)[row.offset as usize];
            assert_eq!(record, row.raw.as_bytes(), "{row:?} is another record's");
            assert!(
                places.insert((row.partition.clone(), row.offset)),
                "twice: {row:?}"
            );
            assert!(contents.insert(row.raw.clone()), "repeated: {row:?}");
            *unflagged.entry(row.id.clone()).or_default() += usize::from(!row.flagged);
        }
        for (id, count) in unflagged {
            assert_eq!(count, 1, "of {id} one is the first");
        }
        for row in &refused {
            assert!(
                places.insert((row.partition.clone(), row.offset)),
                "twice: {row:?}"
            );
        }
        for partition in self.log.end().0.keys() {
            for (offset, record) in self.log.records(partition).iter().enumerate() {
                let text = std::str::from_utf8(record).unwrap();
                let place = (partition.clone(), offset as i64);
                let is_event = text.starts_with("{\"eventId\"");
                assert!(
                    places.contains(&place) || (is_event && contents.contains(text)),
                    "lost: {place:?}"
                );
            }
        }
        let events = rows.len();
        assert_eq!(events, contents.len());
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "in vain: {what}");
}

/// A judge that was working when its process died holds the folder until then.
async fn free(folder: &std::path::Path) {
    let lock = std::fs::File::create(folder.join("lock")).unwrap();
    until("the folder is free", || {
        lock.try_lock().is_ok_and(|()| lock.unlock().is_ok())
    })
    .await;
}

#[derive(Debug)]
pub(super) struct Row {
    partition: cairn_schemas::Partition,
    offset: i64,
    id: String,
    raw: String,
    flagged: bool,
}

async fn rows_of(table: &Table) -> Vec<Row> {
    let mut rows = Vec::new();
    for file in table.files().files.iter() {
        let batches: Vec<RecordBatch> = table.read(file, None).try_collect().await.unwrap();
        batches.iter().for_each(|batch| collect(batch, &mut rows));
    }
    rows
}

pub(super) fn collect(batch: &RecordBatch, rows: &mut Vec<Row>) {
    let column = |name| batch.column_by_name(name);
    let text = |name, row| {
        let column = column(name)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    for row in 0..batch.num_rows() {
        let number = column("log_partition").unwrap().as_primitive::<Int32Type>();
        let offset = column("log_offset").unwrap().as_primitive::<Int64Type>();
        let flags = column("flags").map(|c| c.as_list::<i32>().clone());
        let flagged = flags.is_some_and(|f| {
            f.is_valid(row)
                && (f.value(row).as_string::<i32>().iter().flatten())
                    .any(|n| n == "conflicting_duplicate")
        });
        rows.push(Row {
            partition: cairn_schemas::Partition {
                source: text("log_source", row).unwrap(),
                number: number.value(row),
            },
            offset: offset.value(row),
            id: text("event_id", row).unwrap_or_default(),
            raw: text("raw", row).unwrap_or_default(),
            flagged,
        });
    }
}

/// What a query would see now at `process`: no place and no event twice. Returns
/// how many rows; nothing, where the store does not answer.
pub(super) async fn look(process: &Process) -> Option<usize> {
    let snapshot = process.history.snapshot();
    let mut rows = Vec::new();
    for file in snapshot.files.iter() {
        let read = process.history.table().read(file, None).try_collect();
        let Ok::<Vec<RecordBatch>, _>(batches) = read.await else {
            return None;
        };
        batches.iter().for_each(|batch| collect(batch, &mut rows));
    }
    snapshot
        .fresh
        .iter()
        .for_each(|batch| collect(batch, &mut rows));
    let stored: u64 = snapshot.files.iter().map(|f| f.rows).sum();
    let (mut places, mut contents) = (BTreeMap::new(), BTreeMap::new());
    for (n, row) in rows.iter().enumerate() {
        let place = (row.partition.clone(), row.offset);
        for before in [places.insert(place, n), contents.insert(&row.raw, n)] {
            assert!(
                before.is_none(),
                "counted twice, of {stored} rows in files of version {} and {} fresh ones: row {before:?}, {:?}, \
                 and row {n}, {row:?}; owned: {:?}; head: {:?}; learned: {:?}",
                snapshot.version,
                rows.len() as u64 - stored,
                before.map(|b| &rows[b]),
                process.history.owned().borrow(),
                process.history.head(),
                process.history.learned(),
            );
        }
    }
    Some(rows.len())
}
