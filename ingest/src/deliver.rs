//! Deliver: a trail follows history.
//!
//! A follower reads history from its own position, judges each row by the
//! trail's version in force at the row's offset, and commits the rows it takes
//! together with the new position in one act of the trail's own table. A crash
//! repeats from the committed position; a destination that does not answer
//! holds up nobody else.
//!
//! While a follower keeps up it reads the newest rows from memory. It reads
//! files only after a start, a backfill, or a long outage of its destination.

mod scan;
mod show;
mod state;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_schemas::trail::{Trail, TrailStatus, TrailVersion};
use cairn_schemas::{Clock, Micros, Position};
use cairn_store::table::{Table, TableError};
use parking_lot::Mutex;
use tokio::sync::{Notify, OnceCell, RwLock};
use tokio_util::sync::CancellationToken;

use crate::history::History;
use state::State;

/// When selected rows become files of a trail.
#[derive(Clone, Debug)]
pub struct DeliverOptions {
    /// At the latest after this time.
    pub commit_interval: Duration,
    /// As soon as there are so many.
    pub commit_rows: usize,
    /// As soon as they take so many bytes of memory.
    pub commit_bytes: usize,
    /// How long a reader waits for a follower that has to read history's files
    /// first, as each does after a start.
    pub catch_up: Duration,
}

impl Default for DeliverOptions {
    fn default() -> Self {
        Self {
            commit_interval: Duration::from_secs(30),
            commit_rows: 100_000,
            commit_bytes: 48 << 20,
            catch_up: Duration::from_secs(10),
        }
    }
}

/// How a follower stands, for status and metrics.
#[derive(Clone, Debug, Default)]
pub struct FollowerStatus {
    /// Everything below is committed to the trail's table.
    pub delivered: Position,
    /// Everything below was looked at; what was taken and is not delivered
    /// waits in memory.
    pub scanned: Position,
    /// Rows that wait in memory.
    pub pending_rows: usize,
    /// When rows were last committed.
    pub last_delivery: Option<Micros>,
    /// What went wrong last; cleared by a success.
    pub last_error: Option<String>,
}

/// Opens the table of a trail, or makes it. Refuses a place where another
/// trail's table lies.
#[async_trait]
pub trait OpenTable: Send + Sync + std::fmt::Debug {
    /// The table of `trail`. May be called again after an error.
    async fn open(&self, trail: &TrailVersion) -> Result<Arc<Table>, TableError>;
}

/// One trail's follower. Shared by its task, the trail's admin and queries.
#[derive(Debug)]
pub struct Follower {
    /// The trail. Held for writing while a new version gets its position, and
    /// for reading while rows are judged, so that no row at or beyond that
    /// position was judged by the version before.
    trail: RwLock<Trail>,
    table: OnceCell<Arc<Table>>,
    opener: Arc<dyn OpenTable>,
    history: Arc<History>,
    clock: Arc<dyn Clock>,
    options: DeliverOptions,
    state: Mutex<State>,
    /// Something changed: the trail, or a flush was asked for.
    poke: Notify,
    /// The task made a step: flushes look again.
    stepped: Notify,
    /// The task looked at more of history: snapshots look again.
    moved: Notify,
}

impl Follower {
    /// A follower of `history` for `trail`. Its table is opened by [`Self::run`],
    /// which goes on where the table stands, or, where nothing was ever
    /// delivered, begins at the trail's start.
    pub fn new(
        trail: Trail,
        opener: Arc<dyn OpenTable>,
        history: Arc<History>,
        clock: Arc<dyn Clock>,
        options: DeliverOptions,
    ) -> Arc<Self> {
        let state = State {
            scanned: trail.starts_at(),
            ..State::default()
        };
        Arc::new(Self {
            trail: RwLock::new(trail),
            table: OnceCell::new(),
            opener,
            history,
            clock,
            options,
            state: Mutex::new(state),
            poke: Notify::new(),
            stepped: Notify::new(),
            moved: Notify::new(),
        })
    }

    /// The trail. See the field: whoever makes a new version holds it for
    /// writing from before the log's end is read until the version is pushed,
    /// and then calls [`Self::changed`].
    pub fn trail(&self) -> &RwLock<Trail> {
        &self.trail
    }

    /// The trail's table, once it could be opened.
    pub fn table(&self) -> Option<&Arc<Table>> {
        self.table.get()
    }

    /// Tells the task that the trail has a new version.
    pub fn changed(&self) {
        self.poke.notify_one();
    }

    /// How it stands.
    pub fn status(&self) -> FollowerStatus {
        let state = self.state.lock();
        FollowerStatus {
            delivered: state.position(),
            scanned: state.scanned.clone(),
            pending_rows: state.pending_rows,
            last_delivery: state.last_delivery,
            last_error: state.last_error.clone(),
        }
    }

    /// The place from which memory should hold rows for this follower; `None`
    /// when it needs none.
    pub async fn needs_from(&self) -> Option<Position> {
        (!self.is_idle().await).then(|| self.scanned())
    }

    fn scanned(&self) -> Position {
        self.state.lock().scanned.clone()
    }

    /// Returns once everything below `target` that the trail takes is in files.
    /// `target` must be committed to history already.
    pub async fn flush(&self, target: &Position) -> Result<(), String> {
        let mut tried = false;
        loop {
            let stepped = self.stepped.notified();
            let idle = self.is_idle().await;
            {
                let mut state = self.state.lock();
                let looked = idle || state.scanned.reaches(target);
                if state.position().reaches(target) || (looked && state.pending_rows == 0) {
                    return Ok(());
                }
                // An error from before this call says nothing about now.
                if tried && let Some(error) = &state.last_error {
                    return Err(error.clone());
                }
                // A delivery in between may have cleared it.
                state.flush_to.merge(target);
            }
            tried = true;
            self.poke.notify_one();
            stepped.await;
        }
    }

    /// Whether the trail is stopped and everything before the stop was looked
    /// at: there is nothing to do until it changes.
    async fn is_idle(&self) -> bool {
        let trail = self.trail.read().await;
        let latest = trail.latest();
        latest.status != TrailStatus::Enable && self.scanned().reaches(&latest.effective)
    }

    /// Follows until `stop`, or until the trail is deleted and everything
    /// before its end is delivered. Then delivers what waits, once.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut committed = self.history.subscribe();
        let mut backoff = Duration::ZERO;
        loop {
            match self.step().await {
                Ok(()) => {
                    backoff = Duration::ZERO;
                    self.state.lock().last_error = None;
                }
                Err(error) => {
                    tracing::warn!(error = %error, "trail delivery failed, trying again");
                    self.state.lock().last_error = Some(error.to_string());
                    backoff = (backoff * 2).clamp(MIN_BACKOFF, MAX_BACKOFF);
                }
            }
            self.stepped.notify_waiters();
            self.moved.notify_waiters();
            let waits = self.state.lock().pending_rows > 0;
            if !waits && self.is_idle().await && self.trail.read().await.is_deleted() {
                return;
            }
            let age = self.pending_due().unwrap_or(Duration::from_secs(3600));
            let pause = if backoff.is_zero() { age } else { backoff };
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
                () = self.poke.notified() => {}
                _ = committed.changed(), if backoff.is_zero() => {}
            }
        }
        if let Some(table) = self.table.get()
            && let Err(error) = self.deliver(table).await
        {
            tracing::warn!(error = %error, "trail repeats undelivered rows at its next start");
        }
    }

    fn pending_due(&self) -> Option<Duration> {
        let since = self.state.lock().pending_since?;
        Some(self.options.commit_interval.saturating_sub(since.elapsed()))
    }

    async fn table_or_open(&self) -> Result<&Arc<Table>, TableError> {
        let open = async || {
            let version = self.trail.read().await.latest().clone();
            let table = self.opener.open(&version).await?;
            let (listing, position) = table.files_at();
            if !self.history.committed().reaches(&position) {
                return Err(TableError::Refused {
                    table: version.name.to_string(),
                    reason: "the trail's table is ahead of history, so history is older than the trail: \
                             restore both from one backup, or make another trail elsewhere"
                        .to_owned(),
                });
            }
            let mut state = self.state.lock();
            state.scanned.merge(&position);
            state.listing = Some((listing, position));
            Ok(table)
        };
        self.table.get_or_try_init(open).await
    }

    /// Reads everything that history has committed since the last step, and
    /// delivers when it is time.
    async fn step(&self) -> Result<(), TableError> {
        let table = self.table_or_open().await?;
        // What is due goes out before more is taken in: while the destination
        // does not answer, memory holds what it holds and the follower lags.
        if self.is_due().await {
            self.deliver(table).await?;
        }
        self.skip_the_stopped_part().await;
        let head = self.history.committed();
        if !self.is_idle().await && !self.scanned().reaches(&head) {
            self.scan(table, &head).await?;
        }
        if self.is_due().await {
            self.deliver(table).await?;
        }
        Ok(())
    }

    async fn is_due(&self) -> bool {
        let idle = self.is_idle().await;
        let state = self.state.lock();
        let asked =
            !state.flush_to.0.is_empty() && (idle || state.scanned.reaches(&state.flush_to));
        let aged = state
            .pending_since
            .is_some_and(|s| s.elapsed() >= self.options.commit_interval);
        let waits = state.pending_rows > 0
            && (asked
                || aged
                || state.pending_rows >= self.options.commit_rows
                || state.pending_bytes >= self.options.commit_bytes);
        waits || state.lags()
    }

    /// Commits what waits, with the position, in one act. A crash before it
    /// repeats from the old position; after it there is nothing to repeat.
    async fn deliver(&self, table: &Table) -> Result<(), TableError> {
        let (rows, to) = {
            let mut state = self.state.lock();
            if state.pending.is_empty() && !state.lags() {
                state.flush_to = Position::default();
                return Ok(());
            }
            (state.pending.clone(), state.scanned.clone())
        };
        // Where this follower believes the table to stand, not where it does:
        // a table that moved has taken rows that are pending here.
        let from = self.state.lock().position();
        let listing = match table.commit(rows, &from, &to).await {
            Ok(listing) => listing,
            Err(TableError::Conflict { at }) => {
                self.go_back_to(table, &at);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        // The list and the rows that it now holds change places in one breath,
        // so that no snapshot sees a row twice or not at all. Only this task
        // adds to `pending`, so all of it was committed.
        let mut state = self.state.lock();
        let scanned = std::mem::take(&mut state.scanned);
        let flush_to = std::mem::take(&mut state.flush_to);
        *state = State {
            flush_to: if scanned.reaches(&flush_to) {
                Position::default()
            } else {
                flush_to
            },
            scanned,
            listing: Some((listing, to)),
            last_delivery: Some(self.clock.now()),
            ..State::default()
        };
        Ok(())
    }
}

impl Follower {
    /// The table stands elsewhere than this follower thought: an earlier try
    /// landed after all, or another process delivers. What waits here was
    /// judged from the old place, so it is let go and read again from the new.
    fn go_back_to(&self, table: &Table, at: &Position) {
        tracing::info!(at = ?at, "the trail's table stands elsewhere, going on from there");
        let mut state = self.state.lock();
        let flush_to = std::mem::take(&mut state.flush_to);
        let mut scanned = at.clone();
        // Partitions that the table does not know yet begin where this began.
        for (partition, next) in &state.scanned.0 {
            if !at.0.contains_key(partition) {
                scanned.advance(partition, *next);
            }
        }
        *state = State {
            flush_to,
            scanned,
            listing: Some(table.files_at()),
            last_delivery: state.last_delivery,
            ..State::default()
        };
        drop(state);
        self.poke.notify_one();
    }

    /// Where delivery of a trail that was never started shall begin. Called with
    /// the trail held for writing, before the version that starts it is pushed.
    pub fn begin_at(&self, start: &Position) {
        self.state.lock().scanned = start.clone();
    }
}

const MIN_BACKOFF: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
