//! Two processes that make and change trails on one store.

use std::path::Path;
use std::time::Duration;

use cairn_schemas::selector::{ReadWriteFilter, Selector};
use cairn_schemas::trail::{TrailChange, TrailStatus};
use cairn_schemas::{Partition, TrailName, keys};
use cairn_store::objects::Opened;

use super::*;
use crate::server::ambient::{SystemClock, SystemIds};

#[derive(Debug)]
struct FixedEnd(Position);

#[async_trait]
impl LogEnd for FixedEnd {
    async fn end(&self) -> Result<Position, String> {
        Ok(self.0.clone())
    }
}

#[derive(Debug)]
struct AwayEnd;

#[async_trait]
impl LogEnd for AwayEnd {
    async fn end(&self) -> Result<Position, String> {
        Err("the brokers do not answer".to_owned())
    }
}

fn end() -> Position {
    Position::at(Partition::embedded(), 7)
}

struct Store {
    root: Opened,
    url: String,
}

impl Store {
    async fn in_folder(dir: &Path) -> Self {
        let url = format!("file://{}", dir.display());
        let root = objects::open(&url, &ObjectSettings::default())
            .await
            .unwrap();
        Self { root, url }
    }

    fn control(&self) -> ControlStore {
        ControlStore::new(Arc::clone(&self.root.store), self.root.prefix.clone())
    }

    async fn table(&self, key: &str, spec: TableSpec) -> Arc<Table> {
        let root = self.root.at(key);
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(SystemIds));
        let table = Table::open_or_create(&root, spec, TableOptions::default(), clock, ids);
        Arc::new(table.await.unwrap())
    }

    async fn process(&self, ends: Arc<dyn LogEnd>) -> Arc<TrailSet> {
        let history = self
            .table(keys::HISTORY, TableSpec::events("history").outlined(true))
            .await;
        let quarantine = self.table(keys::QUARANTINE, TableSpec::quarantine()).await;
        let opener = Opener {
            settings: ObjectSettings::default(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            worm: Arc::default(),
            outlined: false,
        };
        let options = DeliverOptions {
            shared: true,
            catch_up: Duration::from_secs(600),
            ..DeliverOptions::default()
        };
        let set = TrailSet::open(
            self.control(),
            ends,
            Arc::new(History::new(history, quarantine, 1 << 20)),
            Arc::new(opener),
            options,
            self.url.clone(),
            CancellationToken::new(),
        );
        set.await.unwrap()
    }

    async fn two(&self) -> [Arc<TrailSet>; 2] {
        let end = || Arc::new(FixedEnd(end()));
        [self.process(end()).await, self.process(end()).await]
    }

    async fn refresh(&self, set: &TrailSet) {
        let keys = self.control().keys().await.unwrap();
        set.refresh(&keys).await.unwrap();
    }
}

fn new(name: &str) -> NewTrail {
    NewTrail {
        name: TrailName::new(name).unwrap(),
        selector: Selector::default(),
        destination: None,
        retention_days: None,
        start: true,
        backfill: false,
    }
}

async fn latest(set: &TrailSet, name: &str) -> TrailVersion {
    let follower = set.find(name).ok().unwrap();
    let trail = follower.trail().read().await;
    trail.latest().clone()
}

async fn in_force(set: &TrailSet, name: &str) -> i64 {
    let follower = set.find(name).ok().unwrap();
    follower.fence().await.unwrap();
    let table = follower.table().unwrap();
    table.refresh().await.unwrap();
    table.position().of(&Partition::version())
}

#[tokio::test]
async fn trails_come_change_and_go_for_all_processes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::in_folder(dir.path()).await;
    let [a, b] = store.two().await;
    assert!(a.create("x", new("writes")).await.is_ok());
    assert!(b.find("writes").is_err());
    store.refresh(&b).await;
    let there = latest(&b, "writes").await;
    assert_eq!((there.version, there.effective), (1, end()));
    assert_eq!(in_force(&b, "writes").await, 1);

    // a's follower has its table: from now on it looks at it only where it is told to.
    assert_eq!(in_force(&a, "writes").await, 1);
    assert!(b.change("y", "writes", Change::Stop).await.is_ok());
    assert_eq!(latest(&a, "writes").await.version, 1);
    store.refresh(&a).await;
    let there = latest(&a, "writes").await;
    assert_eq!((there.version, there.status), (2, TrailStatus::Disable));
    assert_eq!(in_force(&a, "writes").await, 2);

    assert!(a.change("x", "writes", Change::Delete).await.is_ok());
    store.refresh(&b).await;
    assert!(b.find("writes").is_err());
    assert!(b.all().is_empty() && b.followers().len() == 1);

    // Another of the same name is another trail.
    assert!(b.create("y", new("Writes")).await.is_ok());
    assert_ne!(latest(&b, "writes").await.id, there.id);
    store.refresh(&a).await;
    assert_eq!(latest(&a, "writes").await.id, latest(&b, "writes").await.id);
    // A process that starts later finds the same.
    let [c, _] = store.two().await;
    assert_eq!(latest(&c, "writes").await.id, latest(&b, "writes").await.id);
    assert_eq!(c.all().len(), 1);
}

#[tokio::test]
async fn of_two_who_make_a_trail_of_one_name_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::in_folder(dir.path()).await;
    let [a, b] = store.two().await;
    let narrow = NewTrail {
        selector: Selector {
            read_write: ReadWriteFilter::Write,
            ..Selector::default()
        },
        ..new("ALL")
    };
    let (first, second) = tokio::join!(a.create("x", new("all")), b.create("y", narrow));
    let lost = match (first, second) {
        (Ok(_), Err(lost)) | (Err(lost), Ok(_)) => lost,
        (first, second) => panic!("{} {}", first.is_ok(), second.is_ok()),
    };
    assert_eq!(lost.code(), "trail_exists", "{}", lost.message());
    let (at_a, at_b) = (latest(&a, "all").await, latest(&b, "all").await);
    assert_eq!((at_a.id, at_a.by), (at_b.id, at_b.by));
    assert_eq!(a.followers().len() + b.followers().len(), 2);
}

#[tokio::test]
async fn of_two_changes_of_a_trail_one_goes_through_and_the_other_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::in_folder(dir.path()).await;
    let [a, b] = store.two().await;
    assert!(a.create("x", new("all")).await.is_ok());
    store.refresh(&b).await;
    // Else b's follower, just begun, may find a's change at the table.
    assert_eq!(in_force(&b, "all").await, 1);
    assert!(a.change("x", "all", Change::Stop).await.is_ok());
    let lost = b.change("y", "all", Change::Delete).await.err().unwrap();
    assert_eq!(lost.code(), "conflict", "{}", lost.message());
    let known = latest(&b, "all").await;
    assert_eq!((known.version, known.change), (2, TrailChange::Stopped));
    assert!(b.change("y", "all", Change::Delete).await.is_ok());
}

#[tokio::test]
async fn without_the_log_s_end_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::in_folder(dir.path()).await;
    let [a, _] = store.two().await;
    assert!(a.create("x", new("all")).await.is_ok());
    let cut_off = store.process(Arc::new(AwayEnd)).await;
    let refused = cut_off
        .change("y", "all", Change::Stop)
        .await
        .err()
        .unwrap();
    assert_eq!(refused.code(), "unavailable");
    assert!(
        refused.message().contains("brokers"),
        "{}",
        refused.message()
    );
    store.refresh(&a).await;
    assert_eq!(latest(&a, "all").await.version, 1);
    // A backfill needs no such place.
    let mut from_the_start = new("everything");
    from_the_start.backfill = true;
    assert!(cut_off.create("y", from_the_start).await.is_ok());
}
