//! A small Cairn for this crate's tests: a real log and real tables in a
//! temporary folder, a clock and ids that tests decide.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::AsArray;
use async_trait::async_trait;
use bytes::Bytes;
use cairn_schemas::selector::Among;
use cairn_schemas::{Clock, IdSource, Micros, Partition, Position, keys};
use cairn_store::log::{EmbeddedLog, Envelope, LogOptions};
use cairn_store::objects::{self, ObjectSettings, Opened};
use cairn_store::table::{Table, TableError, TableOptions, TableSpec};
use cairn_store::view::TableSnapshot;
use futures::TryStreamExt;
use tokio_util::sync::CancellationToken;

use crate::decode::DecodeLimits;
use crate::history::History;
use crate::judge::{CatchUpError, CatchingUp, Judge, Judged, MakeJudge, open_index};
use crate::pipeline::{Observer, Pipeline, PipelineError, PipelineHandle, PipelineOptions};
use crate::seen::{SeenError, SeenOptions};
use crate::source::EmbeddedSource;
use crate::verdict::{Boards, Verdict, Verdicts};

#[derive(Debug, Default)]
pub(crate) struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Micros {
        // 2026-01-02T00:00:00Z, a microsecond later at each look.
        Micros(1_767_312_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Numbers by chance that a seed decides: SplitMix64.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// One of `0..n`.
    pub(crate) fn of(&mut self, n: usize) -> usize {
        (self.roll() % n as u64) as usize
    }
}

#[derive(Debug)]
pub(crate) struct TestIds(pub(crate) AtomicU64);

impl IdSource for TestIds {
    fn fill(&self, out: &mut [u8]) {
        for byte in out {
            // Begun with small numbers, no two make the same bytes.
            let n = self.0.fetch_add(1 << 32, Ordering::Relaxed);
            *byte = Dice(n).roll() as u8;
        }
    }
}

#[derive(Debug)]
struct Silent;

impl Observer for Silent {
    fn judged(&self, _: &Judged) {}
    fn committed(&self, _: &Position, _: Duration) {}
    fn commit_failed(&self, error: &TableError) {
        panic!("commit failed: {error}");
    }
}

/// Judges over one folder, with memtables of `entries`.
#[derive(Debug)]
pub(crate) struct TestJudges {
    pub(crate) folder: PathBuf,
    pub(crate) entries: usize,
    pub(crate) limits: DecodeLimits,
    pub(crate) progress: Arc<CatchingUp>,
}

#[async_trait]
impl MakeJudge for TestJudges {
    async fn make(&self, history: &Table, at: &Position) -> Result<Judge, CatchUpError> {
        let options = SeenOptions {
            memtable_entries: self.entries,
            fanout: 2,
            ..SeenOptions::default()
        };
        let seen = loop {
            let opened = open_index(&self.folder, options.clone(), history, at, &self.progress);
            match opened.await {
                // An aborted task leaves what it had queued on a thread that blocks: it may
                // open the index after its process is dead, for a moment.
                Err(CatchUpError::Seen(SeenError::InUse { .. })) => {
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                }
                opened => break opened?,
            }
        };
        Ok(Judge::new(seen, HashSet::new(), self.limits, 90))
    }
}

#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) ids: Arc<TestIds>,
    pub(crate) log: EmbeddedLog,
    pub(crate) root: Opened,
    pub(crate) history: Arc<History>,
    pub(crate) verdicts: Arc<Verdicts>,
    pub(crate) handle: PipelineHandle,
    pub(crate) stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), PipelineError>>,
}

/// An event of account `account`, number `n`, in ActionTrail's form.
pub(crate) fn event(account: &str, n: usize) -> Bytes {
    let rw = if n.is_multiple_of(2) { "Read" } else { "Write" };
    Bytes::from(format!(
        r#"{{"eventId":"id-{n}","eventName":"Op{n}","eventRW":"{rw}","acsRegion":"cn-hangzhou","serviceName":"Ecs","eventTime":"2026-01-01T00:00:{:02}Z","recipientAccountId":"{account}","eventCategory":"Management"}}"#,
        n % 60
    ))
}

pub(crate) const ACCOUNT: &str = "111111111111";

impl Rig {
    /// Opens, or opens again, a Cairn in `dir`. `number` makes ids differ
    /// between two lives of one folder.
    pub(crate) async fn open(dir: &Path, number: u64, options: PipelineOptions) -> Self {
        let log = EmbeddedLog::open(&dir.join(keys::LOG_DIR), LogOptions::default()).unwrap();
        let url = format!("file://{}", dir.join(keys::STORE_DIR).display());
        std::fs::create_dir_all(dir.join(keys::STORE_DIR)).unwrap();
        let root = objects::open(&url, &ObjectSettings::default())
            .await
            .unwrap();
        let clock = Arc::new(TestClock::default());
        let ids = Arc::new(TestIds(AtomicU64::new(number)));
        let table = async |key: &str, spec| {
            let (clock, ids) = (
                Arc::clone(&clock) as Arc<dyn Clock>,
                Arc::clone(&ids) as Arc<dyn IdSource>,
            );
            Arc::new(
                Table::open_or_create(&root.at(key), spec, TableOptions::default(), clock, ids)
                    .await
                    .unwrap(),
            )
        };
        let history = table(keys::HISTORY, TableSpec::events("history").outlined(true)).await;
        let quarantine = table(keys::QUARANTINE, TableSpec::quarantine()).await;
        let history = Arc::new(History::new(history, quarantine, 64 << 20));
        let committed = history.committed().of(&Partition::embedded());
        let boards = Arc::new(Boards::new(100_000));
        let verdicts = boards.own(&Partition::embedded(), committed);
        let source = Box::new(EmbeddedSource::new(log.clone(), Partition::embedded()));
        let judges = TestJudges {
            folder: dir.join(keys::SEEN_DIR),
            entries: 1 << 16,
            limits: DecodeLimits::default(),
            progress: Arc::default(),
        };
        let (pipeline, handle) = Pipeline::new(
            source,
            Arc::new(judges),
            Arc::clone(&history),
            boards,
            Arc::new(Silent),
            options,
        );
        let stop = CancellationToken::new();
        let task = tokio::spawn(pipeline.run(stop.clone()));
        Self {
            clock,
            ids,
            log,
            root,
            history,
            verdicts,
            handle,
            stop,
            task,
        }
    }

    /// Appends, as a sender for all accounts, and waits for the verdicts.
    pub(crate) async fn send(&self, payloads: Vec<Bytes>) -> Vec<Verdict> {
        let envelope = Envelope {
            received: self.clock.now(),
            sender: "test".to_owned(),
            accounts: Among::All,
            account: None,
        };
        let range = self.log.append(envelope, payloads).await.unwrap();
        self.verdicts.wait(range).await.unwrap()
    }

    pub(crate) fn end(&self) -> Position {
        Position::at(Partition::embedded(), self.log.end())
    }

    pub(crate) async fn flush(&self) {
        assert!(
            self.handle.flush(self.end()).await,
            "the pipeline has ended"
        );
    }

    /// Ends in good order.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        self.log.close().await.unwrap();
    }

    /// Ends as a crash of the process does, but for the disk: what was not
    /// committed is gone from memory.
    pub(crate) async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
        self.log.close().await.unwrap();
    }
}

/// The event ids of a snapshot, files and memory together, sorted.
pub(crate) async fn ids_of(table: &Table, snapshot: &TableSnapshot) -> Vec<String> {
    let mut batches = snapshot.fresh.clone();
    for file in snapshot.files.iter() {
        let read: Vec<_> = table.read(file, None).try_collect().await.unwrap();
        batches.extend(read);
    }
    let mut ids: Vec<String> = Vec::new();
    for batch in &batches {
        let column = batch.column_by_name("event_id").unwrap().as_string::<i32>();
        ids.extend(column.iter().flatten().map(str::to_owned));
    }
    ids.sort();
    ids
}

/// `id-0` to `id-(n-1)`, sorted as text.
pub(crate) fn expected(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    let mut ids: Vec<String> = numbers.into_iter().map(|n| format!("id-{n}")).collect();
    ids.sort();
    ids
}
