//! A trail that follows history while processes are struck, killed and
//! overtaken, and while its versions change.
//!
//! What it has to hold is worked out from the raw objects of history and the
//! versions' documents, as JSON, place by place: none of Cairn's own selecting
//! has a part in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_ingest::deliver::{DeliverOptions, Follower, OpenTable, Versions};
use cairn_ingest::history::History;
use cairn_schemas::selector::{ReadWriteFilter, Selector};
use cairn_schemas::trail::{Destination, Trail, TrailChange, TrailStatus, TrailVersion};
use cairn_schemas::{Micros, Partition, Position, TrailId, TrailName};
use cairn_store::table::{Table, TableError, TableOptions, TableSpec};
use object_store::path::Path;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::log::{Log, Shared};
use super::pipeline::{DURABLE, Process, Scene, everywhere, two_processes};
use super::tables::{ROOT, SeededIds, WorldClock, open_with, options};
use super::{Many, is_long, seeded};
use crate::check::{self, Place, Row};
use crate::{FaultStore, Odds, Plan, Rng, World};

const TRAIL: &str = "tables/trails/t";

/// The versions' documents: put-if-absent, for all processes.
#[derive(Debug, Default)]
struct Documents(Mutex<BTreeMap<u64, TrailVersion>>);

impl Documents {
    fn all(&self) -> Vec<TrailVersion> {
        self.0.lock().values().cloned().collect()
    }
}

#[async_trait]
impl Versions for Documents {
    async fn newer(&self, _: &TrailId, known: u64) -> Result<Vec<TrailVersion>, String> {
        let all = self.0.lock();
        Ok(all.range(known + 1..).map(|(_, v)| v.clone()).collect())
    }

    async fn write(&self, version: &TrailVersion) -> Result<bool, String> {
        let mut all = self.0.lock();
        let there = all.entry(version.version);
        Ok(there.or_insert_with(|| version.clone()) == version)
    }
}

/// Opens the trail's table by one process' way to the store.
#[derive(Debug)]
struct Opener {
    world: World,
    store: FaultStore,
    ids: Arc<SeededIds>,
}

#[async_trait]
impl OpenTable for Opener {
    async fn open(&self, trail: &TrailVersion) -> Result<Arc<Table>, TableError> {
        let spec = TableSpec::events(trail.name.as_str())
            .with_property("cairn.trail_id", trail.id.as_str());
        let options = TableOptions {
            position_prefix: "history".to_owned(),
            ..options()
        };
        let table = open_with(&self.world, &self.store, &self.ids, TRAIL, spec, options);
        Ok(Arc::new(table.await?))
    }
}

/// A follower, and what it knows of history.
type Alive = (Arc<Follower>, Arc<History>);

/// One trail, and who follows it.
#[derive(Debug)]
pub(super) struct Trails {
    documents: Arc<Documents>,
    /// Those of the processes that live.
    alive: Shared<BTreeMap<usize, Alive>>,
    /// Where its table was seen to stand, by anybody.
    stands: watch::Sender<Position>,
    /// Whether its last version is written.
    settled: watch::Sender<bool>,
}

fn version(number: u64, status: TrailStatus, read_write: ReadWriteFilter) -> TrailVersion {
    TrailVersion {
        id: TrailId::new(&"a".repeat(32)).expect("an id"),
        name: TrailName::new("trail").expect("a name"),
        version: number,
        change: match number {
            1 => TrailChange::Created,
            _ => TrailChange::Updated,
        },
        at: Micros(0),
        by: "test".to_owned(),
        effective: Position::default(),
        status,
        selector: Selector {
            read_write,
            ..Selector::default()
        },
        destination: Destination {
            url: "file:///t".to_owned(),
            endpoint: None,
            region: None,
        },
        retention_days: None,
        replaces: None,
    }
}

impl Trails {
    /// A trail that takes the writes, from the log's beginning.
    fn new() -> Arc<Self> {
        let first = version(1, TrailStatus::Enable, ReadWriteFilter::Write);
        Arc::new(Self {
            documents: Arc::new(Documents(Mutex::new([(1, first)].into()))),
            alive: Arc::default(),
            stands: watch::Sender::default(),
            settled: watch::Sender::default(),
        })
    }

    /// Follows in one life of process `number`, as the server does: learns once
    /// a second what others did, lets go of memory that nobody needs.
    pub(super) async fn follow(
        &self,
        (world, store, ids): (&World, &FaultStore, &Arc<SeededIds>),
        history: &Arc<History>,
        number: usize,
        mut rng: Rng,
        stop: CancellationToken,
    ) -> Result<(), String> {
        let trail = Trail::new(self.documents.all()).map_err(|e| e.to_string())?;
        let opener = Opener {
            world: world.clone(),
            store: store.clone(),
            ids: Arc::clone(ids),
        };
        let options = DeliverOptions {
            commit_interval: Duration::from_secs(4),
            commit_rows: 9,
            shared: true,
            patience: Duration::from_secs(200 + 30 * number as u64),
            ..DeliverOptions::default()
        };
        let follower = Follower::new(
            trail,
            Arc::new(opener),
            Arc::clone(&self.documents) as Arc<dyn Versions>,
            Arc::clone(history),
            Arc::new(WorldClock(world.clone())),
            options,
        );
        let known = (Arc::clone(&follower), Arc::clone(history));
        self.alive.lock().insert(number, known);
        let look = async {
            // Less and less often while nothing moves: another process may
            // stand still for days.
            let (mut pause, mut seen) = (1, (Position::default(), 0));
            loop {
                tokio::time::sleep(Duration::from_millis(pause * (700 + rng.below(600)))).await;
                let now = (history.committed(), self.documents.0.lock().len());
                pause = match now == seen {
                    true => (pause * 2).min(500),
                    false => 1,
                };
                seen = now;
                if let Some(table) = follower.table() {
                    let at = table.position();
                    self.stands.send_modify(|stands| stands.merge(&at));
                }
                // A store that does not answer is asked again.
                let _ = history.refresh().await;
                let latest = follower.trail().read().await.latest().clone();
                let newer = self.documents.newer(&latest.id, latest.version).await?;
                follower.learn(newer).await.map_err(|e| e.to_string())?;
                let needed = match rng.happens(200) {
                    // Memory ran out: what is not delivered is read from files.
                    true => None,
                    false => follower.needs_from().await,
                };
                history.release(needed.as_ref());
            }
        };
        tokio::select! {
            ended = look => ended,
            () = Arc::clone(&follower).run(stop) => Ok(()),
        }
    }

    /// Changes the trail by a process that lives, as an administrator does. The
    /// process may be gone at any moment of it.
    async fn change(&self, log: &Log, rng: &mut Rng, last: bool) -> Result<(), String> {
        let alive: Vec<_> = self.alive.lock().values().cloned().collect();
        let Some((follower, history)) = alive.get(rng.below(alive.len().max(1) as u64) as usize)
        else {
            return Ok(());
        };
        let mut trail = follower.trail().write().await;
        let latest = trail.latest().clone();
        let (status, read_write) = match rng.below(5) {
            _ if last => (TrailStatus::Enable, ReadWriteFilter::All),
            0 => (TrailStatus::Disable, latest.selector.read_write),
            1 => (TrailStatus::Enable, ReadWriteFilter::All),
            2 => (TrailStatus::Enable, ReadWriteFilter::Read),
            _ => (TrailStatus::Enable, ReadWriteFilter::Write),
        };
        let mut next = version(latest.version + 1, status, read_write);
        next.effective = log.end();
        next.effective.merge(&history.committed());
        if !self.documents.write(&next).await? {
            return Ok(());
        }
        if rng.happens(300) {
            // Its process dies here: others set the fence.
            return Ok(());
        }
        follower.push(&mut trail, next).map_err(|e| e.to_string())?;
        drop(trail);
        let _ = tokio::time::timeout(Duration::from_secs(2), follower.fence()).await;
        Ok(())
    }

    /// Changes it now and then; the last version delivers everything.
    async fn changes(&self, log: &Log, mut rng: Rng) -> Result<(), String> {
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_secs(1 + rng.below(7))).await;
            let changed = self.change(log, &mut rng, false);
            // A process that is dead holds its trail for ever.
            tokio::time::timeout(Duration::from_secs(20), changed)
                .await
                .unwrap_or(Ok(()))?;
        }
        let is_last = |v: &TrailVersion| {
            v.status == TrailStatus::Enable && v.selector.read_write == ReadWriteFilter::All
        };
        while !self.documents.all().last().is_some_and(is_last) {
            tokio::time::sleep(Duration::from_secs(3)).await;
            let changed = self.change(log, &mut rng, true);
            tokio::time::timeout(Duration::from_secs(20), changed)
                .await
                .unwrap_or(Ok(()))?;
        }
        self.settled.send_replace(true);
        Ok(())
    }

    /// Returns once everything of `goal` was looked at and delivered by the
    /// newest version.
    pub(super) async fn delivered(&self, goal: &Position) {
        let mut settled = self.settled.subscribe();
        let mut stands = self.stands.subscribe();
        // Both senders live as long as `self`.
        let _ = settled.wait_for(|settled| *settled).await;
        let newest = |at: &Position| {
            let newest = self.documents.0.lock().len() as i64;
            at.of(&Partition::version()) == newest
        };
        let _ = stands.wait_for(|at| at.reaches(goal) && newest(at)).await;
    }

    /// Holds the raw objects of the trail's table against those of history.
    pub(super) async fn check(&self, world: &World) -> Result<(), String> {
        let store = world.store().as_ref();
        let history = check::read(store, &Path::from(ROOT), "log").await?;
        let trail = check::read(store, &Path::from(TRAIL), "history").await?;
        let versions = Judged::of(&self.documents.all())?;
        let newest = versions.0.len() as i64;
        let in_force = trail.position("history", "~version", 0);
        if in_force != newest {
            return Err(format!("version {in_force} is in force, not {newest}"));
        }
        let mut wanted: BTreeSet<(Place, String)> = BTreeSet::new();
        for row in &history.rows {
            if versions.take(row)? {
                wanted.insert((row.place.clone(), row.raw.clone()));
            }
        }
        let held: BTreeSet<(Place, String)> = trail
            .rows
            .iter()
            .map(|row| (row.place.clone(), row.raw.clone()))
            .collect();
        if held.len() < trail.rows.len() {
            return Err("the trail has a row twice".to_owned());
        }
        if let Some((place, raw)) = wanted.difference(&held).next() {
            return Err(format!("the trail lacks {place:?}: {raw}"));
        }
        if let Some((place, raw)) = held.difference(&wanted).next() {
            return Err(format!(
                "the trail has {place:?}, which it does not take: {raw}"
            ));
        }
        Ok(())
    }
}

/// The versions' documents as JSON.
struct Judged(Vec<Value>);

impl Judged {
    fn of(versions: &[TrailVersion]) -> Result<Self, String> {
        let all: Result<Vec<Value>, _> = versions.iter().map(serde_json::to_value).collect();
        Ok(Self(all.map_err(|e| e.to_string())?))
    }

    /// Whether the version in force at the row's place takes it.
    fn take(&self, row: &Row) -> Result<bool, String> {
        let (source, partition, offset, _) = &row.place;
        let in_force = self.0.iter().rev().find(|version| {
            let number = version["version"].as_u64();
            let replaced = self.0.iter().any(|later| {
                let first = later["replaces"].as_u64();
                first.is_some() && first <= number && number < later["version"].as_u64()
            });
            let from = &version["effective"][format!("{source}/{partition}")];
            !replaced && from.as_i64().unwrap_or(0) <= *offset
        });
        let Some(version) = in_force.filter(|version| version["status"] == "Enable") else {
            return Ok(false);
        };
        let event: Value = serde_json::from_str(&row.raw).map_err(|e| e.to_string())?;
        let wanted = &version["selector"]["read_write"];
        Ok(*wanted == "All" || *wanted == event["eventRW"])
    }
}

/// One process with a trail, struck once; its trail changes twice meanwhile.
async fn struck_once(world: World, plan: Plan) -> Result<usize, String> {
    let mut rng = Rng::new(13);
    let log = Log::new(2, 14, &mut rng);
    log.assign(&[0, 0]);
    let trails = Trails::new();
    let scene = Scene::new(world, rng.clone(), Arc::clone(&log)).with(&trails);
    let process = scene.process(0, 0).run(plan, |_| Plan::none());
    let changes = trails.changes(&log, rng.fork("changes"));
    futures::future::try_join(changes, scene.play(vec![process])).await?;
    Ok(scene.struck())
}

#[test]
fn a_trail_struck_at_every_put_holds_what_its_versions_take() {
    let faults = if is_long() { DURABLE } else { &DURABLE[6..] };
    everywhere("trail, every put", faults, Plan::at_put, struck_once);
}

#[test]
fn a_trail_killed_at_every_operation_holds_what_its_versions_take() {
    if is_long() {
        everywhere("trail, every operation", DURABLE, Plan::at, struck_once);
    } else {
        everywhere(
            "trail, killed at every put",
            &DURABLE[5..6],
            Plan::at_put,
            struck_once,
        );
    }
}

/// Two processes whose partitions change hands deliver to one trail, whose
/// versions change; both are struck by chance.
async fn changing_hands(world: World, mut rng: Rng) -> Result<(), String> {
    let log = Log::new(3, 16, &mut rng);
    let trails = Trails::new();
    let scene = Scene::new(world, rng.clone(), Arc::clone(&log)).with(&trails);
    let changes = trails.changes(&log, rng.fork("changes"));
    futures::future::try_join(changes, two_processes(&scene, &log, rng)).await?;
    Ok(())
}

#[test]
fn a_trail_whose_partitions_and_versions_change_holds_what_it_should() {
    let many = Many {
        short: 25,
        long: 600,
    };
    seeded("trail, changing hands", many, changing_hands);
}

/// One process under seeded faults, life after life, and its trail.
async fn under_chance(world: World, mut rng: Rng) -> Result<(), String> {
    let log = Log::new(2, 20, &mut rng);
    log.assign(&[0, 0]);
    let trails = Trails::new();
    let odds = *rng.pick(&[Odds::SOME, Odds::MANY]);
    let scene = Scene::new(world, rng.clone(), Arc::clone(&log)).with(&trails);
    let changes = trails.changes(&log, rng.fork("changes"));
    let plan = move |life: usize| match life < 12 {
        true => Plan::seeded(odds, rng.fork(&format!("plan {life}"))),
        false => Plan::none(),
    };
    let process: Process = scene.process(0, 0);
    let process = process.run(plan(0), plan);
    futures::future::try_join(changes, scene.play(vec![process])).await?;
    Ok(())
}

#[test]
fn a_trail_under_seeded_faults_holds_what_its_versions_take() {
    let many = Many {
        short: 15,
        long: 400,
    };
    seeded("trail", many, under_chance);
}
