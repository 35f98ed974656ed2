//! One statement of one principal, from its text to its rows: what the engine's
//! threads do.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use cairn_schemas::control::Principal;
use chrono::{DateTime, Utc};
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::parser::Statement;
use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};

use crate::asof;
use crate::catalog::{CATALOG, Names};
use crate::coop::{Until, stoppable};
use crate::describe;
use crate::engine::Shared;
use crate::error::{QueryError, Written, closest};
use crate::exists;
use crate::functions;
use crate::gate::{self, Ask};
use crate::meter::{Meter, metered, passing};
use crate::output::{Output, plain_schema};
use crate::pg::rewrite::Naming;
use crate::places::Place;
use crate::planner;
use crate::question::{self, Param, Prepared, Question};
use crate::session::Stores;
use crate::share::Share;
use crate::stream::{Heading, Said};

/// An answer ready to be read.
pub(crate) enum Answer {
    Made(RecordBatch),
    Plan(Arc<dyn ExecutionPlan>, Arc<TaskContext>),
}

/// One statement of one principal.
pub(crate) struct Job {
    pub(crate) shared: Arc<Shared>,
    pub(crate) principal: Principal,
    pub(crate) question: Question,
    pub(crate) until: Arc<Until>,
    pub(crate) share: Arc<Share>,
}

impl Job {
    /// Plans the statement and says so, then reads its rows.
    pub(crate) async fn run(
        self,
        place: Place,
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

    /// Plans the statement, as it is run with nulls for its parameters, and
    /// tells what is known of it. Nothing is read.
    pub(crate) async fn prepare(self, place: Place) -> Result<Prepared, QueryError> {
        let ask = self.ask()?;
        let stores = Arc::new(Stores::default());
        let names = self.names(&stores).await;
        let mut parameters = Vec::new();
        let schema = match ask {
            Ask::Tables { schema, like } => {
                describe::tables(&names, schema.as_deref(), like.as_deref())?.schema()
            }
            Ask::Columns { table, like } => self.columns(&names, &table, like.as_deref())?.schema(),
            Ask::Plan(statement) => {
                let mut session = self.session(&names, stores)?;
                let (logical, wanted) = self.null_plan(&mut session, &names, statement).await?;
                parameters = wanted;
                let physical = physical_plan(&session, &logical).await?;
                describe::plans(&logical, physical.as_ref())?.schema()
            }
            Ask::Rows(statement) => {
                let mut session = self.session(&names, stores)?;
                let (logical, wanted) = self.null_plan(&mut session, &names, statement).await?;
                parameters = wanted;
                plain_schema(logical.schema().as_arrow())
            }
        };
        drop(place);
        Ok(Prepared {
            parameters,
            schema,
            tables: names.touched(),
        })
    }

    fn ask(&self) -> Result<Ask, QueryError> {
        // Whoever has settings speaks PostgreSQL's protocol, and looks for
        // columns under PostgreSQL's names.
        let naming = match &self.question.settings {
            Some(_) => Naming::Postgres,
            None => Naming::Own,
        };
        gate::parse(&self.question.sql, self.shared.limits.max_sql, naming)
    }

    async fn names(&self, stores: &Arc<Stores>) -> Arc<Names> {
        Names::new(
            Arc::clone(&self.shared.tables),
            &self.shared.system,
            self.principal.clone(),
            Arc::clone(&self.shared.footers),
            Arc::clone(stores),
            self.question.as_of.clone(),
            self.question.settings.clone().unwrap_or_default(),
        )
        .await
    }

    pub(crate) async fn answer(&self) -> Result<(Answer, Heading), QueryError> {
        let limits = &self.shared.limits;
        let params = &self.question.params;
        let ask = self.ask()?;
        let stores = Arc::new(Stores::default());
        let names = self.names(&stores).await;
        let made = match ask {
            Ask::Tables { schema, like } => {
                question::none(params)?;
                describe::tables(&names, schema.as_deref(), like.as_deref())?
            }
            Ask::Columns { table, like } => {
                question::none(params)?;
                self.columns(&names, &table, like.as_deref())?
            }
            Ask::Plan(statement) => {
                let mut session = self.session(&names, stores)?;
                let logical = self
                    .bound_plan(&mut session, &names, statement, params)
                    .await?;
                let physical = physical_plan(&session, &logical).await?;
                describe::plans(&logical, physical.as_ref())?
            }
            Ask::Rows(statement) => {
                let mut session = self.session(&names, stores)?;
                let logical = self
                    .bound_plan(&mut session, &names, statement, params)
                    .await?;
                let planning = |e| QueryError::planning(&e);
                let meter = Meter::new(&session.runtime_env().memory_pool, limits.threads);
                let logical = metered(logical, &meter).map_err(planning)?;
                let logical = functions::bounded(logical, &meter, &self.until).map_err(planning)?;
                let logical = stoppable(logical, &self.until).map_err(planning)?;
                let physical = physical_plan(&session, &logical).await?;
                let physical = passing::counted(physical, &meter).map_err(planning)?;
                let heading = Heading {
                    schema: plain_schema(&physical.schema()),
                    tables: names.touched(),
                    versions: names.versions(),
                };
                return Ok((Answer::Plan(physical, session.task_ctx()), heading));
            }
        };
        let heading = Heading {
            schema: made.schema(),
            tables: names.touched(),
            versions: names.versions(),
        };
        Ok((Answer::Made(made), heading))
    }

    fn session(&self, names: &Arc<Names>, stores: Arc<Stores>) -> Result<SessionState, QueryError> {
        let now: DateTime<Utc> =
            DateTime::from_timestamp_micros(self.shared.clock.now().0).unwrap_or_default();
        self.shared
            .sessions
            .session(names, stores, &self.share, now, self.question.memory)
            .map_err(|e| QueryError::planning(&e))
    }

    pub(crate) async fn read(
        &self,
        answer: Answer,
        say: &mpsc::Sender<Said>,
    ) -> Result<(), QueryError> {
        let mut output = Output::new(&self.shared.limits, self.question.max_rows);
        let (plan, context) = match answer {
            Answer::Made(batch) => {
                for part in output.parts(&batch)? {
                    // An error means that nobody listens any more.
                    if say.send(Said::Rows(part?)).await.is_err() {
                        break;
                    }
                }
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

/// From text to plan.
impl Job {
    /// The plan of a statement with the values of its parameters.
    async fn bound_plan(
        &self,
        session: &mut SessionState,
        names: &Arc<Names>,
        statement: Statement,
        params: &[Param],
    ) -> Result<LogicalPlan, QueryError> {
        let plan = self.open_plan(session, names, statement).await?;
        self.finished(session, question::bind(plan, params)?)
    }

    /// The plan of a statement with nulls for its parameters, and their types.
    async fn null_plan(
        &self,
        session: &mut SessionState,
        names: &Arc<Names>,
        statement: Statement,
    ) -> Result<(LogicalPlan, Vec<Option<DataType>>), QueryError> {
        let plan = self.open_plan(session, names, statement).await?;
        let wanted = question::parameters(&plan)?;
        let plan = question::bind(plan, &question::nulls(&wanted))?;
        Ok((self.finished(session, plan)?, wanted))
    }

    /// The plan of a statement whose parameters are still open.
    async fn open_plan(
        &self,
        session: &SessionState,
        names: &Arc<Names>,
        statement: Statement,
    ) -> Result<LogicalPlan, QueryError> {
        let planning = |e| QueryError::planning(&e);
        for reference in session
            .resolve_table_references(&statement)
            .map_err(planning)?
        {
            match describe::find(names, &reference) {
                Ok(entry) => {
                    let (_, at) = asof::split(reference.table());
                    let at = at.map(|(text, _)| text);
                    if let Some(sql) = entry.view_sql(at) {
                        let own = entry.is_of_own_acts();
                        let plan = self.view_plan(session, names, &sql, own).await?;
                        names.define(entry, at, plan).await?;
                    }
                }
                // The words are those for a table that is not there at all, and
                // are kept for that.
                Err(error) => {
                    let schema = reference.schema().unwrap_or(names.default_schema());
                    let own = reference.catalog().is_none_or(|c| c == CATALOG);
                    let table = match own {
                        true => names.table(schema, reference.table()).await,
                        false => Ok(None),
                    };
                    if table.map_err(planning)?.is_none() {
                        return Err(error.at_table(&self.written(), &reference));
                    }
                }
            }
        }
        let plan = self.plan(session, names, statement, false).await;
        plan.map_err(|e| QueryError::planned(&e, &self.written()))
    }

    /// What a view stands for. It is verified as part of the plan that it comes
    /// into, not here.
    async fn view_plan(
        &self,
        session: &SessionState,
        names: &Arc<Names>,
        sql: &str,
        own: bool,
    ) -> Result<LogicalPlan, QueryError> {
        let Ask::Rows(statement) = gate::parse(sql, usize::MAX, Naming::Own)? else {
            return Err(QueryError::internal("a view is not a question for rows"));
        };
        let plan = self.plan(session, names, statement, own).await;
        plan.map_err(|e| QueryError::planning(&e))
    }

    async fn plan(
        &self,
        session: &SessionState,
        names: &Arc<Names>,
        statement: Statement,
        own: bool,
    ) -> Result<LogicalPlan, DataFusionError> {
        let functions = self.shared.sessions.functions();
        planner::plan(session, functions, names, statement, own).await
    }

    /// The plan, optimised, once it is seen to do nothing but read. Sets the
    /// session to batches that suit it.
    fn finished(
        &self,
        session: &mut SessionState,
        logical: LogicalPlan,
    ) -> Result<LogicalPlan, QueryError> {
        let aliases = &session.execution_props().alias_generator;
        let logical = exists::as_values(logical, aliases).map_err(|e| QueryError::planning(&e))?;
        gate::verify(&logical)?;
        let optimized = session
            .optimize(&logical)
            .map_err(|e| QueryError::planned(&e, &self.written()))?;
        let calls = gate::Calls::of(&optimized)?;
        let memory = match session.runtime_env().memory_pool.memory_limit() {
            MemoryLimit::Finite(bytes) => bytes,
            _ => usize::MAX,
        };
        // In place: all settings would be copied for the sake of one.
        let config = session.config_mut();
        let rows = calls.batch_rows(config.target_partitions(), memory);
        config.options_mut().execution.batch_size =
            ConfigNonZeroUsize::try_new(rows).map_err(|e| QueryError::planning(&e))?;
        Ok(optimized)
    }

    /// DESCRIBE and SHOW COLUMNS.
    fn columns(
        &self,
        names: &Names,
        table: &[String],
        like: Option<&str>,
    ) -> Result<RecordBatch, QueryError> {
        describe::columns(names, table, like).map_err(|error| {
            let parts: Vec<&str> = table.iter().map(String::as_str).collect();
            error.at_name(&self.written(), &parts)
        })
    }

    /// The statement, for errors to find their places in: read again, for no
    /// statement that succeeds has to be kept for that.
    fn written(&self) -> Written {
        let functions = self.shared.sessions.functions();
        Written::of(&self.question.sql).calling(
            |name| functions.canonical(name),
            |slip| closest(slip, functions.names()),
        )
    }
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
