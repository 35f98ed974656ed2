//! The pipeline as the measured run sees it: the server's own parts, put
//! together as `cairn serve` does, without its doors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use bytes::Bytes;
use cairn_schemas::control::Principal;
use cairn_schemas::selector::Among;
use cairn_schemas::{Micros, TrailName};
use cairn_store::log::Envelope;
use cairn_store::objects::ObjectSettings;
use cairn_store::table::{Table, TableOptions};
use futures::StreamExt as _;

use super::generate::Record;
use super::measure::{Loaded, Meter, Options, Subject};
use crate::config::{Data, Settings};
use crate::server::ambient::{SystemClock, SystemIds};
use crate::server::app::{Ambient, App, Background, Shared};
use crate::server::http::flush::flush_all;
use crate::server::maintenance;
use crate::server::opening::open_log;
use crate::server::trails::NewTrail;

/// How many events one append holds, as a sender's request would.
const BATCH: usize = 1_000;

#[derive(Debug)]
struct Cairn {
    options: Options,
    settings: Settings,
    ambient: Ambient,
    running: Option<(Shared, Background)>,
}

/// Opens the pipeline over an empty directory.
pub(crate) async fn open(options: Options) -> anyhow::Result<Box<dyn Subject>> {
    let ambient = Ambient {
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
        objects: ObjectSettings::default(),
        shared: false,
        tables: TableOptions::default(),
    };
    std::fs::create_dir_all(options.data.join("store"))
        .context("cannot make the data directory")?;
    let dir: PathBuf = options.data.canonicalize()?;
    let settings = Settings {
        data: Data { dir },
        ..Settings::default()
    };
    Ok(Box::new(Cairn {
        options,
        settings,
        ambient,
        running: None,
    }))
}

impl Cairn {
    fn app(&self) -> anyhow::Result<&Shared> {
        self.running
            .as_ref()
            .map(|(app, _)| app)
            .context("nothing was loaded yet")
    }

    async fn make_trails(&self, app: &App) -> anyhow::Result<()> {
        for trail in &self.options.trails {
            let new = NewTrail {
                name: TrailName::new(trail.name)?,
                selector: trail.selector.clone(),
                destination: None,
                retention_days: None,
                start: true,
                // The events lie in the log already.
                backfill: true,
            };
            if let Err(error) = app.trails.create("bench", new).await {
                bail!(
                    "trail {} could not be made: {}",
                    trail.name,
                    error.message()
                );
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Subject for Cairn {
    async fn load(
        &mut self,
        events: &mut (dyn Iterator<Item = Record> + Send),
    ) -> anyhow::Result<Loaded> {
        let log = open_log(&self.settings.data.dir, &self.settings).await?;
        let meter = Meter::start()?;
        let mut batch: Vec<Bytes> = Vec::with_capacity(BATCH);
        let mut received = Micros(0);
        loop {
            let record = events.next();
            let last = record.is_none();
            if let Some(record) = record {
                received = record.arrival;
                batch.push(record.bytes);
            }
            if batch.len() == BATCH || (last && !batch.is_empty()) {
                let envelope = Envelope {
                    received,
                    sender: "bench".to_owned(),
                    accounts: Among::All,
                    account: None,
                };
                log.append(envelope, std::mem::take(&mut batch)).await?;
            }
            if last {
                break;
            }
        }
        let append = meter.stop()?;
        let meter = Meter::start()?;
        let (app, background) =
            App::start_on(log, self.settings.clone(), self.ambient.clone()).await?;
        self.make_trails(&app).await?;
        tokio::spawn(maintenance::tidy(Arc::clone(&app), background.stop.clone()));
        app.verdicts.judged(app.log.end()).await;
        self.running = Some((app, background));
        Ok(Loaded {
            append,
            pipeline: meter.stop()?,
            ..Loaded::default()
        })
    }

    async fn flush(&mut self, loaded: &mut Loaded) -> anyhow::Result<()> {
        let app = self.app()?;
        // Cairn's own events come in meanwhile: once more, until there is none.
        let mut end = -1;
        while end != app.log.end() {
            end = app.log.end();
            if let Err(error) = flush_all(app).await {
                bail!("the flush failed: {}", error.message());
            }
        }
        let rows = |table: &Table| table.files().files.iter().map(|f| f.rows).sum::<u64>();
        loaded.admitted = rows(app.history.table());
        loaded.quarantined = rows(app.history.quarantine());
        let records = u64::try_from(app.log.end())?;
        loaded.duplicates = records.saturating_sub(loaded.admitted + loaded.quarantined);
        loaded.delivered = Vec::new();
        for trail in &self.options.trails {
            let follower = app.trails.find(trail.name).ok();
            loaded.delivered.push(
                follower
                    .and_then(|f| f.table().map(|t| rows(t)))
                    .unwrap_or(0),
            );
        }
        Ok(())
    }

    async fn question(&self, sql: &str) -> anyhow::Result<u64> {
        let mut rows = self.app()?.engine.query(&Principal::cairn(), sql).await?;
        let mut count = 0;
        while let Some(batch) = rows.next().await {
            count += batch?.num_rows() as u64;
        }
        Ok(count)
    }

    fn data_dir(&self) -> &Path {
        &self.options.data
    }
}
