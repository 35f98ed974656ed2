//! `POST /v1/sql`: the door for questions.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode, Version, header};
use axum::response::Response;
use cairn_query::{ErrorKind, Exceeded, QueryError, QueryStream, Standing as _};
use cairn_schemas::control::{Principal, Role};
use futures::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

use super::auth::Authenticated;
use super::error::ApiError;
use super::formats::{Encode, Format};
use crate::config;
use crate::server::app::{App, Shared};
use crate::server::audit::Act;

/// The body of a question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    query: String,
}

/// The query engine's errors in the doors' form.
pub fn api_error(error: &QueryError) -> ApiError {
    let (status, place) = match error.kind {
        ErrorKind::Invalid { line, column } => (StatusCode::BAD_REQUEST, line.zip(column)),
        ErrorKind::Forbidden => (StatusCode::FORBIDDEN, None),
        ErrorKind::Limit(Exceeded::Busy) => (StatusCode::TOO_MANY_REQUESTS, None),
        ErrorKind::Limit(_) => (StatusCode::UNPROCESSABLE_ENTITY, None),
        ErrorKind::Withdrawn => (StatusCode::FORBIDDEN, None),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, None),
        ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, None),
    };
    let mut answer = ApiError::new(status, error.code(), error.message.clone());
    if let Some(hint) = &error.hint {
        answer = answer.hint(hint.clone());
    }
    if let Some((line, column)) = place {
        answer = answer
            .with("line", json!(line))
            .with("column", json!(column));
    }
    answer
}

/// The handler.
pub async fn post(
    State(app): State<Shared>,
    asked: Authenticated,
    version: Version,
    headers: HeaderMap,
    body: Result<Json<Question>, JsonRejection>,
) -> Result<Response, ApiError> {
    if version < Version::HTTP_11 {
        // Its bodies end when the connection does: a part would pass for the whole.
        return Err(ApiError::new(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "http_version",
            "answers need HTTP/1.1",
        )
        .hint(
            "a proxy in between must speak HTTP/1.1, as nginx does with proxy_http_version 1.1",
        ));
    }
    asked
        .needs(&app, &[Role::Auditor, Role::Admin], "Query")
        .await?;
    if app.settings.server.role == config::Role::Ingest {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "other_role",
            "this process takes events in and answers no questions",
        )
        .hint("ask one that runs with --role query, or with no role"));
    }
    let Json(question) = body.map_err(|e| {
        ApiError::invalid(e.body_text())
            .hint("send {\"query\": \"SELECT ...\"} as application/json")
    })?;
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    let Some(format) = Format::accepted(accept) else {
        return Err(ApiError::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", "no such form of an answer")
            .hint("accept application/json, application/x-ndjson, text/csv, application/vnd.apache.arrow.stream or application/vnd.apache.parquet"));
    };
    let mut asking = Asking {
        app,
        asked,
        query: question.query,
        started: Instant::now(),
        rows: 0,
        told: false,
    };
    match asking.begin(format).await {
        Ok(response) => Ok(response.into_response(asking)),
        Err(error) => {
            asking.record(Some(&error)).await?;
            Err(api_error(&error))
        }
    }
}

/// A query under way, which must leave its event behind however it ends.
struct Asking {
    app: Shared,
    asked: Authenticated,
    query: String,
    started: Instant,
    rows: usize,
    told: bool,
}

/// The start of an answer: its first bytes are known, so it has begun well.
struct Begun {
    format: Format,
    encoder: Box<dyn Encode>,
    rows: QueryStream,
    first: Vec<u8>,
}

impl Asking {
    /// Plans the query and takes its first batch, so that what goes wrong at
    /// the start is answered with a status and not with a broken body.
    async fn begin(&mut self, format: Format) -> Result<Begun, QueryError> {
        let mut rows = self
            .app
            .engine
            .query(&self.asked.principal, &self.query)
            .await?;
        let internal = |e: arrow::error::ArrowError| QueryError::internal(e.to_string());
        let mut encoder = format.encoder(&rows.schema()).map_err(internal)?;
        let mut first = encoder.begin().map_err(internal)?;
        if let Some(batch) = rows.next().await {
            let batch = batch?;
            self.rows += batch.num_rows();
            first.extend(encoder.batch(&batch).map_err(internal)?);
        }
        Ok(Begun {
            format,
            encoder,
            rows,
            first,
        })
    }

    /// Leaves the query's event in the log.
    async fn record(&mut self, error: Option<&QueryError>) -> Result<(), ApiError> {
        self.told = true;
        let app = Arc::clone(&self.app);
        app.metrics
            .query(self.started.elapsed(), error.map(QueryError::code));
        let act = act_of(
            self,
            error.map(|e| (e.code().to_owned(), e.message.clone())),
        );
        Ok(app.audit.record(act).await?)
    }
}

fn act_of(asking: &Asking, error: Option<(String, String)>) -> Act<'_> {
    let mut act = Act::new(
        "Query",
        false,
        &asking.asked.principal,
        &asking.asked.caller,
    );
    act.request = json!({"query": asking.query});
    let elapsed = u64::try_from(asking.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    act.response = json!({"rows": asking.rows, "elapsedMs": elapsed});
    act.error = error;
    act
}

impl Drop for Asking {
    /// Whoever hangs up half-way has seen rows all the same.
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let error = ("canceled".to_owned(), "the caller went away".to_owned());
        let app = Arc::clone(&self.app);
        let asked = std::mem::replace(
            &mut self.asked,
            Authenticated {
                principal: Principal::cairn(),
                caller: Default::default(),
            },
        );
        let query = std::mem::take(&mut self.query);
        let (started, rows) = (self.started, self.rows);
        app.metrics.query(started.elapsed(), Some("canceled"));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let asking = Asking {
                    app,
                    asked,
                    query,
                    started,
                    rows,
                    told: true,
                };
                if let Err(e) = asking.app.audit.record(act_of(&asking, Some(error))).await {
                    tracing::error!(error = %e, "a canceled query could not be recorded");
                }
            });
        }
    }
}

impl Begun {
    fn into_response(self, asking: Asking) -> Response {
        let media_type = self.format.media_type();
        let body = Body::from_stream(self.into_parts(asking));
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static(media_type),
        );
        response
    }

    /// The answer's bytes. An error ends the body without its proper end, so
    /// that no part passes for the whole.
    fn into_parts(
        self,
        asking: Asking,
    ) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> + Send {
        let Self {
            mut encoder,
            mut rows,
            first,
            ..
        } = self;
        fed_body(move |out| async move {
            let mut asking = asking;
            let broken = |e: &dyn std::fmt::Display| std::io::Error::other(e.to_string());
            // One part is always held back, so that a small answer is recorded
            // before its first byte goes out.
            let mut held = first;
            while let Some(batch) = rows.next().await {
                let part = match batch {
                    Ok(batch) => {
                        asking.rows += batch.num_rows();
                        encoder
                            .batch(&batch)
                            .map_err(|e| QueryError::internal(e.to_string()))
                    }
                    Err(error) => Err(error),
                };
                match part {
                    Ok(part) => {
                        let ready = std::mem::replace(&mut held, part);
                        if !asking.send(&out, ready).await {
                            return;
                        }
                    }
                    Err(error) => {
                        asking.fail(&error).await;
                        let _ = out.send(Err(broken(&error))).await;
                        return;
                    }
                }
            }
            // The event first, then the last byte: see the audit module.
            if asking.record(None).await.is_err() {
                let _ = out
                    .send(Err(broken(&"the query could not be recorded")))
                    .await;
                return;
            }
            let elapsed = asking.started.elapsed().as_millis();
            match encoder.end(elapsed) {
                Ok(end) => held.extend(end),
                Err(error) => {
                    let _ = out.send(Err(broken(&error))).await;
                    return;
                }
            }
            if asking.send(&out, held).await {
                let _ = out.send(Ok(None)).await;
            }
        })
    }
}

/// A part of a body, or its proper end.
type Part = Result<Option<Bytes>, std::io::Error>;

/// How long a reader may leave a part untaken. A query holds its place and its
/// memory until its last part is taken.
const STALLED: Duration = Duration::from_secs(30);

impl Asking {
    /// Hands a part to the reader. `false` when there is no more reader, or
    /// none that may have it.
    async fn send(&mut self, out: &Sender<Part>, part: Vec<u8>) -> bool {
        let place = match tokio::time::timeout(STALLED, out.reserve()).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) => return false,
            Err(_) => {
                let error = QueryError::limit(Exceeded::Time, "the answer was not read");
                self.fail(&error).await;
                return false;
            }
        };
        // The part may have waited long for a slow reader. Once the query's
        // event says that all was read, all is given.
        if !self.told && !self.app.registry.holds(&self.asked.principal) {
            let error = QueryError::withdrawn();
            self.fail(&error).await;
            place.send(Err(std::io::Error::other(error)));
            return false;
        }
        place.send(Ok(Some(Bytes::from(part))));
        true
    }

    async fn fail(&mut self, error: &QueryError) {
        if self.record(Some(error)).await.is_err() {
            tracing::error!("a failed query could not be recorded");
        }
    }
}

/// A body that a task feeds, two parts ahead at the most. Only the feeder's own
/// word ends it properly: when the task is gone without it, the body breaks off.
fn fed_body<F, R>(feed: F) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> + Send
where
    F: FnOnce(Sender<Part>) -> R,
    R: Future<Output = ()> + Send + 'static,
{
    let (sender, mut receiver) = tokio::sync::mpsc::channel(2);
    tokio::spawn(feed(sender));
    let mut over = false;
    futures::stream::poll_fn(move |context| {
        if over {
            return Poll::Ready(None);
        }
        let part = std::task::ready!(receiver.poll_recv(context));
        over = !matches!(part, Some(Ok(Some(_))));
        Poll::Ready(match part {
            Some(Ok(part)) => part.map(Ok),
            Some(Err(error)) => Some(Err(error)),
            None => Some(Err(std::io::Error::other("the answer broke off"))),
        })
    })
}

/// Runs a query that another call needs, within the principal's accounts, and
/// gives back rows as JSON objects. For small answers.
pub async fn own_rows(
    app: &App,
    principal: &Principal,
    query: &str,
) -> Result<Vec<Value>, ApiError> {
    let mut rows = app.engine.query(principal, query).await?;
    let mut encoder = Format::Ndjson
        .encoder(&rows.schema())
        .map_err(|e| ApiError::from(QueryError::internal(e.to_string())))?;
    let mut found = Vec::new();
    while let Some(batch) = rows.next().await {
        let text = encoder
            .batch(&batch?)
            .map_err(|e| ApiError::from(QueryError::internal(e.to_string())))?;
        for line in text.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            let row = serde_json::from_slice(line);
            found.push(row.map_err(|e| ApiError::from(QueryError::internal(e.to_string())))?);
        }
    }
    Ok(found)
}
