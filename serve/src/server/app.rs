//! Everything that a running server consists of, put together in one place.

use std::sync::Arc;

use cairn_ingest::deliver::DeliverOptions;
use cairn_ingest::history::History;
use cairn_ingest::judge::CatchingUp;
use cairn_ingest::pipeline::{PipelineError, PipelineHandle};
use cairn_ingest::receive::ReceiveLimits;
use cairn_ingest::verdict::{Boards, Verdicts};
use cairn_query::Engine;
use cairn_schemas::{Clock, IdSource, Partition};
use cairn_store::control::ControlStore;
use cairn_store::log::EmbeddedLog;
use cairn_store::objects::ObjectSettings;
use cairn_store::table::TableOptions;
use tokio_util::sync::CancellationToken;

use super::audit::Audit;
use super::exports::Exports;
use super::exports::places::Places;
use super::intake::Parts;
use super::kafka::{Ends, Kafka};
use super::metrics::Metrics;
use super::node::own_partition;
use super::opening::{open_history, open_log, store_url};
use super::registry::Registry;
use super::saved::SavedSet;
use super::states::States;
use super::stores::Worm;
use super::tables::make_engines;
use super::trails::{Opener, TrailSet};
use super::watermarks::Watermarks;
use crate::config::Settings;

/// What every request gets.
pub type Shared = Arc<App>;

/// How many of the newest verdicts are kept for doors that wait.
pub(super) const VERDICTS_KEPT: usize = 262_144;
/// Memory for committed rows that followers have not read yet.
pub(super) const FOLLOWER_BYTES: usize = 128 << 20;

/// A running server.
#[derive(Debug)]
pub struct App {
    /// As configured.
    pub settings: Settings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whether other processes use the same store.
    pub shared: bool,
    /// The documents behind `registry` and `trails`.
    pub control: ControlStore,
    /// Organization, accounts and tokens.
    pub registry: Arc<Registry>,
    /// Cairn's own events.
    pub audit: Audit,
    /// Calls without a valid token.
    pub rejected: super::rejected::Rejected,
    /// The embedded log.
    pub log: EmbeddedLog,
    /// What it is called among the logs of one store.
    pub partition: Partition,
    /// What became of its records.
    pub verdicts: Arc<Verdicts>,
    /// What became of the records of every partition that this process reads.
    pub boards: Arc<Boards>,
    /// Kafka, where events come from there.
    pub kafka: Option<Arc<Kafka>>,
    /// History.
    pub history: Arc<History>,
    /// The pipeline's door for flushes.
    pub pipeline: PipelineHandle,
    /// How far the duplicate index has come, where it has to catch up.
    pub catching_up: Arc<CatchingUp>,
    /// The trails.
    pub trails: Arc<TrailSet>,
    /// Whether the stores keep what is written.
    pub worm: Arc<Worm>,
    /// Saved queries.
    pub saved: SavedSet,
    /// SQL.
    pub engine: Arc<Engine>,
    /// How states of tables are told.
    pub states: States,
    /// Queries that nobody waits for.
    pub queries: Arc<super::queries::Queries>,
    /// Up to when everything that was sent is in.
    pub watermarks: Arc<Watermarks>,
    /// SQL for exports: longer, with places and memory of their own.
    pub export_engine: Arc<Engine>,
    /// Files for others.
    pub exports: Exports,
    /// Limits on bodies.
    pub receive_limits: ReceiveLimits,
    /// Memory for bodies on their way in.
    pub room: super::room::Room,
    /// What `/metrics` tells.
    pub metrics: Arc<Metrics>,
    /// When the process began.
    pub started: cairn_schemas::Micros,
}

/// What runs beside the doors until the server stops.
#[derive(Debug)]
pub struct Background {
    /// The pipeline. It ends only with the server, or with an error that
    /// nobody can mend while it runs.
    pub pipeline: tokio::task::JoinHandle<Result<(), PipelineError>>,
    /// Stops the pipeline and, with it, the followers.
    pub stop: CancellationToken,
    /// Accounts that intake met for the first time.
    pub accounts: tokio::task::JoinHandle<()>,
}

/// The parts that come from outside.
#[derive(Debug, Clone)]
pub struct Ambient {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub ids: Arc<dyn IdSource>,
    /// What the configuration says of S3.
    pub objects: ObjectSettings,
    /// Whether other processes use the same store.
    pub shared: bool,
    /// How history's tables are kept.
    pub tables: TableOptions,
}

impl App {
    /// Opens everything below the data folder and starts the background.
    ///
    /// The order matters: the log first, for it says where it ends; then the
    /// tables, which say what of it is committed; then the duplicate index,
    /// which is brought up to that place; only then does the pipeline read on.
    pub async fn start(
        settings: Settings,
        ambient: Ambient,
    ) -> anyhow::Result<(Shared, Background)> {
        // Its name first: a folder that holds a log without one is an old log.
        own_partition(&settings.data.dir, ambient.shared, ambient.ids.as_ref())?;
        let log = open_log(&settings.data.dir, &settings).await?;
        Self::start_on(log, settings, ambient).await
    }

    /// The same over a log that is open already.
    pub async fn start_on(
        log: EmbeddedLog,
        settings: Settings,
        ambient: Ambient,
    ) -> anyhow::Result<(Shared, Background)> {
        let metrics = Arc::new(Metrics::new()?);
        let own_store = store_url(&settings)?;
        let partition = own_partition(&settings.data.dir, ambient.shared, ambient.ids.as_ref())?;
        let places = Places::new(&settings, &ambient.objects, &own_store)?;
        let (root, worm) = Worm::over_own(&own_store, &ambient).await?;
        let control = ControlStore::new(Arc::clone(&root.store), root.prefix.clone());
        let registry = open_registry(&settings, &control, &ambient).await?;
        let history = Arc::new(open_history(&root, &ambient, settings.history.outline_raw).await?);
        let stop = CancellationToken::new();
        let parts = Parts {
            settings: &settings,
            ambient: &ambient,
            log: &log,
            partition: &partition,
            control: &control,
            registry: &registry,
            history: &history,
        };
        let intake = parts.start(&metrics, &stop).await?;
        let ends = Arc::new(Ends::new(&log, &partition, &intake.kafka));
        let watermarks = Arc::new(Watermarks::new(
            intake.times,
            Arc::clone(&ends),
            Arc::clone(&history),
            Arc::clone(&ambient.clock),
        ));
        let trails = TrailSet::open(
            control.clone(),
            ends,
            Arc::clone(&history),
            Arc::new(opener(&settings, &ambient, &worm)),
            deliver_options(&settings, &ambient),
            own_store,
            stop.clone(),
        );
        let trails = trails.await?;
        let engines = make_engines(
            &settings,
            &history,
            &trails,
            &registry,
            &watermarks,
            &ambient,
        )?;
        let node = partition.source.clone();
        let exports = open_exports(&settings, &control, places, node, &ambient, &stop).await?;
        let saved = SavedSet::open(control.clone(), Arc::clone(&ambient.clock)).await?;
        let app = Arc::new(Self {
            states: States::open(&control, &ambient).await?,
            queries: open_queries(&settings, &ambient)?,
            saved,
            receive_limits: receive_limits(&settings),
            room: super::room::Room::new(&settings.server),
            started: ambient.clock.now(),
            settings,
            clock: ambient.clock,
            shared: ambient.shared,
            control,
            registry,
            audit: intake.audit,
            rejected: super::rejected::Rejected::default(),
            log,
            partition,
            verdicts: intake.verdicts,
            boards: intake.boards,
            kafka: intake.kafka,
            history,
            pipeline: intake.handle,
            catching_up: intake.catching_up,
            trails,
            worm,
            engine: engines.queries,
            watermarks,
            export_engine: engines.exports,
            exports,
            metrics,
        });
        Ok((app, intake.background))
    }
}

async fn open_registry(
    settings: &Settings,
    control: &ControlStore,
    ambient: &Ambient,
) -> anyhow::Result<Arc<Registry>> {
    let organization = &settings.organization;
    let registry = Registry::open(
        control.clone(),
        Arc::clone(&ambient.clock),
        Arc::clone(&ambient.ids),
        organization.name.as_deref().unwrap_or("default"),
        organization.management_account.clone(),
    );
    Ok(Arc::new(registry.await?))
}

async fn open_exports(
    settings: &Settings,
    control: &ControlStore,
    places: Places,
    node: String,
    ambient: &Ambient,
    stop: &CancellationToken,
) -> anyhow::Result<Exports> {
    let at_once = settings.export.max_concurrent as usize;
    let (control, stop) = (control.clone(), stop.child_token());
    Ok(Exports::open(control, places, ambient, node, at_once, stop).await?)
}

fn open_queries(
    settings: &Settings,
    ambient: &Ambient,
) -> std::io::Result<Arc<super::queries::Queries>> {
    let (clock, ids) = (Arc::clone(&ambient.clock), Arc::clone(&ambient.ids));
    super::queries::Queries::open(settings, clock, ids).map(Arc::new)
}

fn opener(settings: &Settings, ambient: &Ambient, worm: &Arc<Worm>) -> Opener {
    Opener {
        settings: ambient.objects.clone(),
        clock: Arc::clone(&ambient.clock),
        ids: Arc::clone(&ambient.ids),
        worm: Arc::clone(worm),
        outlined: settings.trails.outline_raw,
    }
}

fn deliver_options(settings: &Settings, ambient: &Ambient) -> DeliverOptions {
    let defaults = DeliverOptions::default();
    let mut byte = [0u8; 1];
    ambient.ids.fill(&mut byte);
    DeliverOptions {
        commit_interval: settings.trails.commit_interval,
        shared: ambient.shared,
        // Up to twice as long by chance: of those who see a partition that
        // nobody delivers, one comes first.
        patience: defaults.patience.mul_f64(1.0 + f64::from(byte[0]) / 256.0),
        ..defaults
    }
}

pub(super) fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn receive_limits(settings: &Settings) -> ReceiveLimits {
    ReceiveLimits {
        max_compressed: size(settings.server.max_body_bytes),
        max_body: size(settings.server.max_decompressed_bytes),
        max_event: size(settings.server.max_event_bytes),
        ..ReceiveLimits::default()
    }
}
