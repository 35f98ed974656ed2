//! From settings to a running server, and back down in good order.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use cairn_ingest::pipeline::PipelineError;
use cairn_schemas::control::{Principal, Role};
use cairn_schemas::{Clock, keys};
use cairn_store::table::TableOptions;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use super::ambient::{SystemClock, SystemIds};
use super::app::{Ambient, App, Background, Shared};
use super::audit::{Act, Caller};
use super::http::router;
use super::stores::object_settings;
use super::{doors, flight, kafka, maintenance, pg, queries, rejected, reload, starts};
use crate::config::Settings;

/// How long the doors stay shut after a start for the log to be read.
const CATCH_UP: Duration = Duration::from_secs(10);
/// How long requests under way may take after the signal to stop.
const DOORS_GRACE: Duration = Duration::from_secs(3);
/// How long the events of refused calls may take after that.
const LAST_EVENTS: Duration = Duration::from_secs(1);
/// How long the last commits may take after that. All together stay below
/// the ten seconds that service managers give.
const COMMIT_GRACE: Duration = Duration::from_secs(5);
/// How long it may take to learn whether a copy of this process runs.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// Runs the server until it is told to stop (SIGTERM, SIGINT).
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    // Whatever is made from here on is evidence: for its owner alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let dir = prepare_folder(&settings.data.dir)?;
    let _held = hold_folder(&dir)?;
    let listen = settings.server.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!(
            "cannot listen on {listen}: choose another address with --listen, or stop what uses it"
        )
    })?;
    let pg = listen_beside(&settings, settings.pg.listen, PG).await?;
    let flight = listen_beside(&settings, settings.flight.listen, FLIGHT).await?;
    let addresses = Addresses {
        http: listener.local_addr()?,
        pg: pg.as_ref().map(TcpListener::local_addr).transpose()?,
        flight: flight.as_ref().map(TcpListener::local_addr).transpose()?,
    };
    let settings = Settings {
        data: crate::config::Data { dir: dir.clone() },
        ..settings
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ambient = Ambient {
        objects: object_settings(&settings, &clock),
        clock,
        ids: Arc::new(SystemIds),
        shared: settings.store.url.is_some(),
        tables: TableOptions::default(),
    };
    let (app, background) = App::start(settings, ambient).await?;
    catch_up(&app).await;
    let token = first_token(&app, &dir).await?;
    let pg = pg
        .map(|listener| {
            let door = pg::Door::new(Arc::clone(&app), Arc::new(SystemIds), &app.settings.pg);
            anyhow::Ok((door?, listener))
        })
        .transpose()?;
    let flight = flight
        .map(|listener| {
            let (app, settings) = (Arc::clone(&app), &app.settings.flight);
            let door = flight::Door::new(app, Arc::new(SystemIds), settings);
            anyhow::Ok((door?, listener))
        })
        .transpose()?;
    announce(addresses, &dir, &token)?;
    let doors = Doors {
        http: listener,
        pg,
        flight,
    };
    serve(app, background, doors).await
}

/// What is open, and the sockets.
#[derive(Debug)]
struct Doors {
    http: TcpListener,
    pg: Option<(pg::Door, TcpListener)>,
    flight: Option<(flight::Door, TcpListener)>,
}

/// Where the doors are.
#[derive(Clone, Copy, Debug)]
struct Addresses {
    http: std::net::SocketAddr,
    pg: Option<std::net::SocketAddr>,
    flight: Option<std::net::SocketAddr>,
}

/// Whose clients come through a door beside the HTTP one, and its flag.
const PG: (&str, &str) = ("PostgreSQL's", "--pg");
const FLIGHT: (&str, &str) = ("Arrow Flight's", "--flight");

/// The socket of such a door, where there is to be one. A process that answers
/// no questions needs none.
async fn listen_beside(
    settings: &Settings,
    address: Option<std::net::SocketAddr>,
    (whose, flag): (&str, &str),
) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = address else {
        return Ok(None);
    };
    if settings.server.role == crate::config::Role::Ingest {
        return Ok(None);
    }
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address} for {whose} clients: choose another address with {flag}, or {flag} off, or stop what uses it"
        )
    })?;
    Ok(Some(listener))
}

/// Waits until what was acknowledged before the last end can be seen again: an
/// answer that lacks it would look like a loss. Not for ever, for events must
/// be taken in also while the tables' store is away.
async fn catch_up(app: &App) {
    if app.catching_up.progress().is_some() {
        // That may take minutes; `/readyz` tells how far it is.
        return;
    }
    let end = app.log.end();
    if tokio::time::timeout(CATCH_UP, app.verdicts.judged(end))
        .await
        .is_err()
    {
        let lag = end - app.verdicts.at();
        tracing::warn!(
            lag,
            "still reading the log: answers lack its newest records until that is done"
        );
    }
}

async fn serve(app: Shared, mut background: Background, open: Doors) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let tidy = tokio::spawn(maintenance::tidy(Arc::clone(&app), stop.clone()));
    let learning = tokio::spawn(reload::follow(Arc::clone(&app), stop.clone()));
    let upkeep = tokio::spawn(maintenance::keep_up(Arc::clone(&app), stop.clone()));
    let results = tokio::spawn(queries::keep_up(Arc::clone(&app), stop.clone()));
    let watching = tokio::spawn(kafka::watch(Arc::clone(&app), stop.clone()));
    app.exports.begin(&app);
    let doors_closed = CancellationToken::new();
    let rejected = tokio::spawn(rejected::report(Arc::clone(&app), doors_closed.clone()));
    let doors = tokio::spawn(doors::serve(
        open.http,
        router(Arc::clone(&app)),
        stop.clone(),
        DOORS_GRACE,
    ));
    let pg = open
        .pg
        .map(|(door, listener)| tokio::spawn(door.serve(listener, stop.clone())));
    let flight = open
        .flight
        .map(|(door, listener)| tokio::spawn(door.serve(listener, stop.clone())));
    let (mut term, mut int) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let ended = tokio::select! {
        _ = term.recv() => None,
        _ = int.recv() => None,
        ended = &mut background.pipeline => Some(ended),
    };
    tracing::info!("stopping");
    if let Some(Ok(Err(PipelineError::Source(_)))) = &ended {
        // Kafka may know before this process does that a copy of it runs.
        let _ = tokio::time::timeout(LAST_LOOK, app.history.refresh()).await;
    }
    if app.history.is_superseded() {
        tracing::error!(log = %app.partition, "another process was started on a copy of this data folder");
        // At once: what would be acknowledged from here on nobody would read.
        app.log.close().await?;
    }
    stop.cancel();
    // First the doors, so that nothing more is acknowledged; then the rest.
    doors.await?;
    if let Some(pg) = pg {
        pg.await?;
    }
    flight_closed(flight).await?;
    doors_closed.cancel();
    if tokio::time::timeout(LAST_EVENTS, rejected).await.is_err() {
        tracing::warn!("the last refused calls were not recorded in time");
    }
    upkeep.abort();
    learning.abort();
    results.abort();
    watching.abort();
    background.stop.cancel();
    let pipeline = async {
        match ended {
            Some(ended) => ended,
            None => background.pipeline.await,
        }
    };
    let outcome = wind_up(&app, pipeline).await;
    tidy.abort();
    background.accounts.abort();
    app.log.close().await?;
    outcome
}

/// The last commits, and the leave from Kafka's group.
async fn wind_up(
    app: &App,
    pipeline: impl Future<Output = Result<Result<(), PipelineError>, JoinError>>,
) -> anyhow::Result<()> {
    let by = tokio::time::Instant::now() + COMMIT_GRACE;
    let outcome = match tokio::time::timeout_at(by, pipeline).await {
        Ok(Ok(Err(_))) if app.history.is_superseded() => Err(starts::Superseded::of(app).into()),
        Ok(Ok(ended)) => ended.context("the pipeline stopped"),
        Ok(Err(abrupt)) => Err(abrupt.into()),
        Err(_) => {
            tracing::warn!("the last commit did not end in time; the log still has everything");
            Ok(())
        }
    };
    let trails = tokio::time::timeout_at(by, app.trails.stopped());
    if trails.await.is_err() {
        tracing::warn!("the trails' last commits did not end in time; the next start delivers on");
    }
    // Others take the partitions over at once, and not after a time-out.
    if let Some(reader) = app.kafka.as_ref().and_then(|k| k.reader.as_ref())
        && tokio::time::timeout_at(by, reader.closed()).await.is_err()
    {
        tracing::warn!("kafka's group was not left in time; others wait for the session to end");
    }
    outcome
}

async fn flight_closed(door: Option<JoinHandle<anyhow::Result<()>>>) -> anyhow::Result<()> {
    if let Some(door) = door
        && let Err(error) = door.await?
    {
        tracing::warn!(error = %error, "flight's door did not end well");
    }
    Ok(())
}

/// Makes the data folder, for its owner alone, and resolves it.
fn prepare_folder(dir: &Path) -> anyhow::Result<PathBuf> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir);
    made.with_context(|| {
        format!(
            "cannot make the data folder {}: choose another with --data",
            dir.display()
        )
    })?;
    let dir = dir.canonicalize()?;
    for below in [keys::STORE_DIR, keys::LOG_DIR, keys::SEEN_DIR] {
        let path = dir.join(below);
        if path.is_symlink() {
            bail!(
                "{} is a symbolic link: the data folder must hold its own folders",
                path.display()
            );
        }
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    }
    // Every name from here up: made just now, or by a process that was killed
    // before it could sync them. What is acknowledged lies below them.
    let synced = File::open(&dir).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
    synced.with_context(|| format!("cannot sync the disk of {}: check it", dir.display()))?;
    Ok(dir)
}

/// Holds the folder for this process, as long as the file is open.
fn hold_folder(dir: &Path) -> anyhow::Result<File> {
    let path = dir.join(keys::LOCK_FILE);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)?;
    if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        // Only for the message: whoever holds the lock wrote its number there.
        let _ = file.read_to_string(&mut holder);
        bail!(
            "the data folder {} is held by another cairn (process {}): stop that one, or give --data another folder",
            dir.display(),
            holder.trim()
        );
    }
    file.set_len(0)?;
    write!(file, "{}", std::process::id())?;
    Ok(file)
}

/// The name of the first administrator's token, before the place of its file.
const FIRST: &str = "first administrator";

/// Where the first administrator's token lies, or who else has it.
#[derive(Debug)]
enum FirstToken {
    /// In this file.
    Here(PathBuf),
    /// Another process made it; this is its name, which says where.
    Elsewhere(String),
    /// It is gone, and other administrators are there.
    NotNeeded,
}

/// The first administrator's token: made once for a store, by the process that
/// comes first, into a file of its data folder.
///
/// 1. The file. A crash after it leaves a text that opens nothing; the next
///    start writes another.
/// 2. The document, put-if-absent. Whoever loses removes its file again.
async fn first_token(app: &App, dir: &Path) -> anyhow::Result<FirstToken> {
    let path = dir.join(keys::ADMIN_TOKEN_FILE);
    let new = app.registry.first_token();
    let tokens = app.registry.tokens();
    let admins = || {
        tokens
            .iter()
            .filter(|t| t.role == Role::Admin && !t.revoked)
    };
    let place = format!("{FIRST}, {}", place(&path));
    if app.registry.has_admin() {
        if path.exists() {
            return Ok(FirstToken::Here(path));
        }
        let first = admins().find_map(|t| t.name.as_ref().filter(|n| n.starts_with(FIRST)));
        let elsewhere = first.filter(|name| **name != place && app.shared);
        if let Some(name) = elsewhere {
            return Ok(FirstToken::Elsewhere(name.clone()));
        }
        if admins().any(|t| t.by != "cairn") {
            return Ok(FirstToken::NotNeeded);
        }
        // Its file was lost, and nobody else could make another.
    }
    let (principal, caller) = (Principal::cairn(), Caller::default());
    let mut act = Act::new("CreateToken", true, &principal, &caller);
    act.request = serde_json::json!({"role": "admin", "accounts": "all", "name": place});
    act.resource = Some(("CAIRN::Token", FIRST.to_owned()));
    app.audit.record(act).await?;
    write_token(dir, &path, &new.text)?;
    if app.registry.make_first_token(place, &new).await? {
        return Ok(FirstToken::Here(path));
    }
    fs::remove_file(&path)?;
    File::open(dir)?.sync_all()?;
    let tokens = app.registry.tokens();
    let mut names = tokens.into_iter().filter_map(|t| t.name);
    let first = names.find(|name| name.starts_with(FIRST));
    Ok(first.map_or(FirstToken::NotNeeded, FirstToken::Elsewhere))
}

/// The machine and the file, for people.
fn place(path: &Path) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}:{}", host.trim(), path.display())
}

/// Writes the token's file, durable on return, for its owner alone.
fn write_token(dir: &Path, path: &Path, text: &str) -> anyhow::Result<()> {
    let temporary = dir.join(format!("{}.new", keys::ADMIN_TOKEN_FILE));
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(dir)?.sync_all()?;
    Ok(())
}

fn announce(addresses: Addresses, dir: &Path, token: &FirstToken) -> anyhow::Result<()> {
    let address = addresses.http;
    tracing::info!(address = %address, data = %dir.display(), "cairn is ready");
    let mut out = std::io::stdout().lock();
    writeln!(out, "cairn is ready")?;
    writeln!(out, "  address              http://{address}")?;
    if let Some(flight) = addresses.flight {
        writeln!(out, "  flight sql           grpc://{flight}")?;
    }
    if let Some(pg) = addresses.pg {
        writeln!(out, "  postgresql           {pg}, database cairn")?;
    }
    writeln!(out, "  data                 {}", dir.display())?;
    match token {
        FirstToken::Here(path) => writeln!(out, "  administrator token  {}", path.display())?,
        FirstToken::Elsewhere(name) => {
            writeln!(
                out,
                "  administrator token  made by another process: {name}"
            )?;
        }
        FirstToken::NotNeeded => {}
    }
    out.flush()?;
    Ok(())
}
