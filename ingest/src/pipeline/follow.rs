//! What others commit is learned as it comes, beside reading and committing:
//! a task reads the files, and hands what there is to learn of them on piece by
//! piece, so that neither memory nor intake is held up by how much it is.

use std::sync::Arc;

use cairn_schemas::Position;
use cairn_store::table::TableError;
use futures::TryStreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Pipeline, PipelineError};
use crate::history::Stand;
use crate::judge::{CatchUpError, JudgeError, Learnable, learnable};

/// Pieces that wait for the judge.
const PIECES: usize = 4;

/// Rows of others on their way to the judge.
#[derive(Debug)]
pub(super) struct Learning {
    /// What is known once all have come.
    stand: Stand,
    pieces: mpsc::Receiver<Result<Learnable, CatchUpError>>,
    task: JoinHandle<()>,
}

impl Drop for Learning {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How far a step of learning came.
#[derive(Debug)]
pub(super) enum Learned {
    /// There is more.
    Some,
    /// The judge knows everything up to here, and so it may be shown.
    All(Stand),
    /// One of the rows collides with what is open: the incarnation has to end.
    Collides,
}

/// What a step of learning has to deal with: the next piece, or the end.
pub(super) type Piece = Option<Result<Learnable, CatchUpError>>;

/// The next piece of `learning`; never, where nothing is being learned.
pub(super) async fn next_piece(learning: &mut Option<Learning>) -> Piece {
    match learning {
        Some(learning) => learning.pieces.recv().await,
        None => std::future::pending().await,
    }
}

impl Pipeline {
    /// Begins to learn what there is to learn. `false` where another process has
    /// moved a partition that this one reads.
    pub(super) fn follow(&mut self) -> bool {
        let Some(stand) = self.history.unlearned() else {
            return true;
        };
        if self.history.is_overtaken(&stand.1) {
            // It may have been this process, by a commit that was told as
            // failed: trying that again clears it up.
            return self.history.is_committing();
        }
        self.learning = Some(self.read(self.history.learned(), stand));
        true
    }

    /// Reads what lies between `from` and `stand`, and has quarantine list what
    /// is pledged there.
    fn read(&self, from: Position, stand: Stand) -> Learning {
        let (sender, pieces) = mpsc::channel(PIECES);
        let history = Arc::clone(&self.history);
        let (listing, at) = stand.clone();
        let task = tokio::spawn(async move {
            let rows = learnable(history.table(), &listing, &from, &at);
            let mut rows = std::pin::pin!(rows);
            loop {
                let piece = match rows.try_next().await {
                    Ok(Some(piece)) => Ok(piece),
                    Ok(None) => match history.keep_pledges().await {
                        Ok(()) => return,
                        Err(error) => Err(error.into()),
                    },
                    Err(error) => Err(error),
                };
                let failed = piece.is_err();
                // Nobody listens where the incarnation ended.
                if sender.send(piece).await.is_err() || failed {
                    return;
                }
            }
        });
        Learning {
            stand,
            pieces,
            task,
        }
    }

    /// Deals with `piece`. After an error that another try may mend nothing is
    /// being learned any more, and the next look begins anew: rows that are
    /// known already do no harm.
    pub(super) async fn learn_piece(&mut self, piece: Piece) -> Result<Learned, PipelineError> {
        let learning = self.learning.take();
        let mut learning = learning.expect("a piece is of what is being learned");
        let at = learning.stand.1.clone();
        match piece {
            Some(Ok(rows)) => {
                let learn = move |judge: &mut crate::judge::Judge| {
                    // What is below `at` was committed, by whoever it was.
                    judge.begin_learning(&at)?;
                    judge.learn(&rows)
                };
                let apart = self.with_judge(learn).await?.map_err(JudgeError::from)?;
                if !apart {
                    return Ok(Learned::Collides);
                }
                self.learning = Some(learning);
                Ok(Learned::Some)
            }
            Some(Err(error)) => Err(error.into()),
            None => {
                // One that panicked told of no error.
                (&mut learning.task).await?;
                let learned = self.with_judge(move |judge| {
                    judge.begin_learning(&at)?;
                    judge.learned(&at)
                });
                learned.await?.map_err(JudgeError::from)?;
                Ok(Learned::All(learning.stand.clone()))
            }
        }
    }

    /// Learns what lies between `from` and `stand` and does nothing else meanwhile,
    /// until `deadline` where there is one. [`Learned::Some`]: that came first.
    pub(super) async fn learn_all(
        &mut self,
        from: Position,
        stand: Stand,
        deadline: Option<Instant>,
    ) -> Result<Learned, PipelineError> {
        self.learning = Some(self.read(from, stand));
        loop {
            // Only reading is bounded: the judge has to come back from its use.
            let piece = next_piece(&mut self.learning);
            let piece = match deadline {
                None => piece.await,
                Some(deadline) => match tokio::time::timeout_at(deadline, piece).await {
                    Ok(piece) => piece,
                    Err(_) => {
                        self.learning = None;
                        return Ok(Learned::Some);
                    }
                },
            };
            match self.learn_piece(piece).await? {
                Learned::Some => {}
                done => return Ok(done),
            }
        }
    }
}

/// The error of the store, where `error` is one that another try may mend.
pub(super) fn mendable(error: PipelineError) -> Result<TableError, PipelineError> {
    match error {
        PipelineError::CatchUp(CatchUpError::Table(error)) | PipelineError::Table(error)
            if error.is_retryable() =>
        {
            Ok(error)
        }
        error => Err(error),
    }
}
