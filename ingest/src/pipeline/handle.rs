//! What others ask of the pipeline.

use std::sync::Arc;
use std::time::Duration;

use cairn_schemas::Position;
use tokio::sync::{mpsc, oneshot};

use crate::history::History;

/// Asks the pipeline to commit.
#[derive(Clone, Debug)]
pub struct PipelineHandle {
    pub(super) requests: mpsc::Sender<Flush>,
    pub(super) history: Arc<History>,
}

#[derive(Debug)]
pub(super) struct Flush {
    pub(super) target: Position,
    pub(super) done: oneshot::Sender<()>,
}

/// How often a flush looks for what other processes committed.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl PipelineHandle {
    /// Whether the pipeline runs.
    pub fn is_running(&self) -> bool {
        !self.requests.is_closed()
    }

    /// Returns once everything below `target` is committed. `false` when the
    /// pipeline ended first. Partitions that this process does not own are
    /// committed by others, or by nobody: so wrap it in a time-out.
    pub async fn flush(&self, target: Position) -> bool {
        let (done, mut committed) = oneshot::channel();
        let request = Flush {
            target: target.clone(),
            done,
        };
        if self.requests.send(request).await.is_err() {
            return false;
        }
        loop {
            tokio::select! {
                answer = &mut committed => return answer.is_ok(),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if self.waits_for_others(&target)
                && let Err(error) = self.history.refresh().await
            {
                tracing::debug!(%error, "history not refreshed, trying again");
            }
        }
    }

    fn waits_for_others(&self, target: &Position) -> bool {
        let (owned, committed) = (self.history.owned(), self.history.committed());
        let owned = owned.borrow();
        let mut named = target.0.iter();
        named.any(|(p, next)| committed.of(p) < *next && !owned.contains(p))
    }
}
