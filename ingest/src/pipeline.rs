//! The one task that turns the log into history.
//!
//! ```text
//! source ─► judge (decode, admit) ─► rows in memory ─► verdicts
//!                                        └─► commit: files + position
//! ```
//!
//! **What is promised.** Every record of the log becomes exactly one of: a row
//! of history, a row of quarantine, or a repeat of an earlier row. By which
//! mechanism: the pipeline begins at the position that history committed, and
//! a commit moves the rows and that position in one act, so that a crash
//! anywhere repeats work and changes nothing that was committed. Nothing here
//! depends on when a batch is cut.
//!
//! **Several processes** may commit to one history. What a process believes of
//! itself decides nothing, only commits do: each is conditional on the whole
//! position. Whoever comes second learns what the first committed, and goes on
//! if that makes no difference to what it holds open.
//!
//! The pipeline lives in **incarnations**. Each begins at history's position, as
//! after a crash. One ends by a stop; when the source says that what this process
//! owns changes, after a last commit if that succeeds in time; when another
//! process was faster with records that this one took for its own; and when
//! another committed a row that would have been judged together with one that
//! is open here. What is open and was not committed is read and judged again,
//! by whoever owns it then.
//!
//! Memory is bounded: when commits do not get through, the pipeline stops
//! reading, the log grows, and doors answer later.

use std::sync::Arc;
use std::time::Duration;

use cairn_schemas::Position;
use cairn_store::table::TableError;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::history::{History, Outcome};
use crate::judge::{CatchUpError, Judge, JudgeError, Judged, MakeJudge};
use crate::source::{Received, Source, SourceError, Taken};
use crate::verdict::Boards;

mod begin;
mod follow;
mod handle;
mod pace;

use follow::{Learned, Learning, mendable, next_piece};
use handle::Flush;
pub use handle::PipelineHandle;

/// When open rows become files.
#[derive(Clone, Debug)]
pub struct PipelineOptions {
    /// At the latest after this time.
    pub commit_interval: Duration,
    /// As soon as there are so many.
    pub commit_rows: usize,
    /// As soon as they take so many bytes of memory.
    pub commit_bytes: usize,
    /// How many bytes of records to judge at a time.
    pub chunk_bytes: usize,
    /// How long the last commit may take before partitions are given up, and
    /// before a stop. What is not committed by then is read again.
    pub last_commit: Duration,
}

impl Default for PipelineOptions {
    fn default() -> Self {
        Self {
            commit_interval: Duration::from_secs(5),
            commit_rows: 100_000,
            commit_bytes: 192 << 20,
            chunk_bytes: 4 << 20,
            last_commit: Duration::from_secs(10),
        }
    }
}

/// What the pipeline tells the rest of the process. Calls must return at once.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// A stretch of records was judged and is visible.
    fn judged(&self, judged: &Judged);
    /// Everything below `position` lies in files; the log may let go of it.
    fn committed(&self, position: &Position, took: Duration);
    /// A commit failed and will be tried again.
    fn commit_failed(&self, error: &TableError);
    /// Another process's commit came first: this one is tried again once what
    /// that brought is known.
    fn commit_behind(&self) {}
}

/// Why a pipeline ended.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The source failed for good.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Judging failed for good.
    #[error(transparent)]
    Judge(#[from] JudgeError),
    /// History refused the commit, in a way that another try does not mend.
    #[error("history cannot be committed to: {0}")]
    Table(#[from] TableError),
    /// The duplicate index could not be brought up to what history committed.
    #[error(transparent)]
    CatchUp(#[from] CatchUpError),
    /// Another process was started later on a copy of this one's log.
    #[error("another process was started later on the same log")]
    Superseded,
    /// A task of ours panicked.
    #[error("a pipeline task ended abruptly: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl PipelineError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Table(error) | Self::CatchUp(CatchUpError::Table(error)) => error.is_retryable(),
            _ => false,
        }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Pipeline {
    source: Box<dyn Source>,
    make_judge: Arc<dyn MakeJudge>,
    /// `None` between two incarnations, and while it is in use.
    judge: Option<Judge>,
    /// Up to where a judge knows history that no incarnation has begun with yet.
    /// After that, [`History::learned`] tells.
    made_at: Option<Position>,
    history: Arc<History>,
    boards: Arc<Boards>,
    observer: Arc<dyn Observer>,
    options: PipelineOptions,
    requests: mpsc::Receiver<Flush>,
    waiting: Vec<Flush>,
    /// When the oldest open row came; `None` when there is none.
    open_since: Option<Instant>,
    /// The commit under way.
    commit: Option<Commit>,
    /// What others committed, on its way to the judge.
    learning: Option<Learning>,
    /// Another's commit came first: ours is tried again as soon as that one is
    /// learned.
    again: bool,
    /// How often that happened since the last commit.
    conflicts: u32,
    /// How often it happened before the last commit got through.
    crowd: u32,
    /// After a failure, grows with each.
    backoff: Duration,
    /// No commit is begun before.
    not_before: Instant,
}

type Commit = tokio::task::JoinHandle<(Result<Outcome, TableError>, Duration)>;

/// How an incarnation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The process stops.
    Stopped,
    /// The source is about to own other partitions.
    Changed,
    /// What is open is of no use any more.
    Overtaken,
}

/// What comes after a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// It is done.
    Done,
    /// It is to be tried again, after the pause.
    Again,
    /// It is to be tried again once the judge knows what others committed.
    Behind,
    /// The incarnation has to end.
    Overtaken,
}

impl Pipeline {
    /// A pipeline that reads `source` from the position that `history`
    /// committed, with judges that `make_judge` makes.
    pub fn new(
        source: Box<dyn Source>,
        make_judge: Arc<dyn MakeJudge>,
        history: Arc<History>,
        boards: Arc<Boards>,
        observer: Arc<dyn Observer>,
        options: PipelineOptions,
    ) -> (Self, PipelineHandle) {
        let (sender, requests) = mpsc::channel(64);
        let handle = PipelineHandle {
            requests: sender,
            history: Arc::clone(&history),
        };
        let pipeline = Self {
            source,
            make_judge,
            judge: None,
            made_at: None,
            history,
            boards,
            observer,
            options,
            requests,
            waiting: Vec::new(),
            open_since: None,
            commit: None,
            learning: None,
            again: false,
            conflicts: 0,
            crowd: 0,
            backoff: Duration::ZERO,
            not_before: Instant::now(),
        };
        (pipeline, handle)
    }

    /// Runs until `stop`, then commits once more what it has, so that the next
    /// start has little to repeat.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), PipelineError> {
        while self.begin(&stop).await? {
            let end = self.live(&stop).await?;
            self.learning = None;
            let settled = end != End::Overtaken && self.wrap_up().await?;
            self.drop_commit().await;
            self.answer_flushes();
            match end {
                End::Stopped if !settled => {
                    tracing::warn!("not everything was committed, the next start reads it again");
                }
                End::Changed if !settled => {
                    tracing::warn!(
                        "partitions move on before everything was committed, it is read again"
                    );
                }
                End::Overtaken => {
                    tracing::info!("another process has committed first, reading on from there");
                }
                _ => {}
            }
            if end == End::Stopped {
                break;
            }
        }
        if let Some(mut judge) = self.judge.take() {
            tokio::task::spawn_blocking(move || judge.close()).await?;
        }
        Ok(())
    }

    /// One incarnation, from after its begin to its end.
    async fn live(&mut self, stop: &CancellationToken) -> Result<End, PipelineError> {
        let mut committed = self.history.subscribe();
        let mut superseded = self.history.superseded();
        self.answer_flushes();
        loop {
            let known = !self.again || self.learning.is_none();
            if self.commit.is_none() && known && self.due() && Instant::now() >= self.not_before {
                self.start_commit();
            }
            let (_, open_bytes) = self.history.open_size();
            // Twice the commit size: one batch on its way, one filling.
            let full = open_bytes >= 2 * self.options.commit_bytes;
            let (wake, idle) = (self.wake_at(), self.commit.is_none() && known);
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(End::Stopped),
                () = is_true(&mut superseded) => return Err(PipelineError::Superseded),
                ended = ended(&mut self.commit) => {
                    self.commit = None;
                    let overtaken = match self.commit_ended(ended?)? {
                        Next::Overtaken => true,
                        Next::Behind => self.learning.is_none() && !self.follow(),
                        Next::Done | Next::Again => false,
                    };
                    if overtaken {
                        return Ok(End::Overtaken);
                    }
                }
                Some(request) = self.requests.recv() => self.waiting.push(request),
                _ = committed.changed(), if !self.waiting.is_empty() => {}
                piece = next_piece(&mut self.learning) => match self.learn_piece(piece).await {
                    Ok(Learned::Some) => {}
                    Ok(Learned::All(stand)) => self.history.learned_up_to(stand),
                    Ok(Learned::Collides) => return Ok(End::Overtaken),
                    Err(error) => self.not_learned(&mendable(error)?),
                },
                () = self.history.moved(), if self.learning.is_none() => {
                    if !self.follow() {
                        return Ok(End::Overtaken);
                    }
                }
                taken = self.source.next(self.options.chunk_bytes), if !full => match taken? {
                    Taken::Records(received) => self.take(received).await?,
                    Taken::Changed => return Ok(End::Changed),
                },
                () = tokio::time::sleep_until(wake), if idle => {}
            }
            self.answer_flushes();
        }
    }

    async fn take(&mut self, received: Vec<Received>) -> Result<(), PipelineError> {
        // Judging takes the processor for milliseconds at a time, which the
        // runtime's own threads must not.
        let judged = self.with_judge(move |judge| judge.judge(received)).await?;
        for mut judged in judged? {
            self.history.push(judged.stretch.clone());
            self.open_since.get_or_insert_with(Instant::now);
            self.observer.judged(&judged);
            let verdicts = std::mem::take(&mut judged.verdicts);
            // Only now: a sender that has its answer finds its event in SQL.
            if let Some(board) = self.boards.of(&judged.stretch.partition) {
                let range = judged.stretch.first..judged.stretch.next;
                board.publish(range, verdicts.into_iter());
            }
        }
        Ok(())
    }

    /// Uses the judge on a thread that may block.
    async fn with_judge<T: Send + 'static>(
        &mut self,
        use_it: impl FnOnce(&mut Judge) -> T + Send + 'static,
    ) -> Result<T, PipelineError> {
        let mut judge = self
            .judge
            .take()
            .expect("an incarnation has a judge, and it comes back from every use");
        let used = tokio::task::spawn_blocking(move || {
            let used = use_it(&mut judge);
            (judge, used)
        });
        let (judge, used) = used.await?;
        self.judge = Some(judge);
        Ok(used)
    }

    fn wake_at(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        let asked = self.flush_ready().then(Instant::now);
        let asked = asked.or(self.again.then(Instant::now));
        let aged = self.open_since.map(|since| since + self.interval());
        asked.or(aged).unwrap_or(far).max(self.not_before)
    }

    fn due(&self) -> bool {
        let (rows, bytes) = self.history.open_size();
        let aged = self
            .open_since
            .is_some_and(|s| s.elapsed() >= self.interval());
        aged || self.again
            || rows >= self.options.commit_rows
            || bytes >= self.options.commit_bytes
            || self.flush_ready()
    }

    /// Whether somebody waits for a commit of records that were all judged, of
    /// the partitions that are committed here.
    fn flush_ready(&self) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        let (head, committed) = (self.history.head(), self.history.committed());
        let owned = self.history.owned();
        let owned = owned.borrow();
        self.waiting.iter().any(|flush| {
            let mine = || flush.target.0.iter().filter(|(p, _)| owned.contains(*p));
            mine().all(|(p, next)| head.of(p) >= *next)
                && mine().any(|(p, next)| committed.of(p) < *next)
        })
    }

    fn start_commit(&mut self) {
        self.open_since = None;
        self.again = false;
        let history = Arc::clone(&self.history);
        self.commit = Some(tokio::spawn(async move {
            let started = Instant::now();
            let result = history.commit().await;
            (result, started.elapsed())
        }));
    }

    fn commit_ended(
        &mut self,
        (result, took): (Result<Outcome, TableError>, Duration),
    ) -> Result<Next, PipelineError> {
        match result {
            Ok(Outcome::Committed(position)) => {
                if let Some(judge) = &mut self.judge {
                    judge.committed(&position).map_err(JudgeError::from)?;
                }
                if !position.reaches(&self.history.head()) {
                    self.open_since.get_or_insert_with(Instant::now);
                }
                self.backoff = Duration::ZERO;
                self.crowd = std::mem::take(&mut self.conflicts);
                self.observer.committed(&position, took);
                Ok(Next::Done)
            }
            Ok(Outcome::Overtaken) => Ok(Next::Overtaken),
            Ok(Outcome::Behind(_)) => {
                self.observer.commit_behind();
                self.again = true;
                self.conflicts += 1;
                self.make_way(took);
                Ok(Next::Behind)
            }
            // The rows are still open, and are tried again.
            Err(error) if error.is_retryable() => {
                self.failed(&error);
                Ok(Next::Again)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tells of `error`, and puts the next try off.
    fn failed(&mut self, error: &TableError) {
        self.open_since.get_or_insert_with(Instant::now);
        self.observer.commit_failed(error);
        self.pause();
    }

    /// The next look at the table begins anew.
    fn not_learned(&mut self, error: &TableError) {
        tracing::warn!(%error, "what another process committed cannot be read, trying again");
        self.pause();
    }

    fn answer_flushes(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let committed = self.history.committed();
        for flush in std::mem::take(&mut self.waiting) {
            if committed.reaches(&flush.target) {
                // Whoever asked may have gone away; that is fine.
                let _ = flush.done.send(());
            } else if !flush.done.is_closed() {
                self.waiting.push(flush);
            }
        }
    }
}

/// The end of `commit`; never, where there is none.
async fn ended(
    commit: &mut Option<Commit>,
) -> Result<(Result<Outcome, TableError>, Duration), tokio::task::JoinError> {
    match commit {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}

/// Returns when it is; never, where nobody can say so any more.
async fn is_true(told: &mut watch::Receiver<bool>) {
    if told.wait_for(|told| *told).await.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests;
