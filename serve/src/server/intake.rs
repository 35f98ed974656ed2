//! What the pipeline is given by the server, and how it begins.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use cairn_ingest::decode::DecodeLimits;
use cairn_ingest::history::History;
use cairn_ingest::judge::{CatchUpError, CatchingUp, Judge, MakeJudge, open_index};
use cairn_ingest::pipeline::{Pipeline, PipelineError, PipelineHandle, PipelineOptions};
use cairn_ingest::seen::SeenOptions;
use cairn_ingest::source::EmbeddedSource;
use cairn_ingest::verdict::{Boards, Verdicts};
use cairn_schemas::{Partition, Position, keys};
use cairn_store::control::ControlStore;
use cairn_store::log::EmbeddedLog;
use cairn_store::table::Table;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::app::{Ambient, Background, VERDICTS_KEPT, size};
use super::audit::Audit;
use super::kafka::{self, Kafka};
use super::metrics::Metrics;
use super::observing::{Observing, register_accounts};
use super::registry::Registry;
use super::starts;
use super::watermarks::Times;
use crate::config::Settings;

/// What lies there when intake begins.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) settings: &'a Settings,
    pub(super) ambient: &'a Ambient,
    pub(super) log: &'a EmbeddedLog,
    pub(super) partition: &'a Partition,
    pub(super) control: &'a ControlStore,
    pub(super) registry: &'a Arc<Registry>,
    pub(super) history: &'a Arc<History>,
}

/// Intake that has begun.
pub(super) struct Intake {
    pub(super) boards: Arc<Boards>,
    pub(super) verdicts: Arc<Verdicts>,
    pub(super) audit: Audit,
    pub(super) times: Arc<Times>,
    pub(super) kafka: Option<Arc<Kafka>>,
    pub(super) handle: PipelineHandle,
    pub(super) catching_up: Arc<CatchingUp>,
    pub(super) background: Background,
}

impl Parts<'_> {
    /// Begins to read the log on from what of it is committed.
    pub(super) async fn start(
        &self,
        metrics: &Arc<Metrics>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Intake> {
        let (settings, clock) = (self.settings, &self.ambient.clock);
        let ids = self.ambient.ids.as_ref();
        let (folder, history) = (&settings.data.dir, self.history);
        let began = starts::begin(folder, self.log, self.partition, history, self.ambient);
        let committed = began.await?;
        let boards = Arc::new(Boards::new(VERDICTS_KEPT));
        let verdicts = boards.own(self.partition, committed);
        let audit = Audit::new(
            self.log.clone(),
            Arc::clone(self.registry),
            Arc::clone(clock),
            Arc::clone(&self.ambient.ids),
            Arc::clone(&verdicts),
        );
        let (accounts, found) = mpsc::unbounded_channel();
        let registering = register_accounts(Arc::clone(self.registry), audit.clone(), found);
        let registering = tokio::spawn(registering);
        let (times, catching_up) = (Arc::new(Times::default()), Arc::default());
        let observer = Observing {
            metrics: Arc::clone(metrics),
            times: Arc::clone(&times),
            clock: Arc::clone(clock),
            accounts,
        };
        let embedded = EmbeddedSource::new(self.log.clone(), self.partition.clone());
        let (kafka, source) = kafka::join(settings, self.control, clock, ids, embedded).await?;
        let (pipeline, handle) = Pipeline::new(
            source,
            Arc::new(Judges::new(settings, self.registry, &catching_up)),
            Arc::clone(self.history),
            Arc::clone(&boards),
            Arc::new(observer),
            pipeline_options(settings),
        );
        let mut pipeline = tokio::spawn(pipeline.run(stop.clone()));
        begun(self.history, &mut pipeline, &catching_up).await?;
        Ok(Intake {
            boards,
            verdicts,
            audit,
            times,
            kafka,
            handle,
            catching_up,
            background: Background {
                pipeline,
                stop: stop.clone(),
                accounts: registering,
            },
        })
    }
}

fn pipeline_options(settings: &Settings) -> PipelineOptions {
    PipelineOptions {
        commit_interval: settings.history.commit_interval,
        commit_rows: size(settings.history.commit_rows),
        commit_bytes: size(settings.history.commit_bytes),
        ..PipelineOptions::default()
    }
}

/// Opens judges over the data folder's duplicate index.
#[derive(Debug)]
struct Judges {
    /// The index's folder.
    folder: PathBuf,
    /// Who is known already.
    registry: Arc<Registry>,
    /// For how many days an event is remembered.
    window_days: u32,
    /// How far the index is.
    catching_up: Arc<CatchingUp>,
}

impl Judges {
    /// As `settings` say.
    fn new(settings: &Settings, registry: &Arc<Registry>, catching_up: &Arc<CatchingUp>) -> Self {
        Self {
            folder: settings.data.dir.join(keys::SEEN_DIR),
            registry: Arc::clone(registry),
            window_days: settings.history.retention_days,
            catching_up: Arc::clone(catching_up),
        }
    }
}

#[async_trait]
impl MakeJudge for Judges {
    async fn make(&self, history: &Table, at: &Position) -> Result<Judge, CatchUpError> {
        let options = SeenOptions::default();
        let seen = open_index(&self.folder, options, history, at, &self.catching_up).await?;
        // The door has refused what is larger than the setting allows; here
        // only the log decides, or a replay under another setting would judge
        // otherwise.
        let limits = DecodeLimits {
            max_event: usize::MAX,
            ..DecodeLimits::default()
        };
        let known = self.registry.known_accounts();
        Ok(Judge::new(seen, known, limits, self.window_days))
    }
}

/// How often it is looked how far the ids are.
const LOOK: Duration = Duration::from_millis(100);

/// For how long a start waits for the ids of what history holds. A process that
/// lost its data folder reads them for minutes: meanwhile it answers questions,
/// and takes events whose verdict waits.
const CATCH_UP: Duration = Duration::from_secs(5);

/// Returns once the pipeline has begun, or reads ids for long, or with the error
/// that it ended with: who starts a server is told at once what is wrong with its
/// data folder.
async fn begun(
    history: &History,
    pipeline: &mut tokio::task::JoinHandle<Result<(), PipelineError>>,
    catching_up: &CatchingUp,
) -> anyhow::Result<()> {
    let mut owned = history.owned();
    let long = async {
        let looks = CATCH_UP.as_millis() / LOOK.as_millis();
        let mut busy = 0;
        while busy < looks {
            tokio::time::sleep(LOOK).await;
            busy = catching_up.progress().map_or(0, |_| busy + 1);
        }
    };
    tokio::select! {
        () = long => {
            tracing::warn!(
                progress = ?catching_up.progress(),
                "still reading the ids of what history holds: questions are answered, and events are judged once that is done"
            );
            Ok(())
        }
        begun = owned.wait_for(|owned| !owned.is_empty()) => {
            begun.context("history is gone")?;
            Ok(())
        }
        ended = pipeline => {
            ended?.context("intake cannot begin")?;
            anyhow::bail!("intake ended before it began")
        }
    }
}

#[cfg(test)]
mod tests;
