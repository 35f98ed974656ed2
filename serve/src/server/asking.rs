//! One way to ask, whatever the door.
//!
//! A door hands over who asks, from where, and a [`Question`]; it gets back an
//! [`Answer`], batch by batch. Whatever has to hold for every query holds here:
//!
//! - only auditors and administrators ask, and only where questions are answered
//! - each query leaves its event behind, however it ends: answered, refused,
//!   failed, not read, given up by its caller. The event is in the log before
//!   the last batch is given out
//! - each batch is given out only to who may still have it
//! - each query is counted in the metrics

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use cairn_query::{
    Engine, Exceeded, Param, Prepared, QueryError, QueryStream, Question, Standing as _,
    TableVersion,
};
use cairn_schemas::control::{Principal, Role};
use cairn_store::log::LogError;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::app::Shared;
use super::audit::{Act, Caller};
use crate::config;

/// The operation, in events and in refusals.
const QUERY: &str = "Query";

/// How long a reader may leave a part untaken. A query holds its place and its
/// memory until its last part is taken.
const STALLED: Duration = Duration::from_secs(30);

/// Who asks, and from where.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Who.
    pub principal: Principal,
    /// From where.
    pub caller: Caller,
    /// Through which door; it stands in the query's event.
    pub door: &'static str,
}

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The token's role does not ask.
    #[error("{0}")]
    Role(String),
    /// This process answers no questions.
    #[error("this process takes events in and answers no questions")]
    OtherProcess,
    /// The query itself went wrong.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A query that cannot be recorded is not answered.
    #[error("the query could not be recorded: {0}")]
    Unrecorded(#[from] LogError),
}

impl AskError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Role(_) => "forbidden",
            Self::OtherProcess => "other_role",
            Self::Query(error) => error.code(),
            Self::Unrecorded(_) => "unavailable",
        }
    }

    /// What to try instead.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Role(_) => None,
            Self::OtherProcess => Some("ask one that runs with --role query, or with no role"),
            Self::Query(error) => error.hint.as_deref(),
            Self::Unrecorded(_) => Some("the log cannot be written: an operator has to look"),
        }
    }
}

/// The answer does not fit into the room for results that are kept.
pub fn no_room(most: u64) -> QueryError {
    QueryError::limit(
        Exceeded::Bytes,
        format!("the results that are kept would take more than {most} bytes"),
    )
    .with_hint("remove results that are no longer needed, ask for fewer columns, or add a LIMIT; an operator can raise queries.max_bytes")
}

/// Whether `asker` may ask here at all. A refusal of their role is recorded.
pub async fn may_ask(app: &Shared, asker: &Asker) -> Result<(), AskError> {
    let role = asker.principal.role;
    if !matches!(role, Role::Auditor | Role::Admin) {
        let text = format!(
            "{QUERY} needs a token of role auditor or admin, and this one is of role {}",
            role.as_str()
        );
        let error = AskError::Role(text);
        let mut act = Act::new(QUERY, false, &asker.principal, &asker.caller);
        act.error = Some((error.code().to_owned(), error.to_string()));
        app.audit.record(act).await?;
        return Err(error);
    }
    match app.settings.server.role {
        config::Role::Ingest => Err(AskError::OtherProcess),
        _ => Ok(()),
    }
}

/// Asks. Returns once the first rows are there, or the end, so that what goes
/// wrong at the start is told before anything is given out.
pub async fn ask(
    app: &Shared,
    asker: Asker,
    question: impl Into<Question>,
) -> Result<Answer, AskError> {
    ask_on(app, &app.engine, asker, question).await
}

/// The same on an engine with limits of its own.
pub async fn ask_on(
    app: &Shared,
    engine: &Engine,
    asker: Asker,
    question: impl Into<Question>,
) -> Result<Answer, AskError> {
    may_ask(app, &asker).await?;
    let question = question.into();
    let mut asked = Asked {
        app: Arc::clone(app),
        asker,
        request: request_of(&question),
        started: Instant::now(),
        rows: 0,
        states: Value::Null,
        told: false,
    };
    match asked.begin(engine, question).await {
        Ok((rows, held)) => Ok(Answer {
            over: held.is_none(),
            rows,
            held,
            asked,
        }),
        Err(error) => {
            asked.record(Some(&error)).await?;
            Err(error.into())
        }
    }
}

/// What can be told of a statement before it is asked. Only what goes wrong is
/// recorded: nothing was read.
pub async fn prepare(
    app: &Shared,
    asker: &Asker,
    question: impl Into<Question>,
) -> Result<Prepared, AskError> {
    may_ask(app, asker).await?;
    let question = question.into();
    let request = request_of(&question);
    let error = match app.engine.prepare(&asker.principal, question).await {
        Ok(prepared) => return Ok(prepared),
        Err(error) => error,
    };
    let mut asked = Asked {
        app: Arc::clone(app),
        asker: asker.clone(),
        request,
        started: Instant::now(),
        rows: 0,
        states: Value::Null,
        told: false,
    };
    asked.record(Some(&error)).await?;
    Err(error.into())
}

fn request_of(question: &Question) -> Value {
    let mut request = json!({"query": question.sql});
    if !question.params.is_empty() {
        let text = |param: &Param| match param {
            Param::Text(None) => Value::Null,
            Param::Text(Some(text)) => json!(text),
            Param::Typed(value) if value.is_null() => Value::Null,
            Param::Typed(value) => json!(value.to_string()),
        };
        request["parameters"] = question.params.iter().map(text).collect();
    }
    if let Some(as_of) = &question.as_of {
        request["asOf"] = as_of.to_json();
    }
    request
}

/// A query under way, which must leave its event behind however it ends.
#[derive(Debug)]
struct Asked {
    app: Shared,
    asker: Asker,
    request: Value,
    started: Instant,
    rows: u64,
    /// The states of the tables, as the asker is told of them.
    states: Value,
    told: bool,
}

impl Asked {
    /// Plans the query and takes its first batch; without one, it is recorded.
    async fn begin(
        &mut self,
        engine: &Engine,
        question: Question,
    ) -> Result<(QueryStream, Option<RecordBatch>), QueryError> {
        let principal = &self.asker.principal;
        let asked = question.as_of.clone();
        let mut rows = engine.query(principal, question).await?;
        let states = &self.app.states;
        self.states = states.told(principal, asked.as_ref(), rows.versions());
        let held = rows.next().await.transpose()?;
        self.rows += held.as_ref().map_or(0, |b| b.num_rows() as u64);
        Ok((rows, held))
    }

    /// Leaves the query's event in the log.
    async fn record(&mut self, error: Option<&QueryError>) -> Result<(), LogError> {
        self.told = true;
        let app = Arc::clone(&self.app);
        app.metrics
            .query(self.started.elapsed(), error.map(QueryError::code));
        let error = error.map(|e| (e.code().to_owned(), e.message.clone()));
        app.audit.record(self.act(error)).await
    }

    fn act(&self, error: Option<(String, String)>) -> Act<'_> {
        let mut act = Act::new(QUERY, false, &self.asker.principal, &self.asker.caller);
        act.request = self.request.clone();
        act.request["door"] = json!(self.asker.door);
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        act.response = json!({"rows": self.rows, "elapsedMs": elapsed});
        if self.states.as_object().is_some_and(|all| !all.is_empty()) {
            act.response["versions"] = self.states.clone();
        }
        act.error = error;
        act
    }
}

impl Drop for Asked {
    /// Whoever hangs up half-way has seen rows all the same.
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let app = Arc::clone(&self.app);
        app.metrics.query(self.started.elapsed(), Some("canceled"));
        let left = Self {
            app: Arc::clone(&app),
            asker: self.asker.clone(),
            request: self.request.take(),
            started: self.started,
            rows: self.rows,
            states: self.states.take(),
            told: true,
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let error = ("canceled".to_owned(), "the caller went away".to_owned());
                if let Err(e) = app.audit.record(left.act(Some(error))).await {
                    tracing::error!(error = %e, "a canceled query could not be recorded");
                }
            });
        }
    }
}

/// The answer to a question. Dropped before its end, the query is stopped and
/// recorded as canceled.
pub struct Answer {
    rows: QueryStream,
    /// One batch is always held back, so that the event of the query is there
    /// before the last batch is given out.
    held: Option<RecordBatch>,
    /// Nothing follows `held`.
    over: bool,
    asked: Asked,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("asked", &self.asked.request)
            .field("rows", &self.asked.rows)
            .finish_non_exhaustive()
    }
}

impl Answer {
    /// The columns of every batch.
    pub fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    /// The states of the tables that the answer is computed over. Not for the
    /// asker: they tell how much all accounts have.
    pub fn versions(&self) -> &BTreeMap<String, TableVersion> {
        self.rows.versions()
    }

    /// The same by table, as the asker may be told.
    pub fn states(&self) -> &Value {
        &self.asked.states
    }

    /// The tables that the statement speaks of.
    pub fn tables(&self) -> &[String] {
        self.rows.tables()
    }

    /// How long it has taken so far.
    pub fn elapsed(&self) -> Duration {
        self.asked.started.elapsed()
    }

    /// How many rows were read so far.
    pub fn row_count(&self) -> u64 {
        self.asked.rows
    }

    /// The next batch. `None` once everything is given out; the query was
    /// recorded before the last batch came. After an error there is no more.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, AskError>> {
        if !self.over {
            match self.rows.next().await {
                Some(Ok(batch)) => {
                    self.asked.rows += batch.num_rows() as u64;
                    let given = self.held.replace(batch);
                    return self.given(given).await;
                }
                Some(Err(error)) => return Some(Err(self.failed(error).await)),
                None => self.over = true,
            }
        }
        if !self.asked.told
            && let Err(error) = self.asked.record(None).await
        {
            self.held = None;
            return Some(Err(error.into()));
        }
        // Once the event says that all was read, all is given.
        self.held.take().map(Ok)
    }

    /// `batch`, if it may still be given out: it has waited for the next one.
    async fn given(&mut self, batch: Option<RecordBatch>) -> Option<Result<RecordBatch, AskError>> {
        match self.holds() {
            true => batch.map(Ok),
            false => Some(Err(self.failed(QueryError::withdrawn()).await)),
        }
    }

    fn holds(&self) -> bool {
        self.asked.told || self.asked.app.registry.holds(&self.asked.asker.principal)
    }

    /// Waits for a reader who is slow to take what comes, though not for ever,
    /// and asks again whether they may still have it: a part may have waited
    /// for long. An error ends the answer and is recorded.
    pub async fn taken<T>(&mut self, ready: impl Future<Output = T>) -> Result<T, QueryError> {
        let error = match tokio::time::timeout(STALLED, ready).await {
            Ok(taken) if self.holds() => return Ok(taken),
            Ok(_) => QueryError::withdrawn(),
            Err(_) => QueryError::limit(Exceeded::Time, "the answer was not read"),
        };
        self.fail(&error).await;
        Err(error)
    }

    /// Ends the answer with an error of the door, such as rows that it cannot
    /// put into its form.
    pub async fn fail(&mut self, error: &QueryError) {
        self.over = true;
        self.held = None;
        if !self.asked.told && self.asked.record(Some(error)).await.is_err() {
            tracing::error!("a failed query could not be recorded");
        }
    }

    async fn failed(&mut self, error: QueryError) -> AskError {
        self.fail(&error).await;
        error.into()
    }
}
