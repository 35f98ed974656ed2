//! `POST /v1/sql`: the door for questions.

use std::task::Poll;
use std::time::Duration;

use arrow::error::ArrowError;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Version, header};
use axum::response::Response;
use cairn_query::{ErrorKind, Exceeded, Param, QueryError, ScalarValue};
use cairn_schemas::control::Principal;
use futures::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;

use super::auth::Authenticated;
use super::error::ApiError;
use super::formats::{Encode, Format};
use crate::server::app::{App, Shared};
use crate::server::asking::{self, Answer, AskError, Asker};

/// The body of a question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    query: String,
    /// The values of `$1`, `$2` and so on.
    #[serde(default)]
    parameters: Vec<Value>,
    /// The state of the tables that is asked about.
    as_of: Option<Value>,
    /// An answer of more rows is an error.
    max_rows: Option<u64>,
    /// Less time than a query may take.
    timeout_ms: Option<u64>,
}

impl Question {
    /// Of a body, whatever it calls itself: `curl -d` says that it is a form.
    pub fn of(body: &[u8]) -> Result<Self, ApiError> {
        serde_json::from_slice(body).map_err(|e| {
            ApiError::invalid(format!("the body is not what this call takes: {e}"))
                .hint("send {\"query\": \"SELECT ...\"}")
        })
    }

    /// As the engine takes it.
    pub fn understood(
        self,
        app: &App,
        principal: &Principal,
    ) -> Result<cairn_query::Question, ApiError> {
        let as_of = self.as_of.as_ref();
        let as_of = as_of.map(|told| app.states.asked(principal, told));
        let params = self.parameters.iter().map(param);
        Ok(cairn_query::Question {
            params: params.collect::<Result<_, _>>()?,
            as_of: as_of.transpose()?,
            max_rows: self.max_rows,
            timeout: self.timeout_ms.map(Duration::from_millis),
            ..self.query.into()
        })
    }
}

/// A text stands for whatever the statement wants in its place: times and the
/// like have no form of their own in JSON.
fn param(value: &Value) -> Result<Param, ApiError> {
    Ok(match value {
        Value::Null => Param::Text(None),
        Value::String(text) => Param::Text(Some(text.clone())),
        Value::Bool(truth) => Param::Typed(ScalarValue::Boolean(Some(*truth))),
        Value::Number(number) => Param::Typed(match number.as_i64() {
            Some(whole) => ScalarValue::Int64(Some(whole)),
            None => ScalarValue::Float64(number.as_f64()),
        }),
        Value::Array(_) | Value::Object(_) => {
            return Err(ApiError::invalid("a parameter is a list or an object")
                .hint("parameters are texts, numbers, true, false and null"));
        }
    })
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

impl From<AskError> for ApiError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Role(message) => Self::forbidden(message),
            AskError::OtherProcess => {
                let answer = Self::new(StatusCode::NOT_FOUND, error.code(), error.to_string());
                answer.hint(error.hint().unwrap_or_default())
            }
            AskError::Query(error) => api_error(&error),
            AskError::Unrecorded(error) => error.into(),
        }
    }
}

/// The handler.
pub async fn post(
    State(app): State<Shared>,
    asked: Authenticated,
    version: Version,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    in_full(version)?;
    let asker = asker_of(asked);
    asking::may_ask(&app, &asker).await?;
    let question = Question::of(&body)?;
    let format = format_of(&headers)?;
    let question = question.understood(&app, &asker.principal)?;
    answer_in(&app, asker, question, format).await
}

/// The answer to a question that another call has put together.
pub async fn answer_to(
    app: &Shared,
    asked: Authenticated,
    version: Version,
    headers: &HeaderMap,
    question: cairn_query::Question,
) -> Result<Response, ApiError> {
    in_full(version)?;
    let format = format_of(headers)?;
    answer_in(app, asker_of(asked), question, format).await
}

fn asker_of(asked: Authenticated) -> Asker {
    Asker {
        principal: asked.principal,
        caller: asked.caller,
        door: "http",
    }
}

/// Whether the caller can tell a whole answer from a part.
fn in_full(version: Version) -> Result<(), ApiError> {
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
    Ok(())
}

fn format_of(headers: &HeaderMap) -> Result<Format, ApiError> {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    Format::accepted(accept).ok_or_else(not_acceptable)
}

async fn answer_in(
    app: &Shared,
    asker: Asker,
    question: cairn_query::Question,
    format: Format,
) -> Result<Response, ApiError> {
    let mut answer = asking::ask(app, asker, question).await?;
    match format.encoder_with(&answer.schema(), answer.states().clone()) {
        Ok(encoder) => Ok(into_response(answer, format, encoder)),
        Err(error) => {
            let error = QueryError::internal(error.to_string());
            answer.fail(&error).await;
            Err(api_error(&error))
        }
    }
}

/// `406`: none of the forms that are asked for.
pub fn not_acceptable() -> ApiError {
    let text = "no such form of an answer";
    ApiError::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", text)
        .hint("accept application/json, application/x-ndjson, text/csv, application/vnd.apache.arrow.stream or application/vnd.apache.parquet")
}

/// The header that tells over which states of the tables an answer is computed.
const VERSIONS: &str = "cairn-versions";
/// More than this many bytes of them are left to the body and the event:
/// proxies refuse long heads.
const VERSIONS_BYTES: usize = 4 << 10;

fn into_response(answer: Answer, format: Format, encoder: Box<dyn Encode>) -> Response {
    let versions = answer.states().clone();
    let body = fed_body(move |out| async move {
        if let Err(error) = feed(answer, encoder, &out).await {
            let _ = out.send(Err(error)).await;
        }
    });
    answered(Body::from_stream(body), format, &versions)
}

/// A body of rows, with what is told of them before the first.
pub fn answered(body: Body, format: Format, versions: &Value) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(format.media_type()),
    );
    let versions = header::HeaderValue::from_str(&versions.to_string()).ok();
    if let Some(versions) = versions.filter(|v| v.len() <= VERSIONS_BYTES) {
        response.headers_mut().insert(VERSIONS, versions);
    }
    response
}

/// The answer's bytes. An error ends the body without its proper end, so that
/// no part passes for the whole.
async fn feed(
    mut answer: Answer,
    mut encoder: Box<dyn Encode>,
    out: &Sender<Part>,
) -> Result<(), std::io::Error> {
    let mut ready = begun(&mut answer, encoder.as_mut()).await?;
    while let Some(batch) = answer.next().await {
        let batch = batch.map_err(std::io::Error::other)?;
        match encoder.batch(&batch) {
            Ok(part) => ready.extend(part),
            Err(error) => return Err(unencoded(&mut answer, &error).await),
        }
        match answer.taken(out.reserve()).await {
            Ok(Ok(place)) => place.send(Ok(Some(Bytes::from(std::mem::take(&mut ready))))),
            // There is no more reader: dropping the answer records it.
            Ok(Err(_)) => return Ok(()),
            Err(error) => return Err(std::io::Error::other(error)),
        }
    }
    let elapsed = answer.elapsed().as_millis();
    ready.extend(encoder.end(elapsed).map_err(std::io::Error::other)?);
    let sent = answer.taken(out.reserve()).await;
    if let Ok(place) = sent.map_err(std::io::Error::other)? {
        place.send(Ok(Some(Bytes::from(ready))));
        let _ = out.send(Ok(None)).await;
    }
    Ok(())
}

async fn begun(answer: &mut Answer, encoder: &mut dyn Encode) -> Result<Vec<u8>, std::io::Error> {
    match encoder.begin() {
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(unencoded(answer, &error).await),
    }
}

async fn unencoded(answer: &mut Answer, error: &ArrowError) -> std::io::Error {
    let error = QueryError::internal(error.to_string());
    answer.fail(&error).await;
    std::io::Error::other(error)
}

/// A part of a body, or its proper end.
pub type Part = Result<Option<Bytes>, std::io::Error>;

/// A body that a task feeds, two parts ahead at the most. Only the feeder's own
/// word ends it properly: when the task is gone without it, the body breaks off.
pub fn fed_body<F, R>(feed: F) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> + Send
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
