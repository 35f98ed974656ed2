//! Where an incarnation begins, what it learns of others, and its last commit.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::follow::{Learned, mendable};
use super::{Next, Pipeline, PipelineError};
use crate::judge::Judge;

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
        if self.history.is_superseded() {
            return Err(PipelineError::Superseded);
        }
        let known = if self.judge.as_ref().is_some_and(Judge::is_settled) {
            // Before the first incarnation memory shows whatever others commit,
            // and calls that learned: of the judge it says nothing.
            let made_at = self.made_at.clone();
            made_at.unwrap_or_else(|| self.history.learned())
        } else {
            self.let_go().await?;
            let at = table.position();
            self.judge = Some(self.make_judge.make(&table, &at).await?);
            self.made_at = Some(at.clone());
            self.history.refresh_tables().await?;
            at
        };
        let stand = table.files_at();
        let at = stand.1.clone();
        if at != known {
            let learned = self.learn_all(known, stand.clone(), None).await?;
            if !matches!(learned, Learned::All(_)) {
                // Not with a settled judge; and if it were, a new one knows better.
                self.let_go().await?;
                return Ok(false);
            }
        }
        self.history.keep_pledges().await?;
        self.history.begin(stand).await;
        self.made_at = None;
        self.open_since = None;
        (self.again, self.conflicts) = (false, 0);
        self.backoff = Duration::ZERO;
        let owned = self.source.begin(&at).await?;
        self.boards.begin(&owned, &at.of_records());
        self.history.own(owned);
        Ok(true)
    }

    async fn let_go(&mut self) -> Result<(), PipelineError> {
        if let Some(judge) = self.judge.take() {
            tokio::task::spawn_blocking(move || judge.let_go()).await?;
        }
        Ok(())
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
            match self.commit_ended(ended?)? {
                Next::Overtaken => return Ok(false),
                Next::Behind if !self.learn_by(deadline).await? => return Ok(false),
                _ => {}
            }
        }
    }

    /// Learns what came before the last commit, until `deadline`. `false` where
    /// the commit need not be tried again.
    async fn learn_by(&mut self, deadline: Instant) -> Result<bool, PipelineError> {
        let Some(stand) = self.history.unlearned() else {
            return Ok(true);
        };
        if self.history.is_overtaken(&stand.1) {
            return Ok(false);
        }
        let from = self.history.learned();
        match self.learn_all(from, stand, Some(deadline)).await {
            Ok(Learned::All(stand)) => {
                self.history.learned_up_to(stand);
                Ok(true)
            }
            Ok(Learned::Some | Learned::Collides) => Ok(false),
            Err(error) => {
                self.not_learned(&mendable(error)?);
                Ok(true)
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
