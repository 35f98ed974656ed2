//! Runs statements: on threads of its own, within its limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::SchemaRef;
use cairn_schemas::Clock;
use cairn_schemas::control::Principal;
use cairn_store::view::Tables;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::catalog::{Entry, Names};
use crate::coop::Until;
use crate::error::QueryError;
use crate::job::Job;
use crate::limits::Limits;
use crate::output::plain_schema;
use crate::places::{Place, Places};
use crate::question::{Prepared, Question};
use crate::session::{Footers, Sessions};
use crate::standing::Standing;
use crate::stream::{QueryStream, Right, StopOnDrop, stopped, too_late};
use crate::system::SystemTable;

/// Batches that wait for the door; few, so that a slow reader slows the query
/// and not the memory.
const AHEAD: usize = 2;

/// Deep enough for the deepest statement that the gate lets through.
const STACK: usize = 16 << 20;

/// A table, as those are told who may ask for it.
#[derive(Clone, Debug)]
pub struct TableInfo {
    /// Its schema.
    pub schema: String,
    /// Its name in there.
    pub name: String,
    /// `BASE TABLE` or `VIEW`.
    pub table_type: &'static str,
    /// One sentence about it.
    pub comment: String,
    /// Its columns.
    pub columns: SchemaRef,
}

/// Answers statements, one session for each. Cheap to share; make one.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    /// Apart from everybody else's threads: a query that computes for a minute
    /// must not keep an event from being acknowledged. Taken on drop.
    runtime: Option<Runtime>,
    places: Places,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) tables: Arc<dyn Tables>,
    pub(crate) system: Vec<Arc<dyn SystemTable>>,
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<dyn Clock>,
    standing: Arc<dyn Standing>,
    pub(crate) sessions: Sessions,
    pub(crate) footers: Arc<Footers>,
    pub(crate) spilled: AtomicU64,
}

impl Engine {
    /// An engine over `tables` and `system`, with threads of its own. It asks
    /// `standing` before it hands out each batch.
    pub fn new(
        tables: Arc<dyn Tables>,
        system: Vec<Arc<dyn SystemTable>>,
        limits: Limits,
        clock: Arc<dyn Clock>,
        standing: Arc<dyn Standing>,
    ) -> Result<Self, QueryError> {
        let sessions = Sessions::new(&limits)
            .map_err(|e| QueryError::internal(format!("cannot set the query engine up: {e}")))?;
        // Last: where anything fails after it, a runtime would be dropped
        // where waiting is not allowed, which panics.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(limits.threads.max(1))
            .thread_name("cairn-query")
            .thread_stack_size(STACK)
            .enable_all()
            .build()
            .map_err(|e| QueryError::internal(format!("cannot start threads for queries: {e}")))?;
        Ok(Self {
            places: Places::new(&limits),
            runtime: Some(runtime),
            shared: Arc::new(Shared {
                tables,
                system,
                footers: Footers::new(limits.metadata_cache),
                limits,
                clock,
                standing,
                sessions,
                spilled: AtomicU64::new(0),
            }),
        })
    }

    /// The answer to `question` as `principal` may see it. Returns once the
    /// statement is planned; the rows follow.
    pub async fn query(
        &self,
        principal: &Principal,
        question: impl Into<Question>,
    ) -> Result<QueryStream, QueryError> {
        let question = question.into();
        let deadline = self.deadline(&question);
        let place = self.places.enter(&principal.id, deadline).await?;
        let runtime = self.runtime()?;
        let until = Until::new(deadline);
        let (planned, plan) = oneshot::channel();
        let (say, said) = mpsc::channel(AHEAD);
        let job = self.job(principal, question, &until, &place);
        let task = runtime.spawn(job.run(place, planned, say));
        let stop = StopOnDrop::new(task.abort_handle(), until);
        match timeout_at(deadline, plan).await {
            Err(_) => Err(too_late()),
            // The task is gone without a word: it panicked.
            Ok(Err(_)) => Err(stopped()),
            Ok(Ok(Err(error))) => Err(error),
            Ok(Ok(Ok(heading))) => Ok(QueryStream::new(
                heading,
                said,
                deadline,
                stop,
                Right {
                    standing: Arc::clone(&self.shared.standing),
                    principal: principal.clone(),
                },
            )),
        }
    }

    /// What can be known of a statement before it is run: what its parameters
    /// and its answer look like, within the names that `principal` may use. No
    /// file is opened; it takes a place and time as a query does.
    pub async fn prepare(
        &self,
        principal: &Principal,
        question: impl Into<Question>,
    ) -> Result<Prepared, QueryError> {
        let question = question.into();
        let deadline = self.deadline(&question);
        let place = self.places.enter(&principal.id, deadline).await?;
        let runtime = self.runtime()?;
        let until = Until::new(deadline);
        let job = self.job(principal, question, &until, &place);
        let task = runtime.spawn(job.prepare(place));
        let _stop = StopOnDrop::new(task.abort_handle(), until);
        let prepared = match timeout_at(deadline, task).await {
            Err(_) => Err(too_late()),
            Ok(Err(_)) => Err(stopped()),
            Ok(Ok(prepared)) => prepared,
        }?;
        match self.shared.standing.holds(principal) {
            true => Ok(prepared),
            false => Err(QueryError::withdrawn()),
        }
    }

    /// The tables that `principal` is told of, as SHOW TABLES lists them, with
    /// their columns as answers have them.
    pub async fn tables(&self, principal: &Principal) -> Vec<TableInfo> {
        let names = Names::new(
            Arc::clone(&self.shared.tables),
            &self.shared.system,
            principal.clone(),
            Arc::clone(&self.shared.footers),
            Arc::default(),
            None,
            Arc::default(),
        )
        .await;
        let info = |entry: &Entry| TableInfo {
            schema: entry.schema.to_owned(),
            name: entry.name.clone(),
            table_type: entry.table_type(),
            comment: entry.comment.clone(),
            columns: plain_schema(&entry.columns()),
        };
        names.entries().iter().map(info).collect()
    }

    fn deadline(&self, question: &Question) -> Instant {
        let limits = &self.shared.limits;
        let most = match question.background {
            true => limits.background_timeout,
            false => limits.timeout,
        };
        Instant::now() + question.timeout.map_or(most, |asked| asked.min(most))
    }

    fn runtime(&self) -> Result<&Runtime, QueryError> {
        let running = self.runtime.as_ref();
        running.ok_or_else(|| QueryError::unavailable("the server is stopping"))
    }

    fn job(
        &self,
        principal: &Principal,
        question: Question,
        until: &Arc<Until>,
        place: &Place,
    ) -> Job {
        Job {
            share: Arc::clone(&place.share),
            shared: Arc::clone(&self.shared),
            principal: principal.clone(),
            question,
            until: Arc::clone(until),
        }
    }

    /// How many bytes queries that ended have written to temporary files.
    pub fn spilled_bytes(&self) -> u64 {
        self.shared.spilled.load(Ordering::Relaxed)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Not by waiting: a query may compute for a while, and an engine may
        // be dropped where waiting is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod probe;
