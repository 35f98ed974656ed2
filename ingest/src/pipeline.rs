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
//! Memory is bounded: when commits do not get through, the pipeline stops
//! reading, the log grows, and doors answer later.

use std::sync::Arc;
use std::time::Duration;

use cairn_schemas::Position;
use cairn_store::table::TableError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::history::History;
use crate::judge::{Judge, JudgeError, Judged};
use crate::source::{Received, Source, SourceError, Taken};
use crate::verdict::Boards;

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
}

impl Default for PipelineOptions {
    fn default() -> Self {
        Self {
            commit_interval: Duration::from_secs(5),
            commit_rows: 100_000,
            commit_bytes: 192 << 20,
            chunk_bytes: 4 << 20,
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
    /// History refused the commit: another process commits the same log.
    #[error("history cannot be committed to: {0}")]
    Table(#[from] TableError),
    /// A task of ours panicked.
    #[error("a pipeline task ended abruptly: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Asks the pipeline to commit.
#[derive(Clone, Debug)]
pub struct PipelineHandle {
    requests: mpsc::Sender<Flush>,
}

#[derive(Debug)]
struct Flush {
    target: Position,
    done: oneshot::Sender<()>,
}

impl PipelineHandle {
    /// Whether the pipeline runs.
    pub fn is_running(&self) -> bool {
        !self.requests.is_closed()
    }

    /// Returns once everything below `target` is committed. `false` when the
    /// pipeline ended first.
    pub async fn flush(&self, target: Position) -> bool {
        let (done, committed) = oneshot::channel();
        self.requests.send(Flush { target, done }).await.is_ok() && committed.await.is_ok()
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Pipeline {
    source: Box<dyn Source>,
    judge: Option<Judge>,
    history: Arc<History>,
    boards: Arc<Boards>,
    observer: Arc<dyn Observer>,
    options: PipelineOptions,
    requests: mpsc::Receiver<Flush>,
    waiting: Vec<Flush>,
    /// When the oldest open row came; `None` when there is none.
    open_since: Option<Instant>,
}

type Commit = tokio::task::JoinHandle<(Result<Position, TableError>, Duration)>;

impl Pipeline {
    /// A pipeline that reads `source` from the position that `history`
    /// committed.
    pub fn new(
        source: Box<dyn Source>,
        judge: Judge,
        history: Arc<History>,
        boards: Arc<Boards>,
        observer: Arc<dyn Observer>,
        options: PipelineOptions,
    ) -> (Self, PipelineHandle) {
        let (sender, requests) = mpsc::channel(64);
        let pipeline = Self {
            source,
            judge: Some(judge),
            history,
            boards,
            observer,
            options,
            requests,
            waiting: Vec::new(),
            open_since: None,
        };
        (pipeline, PipelineHandle { requests: sender })
    }

    /// Runs until `stop`, then commits once more what it has, so that the next
    /// start has little to repeat.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), PipelineError> {
        let mut commit: Option<Commit> = None;
        let mut backoff = Duration::ZERO;
        let mut not_before = Instant::now();
        self.begin().await?;
        loop {
            if commit.is_none() && self.due() && Instant::now() >= not_before {
                commit = Some(self.start_commit());
            }
            let (_, open_bytes) = self.history.open_size();
            // Twice the commit size: one batch on its way, one filling.
            let full = open_bytes >= 2 * self.options.commit_bytes;
            let wake = self.wake_at(not_before);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                ended = async { commit.as_mut().expect("guarded by is_some").await }, if commit.is_some() => {
                    commit = None;
                    match self.commit_ended(ended?) {
                        Ok(()) => backoff = Duration::ZERO,
                        Err(error) if error.is_retryable() => {
                            self.observer.commit_failed(&error);
                            backoff = (backoff * 2).clamp(Duration::from_millis(200), Duration::from_secs(10));
                            not_before = Instant::now() + backoff;
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                Some(request) = self.requests.recv() => self.waiting.push(request),
                taken = self.source.next(self.options.chunk_bytes), if !full => match taken? {
                    Taken::Records(received) => self.take(received).await?,
                    Taken::Changed => {
                        if let Some(commit) = commit.take() {
                            let ended = commit.await?;
                            self.commit_ended(ended)?;
                        }
                        let ended = self.start_commit().await?;
                        self.commit_ended(ended)?;
                        self.begin().await?;
                    }
                },
                () = tokio::time::sleep_until(wake), if commit.is_none() => {}
            }
            self.answer_flushes();
        }
        if let Some(commit) = commit {
            let ended = commit.await?;
            self.commit_ended(ended)?;
        }
        let ended = self.start_commit().await?;
        self.commit_ended(ended)?;
        self.answer_flushes();
        if let Some(mut judge) = self.judge.take() {
            tokio::task::spawn_blocking(move || judge.close()).await?;
        }
        Ok(())
    }

    async fn begin(&mut self) -> Result<(), PipelineError> {
        let committed = self.history.committed();
        let owned = self.source.begin(&committed).await?;
        self.boards.begin(&owned, &committed);
        Ok(())
    }

    async fn take(&mut self, received: Vec<Received>) -> Result<(), PipelineError> {
        let mut judge = self
            .judge
            .take()
            .expect("the judge comes back from every use");
        // Judging takes the processor for milliseconds at a time, which the
        // runtime's own threads must not.
        let (judge, judged) = tokio::task::spawn_blocking(move || {
            let judged = judge.judge(received);
            (judge, judged)
        })
        .await?;
        self.judge = Some(judge);
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

    fn wake_at(&self, not_before: Instant) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        let asked = self.flush_ready().then(Instant::now);
        let aged = self
            .open_since
            .map(|since| since + self.options.commit_interval);
        asked.or(aged).unwrap_or(far).max(not_before)
    }

    fn due(&self) -> bool {
        let (rows, bytes) = self.history.open_size();
        let aged = self
            .open_since
            .is_some_and(|s| s.elapsed() >= self.options.commit_interval);
        aged || rows >= self.options.commit_rows
            || bytes >= self.options.commit_bytes
            || self.flush_ready()
    }

    /// Whether somebody waits for a commit of records that were all judged.
    fn flush_ready(&self) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        let (head, committed) = (self.history.head(), self.history.committed());
        self.waiting
            .iter()
            .any(|f| head.reaches(&f.target) && !committed.reaches(&f.target))
    }

    fn start_commit(&mut self) -> Commit {
        self.open_since = None;
        let history = Arc::clone(&self.history);
        tokio::spawn(async move {
            let started = Instant::now();
            let result = history.commit().await;
            (result, started.elapsed())
        })
    }

    fn commit_ended(
        &mut self,
        (result, took): (Result<Position, TableError>, Duration),
    ) -> Result<(), TableError> {
        match result {
            Ok(position) => {
                if !position.reaches(&self.history.head()) {
                    self.open_since.get_or_insert_with(Instant::now);
                }
                self.observer.committed(&position, took);
                Ok(())
            }
            Err(error) => {
                // The rows are still open: the next try takes them along.
                self.open_since.get_or_insert_with(Instant::now);
                Err(error)
            }
        }
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
            } else {
                self.waiting.push(flush);
            }
        }
    }
}

#[cfg(test)]
mod tests;
