use cairn_schemas::selector::{ReadWriteFilter, Selector};
use cairn_schemas::trail::{Destination, TrailChange};
use cairn_schemas::{IdSource, Partition, TrailId, TrailName};
use cairn_store::table::{TableOptions, TableSpec};

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

mod many;
use crate::pipeline::PipelineOptions;
use crate::testing::{ACCOUNT, Rig, event, expected, ids_of};

#[derive(Debug)]
struct Opener {
    root: cairn_store::objects::Opened,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    /// While set, the destination does not answer.
    away: Arc<AtomicBool>,
}

#[async_trait]
impl OpenTable for Opener {
    async fn open(&self, trail: &TrailVersion) -> Result<Arc<Table>, TableError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(TableError::Unavailable {
                table: "t".to_owned(),
                action: "opening",
                reason: "away".to_owned(),
            });
        }
        let spec = TableSpec::events(trail.name.as_str())
            .with_property("cairn.trail_id", trail.id.as_str());
        let opened = self.root.at("tables/trails/t");
        let (clock, ids) = (Arc::clone(&self.clock), Arc::clone(&self.ids));
        Ok(Arc::new(
            Table::open_or_create(&opened, spec, TableOptions::default(), clock, ids).await?,
        ))
    }
}

/// A trail's documents, as all processes see them.
#[derive(Debug, Default)]
struct Documents(Mutex<BTreeMap<u64, TrailVersion>>);

#[async_trait]
impl Versions for Documents {
    async fn newer(&self, _: &TrailId, known: u64) -> Result<Vec<TrailVersion>, String> {
        Ok(self
            .0
            .lock()
            .range(known + 1..)
            .map(|(_, v)| v.clone())
            .collect())
    }

    async fn write(&self, version: &TrailVersion) -> Result<bool, String> {
        let mut all = self.0.lock();
        let there = all
            .entry(version.version)
            .or_insert_with(|| version.clone());
        Ok(there == version)
    }
}

fn version(
    number: u64,
    change: TrailChange,
    status: TrailStatus,
    effective: Position,
) -> TrailVersion {
    TrailVersion {
        id: TrailId::new(&"a".repeat(32)).unwrap(),
        name: TrailName::new("writes").unwrap(),
        version: number,
        change,
        at: Micros(0),
        by: "test".to_owned(),
        effective,
        status,
        selector: Selector {
            read_write: ReadWriteFilter::Write,
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

struct Following {
    follower: Arc<Follower>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    away: Arc<AtomicBool>,
}

fn follow(rig: &Rig, trail: Trail) -> Following {
    follow_where(rig, trail, false)
}

fn follow_where(rig: &Rig, trail: Trail, at_first_away: bool) -> Following {
    let away = Arc::new(AtomicBool::new(at_first_away));
    let opener = Arc::new(Opener {
        away: Arc::clone(&away),
        root: rig.root.clone(),
        clock: Arc::clone(&rig.clock) as Arc<dyn Clock>,
        ids: Arc::clone(&rig.ids) as Arc<dyn IdSource>,
    });
    let clock = Arc::clone(&rig.clock) as Arc<dyn Clock>;
    let options = DeliverOptions {
        commit_interval: Duration::from_secs(3600),
        // Who never gets on is not waited for long; all others need a moment.
        catch_up: Duration::from_secs(if at_first_away { 0 } else { 600 }),
        ..DeliverOptions::default()
    };
    let follower = Follower::new(
        trail,
        opener,
        Arc::new(Documents::default()),
        Arc::clone(&rig.history),
        clock,
        options,
    );
    let stop = CancellationToken::new();
    let task = tokio::spawn(Arc::clone(&follower).run(stop.clone()));
    Following {
        follower,
        stop,
        task,
        away,
    }
}

impl Following {
    async fn ids(&self, rig: &Rig) -> Vec<String> {
        rig.flush().await;
        self.follower.flush(&rig.end()).await.unwrap();
        let snapshot = self.follower.snapshot().await.unwrap();
        assert!(
            snapshot.fresh.is_empty(),
            "after a flush everything is in files"
        );
        ids_of(self.follower.table().unwrap(), &snapshot).await
    }

    async fn change(&self, rig: &Rig, change: TrailChange, status: TrailStatus) {
        let mut trail = self.follower.trail().write().await;
        let next = version(trail.latest().version + 1, change, status, rig.end());
        self.follower.push(&mut trail, next).unwrap();
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn options() -> PipelineOptions {
    PipelineOptions {
        commit_interval: Duration::from_secs(3600),
        ..PipelineOptions::default()
    }
}

fn events(range: std::ops::Range<usize>) -> Vec<bytes::Bytes> {
    range.map(|n| event(ACCOUNT, n)).collect()
}

fn odd(range: std::ops::Range<usize>) -> Vec<String> {
    expected(range.filter(|n| n % 2 == 1))
}

#[tokio::test]
async fn a_started_trail_holds_exactly_what_its_selector_takes() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::open(dir.path(), 1, options()).await;
    rig.send(events(0..10)).await;
    let created = version(1, TrailChange::Created, TrailStatus::Enable, rig.end());
    let following = follow(&rig, Trail::new(vec![created]).unwrap());
    rig.send(events(10..20)).await;
    assert_eq!(following.ids(&rig).await, odd(10..20));
    following.end().await;
    rig.close().await;
}

#[tokio::test]
async fn rows_that_no_commit_holds_are_visible_in_the_trail() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::open(dir.path(), 1, options()).await;
    let created = version(1, TrailChange::Created, TrailStatus::Enable, rig.end());
    let following = follow(&rig, Trail::new(vec![created]).unwrap());
    assert!(following.ids(&rig).await.is_empty());
    rig.send(events(0..10)).await;
    let snapshot = following.follower.snapshot().await.unwrap();
    assert_eq!(
        ids_of(following.follower.table().unwrap(), &snapshot).await,
        odd(0..10)
    );
    // Committed to history and not to the trail: still once, from the follower's memory.
    rig.flush().await;
    let snapshot = following.follower.snapshot().await.unwrap();
    assert_eq!(
        ids_of(following.follower.table().unwrap(), &snapshot).await,
        odd(0..10)
    );
    following.end().await;
    rig.close().await;
}

#[tokio::test]
async fn what_comes_while_stopped_is_not_delivered_later() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::open(dir.path(), 1, options()).await;
    let created = version(1, TrailChange::Created, TrailStatus::Enable, rig.end());
    let following = follow(&rig, Trail::new(vec![created]).unwrap());
    rig.send(events(0..10)).await;
    following
        .change(&rig, TrailChange::Stopped, TrailStatus::Disable)
        .await;
    rig.send(events(10..20)).await;
    assert_eq!(following.ids(&rig).await, odd(0..10));
    following
        .change(&rig, TrailChange::Started, TrailStatus::Enable)
        .await;
    rig.send(events(20..30)).await;
    let mut both = odd(0..10);
    both.extend(odd(20..30));
    both.sort();
    assert_eq!(following.ids(&rig).await, both);
    following.end().await;
    rig.close().await;
}

#[tokio::test]
async fn a_backfill_reads_files_and_a_restart_goes_on_where_it_stood() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::open(dir.path(), 1, options()).await;
    rig.send(events(0..10)).await;
    rig.flush().await;
    rig.close().await;
    // Nothing of the first ten is in memory now.
    let rig = Rig::open(dir.path(), 2, options()).await;
    let created = version(
        1,
        TrailChange::Created,
        TrailStatus::Enable,
        Position::default(),
    );
    let trail = Trail::new(vec![created]).unwrap();
    let following = follow(&rig, trail.clone());
    rig.send(events(10..20)).await;
    assert_eq!(following.ids(&rig).await, odd(0..20));
    following.end().await;
    rig.close().await;

    let rig = Rig::open(dir.path(), 3, options()).await;
    let following = follow(&rig, trail);
    rig.send(events(20..30)).await;
    assert_eq!(following.ids(&rig).await, odd(0..30));
    following.end().await;
    rig.close().await;
}

#[tokio::test]
async fn a_deleted_trail_delivers_what_came_before_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::open(dir.path(), 1, options()).await;
    let created = version(1, TrailChange::Created, TrailStatus::Enable, rig.end());
    let following = follow(&rig, Trail::new(vec![created]).unwrap());
    rig.send(events(0..4)).await;
    following
        .change(&rig, TrailChange::Deleted, TrailStatus::Disable)
        .await;
    rig.send(events(4..8)).await;
    assert_eq!(following.ids(&rig).await, odd(0..4));
    following.task.await.unwrap();
    rig.close().await;
}

#[tokio::test]
async fn a_trail_that_is_started_later_can_be_backfilled() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::open(dir.path(), 1, options()).await;
    rig.send(events(0..10)).await;
    rig.flush().await;
    let created = version(1, TrailChange::Created, TrailStatus::Fresh, rig.end());
    let following = follow(&rig, Trail::new(vec![created]).unwrap());
    assert!(following.ids(&rig).await.is_empty());
    {
        let mut trail = following.follower.trail().write().await;
        let start = version(
            2,
            TrailChange::Started,
            TrailStatus::Enable,
            Position::default(),
        );
        following.follower.push(&mut trail, start).unwrap();
    }
    rig.send(events(10..20)).await;
    assert_eq!(following.ids(&rig).await, odd(0..20));
    following.end().await;
    rig.close().await;
}

#[tokio::test]
async fn a_destination_that_is_away_holds_up_nothing_and_gets_everything_later() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::open(dir.path(), 1, options()).await;
    let created = version(1, TrailChange::Created, TrailStatus::Enable, rig.end());
    let following = follow_where(&rig, Trail::new(vec![created]).unwrap(), true);
    rig.send(events(0..10)).await;
    rig.flush().await;
    assert!(following.follower.flush(&rig.end()).await.is_err());
    assert!(following.follower.snapshot().await.is_err());
    following.away.store(false, Ordering::Relaxed);
    following.follower.changed();
    assert_eq!(following.ids(&rig).await, odd(0..10));
    following.end().await;
    rig.close().await;
}

#[tokio::test]
async fn a_delivery_that_landed_unseen_is_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::open(dir.path(), 1, options()).await;
    let created = version(1, TrailChange::Created, TrailStatus::Enable, rig.end());
    let following = follow(&rig, Trail::new(vec![created]).unwrap());
    rig.send(events(0..10)).await;
    rig.flush().await;
    // What the follower is about to deliver lands as if by an earlier try of its own.
    let snapshot = following.follower.snapshot().await.unwrap();
    let table = following.follower.table().unwrap();
    table
        .commit(snapshot.fresh, &table.position().of_records(), &rig.end())
        .await
        .unwrap();
    rig.send(events(10..20)).await;
    assert_eq!(following.ids(&rig).await, odd(0..20));
    following.end().await;
    rig.close().await;
}

/// What a kill leaves: ten events in history, none of them in the trail's files.
async fn killed_before_delivery(dir: &std::path::Path) -> Trail {
    let rig = Rig::open(dir, 1, options()).await;
    let created = version(1, TrailChange::Created, TrailStatus::Enable, rig.end());
    let trail = Trail::new(vec![created]).unwrap();
    let following = follow(&rig, trail.clone());
    assert!(following.ids(&rig).await.is_empty());
    following.task.abort();
    rig.send(events(0..10)).await;
    rig.flush().await;
    rig.close().await;
    trail
}

#[tokio::test]
async fn after_a_kill_a_trail_is_asked_completely_from_the_first_query_on() {
    let dir = tempfile::tempdir().unwrap();
    let trail = killed_before_delivery(dir.path()).await;
    let rig = Rig::open(dir.path(), 2, options()).await;
    let mut following = follow_where(&rig, trail, false);
    following.task.abort();
    let follower = Arc::clone(&following.follower);
    assert!(follower.table_or_open().await.is_ok());
    let mut asked = Box::pin(follower.snapshot());
    assert!(
        futures::poll!(asked.as_mut()).is_pending(),
        "an answer before the follower has read what the kill left"
    );
    following.task = tokio::spawn(Arc::clone(&follower).run(following.stop.clone()));
    let snapshot = asked.await.unwrap();
    let table = following.follower.table().unwrap();
    assert_eq!(ids_of(table, &snapshot).await, odd(0..10));
    assert!(
        !snapshot.fresh.is_empty(),
        "the rows came from memory, so the follower had not delivered them"
    );
    following.end().await;
    rig.close().await;
}

#[tokio::test]
async fn a_trail_whose_follower_does_not_get_on_refuses_to_answer_in_part() {
    let dir = tempfile::tempdir().unwrap();
    let trail = killed_before_delivery(dir.path()).await;
    let rig = Rig::open(dir.path(), 2, options()).await;
    let following = follow_where(&rig, trail, true);
    following.task.abort();
    following.away.store(false, Ordering::Relaxed);
    let refused = following.follower.snapshot().await.unwrap_err();
    assert!(
        refused.contains("has 10 records of history still to read"),
        "{refused}"
    );
    rig.close().await;
}

#[tokio::test]
async fn a_stopped_trail_is_asked_though_memory_went_on() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::open(dir.path(), 1, options()).await;
    let created = version(1, TrailChange::Created, TrailStatus::Enable, rig.end());
    let following = follow(&rig, Trail::new(vec![created]).unwrap());
    rig.send(events(0..10)).await;
    assert_eq!(following.ids(&rig).await, odd(0..10));
    following
        .change(&rig, TrailChange::Stopped, TrailStatus::Disable)
        .await;
    rig.send(events(10..20)).await;
    rig.flush().await;
    rig.history.release(None);
    let log = Partition::embedded();
    let stood = following.follower.status().scanned.of(&log);
    assert!(rig.history.run_of(&log, stood).is_empty());
    assert_eq!(following.ids(&rig).await, odd(0..10));
    following.end().await;
    rig.close().await;
}
