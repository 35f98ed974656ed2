//! The HTTP door: one file an API, one form of errors, one way in.
//!
//! `docs/http-api.md` is the interface that other programs rely on.

pub mod accounts;
pub mod auth;
pub mod error;
pub mod events;
pub mod exports;
pub mod flush;
pub mod formats;
pub mod ops;
pub mod queries;
pub mod rest;
pub mod saved;
pub mod sources;
pub mod sql;
pub mod tokens;
pub mod trails;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};
use serde_json::Value;

use super::app::Shared;
use super::audit::Act;
use auth::Authenticated;
use error::ApiError;

/// The most that a body may have which is not one of events.
const SMALL_BODY: usize = 256 << 10;

/// All routes.
pub fn router(app: Shared) -> Router {
    let changes = Router::new()
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(ops::readyz))
        .route("/metrics", get(ops::metrics))
        .route("/v1/status", get(ops::status))
        .route("/v1/whoami", get(ops::whoami))
        .route("/v1/flush", post(flush::flush))
        .route("/v1/quarantine/resubmit", post(ops::resubmit))
        .route("/v1/sources", get(sources::list))
        .route("/v1/sources/accept", post(sources::accept))
        .route("/v1/events", post(events::post))
        .route(
            "/v1/organization",
            get(accounts::organization).put(accounts::set_organization),
        )
        .route("/v1/accounts", get(accounts::list).post(accounts::add))
        .route("/v1/accounts/{id}", delete(accounts::remove))
        .route("/v1/tokens", get(tokens::list).post(tokens::create))
        .route(
            "/v1/tokens/{id}",
            delete(tokens::revoke).patch(tokens::update),
        )
        .route("/v1/saved-queries", get(saved::list))
        .route(
            "/v1/saved-queries/{name}",
            get(saved::show).put(saved::save).delete(saved::remove),
        )
        .route("/v1/trails", get(trails::list).post(trails::create))
        .route(
            "/v1/trails/{name}",
            get(trails::show)
                .patch(trails::update)
                .delete(trails::remove),
        )
        .route("/v1/exports", get(exports::list).post(exports::start))
        .route("/v1/exports/{id}", get(exports::show))
        .route("/v1/exports/{id}/cancel", post(exports::cancel))
        .route("/v1/exports/{id}/resume", post(exports::resume))
        .route("/v1/trails/{name}/start", post(trails::start))
        .route("/v1/trails/{name}/stop", post(trails::stop))
        .route("/v1/trails/{name}/explain", get(trails::explain))
        .route("/v1/queries", get(queries::list).post(queries::start))
        .route(
            "/v1/queries/{id}",
            get(queries::show).delete(queries::cancel),
        )
        .route_layer(from_fn(to_the_end));
    Router::new()
        .route("/v1/sql", post(sql::post))
        .route("/v1/queries/{id}/results", get(queries::results))
        .route("/v1/saved-queries/{name}/run", post(saved::run))
        .merge(changes)
        .fallback(async || {
            ApiError::not_found("there is nothing here").hint("docs/http-api.md lists every call")
        })
        .method_not_allowed_fallback(async || {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this call has another method",
            )
        })
        .layer(DefaultBodyLimit::max(SMALL_BODY))
        .layer(map_response(one_form))
        .layer(from_fn(rest::taken))
        .with_state(app)
}

/// What was begun is ended, also when the caller hangs up: no change may stop
/// between its event, its document and its effect.
async fn to_the_end(request: Request, next: Next) -> Response {
    match tokio::spawn(next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the call broke off inside; the server's log says why",
        )
        .into_response(),
    }
}

/// Gives refusals of the framework (a query that does not parse, a body that is
/// too long) the form of all errors.
async fn one_form(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_text = kind.is_some_and(|k| k.as_bytes().starts_with(b"text/plain"));
    if !status.is_client_error() || !is_text {
        return response;
    }
    let code = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        _ => "invalid_request",
    };
    let body = axum::body::to_bytes(response.into_body(), SMALL_BODY)
        .await
        .unwrap_or_default();
    ApiError::new(status, code, String::from_utf8_lossy(&body)).into_response()
}

/// The request and the resource of a change, for its event.
#[derive(Debug)]
pub struct Changing<'a> {
    /// The operation's name.
    pub name: &'static str,
    /// Its parameters; no secrets.
    pub request: Value,
    /// The type and name of what is changed.
    pub resource: (&'static str, String),
    /// Who asks.
    pub asked: &'a Authenticated,
}

impl Changing<'_> {
    /// Records the change, makes it, and where it fails records that too, under
    /// the same request id.
    pub async fn make<T>(
        self,
        app: &Shared,
        change: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        let mut act = Act::new(self.name, true, &self.asked.principal, &self.asked.caller);
        act.request = self.request;
        act.resource = Some(self.resource);
        act.request_id = Some(app.audit.request_id());
        app.audit.record(act.clone()).await?;
        let outcome = change.await;
        if let Err(error) = &outcome {
            act.error = Some((error.code().to_owned(), error.message().to_owned()));
            app.audit.record(act).await?;
        }
        outcome
    }
}

/// A body that may be absent.
pub fn parse<T: serde::de::DeserializeOwned + Default>(body: &[u8]) -> Result<T, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    serde_json::from_slice(body)
        .map_err(|e| ApiError::invalid(format!("the body is not what this call takes: {e}")))
}
