//! `/v1/trails`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use cairn_ingest::deliver::Follower;
use cairn_schemas::control::Role;
use cairn_schemas::selector::{Among, FieldSelector, ReadWriteFilter, Selector};
use cairn_schemas::trail::{Destination, Trail, TrailVersion, Why};
use cairn_schemas::{AccountId, Partition, TrailName};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::auth::Authenticated;
use super::error::ApiError;
use super::sql::own_rows;
use super::tokens::{AllOr, among_json};
use super::{Changing, parse};
use crate::server::app::Shared;
use crate::server::audit::Act;
use crate::server::explain::RowOfJson;
use crate::server::trails::{Change, NewTrail};

/// A field that may be absent (keep), null (all, or for ever) or given.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    d: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(d).map(Some)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    accounts: Option<Option<AllOr<AccountId>>>,
    #[serde(default, deserialize_with = "present")]
    regions: Option<Option<AllOr<String>>>,
    #[serde(default, deserialize_with = "present")]
    read_write: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    categories: Option<Option<AllOr<String>>>,
    #[serde(default, deserialize_with = "present")]
    fields: Option<Option<Vec<String>>>,
    destination: Option<Destination>,
    #[serde(default, deserialize_with = "present")]
    retention_days: Option<Option<u32>>,
    #[serde(default)]
    start: bool,
    #[serde(default)]
    backfill: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    #[serde(default)]
    backfill: bool,
}

fn among<T: Ord>(given: Option<AllOr<T>>, what: &str) -> Result<Among<T>, ApiError> {
    given.map_or(Ok(Among::All), |g| g.among(what))
}

impl Wanted {
    /// What `old` becomes.
    fn selector(&mut self, old: Selector) -> Result<Selector, ApiError> {
        let mut new = old;
        if let Some(given) = self.accounts.take() {
            new.accounts = among(given, "accounts")?;
        }
        if let Some(given) = self.regions.take() {
            new.regions = match among(given, "regions")? {
                Among::All => Among::All,
                // Compared in lower case, so kept in lower case.
                Among::Only(set) => Among::Only(
                    set.iter()
                        .map(|r| r.trim().to_ascii_lowercase())
                        .collect::<BTreeSet<_>>(),
                ),
            };
        }
        if let Some(given) = self.read_write.take() {
            new.read_write = match given {
                None => ReadWriteFilter::All,
                Some(text) => text
                    .parse()
                    .map_err(|e| ApiError::invalid(format!("read_write: {e}")))?,
            };
        }
        if let Some(given) = self.categories.take() {
            new.categories = among(given, "categories")?;
        }
        if let Some(given) = self.fields.take() {
            let fields: Result<Vec<FieldSelector>, _> = given
                .unwrap_or_default()
                .iter()
                .map(|f| f.parse())
                .collect();
            new.fields = fields.map_err(|e| ApiError::invalid(format!("fields: {e}")))?;
        }
        Ok(new)
    }

    fn retention(&self, old: Option<u32>) -> Result<Option<u32>, ApiError> {
        match self.retention_days {
            None => Ok(old),
            Some(None) => Ok(None),
            Some(Some(days @ 1..=36_500)) => Ok(Some(days)),
            Some(Some(days)) => Err(ApiError::invalid(format!(
                "retention_days {days} is out of range: 1 to 36500, or null for ever"
            ))),
        }
    }
}

fn version_json(v: &TrailVersion) -> Value {
    let mut out = json!({
        "version": v.version,
        "change": v.change,
        "at": v.at.to_rfc3339(),
        "by": v.by,
        "effective": v.effective,
        "status": v.status,
        "accounts": among_json(&v.selector.accounts),
        "regions": among_json(&v.selector.regions),
        "read_write": v.selector.read_write.to_string(),
        "categories": among_json(&v.selector.categories),
        "fields": v.selector.fields.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "retention_days": v.retention_days,
    });
    // Those before it, from that number on, never came into force.
    if let Some(first) = v.replaces {
        out["replaces"] = json!(first);
    }
    out
}

fn trail_json(trail: &Trail, follower: &Follower) -> Value {
    let latest = trail.latest();
    let status = follower.status();
    let rows = follower
        .table()
        .map(|t| t.files().files.iter().map(|f| f.rows).sum::<u64>());
    let mut out = version_json(latest);
    let more = json!({
        "name": latest.name,
        "id": latest.id,
        "destination": latest.destination,
        "table": latest.destination.url,
        "created": trail.versions().first().map(|v| v.at.to_rfc3339()),
        "updated": latest.at.to_rfc3339(),
        "delivered": status.delivered,
        "scanned": status.scanned,
        "rows": rows.unwrap_or(0) + status.pending_rows as u64,
        "pending_rows": status.pending_rows,
        "last_delivery": status.last_delivery.map(|t| t.to_rfc3339()),
        "last_error": status.last_error,
    });
    if let (Value::Object(out), Value::Object(more)) = (&mut out, more) {
        out.extend(more);
        out.remove("at");
        out.remove("change");
    }
    out
}

/// The trail as the interface shows it.
pub async fn describe(follower: &Arc<Follower>) -> Value {
    let trail = follower.trail().read().await;
    trail_json(&trail, follower)
}

/// Whether the principal may be told of the trail.
async fn visible(asked: &Authenticated, follower: &Follower) -> bool {
    let trail = follower.trail().read().await;
    trail.visible_to(&asked.principal.readable())
}

/// `GET /v1/trails`.
pub async fn list(
    State(app): State<Shared>,
    asked: Authenticated,
) -> Result<Json<Value>, ApiError> {
    asked
        .needs(&app, &[Role::Admin, Role::Auditor], "ListTrails")
        .await?;
    let mut trails = Vec::new();
    for follower in app.trails.all() {
        if visible(&asked, &follower).await {
            trails.push(told(&asked, describe(&follower).await));
        }
    }
    Ok(Json(json!({"trails": trails})))
}

/// `GET /v1/trails/{name}`.
pub async fn show(
    State(app): State<Shared>,
    asked: Authenticated,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    asked
        .needs(&app, &[Role::Admin, Role::Auditor], "GetTrail")
        .await?;
    let follower = find_visible(&app, &asked, &name).await?;
    let mut out = describe(&follower).await;
    let trail = follower.trail().read().await;
    let versions = trail.versions().iter().map(version_json);
    out["versions"] = versions.map(|version| told(&asked, version)).collect();
    Ok(Json(told(&asked, out)))
}

/// Without the places in the log, which tell how much all accounts together
/// have, for those who may not see all accounts.
fn told(asked: &Authenticated, mut trail: Value) -> Value {
    if asked.principal.readable() != Among::All
        && let Value::Object(fields) = &mut trail
    {
        for place in ["delivered", "scanned", "effective"] {
            fields.remove(place);
        }
    }
    trail
}

async fn find_visible(
    app: &Shared,
    asked: &Authenticated,
    name: &str,
) -> Result<Arc<Follower>, ApiError> {
    let follower = app.trails.find(name)?;
    match visible(asked, &follower).await {
        true => Ok(follower),
        // As for a trail that does not exist: not even its name is told.
        false => Err(ApiError::not_found(format!("there is no trail {name:?}"))
            .hint("`cairn trail list` shows all trails")),
    }
}

/// `POST /v1/trails`.
pub async fn create(
    State(app): State<Shared>,
    asked: Authenticated,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    asked.needs(&app, &[Role::Admin], "CreateTrail").await?;
    let mut wanted: Wanted = parse(&body)?;
    let name = wanted
        .name
        .take()
        .ok_or_else(|| ApiError::invalid("name is missing"))?;
    let name = TrailName::new(&name).map_err(|e| ApiError::invalid(e.to_string()))?;
    let new = NewTrail {
        selector: wanted.selector(Selector::default())?,
        retention_days: wanted.retention(None)?,
        destination: wanted.destination.take(),
        start: wanted.start,
        backfill: wanted.backfill,
        name,
    };
    let changing = Changing {
        name: "CreateTrail",
        request: json!({
            "name": new.name, "selector": new.selector, "destination": new.destination,
            "retentionDays": new.retention_days, "start": new.start, "backfill": new.backfill,
        }),
        resource: ("CAIRN::Trail", new.name.to_string()),
        asked: &asked,
    };
    let follower = changing
        .make(&app, app.trails.create(&asked.principal.id, new))
        .await?;
    Ok((StatusCode::CREATED, Json(describe(&follower).await)))
}

/// `PATCH /v1/trails/{name}`.
pub async fn update(
    State(app): State<Shared>,
    asked: Authenticated,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    asked.needs(&app, &[Role::Admin], "UpdateTrail").await?;
    let mut wanted: Wanted = parse(&body)?;
    if wanted.name.is_some() || wanted.destination.is_some() || wanted.start || wanted.backfill {
        return Err(
            ApiError::invalid("name, destination, start and backfill cannot be updated").hint(
                "a trail elsewhere is another trail: create it; `cairn trail start` starts one",
            ),
        );
    }
    let old = app
        .trails
        .find(&name)?
        .trail()
        .read()
        .await
        .latest()
        .clone();
    let selector = wanted.selector(old.selector)?;
    let retention = wanted.retention(old.retention_days)?;
    let request = json!({"name": name, "selector": selector, "retentionDays": retention});
    change(
        &app,
        &asked,
        "UpdateTrail",
        request,
        &name,
        Change::Update {
            seen: old.version,
            selector,
            retention_days: retention,
        },
    )
    .await
}

async fn change(
    app: &Shared,
    asked: &Authenticated,
    operation: &'static str,
    request: Value,
    name: &str,
    change: Change,
) -> Result<Json<Value>, ApiError> {
    let resource = ("CAIRN::Trail", name.to_owned());
    let changing = Changing {
        name: operation,
        request,
        resource,
        asked,
    };
    let follower = changing
        .make(app, app.trails.change(&asked.principal.id, name, change))
        .await?;
    Ok(Json(describe(&follower).await))
}

/// `POST /v1/trails/{name}/start`.
pub async fn start(
    State(app): State<Shared>,
    asked: Authenticated,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    asked.needs(&app, &[Role::Admin], "StartLogging").await?;
    let Start { backfill } = parse(&body)?;
    let request = json!({"name": name, "backfill": backfill});
    change(
        &app,
        &asked,
        "StartLogging",
        request,
        &name,
        Change::Start { backfill },
    )
    .await
}

/// `POST /v1/trails/{name}/stop`.
pub async fn stop(
    State(app): State<Shared>,
    asked: Authenticated,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    asked.needs(&app, &[Role::Admin], "StopLogging").await?;
    change(
        &app,
        &asked,
        "StopLogging",
        json!({"name": name}),
        &name,
        Change::Stop,
    )
    .await
}

/// `DELETE /v1/trails/{name}`.
pub async fn remove(
    State(app): State<Shared>,
    asked: Authenticated,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    asked.needs(&app, &[Role::Admin], "DeleteTrail").await?;
    let _gone = change(
        &app,
        &asked,
        "DeleteTrail",
        json!({"name": name}),
        &name,
        Change::Delete,
    )
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `?event_id=ID[&account=ID]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainParameters {
    event_id: String,
    account: Option<AccountId>,
}

/// `GET /v1/trails/{name}/explain`: why an event is, or is not, in a trail.
pub async fn explain(
    State(app): State<Shared>,
    asked: Authenticated,
    Path(name): Path<String>,
    Query(parameters): Query<ExplainParameters>,
) -> Result<Json<Value>, ApiError> {
    asked
        .needs(&app, &[Role::Admin, Role::Auditor], "ExplainTrail")
        .await?;
    // A verdict over columns that read as null would be another than the trail's.
    let withheld = asked.principal.withheld.columns();
    let needed = RowOfJson::COLUMNS.split(", ");
    let hidden: Vec<&str> = needed.filter(|c| withheld.contains(*c)).collect();
    if !hidden.is_empty() {
        let text = format!(
            "this needs columns that are withheld from you: {}",
            hidden.join(", ")
        );
        return Err(ApiError::forbidden(text));
    }
    let follower = find_visible(&app, &asked, &name).await?;
    let id = parameters.event_id.replace('\'', "''");
    let account = parameters
        .account
        .map(|a| format!(" AND account_id = '{a}'"))
        .unwrap_or_default();
    let query = format!(
        "SELECT {} FROM history WHERE event_id = '{id}'{account}",
        RowOfJson::COLUMNS
    );
    let mut act = Act::new("ExplainTrail", false, &asked.principal, &asked.caller);
    act.request = json!({"name": name, "eventId": parameters.event_id});
    act.resource = Some(("CAIRN::Trail", name));
    app.audit.record(act).await?;
    let rows = own_rows(&app, &asked.principal, &query).await?;
    if rows.is_empty() {
        return Err(ApiError::not_found(format!(
            "history holds no event {:?}",
            parameters.event_id
        ))
        .hint(
            "an event is in history for its 90 days; ask quarantine for what could not become one",
        ));
    }
    let trail = follower.trail().read().await;
    let answers: Vec<Value> = rows.iter().map(|row| explain_row(&trail, row)).collect();
    Ok(Json(
        json!({"trail": trail.latest().name, "events": answers}),
    ))
}

fn explain_row(trail: &Trail, row: &Value) -> Value {
    let facts = RowOfJson::new(row);
    let partition = Partition {
        source: facts.text("log_source").unwrap_or_default().to_owned(),
        number: facts.partition(),
    };
    let (taken, version, why) = match trail.decide(&partition, facts.offset(), &facts) {
        Ok(v) => (
            true,
            Some(v.version),
            "every criterion of the version in force holds".to_owned(),
        ),
        Err(Why::NotYetMade) => (
            false,
            None,
            "the event came in before the trail was made".to_owned(),
        ),
        Err(Why::NotDelivering { version, status }) => (
            false,
            Some(version),
            format!("the trail was not delivering when the event came in (status {status:?})"),
        ),
        Err(Why::Refused { version, refusal }) => {
            let selector = trail
                .versions()
                .iter()
                .find(|v| v.version == version)
                .map(|v| &v.selector);
            (
                false,
                Some(version),
                selector.map_or_else(String::new, |s| s.explain(&refusal)),
            )
        }
    };
    json!({"event": row, "taken": taken, "version": version, "why": why})
}
