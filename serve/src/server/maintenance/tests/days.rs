//! A hundred days of a server, by a clock that is set.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use cairn_schemas::control::Principal;
use cairn_schemas::selector::Among;
use cairn_schemas::{Clock, Micros, Position};
use cairn_store::log::Envelope;
use cairn_store::objects::ObjectSettings;
use cairn_store::table::TableOptions;
use futures::StreamExt;

use super::super::*;
use crate::config::{Data, History, Settings};
use crate::server::ambient::{SystemClock, SystemIds};
use crate::server::app::{Ambient, App, Background};

const DAY: i64 = 86_400_000_000;
const HOUR: i64 = 3_600_000_000;
const A_DAY: usize = 40;

/// A clock that stands until it is set.
#[derive(Debug)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Micros {
        Micros(self.0.load(Ordering::Relaxed))
    }
}

impl Hand {
    fn forward(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::Relaxed);
    }
}

struct Server {
    app: Shared,
    background: Background,
    clock: Arc<Hand>,
    tidy: tokio::task::JoinHandle<()>,
}

/// A server whose today lies 140 days back: the clock of the store is the
/// machine's own, and nothing is removed on the word of the later clock.
async fn server(dir: &Path) -> Server {
    let today = SystemClock.now().0.div_euclid(DAY) * DAY;
    let clock = Arc::new(Hand(AtomicI64::new(today - 140 * DAY + 10 * HOUR)));
    let settings = Settings {
        data: Data {
            dir: dir.to_owned(),
        },
        history: History {
            retention_days: 90,
            // Only when it is asked to, so that the days come out even.
            commit_interval: Duration::from_secs(3600),
            ..History::default()
        },
        ..Settings::default()
    };
    let ambient = Ambient {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ids: Arc::new(SystemIds),
        objects: ObjectSettings::default(),
        shared: false,
        // The Delta kernel goes by the machine's own clock alone: it would leave out of
        // a checkpoint whatever is said to have been removed more than a week ago.
        tables: TableOptions {
            checkpoint_every: 0,
            ..TableOptions::default()
        },
    };
    let (app, background) = App::start(settings, ambient).await.unwrap();
    let tidy = tokio::spawn(tidy(Arc::clone(&app), background.stop.clone()));
    Server {
        app,
        background,
        clock,
        tidy,
    }
}

impl Server {
    /// From 10 o'clock to the next day's. The events come at 20 o'clock, in two
    /// commits, so that there is something to merge.
    async fn live_through(&self, day: i64) {
        self.clock.forward(10 * HOUR);
        for half in 0..2 {
            let event = |n: usize| {
                Bytes::from(
                    serde_json::json!({
                        "eventVersion": "1.08", "eventID": format!("{day}-{half}-{n}"),
                        "eventTime": self.app.clock.now().to_rfc3339(),
                        "eventSource": "s3.amazonaws.com", "eventName": "GetObject",
                        "awsRegion": "eu-west-1", "eventType": "AwsApiCall",
                        "recipientAccountId": "111111111111",
                    })
                    .to_string(),
                )
            };
            let envelope = Envelope {
                received: self.app.clock.now(),
                sender: "test".to_owned(),
                accounts: Among::All,
                account: None,
            };
            let records = (0..A_DAY / 2).map(event).collect();
            let range = self.app.log.append(envelope, records).await.unwrap();
            self.app.verdicts.judged(range.end).await;
            let end = Position::at(Partition::embedded(), range.end);
            assert!(self.app.pipeline.flush(end).await);
        }
        self.clock.forward(14 * HOUR);
        self.round().await;
    }

    async fn round(&self) {
        round(&self.app, &self.background.stop).await;
    }

    async fn count(&self) -> i64 {
        let query = "SELECT count(*) FROM history WHERE dialect <> 'cairn'";
        let asked = self.app.engine.query(&Principal::cairn(), query).await;
        let batch = asked.unwrap().next().await.unwrap().unwrap();
        batch.column(0).as_primitive::<Int64Type>().value(0)
    }

    async fn end(self) {
        self.background.stop.cancel();
        self.background.pipeline.await.unwrap().unwrap();
        self.app.trails.stopped().await;
        self.tidy.await.unwrap();
        self.background.accounts.abort();
        self.app.log.close().await.unwrap();
    }
}

/// The data files that lie in history's folder.
fn objects(dir: &Path) -> usize {
    let mut found = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("_delta_log") {
            found += objects(&path);
        } else if path.extension().is_some_and(|e| e == "parquet") {
            found += 1;
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_days_go_by_and_what_is_old_goes_while_queries_read_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path()).await;
    let folder = dir.path().join("store/tables/history");
    let listed = || server.app.history.table().files().files.len();
    let rows = |days: i64| days * A_DAY as i64;
    for day in 0..89 {
        server.live_through(day).await;
    }
    assert_eq!(server.count().await, rows(89));
    for day in 89..100 {
        server.live_through(day).await;
    }
    assert_eq!(server.count().await, rows(90));
    assert!(
        objects(&folder) > listed(),
        "an object went before its grace"
    );
    let grace = server.app.settings.history.vacuum_grace.as_micros() as i64;
    server.clock.forward(grace + 1000);
    server.round().await;
    assert_eq!(objects(&folder), listed());

    // A query is under way, and has read no more than its first rows.
    let all = "SELECT event_id, raw FROM history WHERE dialect <> 'cairn'";
    let asked = server.app.engine.query(&Principal::cairn(), all).await;
    let mut under_way = asked.unwrap();
    let mut read = under_way.next().await.unwrap().unwrap().num_rows() as i64;
    assert!(read < rows(10), "most of it came at once");
    let before = objects(&folder);
    server.clock.forward(25 * DAY);
    server.round().await;
    server.clock.forward(grace / 4);
    server.round().await;
    assert_eq!(server.count().await, rows(65));
    assert_eq!(objects(&folder), before);
    while let Some(batch) = under_way.next().await {
        read += batch.unwrap().num_rows() as i64;
    }
    assert_eq!(read, rows(90), "a query under way lost rows to retention");

    // After the grace the objects follow what left the table.
    server.clock.forward(grace);
    server.round().await;
    assert_eq!(objects(&folder), listed());
    assert_eq!(server.count().await, rows(65));
    // What retention counts is the day of ingest: the first that is left.
    let first = "SELECT min(event_id) FROM history WHERE event_id LIKE '__-0-0'";
    let asked = server.app.engine.query(&Principal::cairn(), first).await;
    let batch = asked.unwrap().next().await.unwrap().unwrap();
    let text = arrow::util::display::array_value_to_string(batch.column(0), 0).unwrap();
    assert_eq!(text, "35-0-0");
    server.end().await;
}
