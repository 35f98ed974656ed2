//! What operators ask: health, status, metrics, quarantine.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use cairn_schemas::control::Role;
use cairn_schemas::selector::Among;
use cairn_schemas::{AccountId, Micros, Position};
use cairn_store::table::Table;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::Authenticated;
use super::error::ApiError;
use super::sql::own_rows;
use super::tokens::among_json;
use super::{Changing, events, parse};
use crate::server::app::{App, Shared};
use crate::server::kafka;

/// `GET /healthz`.
pub async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// `GET /readyz`. The door opens when everything behind it is there, but for the
/// ids of what history holds where reading them takes long; what can change
/// later is whether the pipeline still runs.
pub async fn readyz(State(app): State<Shared>) -> Result<Json<Value>, ApiError> {
    if !app.pipeline.is_running() {
        return Err(ApiError::unavailable(
            "the pipeline has stopped; the server's log says why",
        ));
    }
    match app.catching_up.progress() {
        None => Ok(Json(json!({"status": "ready"}))),
        Some((done, of)) => Err(catching_up(done, of)),
    }
}

/// Not ready, though the door is open.
fn catching_up(done: u64, of: u64) -> ApiError {
    ApiError::unavailable(format!(
        "still reading the ids of what history holds, to know repeats: {done} of about {of} events"
    ))
    .hint("questions are answered, and events are taken and judged once that is done; ask again later")
}

/// `GET /metrics`.
pub async fn metrics(State(app): State<Shared>) -> Result<Response, ApiError> {
    let m = &app.metrics;
    let (open_rows, _) = app.history.open_size();
    m.spilled_bytes
        .set(i64::try_from(app.engine.spilled_bytes()).unwrap_or(i64::MAX));
    m.log_end.set(app.log.end());
    m.log_lag.set((app.log.end() - app.verdicts.at()).max(0));
    m.log_bytes
        .set(i64::try_from(app.log.bytes()).unwrap_or(i64::MAX));
    m.open_rows
        .set(i64::try_from(open_rows).unwrap_or(i64::MAX));
    for (name, table) in [
        ("history", app.history.table()),
        ("quarantine", app.history.quarantine()),
    ] {
        let files = table.files().files.len();
        m.table_files
            .with_label_values(&[name])
            .set(i64::try_from(files).unwrap_or(i64::MAX));
    }
    m.trails.reset();
    for follower in app.trails.all() {
        let status = follower.trail().read().await.latest().status;
        m.trails.with_label_values(&[&format!("{status:?}")]).inc();
    }
    let text = m
        .render()
        .map_err(|e| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", e.to_string()))?;
    Ok((
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text,
    )
        .into_response())
}

/// `GET /v1/whoami`.
pub async fn whoami(asked: Authenticated) -> Json<Value> {
    let p = &asked.principal;
    let mut told = json!({"id": p.id, "role": p.role, "accounts": among_json(&p.accounts)});
    if !p.withheld.is_empty() {
        told["withheld"] = json!(p.withheld.columns());
    }
    Json(told)
}

fn table_json(table: &Table) -> Value {
    let files = table.files();
    let sum = |f: fn(&cairn_store::view::DataFile) -> u64| files.files.iter().map(f).sum::<u64>();
    json!({
        "version": files.version,
        "files": files.files.len(),
        "rows": sum(|f| f.rows),
        "bytes": sum(|f| f.size),
        "position": table.position().of_records(),
    })
}

/// `GET /v1/status`. Counts over all accounts are for administrators and for
/// auditors of all accounts; others learn whether things run.
pub async fn status(
    State(app): State<Shared>,
    asked: Authenticated,
) -> Result<Json<Value>, ApiError> {
    asked
        .needs(&app, &[Role::Admin, Role::Auditor], "GetStatus")
        .await?;
    let brief = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started": app.started.to_rfc3339(),
        "now": app.clock.now().to_rfc3339(),
        "ready": app.pipeline.is_running() && app.catching_up.progress().is_none(),
    });
    let mut brief = brief;
    if let Some((done, of)) = app.catching_up.progress() {
        brief["catching_up"] = json!({"events": done, "of": of});
    }
    if asked.principal.readable() != Among::All {
        return Ok(Json(brief));
    }
    Ok(Json(full_status(&app, brief).await))
}

async fn full_status(app: &App, mut out: Value) -> Value {
    let log = app.partition.clone();
    let (open_rows, open_bytes) = app.history.open_size();
    let all = app.history.committed();
    let committed = all.of(&log);
    out["log"] = json!({
        "start": app.log.start(),
        "end": app.log.end(),
        "judged": app.verdicts.at(),
        "committed": committed,
        "lag_records": (app.log.end() - committed).max(0),
        "bytes": app.log.bytes(),
        // Why the last append failed, and what to do; null once one went well.
        "trouble": app.log.trouble().map(|error| error.to_string()),
    });
    out["history"] = table_json(app.history.table());
    out["history"]["open_rows"] = json!(open_rows);
    out["history"]["open_bytes"] = json!(open_bytes);
    // Why nothing was expired last; null once it went well.
    out["history"]["expiry_trouble"] = json!(app.history.table().expiry_trouble());
    out["quarantine"] = table_json(app.history.quarantine());
    out["quarantine"]["expiry_trouble"] = json!(app.history.quarantine().expiry_trouble());
    out["history"]["retention_days"] = json!(app.settings.history.retention_days);
    let (worm, enforced) = app.worm.describe(None);
    out["store"] = json!({"worm": worm, "worm_enforced": enforced});
    let mut trails = Vec::new();
    for follower in app.trails.all() {
        let mut trail = super::trails::describe(&follower).await;
        let id = follower.trail().read().await.id().clone();
        (trail["worm"], trail["worm_enforced"]) = app.worm.describe(Some(&id));
        if trail["status"] == "Enable" {
            trail["lag_records"] = json!(behind(&all, &follower.status().scanned));
        }
        if let Some(table) = follower.table() {
            trail["files"] = json!(table.files().files.len());
            trail["expiry_trouble"] = json!(table.expiry_trouble());
        }
        trails.push(trail);
    }
    out["trails"] = json!(trails);
    out["watermarks"] = app.watermarks.to_json().await;
    if let Some(kafka) = &app.kafka {
        out["kafka"] = kafka::status(kafka, app.clock.as_ref());
    }
    out["accounts"] = json!(app.registry.accounts().iter().filter(|a| a.member).count());
    out
}

/// Records that lie between two places.
fn behind(head: &Position, at: &Position) -> i64 {
    let each = head.0.iter().map(|(p, next)| (next - at.of(p)).max(0));
    each.sum()
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resubmit {
    source: Option<String>,
    partition: Option<i32>,
    offset: Option<i64>,
    /// The account of those that name none.
    account: Option<AccountId>,
}

/// How many quarantined records are read and taken in at a time.
const RESUBMIT_AT_ONCE: usize = 256;

/// `POST /v1/quarantine/resubmit`. Without an offset it leaves out what was
/// refused because its sender had no right to say it: under an administrator's
/// rights it would go through.
pub async fn resubmit(
    State(app): State<Shared>,
    asked: Authenticated,
    body: Bytes,
) -> Result<Json<events::Receipts>, ApiError> {
    asked
        .needs(&app, &[Role::Admin], "ResubmitQuarantine")
        .await?;
    let wanted: Resubmit = parse(&body)?;
    let changing = Changing {
        name: "ResubmitQuarantine",
        request: json!({"source": wanted.source, "partition": wanted.partition, "offset": wanted.offset,
            "account": wanted.account}),
        resource: ("CAIRN::Quarantine", "quarantine".to_owned()),
        asked: &asked,
    };
    let change = async {
        // What is refused again comes in after this moment.
        let until = app.clock.now();
        let mut after = None;
        let mut all = events::Receipts::default();
        loop {
            let query = wanted.query(after.as_ref(), until);
            let rows = own_rows(&app, &asked.principal, &query).await?;
            let Some(last) = rows.last().and_then(Place::of) else {
                return Ok(all);
            };
            after = Some(last);
            all.extend(
                events::take_again(&app, &asked, wanted.account.clone(), payloads(&rows)?).await?,
            );
        }
    };
    Ok(Json(changing.make(&app, change).await?))
}

/// Where a quarantined record stood.
#[derive(Debug)]
struct Place {
    source: String,
    number: i64,
    offset: i64,
    item: i64,
}

impl Place {
    fn of(row: &Value) -> Option<Self> {
        Some(Self {
            source: row.get("log_source")?.as_str()?.to_owned(),
            number: row.get("log_partition")?.as_i64()?,
            offset: row.get("log_offset")?.as_i64()?,
            item: row.get("log_item")?.as_i64()?,
        })
    }
}

impl Resubmit {
    /// The next records after `after` that were received before `until`.
    fn query(&self, after: Option<&Place>, until: Micros) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let mut query = format!(
            "SELECT log_source, log_partition, log_offset, log_item, raw_base64 FROM quarantine \
             WHERE ingest_time < TIMESTAMP '{}'",
            until.to_rfc3339()
        );
        if let Some(p) = after {
            let source = quoted(&p.source);
            let (number, offset, item) = (p.number, p.offset, p.item);
            query.push_str(&format!(
                " AND (log_source > {source} OR (log_source = {source} AND (log_partition > {number} \
                 OR (log_partition = {number} AND (log_offset > {offset} \
                 OR (log_offset = {offset} AND log_item > {item}))))))"
            ));
        }
        if let Some(source) = &self.source {
            query.push_str(&format!(" AND log_source = {}", quoted(source)));
        }
        if let Some(partition) = self.partition {
            query.push_str(&format!(" AND log_partition = {partition}"));
        }
        match self.offset {
            Some(offset) => query.push_str(&format!(" AND log_offset = {offset}")),
            None => query.push_str(
                " AND reason NOT IN ('account_mismatch', 'reserved_service', 'no_envelope', 'source_gap')",
            ),
        }
        query.push_str(&format!(
            " ORDER BY log_source, log_partition, log_offset, log_item LIMIT {RESUBMIT_AT_ONCE}"
        ));
        query
    }
}

fn payloads(rows: &[Value]) -> Result<Vec<Bytes>, ApiError> {
    let decode = |row: &Value| {
        let text = row
            .get("raw_base64")
            .and_then(Value::as_str)
            .unwrap_or_default();
        base64::engine::general_purpose::STANDARD
            .decode(text)
            .map(Bytes::from)
    };
    let payloads: Result<Vec<Bytes>, _> = rows.iter().map(decode).collect();
    payloads.map_err(|e| ApiError::invalid(format!("quarantine holds no valid base64: {e}")))
}
