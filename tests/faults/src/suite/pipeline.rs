//! The pipeline: from a log over judging to history and quarantine, in one
//! process or two, killed and stalled at every step of its commits.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path as Folder, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_ingest::decode::DecodeLimits;
use cairn_ingest::history::History;
use cairn_ingest::judge::{CatchUpError, CatchingUp, Judge, Judged, MakeJudge, open_index};
use cairn_ingest::pipeline::{Observer, Pipeline, PipelineOptions};
use cairn_ingest::seen::SeenOptions;
use cairn_ingest::verdict::Boards;
use cairn_schemas::Position;
use cairn_store::table::{Table, TableError, TableSpec};
use object_store::path::Path;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::log::{ACCOUNT, Log, Shared};
use super::tables::{ROOT, SeededIds, open, open_at};
use super::trails::Trails;
use super::{Counted, Many, is_long, seeded};
use crate::check;
use crate::{Fault, FaultStore, Odds, Plan, Rng, World};

const QUARANTINE: &str = "tables/quarantine";

/// Nobody who is told.
#[derive(Debug)]
struct Deaf;

impl Observer for Deaf {
    fn judged(&self, _: &Judged) {}
    fn committed(&self, _: &Position, _: Duration) {}
    fn commit_failed(&self, _: &TableError) {}
}

/// Opens the duplicate index of one process.
#[derive(Debug)]
struct Judges(PathBuf);

#[async_trait]
impl MakeJudge for Judges {
    async fn make(&self, history: &Table, at: &Position) -> Result<Judge, CatchUpError> {
        let (options, untold) = (SeenOptions::default(), CatchingUp::default());
        let seen = open_index(&self.0, options, history, at, &untold).await?;
        let limits = DecodeLimits::default();
        Ok(Judge::new(seen, HashSet::new(), limits, 90))
    }
}

/// What one process is, over all its lives.
#[derive(Clone)]
pub(super) struct Process {
    world: World,
    rng: Rng,
    name: String,
    number: usize,
    log: Arc<Log>,
    /// Where commits have been seen to reach, by anybody.
    reached: watch::Sender<Position>,
    /// Set when the schedule is over.
    over: CancellationToken,
    /// How many faults struck.
    struck: Shared<usize>,
    /// For how many seconds its first life does not notice changes of owners.
    blind: u64,
    /// The trail that it follows.
    trails: Option<Arc<Trails>>,
}

impl Process {
    /// Lives until the schedule is over, the first life by `plan`, those after
    /// it by what `next` says.
    pub(super) async fn run(
        self,
        mut plan: Plan,
        next: impl Fn(usize) -> Plan,
    ) -> Result<(), String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        for life in 0.. {
            let name = format!("{}.{life}", self.name);
            let store = self.world.process(&name, plan, &self.rng);
            // The duplicate index is derived: some lives find it, some do not.
            let seen = match life % 2 {
                0 => folder.path().join("kept"),
                _ => folder.path().join(&name),
            };
            let ended = tokio::select! {
                biased;
                () = store.died() => None,
                ended = self.live(&store, &name, life, &seen) => Some(ended),
            };
            *self.struck.lock() += store.faults();
            store.kill();
            match ended {
                Some(Ok(())) if self.over.is_cancelled() => return Ok(()),
                Some(Err(error)) => return Err(format!("{name} ends: {error}")),
                _ => {}
            }
            if life > 200 {
                return Err(format!("{name} makes no progress in 200 lives"));
            }
            plan = next(life + 1);
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        Ok(())
    }

    /// One life. `Ok` when it ended in good order or for a reason for which
    /// an operator's supervisor starts it again.
    async fn live(
        &self,
        store: &FaultStore,
        name: &str,
        life: usize,
        seen: &Folder,
    ) -> Result<(), String> {
        let ids = SeededIds::new(&self.rng, name);
        let Some(history) = self.tables(store, &ids).await? else {
            return Ok(());
        };
        let mut committed = history.subscribe();
        let judges = Arc::new(Judges(seen.to_owned()));
        let source = self.log.source(self.number, self.rng.fork(name));
        let source = match life {
            0 => source.not_noticing(self.blind),
            _ => source,
        };
        let options = PipelineOptions {
            commit_interval: Duration::from_secs(5),
            commit_rows: 12,
            ..PipelineOptions::default()
        };
        let boards = Arc::new(Boards::new(1000));
        let (pipeline, _handle) = Pipeline::new(
            Box::new(source),
            judges,
            Arc::clone(&history),
            boards,
            Arc::new(Deaf),
            options,
        );
        let watch = async {
            loop {
                let at = committed.borrow_and_update().clone();
                self.reached.send_modify(|reached| reached.merge(&at));
                if committed.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let follow = async {
            let Some(trails) = &self.trails else {
                return std::future::pending().await;
            };
            let (rng, stop) = (self.rng.fork("follow"), self.over.child_token());
            let life = (&self.world, store, &ids);
            trails.follow(life, &history, self.number, rng, stop).await
        };
        // Polled here and not spawned: a death drops all of it at once.
        tokio::select! {
            () = watch => Ok(()),
            ended = follow => ended,
            ended = pipeline.run(self.over.child_token()) => ended.map_err(|e| e.to_string()),
        }
    }

    /// Opens both tables; `None` where the store does not answer.
    async fn tables(
        &self,
        store: &FaultStore,
        ids: &Arc<SeededIds>,
    ) -> Result<Option<Arc<History>>, String> {
        let quarantine = TableSpec::quarantine();
        let both = async {
            let history = open(&self.world, store, ids).await?;
            let quarantine = open_at(&self.world, store, ids, QUARANTINE, quarantine).await?;
            Ok((history, quarantine))
        };
        match both.await {
            Ok((table, quarantine)) => Ok(Some(Arc::new(History::new(
                Arc::new(table),
                Arc::new(quarantine),
                64 << 20,
            )))),
            Err(error) if TableError::is_retryable(&error) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Holds the raw objects against the log.
async fn check(world: &World, log: &Log) -> Result<(), String> {
    let history = check::read(world.store().as_ref(), &Path::from(ROOT), "log").await?;
    let expected = log.expected();
    for (partition, end) in &log.goal().0 {
        let at = history.position("log", &partition.source, partition.number);
        if at != *end {
            return Err(format!(
                "history stands at {at} of {partition}, not at {end}"
            ));
        }
    }
    let produced: BTreeMap<(i32, i64), _> =
        log.records().map(|(n, r)| ((n, r.offset), r)).collect();
    let mut events = std::collections::BTreeSet::new();
    for row in &history.rows {
        let (_, number, offset, _) = &row.place;
        let record = produced
            .get(&(*number, *offset))
            .ok_or_else(|| format!("a row of {:?}, where no record is", row.place))?;
        if row.raw.as_bytes() != record.bytes.as_ref() || row.account != ACCOUNT {
            return Err(format!(
                "{:?} is not as it was produced: {}",
                row.place, row.raw
            ));
        }
        let id = row.texts.get("event_id").cloned().unwrap_or_default();
        if !events.insert((id.clone(), record.bytes.clone())) {
            return Err(format!(
                "event {id} is in history twice, again at {:?}",
                row.place
            ));
        }
    }
    if let Some((id, _)) = expected.events.difference(&events).next() {
        return Err(format!("event {id} is lost"));
    }
    if let Some((id, _)) = events.difference(&expected.events).next() {
        return Err(format!("event {id} was never produced"));
    }
    let quarantine = check::read(world.store().as_ref(), &Path::from(QUARANTINE), "log").await?;
    let refused: std::collections::BTreeSet<(i32, i64)> = quarantine
        .rows
        .iter()
        .map(|r| (r.place.1, r.place.2))
        .collect();
    if refused != expected.refused {
        return Err(format!(
            "quarantine has {refused:?}, not {:?}",
            expected.refused
        ));
    }
    Ok(())
}

/// What the schedules of this file have in common: processes run until all is
/// committed, what is on its way lands, and the objects are checked.
pub(super) struct Scene {
    world: World,
    rng: Rng,
    log: Arc<Log>,
    reached: watch::Sender<Position>,
    over: CancellationToken,
    struck: Shared<usize>,
    trails: Option<Arc<Trails>>,
}

impl Scene {
    pub(super) fn new(world: World, rng: Rng, log: Arc<Log>) -> Self {
        Self {
            world,
            rng,
            log,
            reached: watch::Sender::default(),
            over: CancellationToken::new(),
            struck: Arc::default(),
            trails: None,
        }
    }

    /// With a trail that every process follows.
    pub(super) fn with(mut self, trails: &Arc<Trails>) -> Self {
        self.trails = Some(Arc::clone(trails));
        self
    }

    /// How many faults struck.
    pub(super) fn struck(&self) -> usize {
        *self.struck.lock()
    }

    pub(super) fn process(&self, number: usize, blind: u64) -> Process {
        let name = format!("p{number}");
        Process {
            world: self.world.clone(),
            rng: self.rng.fork(&name),
            name,
            number,
            log: Arc::clone(&self.log),
            reached: self.reached.clone(),
            over: self.over.clone(),
            struck: Arc::clone(&self.struck),
            blind,
            trails: self.trails.clone(),
        }
    }

    /// Runs `processes` until everything was seen committed, and delivered.
    pub(super) async fn play(
        &self,
        processes: Vec<impl Future<Output = Result<(), String>>>,
    ) -> Result<(), String> {
        let done = async {
            let goal = self.log.goal();
            let mut reached = self.reached.subscribe();
            let done = async {
                // The sender lives as long as `self`.
                let _ = reached.wait_for(|reached| reached.reaches(&goal)).await;
                if let Some(trails) = &self.trails {
                    trails.delivered(&goal).await;
                }
            };
            let ended = tokio::time::timeout(Duration::from_secs(40 * 86_400), done).await;
            self.over.cancel();
            match ended {
                Ok(()) => Ok(()),
                Err(_) => Err("not everything was committed in 40 days".to_owned()),
            }
        };
        futures::future::try_join(done, futures::future::try_join_all(processes)).await?;
        self.checked().await
    }

    async fn checked(&self) -> Result<(), String> {
        self.check().await?;
        self.world.settle().await;
        self.check().await
    }

    async fn check(&self) -> Result<(), String> {
        check(&self.world, &self.log).await?;
        match &self.trails {
            Some(trails) => trails.check(&self.world).await,
            None => Ok(()),
        }
    }
}

/// One process, struck once, and then left alone.
async fn struck_once(world: World, plan: Plan) -> Result<usize, String> {
    let mut rng = Rng::new(11);
    let log = Log::new(2, 18, &mut rng);
    log.assign(&[0, 0]);
    let scene = Scene::new(world, rng, log);
    let process = scene.process(0, 0).run(plan, |_| Plan::none());
    scene.play(vec![process]).await?;
    Ok(scene.struck())
}

/// Plays `scene` for every place that `plan` can strike.
pub(super) fn everywhere<F>(
    name: &str,
    faults: &[Fault],
    plan: fn(usize, Fault) -> Plan,
    scene: impl Fn(World, Plan) -> F,
) where
    F: Future<Output = Result<usize, String>>,
{
    let mut counted = Counted::default();
    for fault in faults {
        for n in 0.. {
            let struck = Arc::new(Mutex::new(0));
            let out = Arc::clone(&struck);
            let played = |world| scene(world, plan(n, *fault));
            counted.run(&format!("{fault:?} at {n}"), |world| async move {
                *out.lock() = played(world).await?;
                Ok(())
            });
            if *struck.lock() == 0 {
                break;
            }
            assert!(n < 1000, "a life of a thousand operations");
        }
    }
    assert!(counted.end(name) > 8 * faults.len());
}

/// What makes the difference between done, not done and done later.
pub(super) const DURABLE: &[Fault] = &[
    Fault::Before,
    Fault::After,
    Fault::Late(6),
    Fault::ExistsNot,
    Fault::ExistsOwn,
    Fault::DieBefore,
    Fault::DieAfter,
    Fault::DieLate(9),
];

#[test]
fn a_pipeline_struck_at_every_put_neither_loses_nor_repeats() {
    let faults = if is_long() { DURABLE } else { &DURABLE[..3] };
    everywhere("pipeline, every put", faults, Plan::at_put, struck_once);
}

#[test]
fn a_pipeline_killed_at_every_operation_neither_loses_nor_repeats() {
    if is_long() {
        everywhere("pipeline, every operation", DURABLE, Plan::at, struck_once);
    } else {
        let faults = &DURABLE[5..];
        everywhere(
            "pipeline, killed at every put",
            faults,
            Plan::at_put,
            struck_once,
        );
    }
}

/// One process under seeded faults, life after life.
async fn under_chance(world: World, mut rng: Rng) -> Result<(), String> {
    let log = Log::new(2, 24, &mut rng);
    log.assign(&[0, 0]);
    let odds = *rng.pick(&[Odds::SOME, Odds::MANY]);
    let scene = Scene::new(world, rng.clone(), log);
    let plan = move |life: usize| match life < 12 {
        true => Plan::seeded(odds, rng.fork(&format!("plan {life}"))),
        false => Plan::none(),
    };
    let process = scene.process(0, 0).run(plan(0), plan.clone());
    scene.play(vec![process]).await
}

#[test]
fn a_pipeline_under_seeded_faults_neither_loses_nor_repeats() {
    let many = Many {
        short: 25,
        long: 600,
    };
    seeded("pipeline", many, under_chance);
}

/// Two processes share three partitions in which the same events stand. The
/// partitions change hands; one of the processes may not notice for minutes
/// and goes on; both are struck by chance.
pub(super) async fn two_processes(
    scene: &Scene,
    log: &Arc<Log>,
    mut rng: Rng,
) -> Result<(), String> {
    log.assign(&[0, 1, rng.below(2) as usize]);
    let processes = (0..2).map(|number| {
        let mut rng = rng.fork(&format!("process {number}"));
        let odds = *rng.pick(&[None, None, Some(Odds::SOME), Some(Odds::MANY)]);
        let blind = *rng.pick(&[0, 0, 7, 40, 400]);
        let plan = move |life: usize| match odds {
            Some(odds) if life < 8 => Plan::seeded(odds, rng.fork(&format!("plan {life}"))),
            _ => Plan::none(),
        };
        scene.process(number, blind).run(plan(0), plan)
    });
    let processes: Vec<_> = processes.collect();
    let mut rng = rng.fork("hands");
    let hands = async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(1 + rng.below(9))).await;
            let mut owner = || rng.below(2) as usize;
            log.assign(&[owner(), owner(), owner()]);
        }
        Ok(())
    };
    futures::future::try_join(hands, scene.play(processes)).await?;
    Ok(())
}

async fn changing_hands(world: World, mut rng: Rng) -> Result<(), String> {
    let log = Log::new(3, 16, &mut rng);
    let scene = Scene::new(world, rng.clone(), Arc::clone(&log));
    two_processes(&scene, &log, rng).await
}

#[test]
fn two_pipelines_whose_partitions_change_hands_neither_lose_nor_repeat() {
    let many = Many {
        short: 25,
        long: 600,
    };
    seeded("changing hands", many, changing_hands);
}
