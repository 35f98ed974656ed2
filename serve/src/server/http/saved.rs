//! `/v1/saved-queries`.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Version};
use axum::response::Response;
use cairn_schemas::QueryName;
use cairn_schemas::control::Role;
use cairn_schemas::saved::{Parameter, SavedQuery};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::Authenticated;
use super::error::ApiError;
use super::{Changing, parse, sql};
use crate::server::app::Shared;
use crate::server::asking::{self, Asker};
use crate::server::saved::library::{self, LibraryQuestion};
use crate::server::saved::{Wanted, values};

const READERS: &[Role] = &[Role::Auditor, Role::Admin];

fn name_of(text: &str) -> Result<QueryName, ApiError> {
    QueryName::new(text).map_err(|e| ApiError::invalid(e.to_string()))
}

fn of_library(question: &LibraryQuestion) -> Value {
    json!({
        "name": question.name,
        "title": question.title,
        "origin": "library",
        "topic": question.topic,
        "parameters": question.parameters,
    })
}

fn of_organization(query: &SavedQuery) -> Value {
    json!({
        "name": query.name,
        "title": query.title,
        "origin": "organization",
        "version": query.version,
        "at": query.at.to_rfc3339(),
        "by": query.by,
        "owner": query.owner,
        "parameters": query.parameters,
    })
}

/// `GET /v1/saved-queries`.
pub async fn list(
    State(app): State<Shared>,
    asked: Authenticated,
) -> Result<Json<Value>, ApiError> {
    asked.needs(&app, READERS, "ListSavedQueries").await?;
    let own = app.saved.list();
    let all = own.iter().map(of_organization);
    let all: Vec<Value> = all.chain(library::all().iter().map(of_library)).collect();
    Ok(Json(json!({"saved_queries": all})))
}

/// `GET /v1/saved-queries/{name}`.
pub async fn show(
    State(app): State<Shared>,
    asked: Authenticated,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    asked.needs(&app, READERS, "GetSavedQuery").await?;
    let name = name_of(&name)?;
    if let Some(question) = library::find(&name) {
        let mut out = of_library(question);
        out["says"] = json!(question.says);
        out["sql"] = json!(question.sql.trim());
        return Ok(Json(out));
    }
    let query = app.saved.find(&name)?;
    let mut out = of_organization(&query);
    out["sql"] = json!(query.sql);
    let versions = app.saved.versions(&name).await?;
    let version = |q: &SavedQuery| {
        json!({
            "version": q.version, "at": q.at.to_rfc3339(), "by": q.by,
            "sql": q.sql, "deleted": q.deleted,
        })
    };
    out["versions"] = versions.iter().map(version).collect();
    Ok(Json(out))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    title: String,
    #[serde(default)]
    sql: String,
    #[serde(default)]
    parameters: Vec<Parameter>,
}

/// `PUT /v1/saved-queries/{name}`: keeps a query, or its next version.
pub async fn save(
    State(app): State<Shared>,
    asked: Authenticated,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    asked.needs(&app, READERS, "SaveQuery").await?;
    let body: Body = parse(&body)?;
    if body.sql.trim().is_empty() {
        return Err(ApiError::invalid("there is no statement")
            .hint("send {\"sql\": \"SELECT …\", \"parameters\": [{\"name\": …, \"type\": …}]}"));
    }
    let request = json!({"title": body.title, "sql": body.sql, "parameters": body.parameters});
    let wanted = Wanted {
        name: name_of(&name)?,
        title: body.title,
        sql: body.sql,
        parameters: body.parameters,
    };
    let template = wanted.check()?;
    for parameter in &wanted.parameters {
        values::check_default(parameter, app.clock.now())?;
    }
    // What cannot be asked is not kept.
    let asker = Asker {
        principal: asked.principal.clone(),
        caller: asked.caller.clone(),
        door: "http",
    };
    asking::prepare(&app, &asker, &template.sql).await?;
    let changing = Changing {
        name: "SaveQuery",
        request,
        resource: ("Cairn::SavedQuery", wanted.name.to_string()),
        asked: &asked,
    };
    let change = app.saved.save(&asked.principal, wanted);
    let saved = changing.make(&app, change).await?;
    let status = match saved.version {
        1 => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    Ok((status, Json(of_organization(&saved))))
}

/// `DELETE /v1/saved-queries/{name}`.
pub async fn remove(
    State(app): State<Shared>,
    asked: Authenticated,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    asked.needs(&app, READERS, "DeleteSavedQuery").await?;
    let name = name_of(&name)?;
    if library::find(&name).is_some() {
        return Err(ApiError::forbidden(format!(
            "{name} is a question of Cairn's own library, which stays"
        )));
    }
    app.saved.find(&name)?;
    let changing = Changing {
        name: "DeleteSavedQuery",
        request: json!({"name": name}),
        resource: ("Cairn::SavedQuery", name.to_string()),
        asked: &asked,
    };
    let change = app.saved.delete(&asked.principal, &name);
    let deleted = changing.make(&app, change).await?;
    Ok(Json(
        json!({"name": name, "version": deleted.version, "deleted": true}),
    ))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    #[serde(default)]
    parameters: BTreeMap<String, Value>,
}

/// `POST /v1/saved-queries/{name}/run`: the answer, as `POST /v1/sql` gives it.
pub async fn run(
    State(app): State<Shared>,
    asked: Authenticated,
    version: Version,
    headers: HeaderMap,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    asked.needs(&app, READERS, "Query").await?;
    let name = name_of(&name)?;
    let given: Run = parse(&body)?;
    let now = app.clock.now();
    let question = match library::find(&name) {
        Some(q) => values::bound(&q.sql, &q.parameters, &given.parameters, now)?,
        None => {
            let q = app.saved.find(&name)?;
            values::bound(&q.sql, &q.parameters, &given.parameters, now)?
        }
    };
    sql::answer_to(&app, asked, version, &headers, question).await
}
