//! Everything that a running server consists of, put together in one place.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use cairn_ingest::deliver::DeliverOptions;
use cairn_ingest::history::History;
use cairn_ingest::judge::Judged;
use cairn_ingest::pipeline::{Observer, Pipeline, PipelineError, PipelineHandle, PipelineOptions};
use cairn_ingest::receive::ReceiveLimits;
use cairn_ingest::source::EmbeddedSource;
use cairn_ingest::verdict::{Boards, Verdict, Verdicts};
use cairn_query::{Engine, Limits};
use cairn_schemas::control::Principal;
use cairn_schemas::selector::Among;
use cairn_schemas::{AccountId, Clock, IdSource, Partition, Position, TrailName, keys};
use cairn_store::control::ControlStore;
use cairn_store::log::{EmbeddedLog, LogOptions};
use cairn_store::objects::{self, ObjectSettings, Opened};
use cairn_store::table::{Table, TableError, TableOptions, TableSpec};
use cairn_store::view::{TableName, TableSnapshot, Tables, ViewError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::audit::{Act, Audit, Caller};
use super::intake::{Judges, begun};
use super::metrics::Metrics;
use super::registry::Registry;
use super::system_tables;
use super::trails::{Opener, TrailSet};
use crate::config::Settings;

/// What every request gets.
pub type Shared = Arc<App>;

/// How many of the newest verdicts are kept for doors that wait.
const VERDICTS_KEPT: usize = 262_144;
/// Memory for committed rows that followers have not read yet.
const FOLLOWER_BYTES: usize = 128 << 20;

/// A running server.
#[derive(Debug)]
pub struct App {
    /// As configured.
    pub settings: Settings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Organization, accounts and tokens.
    pub registry: Arc<Registry>,
    /// Cairn's own events.
    pub audit: Audit,
    /// The embedded log.
    pub log: EmbeddedLog,
    /// What became of records.
    pub verdicts: Arc<Verdicts>,
    /// History.
    pub history: Arc<History>,
    /// The pipeline's door for flushes.
    pub pipeline: PipelineHandle,
    /// The trails.
    pub trails: Arc<TrailSet>,
    /// SQL.
    pub engine: Arc<Engine>,
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
        let own_store = store_url(&settings.data.dir)?;
        let root = objects::open(&own_store, &ambient.objects).await?;
        let control = ControlStore::new(Arc::clone(&root.store), root.prefix.clone());
        let registry = open_registry(&settings, &control, &ambient).await?;
        let history = Arc::new(open_history(&root, &ambient).await?);
        let committed = check_log(&log, &history)?;
        let boards = Arc::new(Boards::new(VERDICTS_KEPT));
        let verdicts = boards.own(&Partition::embedded(), committed);
        let stop = CancellationToken::new();

        let (accounts, found) = mpsc::unbounded_channel();
        let audit = Audit::new(
            log.clone(),
            Arc::clone(&registry),
            Arc::clone(&ambient.clock),
            Arc::clone(&ambient.ids),
            Arc::clone(&verdicts),
        );
        let registering = register_accounts(Arc::clone(&registry), audit.clone(), found);
        let accounts_task = tokio::spawn(registering);
        let observer = Observing {
            metrics: Arc::clone(&metrics),
            accounts,
        };
        let judges = Judges {
            folder: settings.data.dir.join(keys::SEEN_DIR),
            registry: Arc::clone(&registry),
            window_days: settings.history.retention_days,
        };
        let (pipeline, handle) = Pipeline::new(
            Box::new(EmbeddedSource::new(log.clone(), Partition::embedded())),
            Arc::new(judges),
            Arc::clone(&history),
            boards,
            Arc::new(observer),
            pipeline_options(&settings),
        );
        let mut pipeline = tokio::spawn(pipeline.run(stop.clone()));
        begun(&history, &mut pipeline).await?;
        let trails = TrailSet::open(
            control,
            log.clone(),
            Arc::clone(&history),
            Arc::new(opener(&ambient)),
            deliver_options(&settings),
            own_store,
            stop.clone(),
        );
        let trails = trails.await?;
        let engine = make_engine(&settings, &history, &trails, &registry, &ambient)?;
        let app = Arc::new(Self {
            receive_limits: receive_limits(&settings),
            room: super::room::Room::new(&settings.server),
            started: ambient.clock.now(),
            settings,
            clock: ambient.clock,
            registry,
            audit,
            log,
            verdicts,
            history,
            pipeline: handle,
            trails,
            engine,
            metrics,
        });
        let background = Background {
            pipeline,
            stop,
            accounts: accounts_task,
        };
        Ok((app, background))
    }
}

/// The URL of the server's own object store.
fn store_url(dir: &Path) -> anyhow::Result<String> {
    let folder = dir.join(keys::STORE_DIR);
    match url::Url::from_file_path(&folder) {
        Ok(url) => Ok(url.to_string()),
        Err(()) => anyhow::bail!("the data folder {} is no absolute path", dir.display()),
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

fn opener(ambient: &Ambient) -> Opener {
    Opener {
        settings: ambient.objects.clone(),
        clock: Arc::clone(&ambient.clock),
        ids: Arc::clone(&ambient.ids),
    }
}

fn deliver_options(settings: &Settings) -> DeliverOptions {
    DeliverOptions {
        commit_interval: settings.trails.commit_interval,
        ..DeliverOptions::default()
    }
}

/// Opens the embedded log below `dir`; reads and checks all of it.
pub async fn open_log(dir: &Path, settings: &Settings) -> anyhow::Result<EmbeddedLog> {
    let options = LogOptions {
        segment_bytes: settings.log.segment_bytes,
        // A body is appended as a whole, so the largest one has to fit.
        max_frame_bytes: size(settings.server.max_decompressed_bytes) + (32 << 20),
        ..LogOptions::default()
    };
    let dir = dir.join(keys::LOG_DIR);
    let opened = tokio::task::spawn_blocking(move || EmbeddedLog::open(&dir, options)).await?;
    Ok(opened?)
}

async fn open_history(root: &Opened, ambient: &Ambient) -> anyhow::Result<History> {
    let open = async |key: &str, spec: TableSpec| -> anyhow::Result<Arc<Table>> {
        let opened = root.at(key);
        let (clock, ids) = (Arc::clone(&ambient.clock), Arc::clone(&ambient.ids));
        let table = Table::open_or_create(&opened, spec, TableOptions::default(), clock, ids).await;
        Ok(Arc::new(
            table.with_context(|| format!("cannot open the table {key}"))?,
        ))
    };
    let table = open(keys::HISTORY, TableSpec::events("history")).await?;
    let quarantine = open(keys::QUARANTINE, TableSpec::quarantine()).await?;
    Ok(History::new(table, quarantine, FOLLOWER_BYTES))
}

/// Where the pipeline reads on. A log that begins after that place has lost
/// records, and one that ends before it would give offsets out twice: both
/// are refused.
fn check_log(log: &EmbeddedLog, history: &History) -> anyhow::Result<i64> {
    let committed = history.committed().of(&Partition::embedded());
    let (start, end) = (log.start(), log.end());
    anyhow::ensure!(
        start <= committed,
        "the log begins at offset {start}, but history is committed only up to {committed}: \
         records between are missing. Restore the folder log/ from a backup"
    );
    anyhow::ensure!(
        end >= committed,
        "the log ends at offset {end}, but history is committed up to {committed}: the folder log/ \
         is older than the tables. Restore log/ and store/ from the same backup"
    );
    let quarantined = history.quarantine().position().of(&Partition::embedded());
    anyhow::ensure!(
        end >= quarantined,
        "the log ends at offset {end}, but quarantine reaches up to {quarantined}: the folder log/ is \
         older than the tables. Restore log/ and store/ from the same backup"
    );
    Ok(committed)
}

fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn pipeline_options(settings: &Settings) -> PipelineOptions {
    PipelineOptions {
        commit_interval: settings.history.commit_interval,
        commit_rows: size(settings.history.commit_rows),
        commit_bytes: size(settings.history.commit_bytes),
        ..PipelineOptions::default()
    }
}

fn receive_limits(settings: &Settings) -> ReceiveLimits {
    ReceiveLimits {
        max_compressed: size(settings.server.max_body_bytes),
        max_body: size(settings.server.max_decompressed_bytes),
        max_event: size(settings.server.max_event_bytes),
        ..ReceiveLimits::default()
    }
}

fn make_engine(
    settings: &Settings,
    history: &Arc<History>,
    trails: &Arc<TrailSet>,
    registry: &Arc<Registry>,
    ambient: &Ambient,
) -> anyhow::Result<Arc<Engine>> {
    let spill = settings
        .query
        .spill_dir
        .clone()
        .unwrap_or_else(|| settings.data.dir.join("spill"));
    let defaults = Limits::default();
    let limits = Limits {
        memory: size(settings.query.memory_bytes),
        timeout: settings.query.timeout,
        concurrent: settings.query.max_concurrent as usize,
        spill_dir: (settings.query.spill_bytes > 0).then_some(spill),
        spill: settings.query.spill_bytes,
        threads: match settings.query.threads {
            0 => defaults.threads,
            n => n as usize,
        },
        memory_per_query: size(settings.query.memory_bytes),
        ..defaults
    };
    let tables = Arc::new(AllTables {
        history: Arc::clone(history),
        trails: Arc::clone(trails),
    });
    let system = system_tables::all(history, trails, registry);
    let engine = Engine::new(tables, system, limits, Arc::clone(&ambient.clock))?;
    Ok(Arc::new(engine))
}

/// Every table, for the query engine.
#[derive(Debug)]
struct AllTables {
    history: Arc<History>,
    trails: Arc<TrailSet>,
}

#[async_trait]
impl Tables for AllTables {
    async fn names(&self, readable: &Among<AccountId>) -> Vec<TableName> {
        let trails = match readable {
            // Without a look into the trails: one that is just being changed
            // keeps nobody waiting who may know of it anyway.
            Among::All => self.trails.folded_names(),
            Among::Only(_) => self.trails.names_visible_to(readable).await,
        };
        let trails = trails
            .iter()
            .filter_map(|n| TrailName::new(n).ok())
            .map(TableName::Trail);
        [TableName::History, TableName::Quarantine]
            .into_iter()
            .chain(trails)
            .collect()
    }

    async fn snapshot(&self, table: &TableName) -> Result<Option<TableSnapshot>, ViewError> {
        match table {
            TableName::History => Ok(Some(self.history.snapshot())),
            TableName::Quarantine => Ok(Some(self.history.quarantine_snapshot())),
            TableName::Trail(name) => {
                let Ok(follower) = self.trails.find(name.as_str()) else {
                    return Ok(None);
                };
                let snapshot = follower.snapshot().await;
                snapshot.map(Some).map_err(|reason| ViewError {
                    table: table.clone(),
                    reason,
                })
            }
        }
    }
}

/// What the pipeline tells goes into metrics, and new accounts to the registry.
#[derive(Debug)]
struct Observing {
    metrics: Arc<Metrics>,
    accounts: mpsc::UnboundedSender<(AccountId, String)>,
}

impl Observer for Observing {
    fn judged(&self, judged: &Judged) {
        let (mut accepted, mut duplicate) = (0, 0);
        for (_, verdict) in &judged.verdicts {
            match verdict {
                Verdict::Accepted { .. } => accepted += 1,
                Verdict::Duplicate { .. } => duplicate += 1,
                Verdict::Refused { code, .. } => {
                    self.metrics
                        .records
                        .with_label_values(&["quarantined"])
                        .inc();
                    self.metrics.quarantined.with_label_values(&[code]).inc();
                }
            }
        }
        self.metrics
            .records
            .with_label_values(&["accepted"])
            .inc_by(accepted);
        self.metrics
            .records
            .with_label_values(&["duplicate"])
            .inc_by(duplicate);
        self.metrics.conflicts.inc_by(judged.conflicts);
        for account in &judged.new_accounts {
            // The receiver lives as long as the server; after it nobody counts.
            let _ = self.accounts.send((account.clone(), judged.sender.clone()));
        }
    }

    fn committed(&self, _: &Position, took: Duration) {
        self.metrics.commits.with_label_values(&["ok"]).inc();
        self.metrics.commit_seconds.observe(took.as_secs_f64());
    }

    fn commit_failed(&self, error: &TableError) {
        self.metrics.commits.with_label_values(&["failed"]).inc();
        tracing::warn!(error = %error, "commit to history failed, trying again");
    }
}

/// Adds the accounts that intake met to the organization. A document that
/// cannot be written now is written when the account is met after a restart.
async fn register_accounts(
    registry: Arc<Registry>,
    audit: Audit,
    mut found: mpsc::UnboundedReceiver<(AccountId, String)>,
) {
    let (principal, caller) = (Principal::cairn(), Caller::default());
    while let Some((account, sender)) = found.recv().await {
        let mut act = Act::new("AddAccount", true, &principal, &caller);
        act.request = serde_json::json!({"accountId": account, "firstEventFrom": sender});
        act.resource = Some(("CAIRN::Account", account.to_string()));
        if let Err(error) = audit.record(act).await {
            tracing::warn!(error = %error, "a new account could not be recorded");
            continue;
        }
        if let Err(error) = registry.add_account(&sender, account, None, true).await {
            tracing::warn!(error = %error, "a new account could not be written down");
        }
    }
}
