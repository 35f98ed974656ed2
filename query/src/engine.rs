//! Runs statements: on threads of its own, within its limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use cairn_schemas::Clock;
use cairn_schemas::control::Principal;
use cairn_store::view::Tables;
use chrono::{DateTime, Utc};
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::parser::Statement;
use futures::StreamExt;
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::catalog::{CATALOG, Names, PUBLIC};
use crate::coop::{Until, stoppable};
use crate::describe;
use crate::error::{Exceeded, QueryError};
use crate::gate::{self, Ask};
use crate::limits::Limits;
use crate::meter::{Meter, metered};
use crate::output::{Output, plain_schema};
use crate::session::{Footers, Sessions, Stores};
use crate::standing::Standing;
use crate::stream::{QueryStream, Right, Said, StopOnDrop, too_late};
use crate::system::SystemTable;

/// Batches that wait for the door; few, so that a slow reader slows the query
/// and not the memory.
const AHEAD: usize = 2;

/// Deep enough for the deepest statement that the gate lets through.
const STACK: usize = 16 << 20;

/// Answers statements, one session for each. Cheap to share; make one.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    /// Apart from everybody else's threads: a query that computes for a minute
    /// must not keep an event from being acknowledged. Taken on drop.
    runtime: Option<Runtime>,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct Shared {
    tables: Arc<dyn Tables>,
    system: Vec<Arc<dyn SystemTable>>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    standing: Arc<dyn Standing>,
    sessions: Sessions,
    footers: Arc<Footers>,
    spilled: AtomicU64,
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
            places: Arc::new(Semaphore::new(limits.concurrent.max(1))),
            waiting: AtomicUsize::new(0),
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

    /// The answer to `sql` as `principal` may see it. Returns once the
    /// statement is planned; the rows follow.
    pub async fn query(&self, principal: &Principal, sql: &str) -> Result<QueryStream, QueryError> {
        let deadline = Instant::now() + self.shared.limits.timeout;
        let place = self.place(deadline).await?;
        let Some(runtime) = &self.runtime else {
            return Err(QueryError::unavailable("the server is stopping"));
        };
        let until = Until::new(deadline);
        let (planned, plan) = oneshot::channel();
        let (say, said) = mpsc::channel(AHEAD);
        let job = Job {
            shared: Arc::clone(&self.shared),
            principal: principal.clone(),
            sql: sql.to_owned(),
            until: Arc::clone(&until),
        };
        let task = runtime.spawn(job.run(place, planned, say));
        let stop = StopOnDrop::new(task.abort_handle(), until);
        match timeout_at(deadline, plan).await {
            Err(_) => Err(too_late()),
            // The task is gone without a word: it panicked.
            Ok(Err(_)) => Err(QueryError::internal(
                "the query stopped before its end; the server's log says more",
            )),
            Ok(Ok(Err(error))) => Err(error),
            Ok(Ok(Ok(heading))) => Ok(QueryStream::new(
                heading.schema,
                heading.tables,
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

    /// How many bytes queries that ended have written to temporary files.
    pub fn spilled_bytes(&self) -> u64 {
        self.shared.spilled.load(Ordering::Relaxed)
    }

    /// A place among the queries that run; it is given back when the query has
    /// really stopped, not when its caller went away.
    async fn place(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, QueryError> {
        let busy = || {
            QueryError::limit(Exceeded::Busy, "too many queries are waiting")
                .with_hint("try again in a moment")
        };
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let _waiting = Waiting::enter(&self.waiting, self.shared.limits.queue).ok_or_else(busy)?;
        match timeout_at(deadline, Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(busy()),
        }
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

/// One who waits for a place.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        let entered = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
            (n < most).then_some(n + 1)
        });
        entered.ok().map(|_| Self(count))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is known of an answer before its first row.
#[derive(Debug)]
struct Heading {
    schema: SchemaRef,
    tables: Vec<String>,
}

/// An answer ready to be read.
enum Answer {
    Made(RecordBatch),
    Plan(Arc<dyn ExecutionPlan>, Arc<TaskContext>),
}

/// One statement of one principal.
struct Job {
    shared: Arc<Shared>,
    principal: Principal,
    sql: String,
    until: Arc<Until>,
}

impl Job {
    async fn run(
        self,
        place: OwnedSemaphorePermit,
        planned: oneshot::Sender<Result<Heading, QueryError>>,
        say: mpsc::Sender<Said>,
    ) {
        let answer = match self.answer().await {
            Ok((answer, heading)) => {
                if planned.send(Ok(heading)).is_err() {
                    return;
                }
                answer
            }
            Err(error) => {
                // Nobody listens any more: nothing to tell.
                let _ = planned.send(Err(error));
                return;
            }
        };
        let last = match self.read(answer, &say).await {
            Ok(()) => Said::End,
            Err(error) => Said::Failed(error),
        };
        // Sent by nobody who listens no more.
        let _ = say.send(last).await;
        drop(place);
    }

    async fn answer(&self) -> Result<(Answer, Heading), QueryError> {
        let limits = &self.shared.limits;
        let ask = gate::parse(&self.sql, limits.max_sql)?;
        let stores = Arc::new(Stores::default());
        let names = Names::new(
            Arc::clone(&self.shared.tables),
            &self.shared.system,
            self.principal.clone(),
            Arc::clone(&self.shared.footers),
            Arc::clone(&stores),
        )
        .await;
        let made = match ask {
            Ask::Tables { schema, like } => {
                describe::tables(&names, schema.as_deref(), like.as_deref())?
            }
            Ask::Columns { table, like } => describe::columns(&names, &table, like.as_deref())?,
            Ask::Plan(statement) => {
                let mut session = self.session(&names, stores)?;
                let logical = logical_plan(&mut session, &names, statement).await?;
                let physical = physical_plan(&session, &logical).await?;
                describe::plans(&logical, physical.as_ref())?
            }
            Ask::Rows(statement) => {
                let mut session = self.session(&names, stores)?;
                let logical = logical_plan(&mut session, &names, statement).await?;
                let planning = |e| QueryError::planning(&e);
                let meter = Meter::new(&session.runtime_env().memory_pool, limits.threads);
                let logical = metered(logical, &meter).map_err(planning)?;
                let logical = stoppable(logical, &self.until).map_err(planning)?;
                let physical = physical_plan(&session, &logical).await?;
                let heading = Heading {
                    schema: plain_schema(&physical.schema()),
                    tables: names.touched(),
                };
                return Ok((Answer::Plan(physical, session.task_ctx()), heading));
            }
        };
        let heading = Heading {
            schema: made.schema(),
            tables: names.touched(),
        };
        Ok((Answer::Made(made), heading))
    }

    fn session(&self, names: &Arc<Names>, stores: Arc<Stores>) -> Result<SessionState, QueryError> {
        let now: DateTime<Utc> =
            DateTime::from_timestamp_micros(self.shared.clock.now().0).unwrap_or_default();
        self.shared
            .sessions
            .session(names, stores, now)
            .map_err(|e| QueryError::planning(&e))
    }

    async fn read(&self, answer: Answer, say: &mpsc::Sender<Said>) -> Result<(), QueryError> {
        let mut output = Output::new(&self.shared.limits);
        let (plan, context) = match answer {
            Answer::Made(batch) => {
                // An error means that nobody listens any more.
                let _ = say.send(Said::Rows(batch)).await;
                return Ok(());
            }
            Answer::Plan(plan, context) => (plan, context),
        };
        let mut rows =
            execute_stream(Arc::clone(&plan), context).map_err(|e| QueryError::running(&e))?;
        let mut read = async || {
            while let Some(batch) = rows.next().await {
                let batch = batch.map_err(|e| QueryError::running(&e))?;
                for part in output.parts(&batch)? {
                    if say.send(Said::Rows(part?)).await.is_err() {
                        return Ok(());
                    }
                }
            }
            Ok(())
        };
        let outcome = read().await;
        let spilled = spilled_by(plan.as_ref());
        self.shared.spilled.fetch_add(spilled, Ordering::Relaxed);
        outcome
    }
}

fn spilled_by(plan: &dyn ExecutionPlan) -> u64 {
    let own = plan.metrics().and_then(|m| m.spilled_bytes()).unwrap_or(0) as u64;
    let below = plan.children().into_iter();
    own + below.map(|p| spilled_by(p.as_ref())).sum::<u64>()
}

/// From text to a plan that does nothing but read, optimised. Sets the session
/// to batches that suit the plan.
async fn logical_plan(
    session: &mut SessionState,
    names: &Names,
    statement: Statement,
) -> Result<LogicalPlan, QueryError> {
    let planning = |e| QueryError::planning(&e);
    for reference in session
        .resolve_table_references(&statement)
        .map_err(planning)?
    {
        match describe::find(names, &reference) {
            Ok(entry) => {
                if let Some(sql) = entry.view_sql() {
                    let plan = view_plan(session, sql).await?;
                    names.define(entry, plan).await?;
                }
            }
            // The words are those for a table that is not there at all, and
            // are kept for that.
            Err(error) => {
                let schema = reference.schema().unwrap_or(PUBLIC);
                let own = reference.catalog().is_none_or(|c| c == CATALOG);
                let table = match own {
                    true => names.table(schema, reference.table()).await,
                    false => Ok(None),
                };
                if table.map_err(planning)?.is_none() {
                    return Err(error);
                }
            }
        }
    }
    let logical = session
        .statement_to_plan(statement)
        .await
        .map_err(planning)?;
    let calls = gate::verify(&logical)?;
    let config = session.config_mut();
    *config = config
        .clone()
        .with_batch_size(calls.batch_rows(config.target_partitions()));
    session.optimize(&logical).map_err(planning)
}

/// What a view stands for. It is verified as part of the plan that it comes
/// into, not here.
async fn view_plan(session: &SessionState, sql: &str) -> Result<LogicalPlan, QueryError> {
    let Ask::Rows(statement) = gate::parse(sql, usize::MAX)? else {
        return Err(QueryError::internal("a view is not a question for rows"));
    };
    session
        .statement_to_plan(statement)
        .await
        .map_err(|e| QueryError::planning(&e))
}

async fn physical_plan(
    session: &SessionState,
    logical: &LogicalPlan,
) -> Result<Arc<dyn ExecutionPlan>, QueryError> {
    session
        .query_planner()
        .create_physical_plan(logical, session)
        .await
        .map_err(|e| QueryError::planning(&e))
}
