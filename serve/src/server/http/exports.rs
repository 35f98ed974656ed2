//! `/v1/exports`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use cairn_schemas::control::Role;
use cairn_schemas::export::{ExportFilter, ExportFormat};
use cairn_schemas::{AccountId, Micros, TrailName};
use chrono::{DateTime, NaiveDate};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::Authenticated;
use super::error::ApiError;
use super::{Changing, parse};
use crate::config;
use crate::server::app::Shared;
use crate::server::audit::Act;
use crate::server::exports::Job;
use crate::server::exports::ask::{self, Asked};

const READERS: &[Role] = &[Role::Auditor, Role::Admin];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StartExport {
    sql: Option<String>,
    filter: Option<Filter>,
    to: Option<String>,
    endpoint: Option<String>,
    format: Option<ExportFormat>,
    neutralise: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    #[serde(default)]
    accounts: Vec<AccountId>,
    from: Option<String>,
    until: Option<String>,
    trail: Option<TrailName>,
}

impl Filter {
    fn checked(self) -> Result<ExportFilter, ApiError> {
        let time = |name: &str, text: Option<String>| match text {
            None => Ok(None),
            Some(text) => parse_time(&text).map(Some).ok_or_else(|| {
                ApiError::invalid(format!("{name} is no time"))
                    .hint("write 2026-01-02T03:04:05Z, or 2026-01-02 for its beginning in UTC")
            }),
        };
        Ok(ExportFilter {
            accounts: self.accounts.into_iter().collect(),
            from: time("from", self.from)?,
            until: time("until", self.until)?,
            trail: self.trail,
        })
    }
}

fn parse_time(text: &str) -> Option<Micros> {
    let text = text.trim();
    let exact = DateTime::parse_from_rfc3339(text).map(|t| t.timestamp_micros());
    let day = || {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros())
    };
    exact.ok().or_else(day).map(Micros)
}

fn job_json(job: &Job) -> Value {
    let (document, amount) = (job.document(), job.amount());
    json!({
        "id": document.id,
        "state": document.state,
        "format": document.format,
        "neutralise": document.neutralise,
        "sql": document.sql,
        "filter": document.filter.as_ref().map(|filter| json!({
            "accounts": filter.accounts,
            "from": filter.from.map(|t| t.to_rfc3339()),
            "until": filter.until.map(|t| t.to_rfc3339()),
            "trail": filter.trail,
        })),
        "to": document.place.url(),
        "endpoint": document.place.endpoint,
        "principal": {"id": document.owner.id, "name": document.owner.name},
        "created": document.created.to_rfc3339(),
        "updated": document.at.to_rfc3339(),
        "attempt": document.attempt,
        "rows": amount.rows,
        "bytes": amount.bytes,
        "files": amount.files,
        "manifest_sha256": document.manifest_sha256,
        "error": document.error.map(|(code, message)| json!({"code": code, "message": message})),
    })
}

/// `POST /v1/exports`.
pub async fn start(
    State(app): State<Shared>,
    asked: Authenticated,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    asked.needs(&app, READERS, "StartExport").await?;
    if app.settings.server.role == config::Role::Ingest {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "other_role",
            "this process takes events in and exports nothing",
        )
        .hint("ask one that runs with --role query, or with no role"));
    }
    let wanted: StartExport = parse(&body)?;
    let id = app.exports.new_id();
    let request = json!({
        "exportId": id,
        "sql": wanted.sql,
        "filter": wanted.filter.as_ref().map(|f| json!({
            "accounts": f.accounts, "from": f.from, "until": f.until, "trail": f.trail,
        })),
        "format": wanted.format,
        "neutralise": wanted.neutralise,
        "to": wanted.to.as_deref().map(shown),
        "endpoint": wanted.endpoint.as_deref().map(shown),
    });
    let understood = understand(&app, &asked, wanted, &id).await;
    let checked = match understood {
        Ok(checked) => checked,
        Err(error) => {
            // Who tries where an export may go has to be seen.
            let mut act = Act::new("StartExport", false, &asked.principal, &asked.caller);
            act.request = request;
            act.error = Some((error.code().to_owned(), error.message().to_owned()));
            app.audit.record(act).await?;
            return Err(error);
        }
    };
    let changing = Changing {
        name: "StartExport",
        request,
        resource: ("CAIRN::Export", id.clone()),
        asked: &asked,
    };
    let change = app
        .exports
        .create(&app, id, &asked.principal, &asked.caller, checked);
    let job = changing.make(&app, change).await?;
    Ok((StatusCode::CREATED, Json(job_json(&job))))
}

/// What of an address goes into an event: it may hold a password.
fn shown(address: &str) -> String {
    match address.contains(['@', '?', '#']) {
        true => "…".to_owned(),
        false => address.chars().take(1024).collect(),
    }
}

/// Everything that can be known to be wrong before anything is written.
async fn understand(
    app: &Shared,
    asked: &Authenticated,
    wanted: StartExport,
    id: &str,
) -> Result<Asked, ApiError> {
    let principal = &asked.principal;
    let format = wanted.format.ok_or_else(|| {
        ApiError::invalid("format is missing: parquet, csv, ndjson, cloudtrail or actiontrail")
    })?;
    let to = wanted.to.as_deref();
    let endpoint = wanted.endpoint.as_deref();
    let place = app
        .exports
        .places()
        .choose(&principal.id, to, endpoint, id)?;
    let created = app.clock.now();
    let (sql, filter) = match (wanted.sql, wanted.filter) {
        (Some(sql), None) => (sql, None),
        (None, Some(filter)) => {
            let filter = filter.checked()?;
            ask::check_filter(principal, &filter)?;
            (ask::statement(&filter, format, created), Some(filter))
        }
        _ => {
            return Err(ApiError::invalid("give either sql or filter, and not both"));
        }
    };
    ask::check_statement(app, principal, &sql, format).await?;
    Ok(Asked {
        created,
        sql,
        filter,
        format,
        neutralise: wanted.neutralise.unwrap_or(true),
        place,
    })
}

/// `GET /v1/exports`.
pub async fn list(
    State(app): State<Shared>,
    asked: Authenticated,
) -> Result<Json<Value>, ApiError> {
    asked.needs(&app, READERS, "ListExports").await?;
    let jobs = app.exports.visible_to(&asked.principal);
    let exports: Vec<Value> = jobs.iter().map(|job| job_json(job)).collect();
    let places: Vec<Value> = app
        .exports
        .places()
        .shown()
        .map(|(url, endpoint)| json!({"url": url, "endpoint": endpoint}))
        .collect();
    Ok(Json(json!({"exports": exports, "places": places})))
}

/// `GET /v1/exports/{id}`.
pub async fn show(
    State(app): State<Shared>,
    asked: Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    asked.needs(&app, READERS, "GetExport").await?;
    let job = app.exports.find(&asked.principal, &id)?;
    Ok(Json(job_json(&job)))
}

/// `POST /v1/exports/{id}/cancel`.
pub async fn cancel(
    State(app): State<Shared>,
    asked: Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    asked.needs(&app, READERS, "CancelExport").await?;
    let job = app.exports.find(&asked.principal, &id)?;
    let changing = Changing {
        name: "CancelExport",
        request: json!({"exportId": id}),
        resource: ("CAIRN::Export", id),
        asked: &asked,
    };
    let change = app.exports.cancel(&app, &job, &asked.principal.id);
    changing.make(&app, change).await?;
    Ok(Json(job_json(&job)))
}

/// `POST /v1/exports/{id}/resume`.
pub async fn resume(
    State(app): State<Shared>,
    asked: Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    asked.needs(&app, READERS, "ResumeExport").await?;
    let job = app.exports.find(&asked.principal, &id)?;
    let changing = Changing {
        name: "ResumeExport",
        request: json!({"exportId": id}),
        resource: ("CAIRN::Export", id),
        asked: &asked,
    };
    let change = app.exports.resume(&app, &job, &asked.principal.id);
    changing.make(&app, change).await?;
    Ok(Json(job_json(&job)))
}
