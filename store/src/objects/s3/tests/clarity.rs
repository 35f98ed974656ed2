//! Answers that do not say what happened: the table has to find it out.

use std::sync::Arc;
use std::time::Duration;

use cairn_schemas::{Clock, IdSource, Micros, Partition, Position};
use object_store::path::Path;
use object_store::{Error, PutMode, PutPayload};

use super::stub::{Answer, Request, Stub};
use crate::control::ControlStore;
use crate::objects::{ObjectSettings, Opened};
use crate::table::{Table, TableError, TableOptions, TableSpec};

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Micros {
        Micros(1_763_812_800_000_000)
    }
}

#[derive(Debug)]
struct Ids;

impl IdSource for Ids {
    fn fill(&self, out: &mut [u8]) {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let n = NEXT.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = n[7 - i % 8];
        }
    }
}

/// The entry that the tests' commit makes, after the one that made the table.
const ENTRY: &str = "t/_delta_log/00000000000000000001.json";
const NEXT: &str = "t/_delta_log/00000000000000000002.json";

fn at(next: i64) -> Position {
    Position::at(Partition::embedded(), next)
}

async fn table(opened: &Opened) -> Table {
    let options = TableOptions {
        attempts: 3,
        pause: Duration::from_millis(1),
        ..TableOptions::default()
    };
    Table::open_or_create(
        &opened.at("t"),
        TableSpec::events("history"),
        options,
        Arc::new(Noon),
        Arc::new(Ids),
    )
    .await
    .unwrap()
}

fn is_entry(request: &Request) -> bool {
    request.is_create() && request.key == ENTRY
}

/// Commits once over a stub with this script, and checks that it is done, and
/// done once.
async fn commits_once(
    settings: ObjectSettings,
    script: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static,
) -> Stub {
    let stub = Stub::start(script).await;
    let opened = stub.open(settings).await;
    let table = table(&opened).await;
    table.commit(Vec::new(), &at(0), &at(7)).await.unwrap();
    assert_eq!(table.position(), at(7));
    assert!(stub.object(ENTRY).is_some());
    assert!(stub.object(NEXT).is_none(), "committed twice");
    let read = self::table(&stub.open(ObjectSettings::default()).await).await;
    assert_eq!(read.position(), at(7));
    stub
}

#[tokio::test]
async fn a_create_that_landed_and_answered_500_is_our_own() {
    let script = |r: &Request| {
        (is_entry(r) && r.nth == 1).then(|| Answer::code(500, "InternalError").landed())
    };
    let stub = commits_once(ObjectSettings::default(), script).await;
    let creates = stub.seen().into_iter().filter(is_entry).count();
    assert_eq!(
        creates, 2,
        "the library repeats it, and meets its own object"
    );
}

#[tokio::test]
async fn the_library_calls_our_own_object_somebody_elses() {
    let stub =
        Stub::start(|r| (r.is_create() && r.nth == 1).then(|| Answer::status(503).landed())).await;
    let opened = stub.open(ObjectSettings::default()).await;
    let put = opened
        .store
        .put_opts(
            &Path::from("k"),
            PutPayload::from("x"),
            PutMode::Create.into(),
        )
        .await;
    // Should this ever change, the table's reading back may be simplified.
    assert!(matches!(put, Err(Error::AlreadyExists { .. })), "{put:?}");
}

#[tokio::test]
async fn a_create_that_landed_and_lost_its_connection_is_our_own() {
    let script = |r: &Request| (is_entry(r) && r.nth == 1).then(|| Answer::cut().landed());
    commits_once(ObjectSettings::default(), script).await;
}

fn impatient() -> ObjectSettings {
    ObjectSettings {
        request_timeout: Duration::from_millis(300),
        ..ObjectSettings::default()
    }
}

#[tokio::test]
async fn a_create_that_timed_out_and_landed_is_our_own() {
    let script = |r: &Request| (is_entry(r) && r.nth == 1).then(|| Answer::hangs().landed());
    let stub = commits_once(impatient(), script).await;
    let creates = stub.seen().into_iter().filter(is_entry).count();
    assert_eq!(creates, 1, "it was found by reading, not by repeating");
}

#[tokio::test]
async fn a_create_that_timed_out_and_lands_during_its_repeat_is_our_own() {
    let script = |r: &Request| {
        (is_entry(r)).then(|| match r.nth {
            1 => Answer::hangs(),
            // The same bytes at the same number, or this would be two commits.
            _ => Answer::late(ENTRY, r.body.clone()),
        })
    };
    let stub = commits_once(impatient(), script).await;
    let bodies: Vec<Vec<u8>> = stub
        .seen()
        .into_iter()
        .filter(is_entry)
        .map(|r| r.body)
        .collect();
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test]
async fn a_create_that_timed_out_while_another_committed_is_a_conflict() {
    let stub = Stub::start(|r| (is_entry(r) && r.nth == 1).then(Answer::hangs)).await;
    // Time enough for the quick one, also where this thread stands still for a while.
    let patient = ObjectSettings {
        request_timeout: Duration::from_secs(5),
        ..ObjectSettings::default()
    };
    let slow = table(&stub.open(patient).await).await;
    let quick = table(&stub.open(ObjectSettings::default()).await).await;
    let (from, to) = (at(0), at(7));
    let overtakes = async {
        while !stub.seen().iter().any(is_entry) {
            tokio::task::yield_now().await;
        }
        quick.commit(Vec::new(), &at(0), &at(9)).await
    };
    let (lost, won) = tokio::join!(slow.commit(Vec::new(), &from, &to), overtakes);
    won.unwrap();
    assert!(
        matches!(&lost, Err(TableError::Conflict { at: there }) if *there == at(9)),
        "{lost:?}"
    );
    assert!(stub.object(NEXT).is_none());
}

#[tokio::test]
async fn a_409_of_which_nothing_landed_is_tried_again_at_the_same_number() {
    let script = |r: &Request| {
        (is_entry(r) && r.nth <= 2).then(|| Answer::code(409, "ConditionalRequestConflict"))
    };
    commits_once(ObjectSettings::default(), script).await;
}

#[tokio::test]
async fn the_library_calls_a_409_an_object_that_is_there() {
    let stub = Stub::start(|r| {
        r.is_create()
            .then(|| Answer::code(409, "ConditionalRequestConflict"))
    })
    .await;
    let opened = stub.open(ObjectSettings::default()).await;
    let put = opened
        .store
        .put_opts(
            &Path::from("k"),
            PutPayload::from("x"),
            PutMode::Create.into(),
        )
        .await;
    assert!(matches!(put, Err(Error::AlreadyExists { .. })), "{put:?}");
    assert!(stub.object("k").is_none());
}

#[tokio::test]
async fn a_control_document_that_landed_and_answered_500_is_written() {
    let stub =
        Stub::start(|r| (r.is_create() && r.nth == 1).then(|| Answer::status(500).landed())).await;
    let opened = stub.open(ObjectSettings::default()).await;
    let control = ControlStore::new(Arc::clone(&opened.store), opened.prefix.clone());
    let kind = cairn_schemas::control::ControlKind::Trail;
    control.put(kind, "x", 1, &"mine").await.unwrap();
    let theirs = control.put(kind, "x", 1, &"another").await;
    assert!(
        matches!(theirs, Err(crate::control::ControlError::Conflict { .. })),
        "{theirs:?}"
    );
}

#[tokio::test]
async fn a_storm_of_slow_down_passes() {
    let script =
        |r: &Request| (r.nth <= 2 && r.method == "PUT").then(|| Answer::code(503, "SlowDown"));
    commits_once(ObjectSettings::default(), script).await;
}

#[tokio::test]
async fn a_storm_that_does_not_end_is_told_after_few_tries() {
    let stub = Stub::start(|r| is_entry(r).then(|| Answer::code(503, "SlowDown"))).await;
    let table = table(&stub.open(ObjectSettings::default()).await).await;
    let error = table.commit(Vec::new(), &at(0), &at(7)).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(error.to_string().contains("SlowDown"), "{error}");
    // Three tries of the table's, each of one request and three repeats.
    assert_eq!(stub.seen().into_iter().filter(is_entry).count(), 12);
    assert_eq!(table.position(), Position::default());
}
