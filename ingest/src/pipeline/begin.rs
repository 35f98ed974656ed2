//! Where an incarnation begins, what it learns of others, and its last commit.

use std::sync::Arc;
use std::time::Duration;

use cairn_schemas::Position;
use futures::TryStreamExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Next, Pipeline, PipelineError};
use crate::judge::{CatchUpError, Judge, JudgeError, LEARNED};

impl Pipeline {
    /// Begins an incarnation, trying again where the store does not answer.
    /// `false` when `stop` came first.
    pub(super) async fn begin(&mut self, stop: &CancellationToken) -> Result<bool, PipelineError> {
        loop {
            let tried = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(false),
                tried = self.try_begin() => tried,
            };
            match tried {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, "intake cannot begin yet, trying again");
                    self.pause();
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(false),
                () = tokio::time::sleep_until(self.not_before) => {}
            }
        }
    }

    /// 1. What the tables hold. Until then what is open stays visible.
    /// 2. A judge that knows it. One that holds nothing but what history
    ///    committed goes on; it lacks only what others have added.
    /// 3. What was added while the judge was opened, which may take minutes.
    /// 4. What history has pledged to quarantine, by a process that may have
    ///    died since.
    /// 5. Memory begins anew there, and then the source.
    ///
    /// `false`: to be tried again.
    async fn try_begin(&mut self) -> Result<bool, PipelineError> {
        let table = Arc::clone(self.history.table());
        self.history.refresh_tables().await?;
        let known = if self.judge.as_ref().is_some_and(Judge::is_settled) {
            self.history.learned()
        } else {
            self.let_go().await?;
            let at = table.position();
            self.judge = Some(self.make_judge.make(&table, &at).await?);
            self.history.refresh_tables().await?;
            at
        };
        let at = table.position();
        if at != known && !self.learn(&known, &at).await? {
            // Not with a settled judge; and if it were, a new one knows better.
            self.let_go().await?;
            return Ok(false);
        }
        self.history.keep_pledges().await?;
        self.history.begin(&at).await;
        self.open_since = None;
        self.backoff = Duration::ZERO;
        let owned = self.source.begin(&at).await?;
        self.boards.begin(&owned, &at);
        self.history.own(owned);
        Ok(true)
    }

    async fn let_go(&mut self) -> Result<(), PipelineError> {
        if let Some(judge) = self.judge.take() {
            tokio::task::spawn_blocking(move || judge.let_go()).await?;
        }
        Ok(())
    }

    /// Reads the rows that others committed from `from` to `at`. `false` where
    /// one of them collides with what is open.
    pub(super) async fn learn(
        &mut self,
        from: &Position,
        at: &Position,
    ) -> Result<bool, PipelineError> {
        self.history.keep_pledges().await?;
        let table = Arc::clone(self.history.table());
        let to = at.clone();
        let begun = self.with_judge(move |judge| judge.begin_learning(&to));
        begun.await?.map_err(JudgeError::from)?;
        let mut rows = table.columns_between(LEARNED, from, Some(at));
        while let Some(batch) = rows.try_next().await.map_err(CatchUpError::from)? {
            let learned = self.with_judge(move |judge| judge.learn(&batch));
            if !learned.await?? {
                return Ok(false);
            }
        }
        let to = at.clone();
        let done = self.with_judge(move |judge| judge.learned(&to));
        done.await?.map_err(JudgeError::from)?;
        Ok(true)
    }

    /// Commits everything that is open, as far as that succeeds in time.
    /// Returns whether it did.
    pub(super) async fn wrap_up(&mut self) -> Result<bool, PipelineError> {
        let deadline = Instant::now() + self.options.last_commit;
        loop {
            if self.commit.is_none() {
                if self.history.committed().reaches(&self.history.head()) {
                    return Ok(true);
                }
                tokio::time::sleep_until(self.not_before.min(deadline)).await;
                self.start_commit();
            }
            let Ok(ended) = tokio::time::timeout_at(deadline, super::ended(&mut self.commit)).await
            else {
                return Ok(false);
            };
            self.commit = None;
            if self.commit_ended(ended?).await? == Next::Overtaken {
                return Ok(false);
            }
        }
    }

    /// Ends the commit that is under way. It may land all the same: whoever
    /// begins next finds it in the table, or is told by a conflict.
    pub(super) async fn drop_commit(&mut self) {
        if let Some(commit) = self.commit.take() {
            commit.abort();
            let _ = commit.await;
        }
    }
}
