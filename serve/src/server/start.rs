//! From settings to a running server, and back down in good order.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use cairn_schemas::control::{Principal, Role};
use cairn_schemas::keys;
use cairn_schemas::selector::Among;
use cairn_store::objects::ObjectSettings;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::ambient::{SystemClock, SystemIds};
use super::app::{Ambient, App, Background, Shared};
use super::audit::{Act, Caller};
use super::http::router;
use super::{doors, maintenance, rejected};
use crate::config::Settings;

/// How long requests under way may take after the signal to stop.
const DOORS_GRACE: Duration = Duration::from_secs(3);
/// How long the events of refused calls may take after that.
const LAST_EVENTS: Duration = Duration::from_secs(1);
/// How long the last commits may take after that. All together stay below
/// the ten seconds that service managers give.
const COMMIT_GRACE: Duration = Duration::from_secs(5);

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
    let address = listener.local_addr()?;
    let settings = Settings {
        data: crate::config::Data { dir: dir.clone() },
        ..settings
    };
    let ambient = Ambient {
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
        objects: object_settings(&settings),
    };
    let (app, background) = App::start(settings, ambient).await?;
    let token_file = first_token(&app, &dir).await?;
    announce(address, &dir, &token_file)?;
    serve(app, background, listener).await
}

async fn serve(
    app: Shared,
    mut background: Background,
    listener: TcpListener,
) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let tidy = tokio::spawn(maintenance::tidy(Arc::clone(&app), stop.clone()));
    let upkeep = tokio::spawn(maintenance::keep_up(Arc::clone(&app), stop.clone()));
    let doors_closed = CancellationToken::new();
    let rejected = tokio::spawn(rejected::report(Arc::clone(&app), doors_closed.clone()));
    let doors = tokio::spawn(doors::serve(
        listener,
        router(Arc::clone(&app)),
        stop.clone(),
        DOORS_GRACE,
    ));
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
    stop.cancel();
    // First the doors, so that nothing more is acknowledged; then the rest.
    doors.await?;
    doors_closed.cancel();
    if tokio::time::timeout(LAST_EVENTS, rejected).await.is_err() {
        tracing::warn!("the last refused calls were not recorded in time");
    }
    upkeep.abort();
    background.stop.cancel();
    let last = async {
        let pipeline = match ended {
            Some(ended) => ended,
            None => background.pipeline.await,
        };
        app.trails.stopped().await;
        pipeline
    };
    let outcome = match tokio::time::timeout(COMMIT_GRACE, last).await {
        Ok(ended) => ended?.context("the pipeline stopped"),
        Err(_) => {
            tracing::warn!("the last commit did not end in time; the log still has everything");
            Ok(())
        }
    };
    tidy.abort();
    background.accounts.abort();
    app.log.close().await?;
    outcome
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

/// The name of the first administrator's token.
const FIRST: &str = "first administrator";

/// The first administrator's token: made at the first start, or again when a
/// crash came between the token and its file.
async fn first_token(app: &App, dir: &Path) -> anyhow::Result<PathBuf> {
    let path = dir.join(keys::ADMIN_TOKEN_FILE);
    let others = app
        .registry
        .tokens()
        .into_iter()
        .any(|t| t.role == Role::Admin && !t.revoked && t.by != "cairn");
    if app.registry.has_admin() && (path.exists() || others) {
        return Ok(path);
    }
    let (principal, caller) = (Principal::cairn(), Caller::default());
    let mut act = Act::new("CreateToken", true, &principal, &caller);
    act.request = serde_json::json!({"role": "admin", "accounts": "all", "name": FIRST});
    act.resource = Some(("CAIRN::Token", FIRST.to_owned()));
    app.audit.record(act).await?;
    let name = Some(FIRST.to_owned());
    let (_, text) = app
        .registry
        .create_token("cairn", Role::Admin, Among::All, name)
        .await?;
    let temporary = dir.join(format!("{}.new", keys::ADMIN_TOKEN_FILE));
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&temporary, &path)?;
    File::open(dir)?.sync_all()?;
    Ok(path)
}

fn announce(address: std::net::SocketAddr, dir: &Path, token: &Path) -> anyhow::Result<()> {
    tracing::info!(address = %address, data = %dir.display(), "cairn is ready");
    let mut out = std::io::stdout().lock();
    writeln!(out, "cairn is ready")?;
    writeln!(out, "  address              http://{address}")?;
    writeln!(out, "  data                 {}", dir.display())?;
    if token.exists() {
        writeln!(out, "  administrator token  {}", token.display())?;
    }
    out.flush()?;
    Ok(())
}

fn object_settings(settings: &Settings) -> ObjectSettings {
    let s3 = &settings.s3;
    let secret = |s: &Option<crate::config::Secret>| s.as_ref().map(|s| s.expose().to_owned());
    let credentials = [
        ("access_key_id", s3.access_key_id.clone()),
        ("secret_access_key", secret(&s3.secret_access_key)),
        ("session_token", secret(&s3.session_token)),
    ];
    ObjectSettings {
        endpoint: s3.endpoint.clone(),
        region: s3.region.clone(),
        allow_http: s3.allow_http,
        virtual_hosted: s3.path_style == Some(false),
        credentials: credentials
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)))
            .collect(),
    }
}
