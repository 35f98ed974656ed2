//! The rows of an answer, as they come.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use cairn_schemas::control::Principal;
use cairn_store::view::TableVersion;
use futures::{FutureExt, Stream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::coop::Until;
use crate::error::{Exceeded, QueryError};
use crate::standing::Standing;

/// What is known of an answer before its first row.
#[derive(Debug)]
pub(crate) struct Heading {
    pub(crate) schema: SchemaRef,
    pub(crate) tables: Vec<String>,
    pub(crate) versions: BTreeMap<String, TableVersion>,
}

/// What the query's own task says.
#[derive(Debug)]
pub(crate) enum Said {
    /// More rows.
    Rows(RecordBatch),
    /// It went wrong; nothing follows.
    Failed(QueryError),
    /// That was all. An answer without this end is not whole.
    End,
}

/// Stops a query when nobody waits for it any more.
#[derive(Debug)]
pub(crate) struct StopOnDrop {
    task: AbortHandle,
    until: Arc<Until>,
}

impl StopOnDrop {
    pub(crate) fn new(task: AbortHandle, until: Arc<Until>) -> Self {
        Self { task, until }
    }

    fn stop(&self) {
        // The task stops where it yields; a join's condition asks `until`.
        self.until.stop();
        self.task.abort();
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whose rows these are, and who knows whether they still are.
#[derive(Debug)]
pub(crate) struct Right {
    pub(crate) standing: Arc<dyn Standing>,
    pub(crate) principal: Principal,
}

/// The answer to a statement: batches of rows, then the end or an error.
/// Dropping it stops the query.
///
/// A batch is handed out only while the one who asked still may have it, also
/// when it was made before: a cursor may poll this stream at any pace.
#[derive(Debug)]
pub struct QueryStream {
    heading: Heading,
    rows: Arc<AtomicU64>,
    said: mpsc::Receiver<Said>,
    deadline: Pin<Box<tokio::time::Sleep>>,
    over: bool,
    stop: StopOnDrop,
    right: Right,
}

impl QueryStream {
    pub(crate) fn new(
        heading: Heading,
        said: mpsc::Receiver<Said>,
        deadline: tokio::time::Instant,
        stop: StopOnDrop,
        right: Right,
    ) -> Self {
        Self {
            heading,
            rows: Arc::default(),
            said,
            deadline: Box::pin(tokio::time::sleep_until(deadline)),
            over: false,
            stop,
            right,
        }
    }

    /// The columns of every batch.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.heading.schema)
    }

    /// The tables that the statement speaks of, for the audit event:
    /// `history`, `trails.NAME`, `quarantine`, a system table's name.
    pub fn tables(&self) -> &[String] {
        &self.heading.tables
    }

    /// The states of the tables of events that the answer is computed over, by
    /// the tables' names. Asked as of these ([`crate::AsOf::Versions`]), the
    /// statement gives the same rows again.
    pub fn versions(&self) -> &BTreeMap<String, TableVersion> {
        &self.heading.versions
    }

    /// How many rows were taken so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// The same count, to be looked at after the stream was handed on.
    pub fn row_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.rows)
    }

    fn fail(&mut self, error: QueryError) -> Poll<Option<Result<RecordBatch, QueryError>>> {
        self.over = true;
        self.said.close();
        self.stop.stop();
        Poll::Ready(Some(Err(error)))
    }
}

pub(crate) fn too_late() -> QueryError {
    QueryError::limit(Exceeded::Time, "the query took longer than it may")
        .with_hint("narrow the time range, ask for fewer columns, or add a LIMIT")
}

/// The query's own task is gone without a word: it panicked.
pub(crate) fn stopped() -> QueryError {
    QueryError::internal("the query stopped before its end; the server's log says more")
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch, QueryError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        // The deadline first: rows that are ready must not outrun it.
        if self.deadline.poll_unpin(cx).is_ready() {
            return self.fail(too_late());
        }
        let Poll::Ready(said) = self.said.poll_recv(cx) else {
            return Poll::Pending;
        };
        // The end as well: what came would pass for all that there is.
        if !self.right.standing.holds(&self.right.principal) {
            return self.fail(QueryError::withdrawn());
        }
        match said {
            Some(Said::Rows(batch)) => {
                self.rows
                    .fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                Poll::Ready(Some(Ok(batch)))
            }
            Some(Said::Failed(error)) => self.fail(error),
            Some(Said::End) => {
                self.over = true;
                Poll::Ready(None)
            }
            None => self.fail(stopped()),
        }
    }
}
