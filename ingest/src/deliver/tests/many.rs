//! Several processes over one store, stepped by hand in the order that a test
//! wants. What a trail has to hold is worked out from the log and the
//! documents alone, offset by offset.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::AtomicU64;

use cairn_schemas::keys;
use cairn_schemas::selector::Among;
use cairn_store::log::Envelope;
use cairn_store::objects::{self, ObjectSettings, Opened};

use super::*;
use crate::decode::DecodeLimits;
use crate::history::Outcome;
use crate::judge::Judge;
use crate::seen::{SeenIndex, SeenOptions};
use crate::source::{Received, Record};
use crate::testing::{TestClock, TestIds};

fn part(name: &str) -> Partition {
    Partition::try_from(name.to_owned()).unwrap()
}

fn all(names: &[&str]) -> BTreeSet<Partition> {
    names.iter().map(|n| part(n)).collect()
}

/// The brokers, the bucket and the control documents.
struct World {
    dir: tempfile::TempDir,
    root: Opened,
    clock: Arc<TestClock>,
    ids: Arc<TestIds>,
    documents: Arc<Documents>,
    /// The numbers of the events of each partition, by offset.
    log: Mutex<BTreeMap<Partition, Vec<usize>>>,
    processes: AtomicU64,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join(keys::STORE_DIR);
        std::fs::create_dir_all(&store).unwrap();
        let url = format!("file://{}", store.display());
        let root = objects::open(&url, &ObjectSettings::default())
            .await
            .unwrap();
        let world = Self {
            root,
            dir,
            clock: Arc::default(),
            ids: Arc::new(TestIds(AtomicU64::new(1))),
            documents: Arc::default(),
            log: Mutex::default(),
            processes: AtomicU64::new(0),
        };
        let created = version(
            1,
            TrailChange::Created,
            TrailStatus::Enable,
            Position::default(),
        );
        world.documents.0.lock().insert(1, created);
        world
    }

    async fn table(&self, key: &str, spec: TableSpec) -> Arc<Table> {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let ids = Arc::clone(&self.ids) as Arc<dyn IdSource>;
        let root = self.root.at(key);
        let table = Table::open_or_create(&root, spec, TableOptions::default(), clock, ids);
        Arc::new(table.await.unwrap())
    }

    /// Adds `count` events to a partition, with numbers that no other has.
    fn produce(&self, partition: &str, count: usize) {
        let mut log = self.log.lock();
        let next = log.values().map(Vec::len).sum::<usize>();
        let there = log.entry(part(partition)).or_default();
        there.extend(next..next + count);
    }

    fn end(&self) -> Position {
        let log = self.log.lock();
        let ends = log
            .iter()
            .map(|(p, events)| (p.clone(), events.len() as i64));
        Position(ends.collect())
    }

    /// Writes the document of the next version, and nothing more.
    fn document(&self, change: TrailChange, status: TrailStatus) -> TrailVersion {
        let mut all = self.documents.0.lock();
        let number = all.len() as u64 + 1;
        let next = version(number, change, status, self.end());
        all.insert(number, next.clone());
        next
    }

    /// A process that starts now, with its own history and what it finds.
    async fn process(&self, owned: &[&str]) -> Process {
        let history = self
            .table(keys::HISTORY, TableSpec::events("history").outlined(true))
            .await;
        let quarantine = self.table(keys::QUARANTINE, TableSpec::quarantine()).await;
        let history = Arc::new(History::new(history, quarantine, 64 << 20));
        let trail = Trail::new(self.documents.0.lock().values().cloned().collect());
        let opener = Arc::new(Opener {
            root: self.root.clone(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            ids: Arc::clone(&self.ids) as Arc<dyn IdSource>,
            away: Arc::default(),
        });
        let options = DeliverOptions {
            commit_interval: Duration::from_secs(3600),
            catch_up: Duration::from_secs(600),
            shared: true,
            ..DeliverOptions::default()
        };
        let follower = Follower::new(
            trail.unwrap(),
            opener,
            Arc::clone(&self.documents) as Arc<dyn Versions>,
            Arc::clone(&history),
            Arc::clone(&self.clock) as Arc<dyn Clock>,
            options,
        );
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        let mut process = Process {
            seen: self.dir.path().join(format!("seen-{number}")),
            history,
            follower,
            judge: None,
        };
        process.begin(owned).await;
        process
    }

    /// What the trail has to hold in files once everything is delivered.
    fn wanted(&self) -> Vec<String> {
        let documents = self.documents.0.lock();
        let mut wanted = Vec::new();
        for (partition, events) in &*self.log.lock() {
            for (offset, number) in events.iter().enumerate() {
                let mut judge = None;
                for v in documents.values() {
                    let gone = documents.values().any(|w| {
                        w.version > v.version && w.replaces.is_some_and(|r| r <= v.version)
                    });
                    if !gone && v.effective.of(partition) <= offset as i64 {
                        judge = Some(v);
                    }
                }
                let takes = judge.is_some_and(|v| v.status == TrailStatus::Enable);
                if takes && number % 2 == 1 {
                    wanted.push(format!("id-{number}"));
                }
            }
        }
        wanted.sort();
        wanted
    }

    /// What its files hold.
    async fn delivered(&self) -> Vec<String> {
        let spec = TableSpec::events("writes").with_property("cairn.trail_id", &"a".repeat(32));
        let table = self.table("tables/trails/t", spec).await;
        let snapshot = crate::history::view(&table, &table.files(), Vec::new(), &table.position());
        ids_of(&table, &snapshot).await
    }
}

/// What a pipeline does that looks, and learns what it finds. One that was
/// overtaken would begin anew; here it sleeps on.
async fn refresh(history: &History) {
    history.refresh().await.unwrap();
    let stand = history.unlearned();
    let stand = stand.filter(|(_, at)| !history.is_overtaken(at));
    stand.into_iter().for_each(|s| history.learned_up_to(s));
}

struct Process {
    history: Arc<History>,
    follower: Arc<Follower>,
    judge: Option<Judge>,
    seen: std::path::PathBuf,
}

impl Process {
    /// A new incarnation, as after a rebalance.
    async fn begin(&mut self, owned: &[&str]) {
        self.judge = None;
        let _ = std::fs::remove_dir_all(&self.seen);
        let seen = SeenIndex::open(&self.seen, SeenOptions::default()).unwrap();
        self.judge = Some(Judge::new(
            seen,
            HashSet::new(),
            DecodeLimits::default(),
            90,
        ));
        self.history.refresh_tables().await.unwrap();
        self.history.begin(self.history.table().files_at()).await;
        self.history.own(all(owned));
    }

    /// Reads what its partitions have to give.
    fn read(&mut self, world: &World) {
        let envelope = Arc::new(Envelope {
            received: world.clock.now(),
            sender: "test".to_owned(),
            accounts: Among::All,
            account: None,
        });
        let owned = self.history.owned().borrow().clone();
        for partition in owned.iter() {
            let first = self.history.head().of(partition);
            let log = world.log.lock();
            let events = log
                .get(partition)
                .map_or(&[][..], |all| &all[first as usize..]);
            if events.is_empty() {
                continue;
            }
            let records = events.iter().zip(first..).map(|(number, offset)| Record {
                offset,
                item: 0,
                bytes: event(ACCOUNT, *number),
                refusal: None,
                origin: None,
            });
            let received = Received {
                partition: partition.clone(),
                first,
                next: first + events.len() as i64,
                envelope: Arc::clone(&envelope),
                records: records.collect(),
                mark: None,
            };
            let judge = self.judge.as_mut().unwrap();
            for judged in judge.judge(vec![received]).unwrap() {
                self.history.push(judged.stretch);
            }
        }
    }

    /// Commits to history; `false` if another was there first with its partitions.
    async fn commit(&self) -> bool {
        loop {
            match self.history.commit().await.unwrap() {
                Outcome::Committed(_) => return true,
                Outcome::Behind(_) => self.history.learned_up_to(self.history.table().files_at()),
                Outcome::Overtaken => return false,
            }
        }
    }

    async fn take(&mut self, world: &World) {
        self.read(world);
        assert!(self.commit().await);
    }

    async fn step(&self) {
        refresh(&self.history).await;
        // What is found out by a conflict is mended by the step after it.
        for _ in 0..3 {
            self.follower.step().await.unwrap();
        }
    }

    /// Reads the documents that are not known here.
    async fn learn(&self, world: &World) {
        let trail = self.follower.trail().read().await.clone();
        let newer = world
            .documents
            .newer(trail.id(), trail.latest().version)
            .await;
        self.follower.learn(newer.unwrap()).await.unwrap();
    }

    /// A step without its delivery.
    async fn look(&self) {
        refresh(&self.history).await;
        let table = self.follower.table().unwrap();
        self.follower.settle_claims(table).await.unwrap();
        for (partition, from, goal) in self.follower.behind().await {
            self.follower
                .scan_window(&partition, from, goal)
                .await
                .unwrap();
        }
    }

    /// Delivers what waits here.
    async fn deliver(&self) {
        self.step().await;
        let table = self.follower.table().unwrap();
        self.follower.deliver(table).await.unwrap();
        self.step().await;
    }

    async fn asked(&self) -> Vec<String> {
        refresh(&self.history).await;
        let snapshot = self.follower.snapshot().await.unwrap();
        ids_of(self.follower.table().unwrap(), &snapshot).await
    }

    fn claims(&self) -> Vec<String> {
        let state = self.follower.state.lock();
        state.claims.keys().map(ToString::to_string).collect()
    }

    /// Makes what was seen last older, as if time had passed.
    fn age(&self, by: Duration) {
        let mut state = self.follower.state.lock();
        for seen in state.seen.values_mut() {
            seen.since = seen.since.checked_sub(by).unwrap();
        }
        state.refreshed = state.refreshed.and_then(|at| at.checked_sub(by));
    }

    /// How many times somebody committed to the trail's table.
    fn commits(&self) -> i64 {
        self.follower.table().unwrap().files().version
    }
}

const LONG: Duration = Duration::from_secs(61);

#[tokio::test]
async fn each_process_delivers_its_own_partitions_to_one_table() {
    let world = World::new().await;
    let mut a = world.process(&["t/0", "t/1"]).await;
    let mut b = world.process(&["t/2"]).await;
    for _ in 0..3 {
        for partition in ["t/0", "t/1", "t/2"] {
            world.produce(partition, 7);
        }
        a.take(&world).await;
        b.take(&world).await;
        b.deliver().await;
        a.deliver().await;
    }
    assert_eq!(a.claims(), ["t/0", "t/1"]);
    assert_eq!(b.claims(), ["t/2"]);
    assert_eq!(world.delivered().await, world.wanted());
}

#[tokio::test]
async fn what_others_have_not_delivered_is_in_the_answer_once() {
    let world = World::new().await;
    let mut a = world.process(&["t/0"]).await;
    let mut b = world.process(&["t/1"]).await;
    let reader = world.process(&[]).await;
    for _ in 0..3 {
        world.produce("t/0", 6);
        world.produce("t/1", 6);
        a.take(&world).await;
        b.take(&world).await;
        a.step().await;
        // Files, rows that wait at `a`, and rows that wait elsewhere.
        let wanted = world.wanted();
        assert_eq!(a.asked().await, wanted);
        assert_eq!(b.asked().await, wanted);
        assert_eq!(reader.asked().await, wanted);
        b.deliver().await;
        // What was read for the last answer is in files now.
        assert_eq!(a.asked().await, wanted);
        assert_eq!(reader.asked().await, wanted);
    }
    // Open rows are seen where they are.
    world.produce("t/0", 4);
    a.read(&world);
    assert_eq!(a.asked().await, world.wanted());
}

#[tokio::test]
async fn a_flush_waits_for_others_and_not_for_what_they_need_not_deliver() {
    let world = World::new().await;
    let mut a = world.process(&["t/0"]).await;
    let mut b = world.process(&["t/1"]).await;
    // Number 0 is a read, which the trail does not take.
    world.produce("t/1", 1);
    b.take(&world).await;
    a.step().await;
    a.follower.flush(&world.end()).await.unwrap();
    world.produce("t/1", 3);
    b.take(&world).await;
    a.step().await;
    let (follower, end) = (Arc::clone(&a.follower), world.end());
    let mut flush = Box::pin(async move { follower.flush(&end).await });
    for _ in 0..3 {
        assert!(futures::poll!(flush.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    b.deliver().await;
    flush.await.unwrap();
    assert_eq!(world.delivered().await, world.wanted());
    a.take(&world).await;
}

#[tokio::test]
async fn a_partition_that_moves_is_delivered_first_and_then_by_the_other() {
    let world = World::new().await;
    let mut a = world.process(&["t/0"]).await;
    let mut b = world.process(&[]).await;
    world.produce("t/0", 10);
    a.take(&world).await;
    a.step().await;
    assert_eq!(a.follower.status().pending_rows, 5);
    a.begin(&[]).await;
    b.begin(&["t/0"]).await;
    a.step().await;
    assert_eq!((a.follower.status().pending_rows, a.claims().len()), (0, 0));
    assert_eq!(
        world.delivered().await,
        world.wanted(),
        "before the other began"
    );
    world.produce("t/0", 10);
    b.take(&world).await;
    b.deliver().await;
    assert_eq!(world.delivered().await, world.wanted());
}

#[tokio::test]
async fn a_process_that_slept_through_a_move_delivers_nothing_twice() {
    let world = World::new().await;
    let mut a = world.process(&["t/0", "t/1"]).await;
    world.produce("t/0", 10);
    world.produce("t/1", 10);
    a.take(&world).await;
    a.step().await;
    // While `a` sleeps, `b` takes one of its partitions and goes on.
    let mut b = world.process(&["t/0"]).await;
    world.produce("t/0", 10);
    b.take(&world).await;
    b.deliver().await;
    assert_eq!(a.follower.status().pending_rows, 10);
    // The first is refused as a whole, the second holds what is still its own.
    a.deliver().await;
    assert_eq!(a.follower.status().pending_rows, 5);
    a.deliver().await;
    let wanted = world.wanted();
    assert_eq!(world.delivered().await, wanted);
    // Its pipeline learns that it was overtaken, and begins with what is left.
    a.begin(&["t/1"]).await;
    assert_eq!(a.asked().await, wanted);
}

#[tokio::test]
async fn what_nobody_delivers_is_taken_over_after_a_while_and_given_back() {
    let world = World::new().await;
    let mut dead = world.process(&["old/0"]).await;
    world.produce("old/0", 10);
    dead.take(&world).await;
    drop(dead);
    let a = world.process(&["t/0"]).await;
    a.step().await;
    assert!(a.claims().is_empty(), "its owner may only be slow");
    assert!(world.delivered().await.is_empty());
    a.age(LONG);
    a.look().await;
    assert_eq!(a.claims(), ["old/0"]);
    a.step().await;
    assert_eq!(world.delivered().await, world.wanted());
    assert!(a.claims().is_empty(), "there is nothing more to do");

    // Somebody owns it again: what is in hand here is left to that one.
    world.produce("old/0", 10);
    let mut b = world.process(&["old/0"]).await;
    b.take(&world).await;
    a.step().await;
    a.age(LONG);
    a.look().await;
    assert_eq!(a.claims(), ["old/0"]);
    world.produce("old/0", 2);
    b.take(&world).await;
    a.look().await;
    assert!(
        a.claims().is_empty(),
        "history goes on, so somebody is there"
    );
    b.deliver().await;
    assert_eq!(world.delivered().await, world.wanted());
}

#[tokio::test]
async fn two_that_take_over_the_same_partition_deliver_it_once() {
    let world = World::new().await;
    let mut dead = world.process(&["old/0"]).await;
    world.produce("old/0", 10);
    dead.take(&world).await;
    let (a, b) = (world.process(&[]).await, world.process(&[]).await);
    a.step().await;
    b.step().await;
    a.age(LONG);
    b.age(LONG);
    a.look().await;
    b.look().await;
    assert_eq!((a.claims().len(), b.claims().len()), (1, 1));
    a.deliver().await;
    b.deliver().await;
    assert_eq!(world.delivered().await, world.wanted());
}

#[tokio::test]
async fn a_quiet_partition_that_had_nothing_to_take_is_settled_once() {
    let world = World::new().await;
    let mut a = world.process(&["t/0"]).await;
    let b = world.process(&[]).await;
    // One event, a read: there is nothing to deliver.
    world.produce("t/0", 1);
    a.take(&world).await;
    a.step().await;
    let before = a.commits();
    a.age(LONG);
    a.step().await;
    assert_eq!(a.commits(), before + 1);
    for _ in 0..3 {
        a.age(LONG);
        b.age(LONG);
        a.step().await;
        b.step().await;
        assert!(b.claims().is_empty(), "it is looked after");
    }
    assert_eq!(a.commits(), before + 1);
}

#[tokio::test]
async fn a_version_binds_a_process_that_does_not_know_it_yet() {
    let world = World::new().await;
    let mut a = world.process(&["t/0"]).await;
    let mut b = world.process(&["t/1"]).await;
    world.produce("t/1", 10);
    b.take(&world).await;
    b.step().await;
    let stopped = world.document(TrailChange::Stopped, TrailStatus::Disable);
    // Before the fence, `b` looks at rows that the version keeps out.
    world.produce("t/1", 10);
    b.take(&world).await;
    b.step().await;
    assert_eq!(b.follower.status().pending_rows, 10);
    a.follower.learn(vec![stopped]).await.unwrap();
    a.follower.fence().await.unwrap();
    b.deliver().await;
    b.deliver().await;
    let documents = world.documents.0.lock().len();
    assert_eq!(documents, 2, "nobody delivered past its place");
    assert_eq!(world.delivered().await, world.wanted());
    assert_eq!(world.delivered().await.len(), 5);
    assert_eq!(b.follower.trail().read().await.latest().version, 2);
    world.produce("t/0", 10);
    a.take(&world).await;
    a.deliver().await;
    assert_eq!(world.delivered().await.len(), 5, "it is stopped everywhere");
}

#[tokio::test]
async fn a_version_that_was_overtaken_takes_effect_later() {
    let world = World::new().await;
    let a = world.process(&["t/0"]).await;
    let mut b = world.process(&["t/1"]).await;
    world.produce("t/1", 10);
    b.take(&world).await;
    b.deliver().await;
    let stopped = world.document(TrailChange::Stopped, TrailStatus::Disable);
    world.produce("t/1", 10);
    b.take(&world).await;
    b.deliver().await;
    // Only now does whoever made the document come to the fence.
    refresh(&a.history).await;
    a.follower.learn(vec![stopped]).await.unwrap();
    a.follower.fence().await.unwrap();
    let last = world.documents.0.lock()[&3].clone();
    assert_eq!(
        (last.replaces, last.status),
        (Some(2), TrailStatus::Disable)
    );
    assert_eq!(last.effective.of(&part("t/1")), 20);
    world.produce("t/1", 10);
    b.take(&world).await;
    b.deliver().await;
    b.deliver().await;
    assert_eq!(world.delivered().await.len(), 10);
    assert_eq!(world.delivered().await, world.wanted());
}

#[tokio::test]
async fn a_crash_between_document_and_fence_is_made_good_by_whoever_comes() {
    let world = World::new().await;
    let mut a = world.process(&["t/0"]).await;
    world.produce("t/0", 10);
    a.take(&world).await;
    a.deliver().await;
    world.document(TrailChange::Stopped, TrailStatus::Disable);
    drop(a);
    world.produce("t/0", 10);
    let mut b = world.process(&["t/0"]).await;
    assert!(!b.follower.is_fenced().await);
    b.take(&world).await;
    b.deliver().await;
    assert!(b.follower.is_fenced().await);
    let in_force = b.follower.table().unwrap().position();
    assert_eq!(in_force.of(&Partition::version()), 2);
    assert_eq!(world.delivered().await, world.wanted());
    assert_eq!(world.delivered().await.len(), 5);
    let shown = b.follower.status();
    assert!(!shown.delivered.0.contains_key(&Partition::version()));
}

#[tokio::test]
async fn a_deleted_trail_ends_once_all_have_delivered_their_part() {
    let world = World::new().await;
    let mut a = world.process(&["t/0"]).await;
    let mut b = world.process(&["t/1"]).await;
    world.produce("t/0", 4);
    world.produce("t/1", 4);
    a.take(&world).await;
    b.take(&world).await;
    let deleted = world.document(TrailChange::Deleted, TrailStatus::Disable);
    a.follower.learn(vec![deleted]).await.unwrap();
    a.deliver().await;
    assert!(
        !a.follower.is_finished().await,
        "the other has a part to deliver"
    );
    b.deliver().await;
    b.deliver().await;
    assert!(b.follower.is_finished().await);
    a.age(LONG);
    a.step().await;
    assert!(a.follower.is_finished().await);
    assert_eq!(world.delivered().await, world.wanted());
}

/// A small generator: the same seed, the same test.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % sides
    }
}

const PARTITIONS: [&str; 3] = ["t/0", "t/1", "t/2"];

/// One act of one of the processes, by chance.
async fn act(world: &World, dice: &mut Dice, processes: &mut [Process]) {
    let who = dice.throw(processes.len() as u64) as usize;
    match dice.throw(12) {
        0..=3 => {
            let partition = PARTITIONS[dice.throw(3) as usize];
            world.produce(partition, 1 + dice.throw(9) as usize);
            processes[who].read(world);
        }
        4..=5 => {
            if !processes[who].commit().await {
                let owned = processes[who].history.owned().borrow().clone();
                let owned: Vec<String> = owned.iter().map(ToString::to_string).collect();
                let owned: Vec<&str> = owned.iter().map(String::as_str).collect();
                processes[who].begin(&owned).await;
            }
        }
        6 => processes[who].step().await,
        7..=8 => processes[who].deliver().await,
        9 => {
            let started = world.documents.0.lock().len().is_multiple_of(2);
            let (change, status) = match started {
                true => (TrailChange::Started, TrailStatus::Enable),
                false => (TrailChange::Stopped, TrailStatus::Disable),
            };
            world.document(change, status);
            // Whoever made it may be gone before it could do more.
            if dice.throw(2) == 0 {
                refresh(&processes[who].history).await;
                processes[who].learn(world).await;
                processes[who].follower.fence().await.unwrap();
            }
        }
        // Ownership moves, and who had it may not know.
        10 => {
            let mask = dice.throw(8);
            let owned = (0..3).filter(|n| mask >> n & 1 == 1);
            let owned: Vec<&str> = owned.map(|n| PARTITIONS[n as usize]).collect();
            processes[who].begin(&owned).await;
        }
        _ => {
            let mask = dice.throw(8);
            let owned = (0..3).filter(|n| mask >> n & 1 == 1);
            let owned: Vec<&str> = owned.map(|n| PARTITIONS[n as usize]).collect();
            processes[who] = world.process(&owned).await;
        }
    }
}

#[tokio::test]
async fn whatever_happens_in_whatever_order_the_trail_is_exact() {
    let mut stand_ins = 0;
    for seed in 0..24 {
        let world = World::new().await;
        let mut dice = Dice(seed);
        let mut processes = Vec::new();
        for owned in [&["t/0", "t/1"][..], &["t/2"], &[]] {
            processes.push(world.process(owned).await);
        }
        for _ in 0..60 {
            act(&world, &mut dice, &mut processes).await;
        }
        // At last one of them has everything, and the others sleep.
        let mut last = processes.swap_remove(dice.throw(3) as usize);
        last.begin(&PARTITIONS).await;
        last.take(&world).await;
        // Documents are read every second, also those of whoever crashed.
        last.learn(&world).await;
        last.deliver().await;
        last.deliver().await;
        let wanted = world.wanted();
        let at = last.follower.table().unwrap().position();
        let documents = world.documents.0.lock().clone();
        let told: Vec<_> = documents
            .values()
            .map(|v| (v.version, v.status, v.replaces, &v.effective.0))
            .collect();
        assert_eq!(
            world.delivered().await,
            wanted,
            "seed {seed}: at {at:?}, ends {:?}, {told:?}",
            world.end()
        );
        assert_eq!(last.asked().await, wanted, "seed {seed}");
        // The others wake and find nothing to add. Once they know that they own
        // nothing more, they answer alike.
        for mut other in processes {
            other.deliver().await;
            other.deliver().await;
            other.begin(&[]).await;
            other.age(LONG);
            assert_eq!(other.asked().await, wanted, "seed {seed}");
        }
        assert_eq!(world.delivered().await, wanted, "seed {seed}");
        let documents = world.documents.0.lock();
        stand_ins += documents.values().filter(|v| v.replaces.is_some()).count();
    }
    assert!(stand_ins > 0, "no version was ever overtaken");
}

#[tokio::test]
async fn a_copy_that_another_delivered_is_never_counted_beside_the_open_one() {
    let world = World::new().await;
    let mut a = world.process(&["t/0"]).await;
    let mut b = world.process(&["t/1"]).await;
    world.produce("t/0", 2);
    b.step().await;
    // The same event again, for the other one.
    world.log.lock().insert(part("t/1"), vec![1]);
    b.read(&world);
    assert_eq!(b.asked().await, ["id-1"], "its own, which is open");
    a.take(&world).await;
    a.deliver().await;
    // It looks at both tables, and its judge has not learned of the other's.
    b.history.refresh().await.unwrap();
    b.age(LONG);
    let follower = Arc::clone(&b.follower);
    let asked = tokio::spawn(async move { follower.snapshot().await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    // What its pipeline does when the two collide.
    b.begin(&["t/1"]).await;
    let snapshot = asked.await.unwrap().unwrap();
    let table = b.follower.table().unwrap();
    assert_eq!(ids_of(table, &snapshot).await, ["id-1"]);
}
