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
//!
//! Several processes may deliver to one table. Each looks after its own
//! partitions ([`mine`]), each commit is conditional on the places that it
//! moves, and on the version in force ([`fence`]).

mod fence;
mod flush;
mod mine;
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
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use fence::{LogEnd, Versions};

use crate::history::History;
use mine::within;
use show::Shades;
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
    /// Whether other processes deliver to the same tables.
    pub shared: bool,
    /// How long a partition that this process does not own has to lie still,
    /// with something undelivered, before it is taken over. Best not the same
    /// in all processes, so that one comes first.
    pub patience: Duration,
}

impl Default for DeliverOptions {
    fn default() -> Self {
        Self {
            commit_interval: Duration::from_secs(30),
            commit_rows: 100_000,
            commit_bytes: 48 << 20,
            catch_up: Duration::from_secs(10),
            shared: false,
            patience: Duration::from_secs(60),
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
    /// for reading while judged rows are added, so that none at or beyond that
    /// position was judged by the version before. Locked before `state`.
    trail: RwLock<Trail>,
    table: OnceCell<Arc<Table>>,
    opener: Arc<dyn OpenTable>,
    versions: Arc<dyn Versions>,
    history: Arc<History>,
    clock: Arc<dyn Clock>,
    options: DeliverOptions,
    state: Mutex<State>,
    /// What readers found in the partitions that others deliver.
    shades: tokio::sync::Mutex<Shades>,
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
        versions: Arc<dyn Versions>,
        history: Arc<History>,
        clock: Arc<dyn Clock>,
        options: DeliverOptions,
    ) -> Arc<Self> {
        let state = State {
            start: trail.starts_at(),
            ..State::default()
        };
        Arc::new(Self {
            trail: RwLock::new(trail),
            table: OnceCell::new(),
            opener,
            versions,
            history,
            clock,
            options,
            state: Mutex::new(state),
            shades: tokio::sync::Mutex::default(),
            poke: Notify::new(),
            stepped: Notify::new(),
            moved: Notify::new(),
        })
    }

    /// The trail. See the field: whoever makes a new version holds it for
    /// writing from before the log's end is read until the version is pushed
    /// with [`Self::push`].
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
            delivered: state.position().of_records(),
            scanned: state.scanned(),
            pending_rows: state.pending_rows(),
            last_delivery: state.last_delivery,
            last_error: state.last_error.clone(),
        }
    }

    /// The place from which memory should hold rows for this follower; `None`
    /// when it needs none.
    pub async fn needs_from(&self) -> Option<Position> {
        let trail = self.trail.read().await;
        let mut needed = self.state.lock().scanned();
        if trail.latest().status == TrailStatus::Enable {
            return Some(needed);
        }
        let end = &trail.latest().effective;
        if needed.reaches(end) {
            return None;
        }
        for (partition, from) in &mut needed.0 {
            if *from >= end.of(partition) {
                *from = i64::MAX;
            }
        }
        Some(needed)
    }

    /// Whether a deleted trail has nothing more to deliver, here or, with
    /// several processes, anywhere.
    async fn is_finished(&self) -> bool {
        let trail = self.trail.read().await;
        let state = self.state.lock();
        if !trail.is_deleted() || state.pending_rows() > 0 || state.listing.is_none() {
            return false;
        }
        let mut ends = trail.latest().effective.0.iter();
        let head = self.history.committed();
        match self.options.shared {
            false => ends.all(|(p, end)| state.from(p) >= *end),
            // By what the table says: whoever else delivers has passed as well.
            true => {
                ends.all(|(p, end)| state.at(p) >= (*end).min(head.of(p)))
                    && head.reaches(&trail.latest().effective)
            }
        }
    }

    /// Follows until `stop`, or until the trail is deleted and everything
    /// before its end is delivered. Then delivers what waits, once.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut committed = self.history.subscribe();
        let mut owned = self.history.owned();
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
            if self.is_finished().await {
                return;
            }
            let pause = if backoff.is_zero() {
                self.pause()
            } else {
                backoff
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
                () = self.poke.notified() => {}
                _ = committed.changed(), if backoff.is_zero() => {}
                Ok(()) = owned.changed(), if backoff.is_zero() => {}
            }
        }
        if let Some(table) = self.table.get()
            && let Err(error) = self.deliver(table).await
        {
            tracing::warn!(error = %error, "trail repeats undelivered rows at its next start");
        }
    }

    /// How long nothing needs to be done if nothing changes.
    fn pause(&self) -> Duration {
        let due = self.state.lock().pending_since();
        let due = due.map(|since| self.options.commit_interval.saturating_sub(since.elapsed()));
        let look = match self.options.shared {
            true => self.options.patience / 4,
            false => Duration::from_secs(3600),
        };
        due.map_or(look, |due| due.min(look))
    }

    /// The table, opened where nobody has needed it yet.
    pub async fn table_or_open(&self) -> Result<&Arc<Table>, TableError> {
        let open = async || {
            let version = self.trail.read().await.latest().clone();
            let table = self.opener.open(&version).await?;
            let (listing, position) = table.files_at();
            let delivered = position.of_records();
            if !self.history.table().position().reaches(&delivered) {
                // Others may have committed to history since it was looked at.
                self.history.refresh().await?;
            }
            if !self.history.table().position().reaches(&delivered) {
                return Err(TableError::Refused {
                    table: version.name.to_string(),
                    reason: "the trail's table is ahead of history, so history is older than the trail: \
                             restore both from one backup, or make another trail elsewhere"
                        .to_owned(),
                });
            }
            let mut state = self.state.lock();
            state.listing = Some((listing, position));
            state.refreshed = Some(Instant::now());
            Ok(table)
        };
        self.table.get_or_try_init(open).await
    }

    /// Reads everything that history has committed since the last step, and
    /// delivers when it is time.
    async fn step(&self) -> Result<(), TableError> {
        let table = self.table_or_open().await?;
        self.fence().await?;
        if self.others_lag().await {
            self.refresh(table, self.options.patience / 8).await?;
        }
        self.settle_claims(table).await?;
        // What is due goes out before more is taken in: while the destination
        // does not answer, memory holds what it holds and the follower lags.
        if self.is_due().await {
            self.deliver(table).await?;
        }
        self.skip_the_stopped_part().await;
        self.scan(table).await?;
        if self.is_due().await {
            self.deliver(table).await?;
        }
        self.forget_shades().await;
        Ok(())
    }

    async fn is_due(&self) -> bool {
        let trail = self.trail.read().await;
        let head = self.history.committed();
        let mut state = self.state.lock();
        let asked = !state.flush_to.0.is_empty()
            && state.claims.iter().all(|(partition, claim)| {
                claim.scanned >= within(&trail, partition, state.flush_to.of(partition))
            });
        let rows = state.pending_rows();
        if asked && rows == 0 {
            state.flush_to = Position::default();
        }
        let aged = state
            .pending_since()
            .is_some_and(|s| s.elapsed() >= self.options.commit_interval);
        let waits = rows > 0
            && (asked
                || aged
                || rows >= self.options.commit_rows
                || state.pending_bytes() >= self.options.commit_bytes);
        waits || state.lags(&head) || self.should_settle(&state, &trail, &head)
    }

    /// Commits what waits, with the position, in one act, on the condition that
    /// the version by which it was judged is in force. A crash before it
    /// repeats from the old position; after it there is nothing to repeat.
    async fn deliver(&self, table: &Table) -> Result<(), TableError> {
        let parcel = {
            let trail = self.trail.read().await;
            // From where this follower believes the table to stand, not where it
            // does: a table that moved has taken rows that wait here.
            let (version, head) = (trail.latest().version, self.history.committed());
            self.state.lock().parcel(fence::number(version), &head)
        };
        let Some(parcel) = parcel else {
            self.state.lock().flush_to = Position::default();
            return Ok(());
        };
        match table.commit(parcel.rows, &parcel.from, &parcel.to).await {
            Ok(_) => {}
            // An earlier try landed after all, or another process delivers, or
            // changed the trail: what became of that shows in the next step.
            Err(TableError::Conflict { .. }) => {
                self.adopt_theirs(table);
                self.poke.notify_one();
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let (listing, position) = table.files_at();
        let mut state = self.state.lock();
        // The list and the rows that it now holds change places in one breath,
        // so that no snapshot sees a row twice or not at all.
        state.adopt(listing, position);
        state.last_delivery = Some(self.clock.now());
        let left = state.flush_to.0.iter();
        let left = left.filter(|(p, to)| state.claims.contains_key(p) && state.at(p) < **to);
        let left = left.map(|(p, to)| (p.clone(), *to)).collect();
        state.flush_to = Position(left);
        Ok(())
    }
}

const MIN_BACKOFF: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
