//! `/v1/queries`: queries that nobody waits for.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use cairn_query::{QueryError, Standing as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::auth::Authenticated;
use super::error::ApiError;
use super::formats::{Encode, Format};
use super::sql::{self, Question, fed_body};
use crate::server::app::Shared;
use crate::server::asking::{self, Asker};
use crate::server::audit::Act;
use crate::server::queries::{About, KeptError, Part, State as Stands, read};

impl From<KeptError> for ApiError {
    fn from(error: KeptError) -> Self {
        let text = error.to_string();
        match error {
            KeptError::NotFound(_) => Self::not_found(text),
            KeptError::Busy => Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", text).hint(
                "wait for one to end, or end it: cairn job cancel ID, or DELETE /v1/queries/ID",
            ),
            KeptError::NoRows("running") => Self::conflict("running", text)
                .hint("cairn job show ID, or GET /v1/queries/ID, says when it is done"),
            KeptError::NoRows(_) => Self::new(StatusCode::GONE, "no_results", text)
                .hint("cairn job show ID, or GET /v1/queries/ID, says why; start it again"),
            KeptError::Withdrawn => Self::new(StatusCode::FORBIDDEN, "access_withdrawn", text)
                .hint("ask again: the answer will be over what the token may read now"),
            KeptError::Io(_) => Self::unavailable(text),
        }
    }
}

fn asker_of(asked: Authenticated) -> Asker {
    Asker {
        principal: asked.principal,
        caller: asked.caller,
        door: "async",
    }
}

fn describe(about: &About) -> Value {
    let mut out = json!({
        "id": about.id,
        "state": about.state().as_str(),
        "query": about.query,
        "as_of": about.as_of,
        "started": about.started.to_rfc3339(),
    });
    if let Some(outcome) = &about.outcome {
        out["ended"] = json!(outcome.ended.to_rfc3339());
        if outcome.state == Stands::Done {
            out["rows"] = json!(outcome.rows);
            out["bytes"] = json!(outcome.bytes);
            out["versions"] = outcome.versions.clone();
        }
        if let Some((code, message, hint)) = &outcome.error {
            out["error"] = json!({"code": code, "message": message, "hint": hint});
        }
    }
    out
}

/// `POST /v1/queries`. A statement that cannot be planned is refused at once.
pub async fn start(
    State(app): State<Shared>,
    asked: Authenticated,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let asker = asker_of(asked);
    asking::may_ask(&app, &asker).await?;
    let question = Question::of(&body)?;
    let mut question = question.understood(&app, &asker.principal)?;
    question.background = true;
    asking::prepare(&app, &asker, &question.sql).await?;
    let about = app.queries.start(&app, asker, question)?;
    Ok((StatusCode::ACCEPTED, Json(describe(&about))))
}

/// `GET /v1/queries`: the caller's own.
pub async fn list(
    State(app): State<Shared>,
    asked: Authenticated,
) -> Result<Json<Value>, ApiError> {
    let asker = asker_of(asked);
    asking::may_ask(&app, &asker).await?;
    let own: Vec<Value> = app.queries.of(&asker).iter().map(describe).collect();
    Ok(Json(json!({"queries": own})))
}

/// `GET /v1/queries/ID`.
pub async fn show(
    State(app): State<Shared>,
    asked: Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let asker = asker_of(asked);
    asking::may_ask(&app, &asker).await?;
    Ok(Json(describe(&app.queries.get(&asker, &id)?)))
}

/// `DELETE /v1/queries/ID`: ends it, or removes what is kept of it.
pub async fn cancel(
    State(app): State<Shared>,
    asked: Authenticated,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let asker = asker_of(asked);
    asking::may_ask(&app, &asker).await?;
    app.queries.cancel(&asker, &id)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which of the rows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    #[serde(default)]
    offset: u64,
    limit: Option<u64>,
}

/// `GET /v1/queries/ID/results`. Each fetch is recorded before its first byte.
pub async fn results(
    State(app): State<Shared>,
    asked: Authenticated,
    Path(id): Path<String>,
    Query(page): Query<Page>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let asker = asker_of(asked);
    asking::may_ask(&app, &asker).await?;
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    let format = Format::accepted(accept).ok_or_else(sql::not_acceptable)?;
    let about = app.queries.get(&asker, &id)?;
    let path = app.queries.rows_of(&app, &asker, &id)?;
    let versions = about.outcome.map_or(Value::Null, |o| o.versions);
    let mut act = Act::new("GetQueryResults", false, &asker.principal, &asker.caller);
    act.request = json!({"queryId": id, "offset": page.offset, "limit": page.limit});
    act.response = json!({"versions": versions.clone()});
    app.audit.record(act).await?;
    let limit = page.limit.unwrap_or(u64::MAX);
    let (schema, parts) = read(path, page.offset, limit)
        .await
        .map_err(KeptError::from)?;
    let encoder = format
        .encoder_with(&schema, versions.clone())
        .map_err(|e| QueryError::internal(e.to_string()))?;
    let body = fed_body(move |out| async move {
        if let Err(error) = feed(&app, &asker, encoder, parts, &out).await {
            let _ = out.send(Err(error)).await;
        }
    });
    Ok(sql::answered(Body::from_stream(body), format, &versions))
}

/// The rows' bytes, as long as the caller may have them.
async fn feed(
    app: &Shared,
    asker: &Asker,
    mut encoder: Box<dyn Encode>,
    mut parts: mpsc::Receiver<Part>,
    out: &mpsc::Sender<sql::Part>,
) -> Result<(), std::io::Error> {
    let broken = || std::io::Error::other("the results broke off");
    let mut ready = encoder.begin().map_err(std::io::Error::other)?;
    while let Some(batch) = parts.recv().await.ok_or_else(broken)?? {
        ready.extend(encoder.batch(&batch).map_err(std::io::Error::other)?);
        let Ok(place) = out.reserve().await else {
            return Ok(());
        };
        if !app.registry.holds(&asker.principal) {
            return Err(std::io::Error::other(QueryError::withdrawn()));
        }
        place.send(Ok(Some(Bytes::from(std::mem::take(&mut ready)))));
    }
    ready.extend(encoder.end(0).map_err(std::io::Error::other)?);
    if out.send(Ok(Some(Bytes::from(ready)))).await.is_ok() {
        let _ = out.send(Ok(None)).await;
    }
    Ok(())
}
