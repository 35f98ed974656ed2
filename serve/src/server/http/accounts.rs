//! `/v1/organization` and `/v1/accounts`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use cairn_schemas::AccountId;
use cairn_schemas::control::{Account, Organization, Role};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::Authenticated;
use super::error::ApiError;
use super::{Changing, parse};
use crate::server::app::Shared;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetOrganization {
    name: Option<String>,
    management_account: Option<AccountId>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AddAccount {
    id: Option<AccountId>,
    name: Option<String>,
}

fn organization_json(organization: &Organization) -> Json<Value> {
    Json(json!({
        "name": organization.name,
        "management_account": organization.management_account,
        "version": organization.version,
        "updated": organization.at.to_rfc3339(),
        "by": organization.by,
    }))
}

fn account_json(account: &Account) -> Value {
    json!({
        "id": account.id,
        "name": account.name,
        "member": account.member,
        "added": account.at.to_rfc3339(),
        "by": account.by,
    })
}

/// `GET /v1/organization`.
pub async fn organization(
    State(app): State<Shared>,
    asked: Authenticated,
) -> Result<Json<Value>, ApiError> {
    asked.needs(&app, &[Role::Admin], "GetOrganization").await?;
    Ok(organization_json(&app.registry.organization()))
}

/// `PUT /v1/organization`.
pub async fn set_organization(
    State(app): State<Shared>,
    asked: Authenticated,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    asked.needs(&app, &[Role::Admin], "SetOrganization").await?;
    let wanted: SetOrganization = parse(&body)?;
    let changing = Changing {
        name: "SetOrganization",
        request: json!({"name": wanted.name, "managementAccount": wanted.management_account}),
        resource: ("CAIRN::Organization", "organization".to_owned()),
        asked: &asked,
    };
    let change = async {
        let set = app.registry.set_organization(
            &asked.principal.id,
            wanted.name,
            wanted.management_account,
        );
        Ok(set.await?)
    };
    Ok(organization_json(&changing.make(&app, change).await?))
}

/// `GET /v1/accounts`.
pub async fn list(
    State(app): State<Shared>,
    asked: Authenticated,
) -> Result<Json<Value>, ApiError> {
    asked.needs(&app, &[Role::Admin], "ListAccounts").await?;
    let accounts: Vec<Value> = app.registry.accounts().iter().map(account_json).collect();
    Ok(Json(json!({"accounts": accounts})))
}

/// `POST /v1/accounts`.
pub async fn add(
    State(app): State<Shared>,
    asked: Authenticated,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    asked.needs(&app, &[Role::Admin], "AddAccount").await?;
    let AddAccount { id, name } = parse(&body)?;
    let id = id.ok_or_else(|| ApiError::invalid("id is missing: the account's 12 to 16 digits"))?;
    if name.as_ref().is_some_and(|n| n.chars().count() > 256) {
        return Err(ApiError::invalid("name is longer than 256 characters"));
    }
    let changing = Changing {
        name: "AddAccount",
        request: json!({"accountId": id, "name": name}),
        resource: ("CAIRN::Account", id.to_string()),
        asked: &asked,
    };
    let change = async {
        Ok(app
            .registry
            .add_account(&asked.principal.id, id, name, false)
            .await?)
    };
    let account = changing.make(&app, change).await?;
    Ok((StatusCode::CREATED, Json(account_json(&account))))
}

/// `DELETE /v1/accounts/{id}`.
pub async fn remove(
    State(app): State<Shared>,
    asked: Authenticated,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    asked.needs(&app, &[Role::Admin], "RemoveAccount").await?;
    let id = AccountId::new(&id).map_err(|e| ApiError::invalid(e.to_string()))?;
    let changing = Changing {
        name: "RemoveAccount",
        request: json!({"accountId": id}),
        resource: ("CAIRN::Account", id.to_string()),
        asked: &asked,
    };
    let change = async {
        Ok(app
            .registry
            .remove_account(&asked.principal.id, &id)
            .await?)
    };
    changing.make(&app, change).await?;
    Ok(StatusCode::NO_CONTENT)
}
