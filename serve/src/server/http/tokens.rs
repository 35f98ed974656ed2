//! `/v1/tokens`.

use std::collections::BTreeSet;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use cairn_schemas::control::{Role, Token};
use cairn_schemas::selector::Among;
use cairn_schemas::{AccountId, TokenId, Withheld};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::auth::Authenticated;
use super::error::ApiError;
use super::{Changing, parse};
use crate::server::app::Shared;
use crate::server::registry::TokenChange;

/// `"all"`, or a list.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged)]
pub enum AllOr<T> {
    /// The word `all`.
    Word(String),
    /// The ones named.
    List(Vec<T>),
}

impl<T: Ord> AllOr<T> {
    /// All, or the ones named; an empty list and other words are refused.
    pub fn among(self, what: &str) -> Result<Among<T>, ApiError> {
        match self {
            Self::Word(word) if word == "all" => Ok(Among::All),
            Self::List(list) if !list.is_empty() => {
                Ok(Among::Only(list.into_iter().collect::<BTreeSet<T>>()))
            }
            _ => Err(ApiError::invalid(format!(
                "{what} is \"all\" or a list of at least one"
            ))),
        }
    }
}

/// `"all"` or a list, as JSON.
pub fn among_json<T: Ord + Serialize>(among: &Among<T>) -> Value {
    match among {
        Among::All => json!("all"),
        Among::Only(set) => json!(set),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateToken {
    role: Option<Role>,
    accounts: Option<AllOr<AccountId>>,
    withhold: Option<Vec<String>>,
    name: Option<String>,
}

/// What is not named stays as it is.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateToken {
    accounts: Option<AllOr<AccountId>>,
    withhold: Option<Vec<String>>,
    name: Option<String>,
}

/// The columns named, if this role can have any withheld from it.
fn withhold(named: Vec<String>, role: Role) -> Result<Withheld, ApiError> {
    if !named.is_empty() && role != Role::Auditor {
        return Err(ApiError::invalid(format!(
            "columns are withheld from auditors: a token of role {} reads nothing, or makes itself another",
            role.as_str()
        )));
    }
    Withheld::of(named).map_err(|e| ApiError::invalid(e.to_string()))
}

fn checked_name(name: Option<&String>) -> Result<(), ApiError> {
    match name.is_some_and(|n| n.chars().count() > 256) {
        true => Err(ApiError::invalid("name is longer than 256 characters")),
        false => Ok(()),
    }
}

fn token_json(token: &Token) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "accounts": among_json(&token.accounts),
        "withhold": token.withhold.named(),
        "withheld": token.withhold.columns(),
        "version": token.version,
        "created": token.at.to_rfc3339(),
        "by": token.by,
        "revoked": token.revoked,
    })
}

/// `GET /v1/tokens`.
pub async fn list(
    State(app): State<Shared>,
    asked: Authenticated,
) -> Result<Json<Value>, ApiError> {
    asked.needs(&app, &[Role::Admin], "ListTokens").await?;
    let tokens: Vec<Value> = app.registry.tokens().iter().map(token_json).collect();
    Ok(Json(json!({"tokens": tokens})))
}

/// `POST /v1/tokens`.
pub async fn create(
    State(app): State<Shared>,
    asked: Authenticated,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    asked.needs(&app, &[Role::Admin], "CreateToken").await?;
    let CreateToken {
        role,
        accounts,
        withhold: named,
        name,
    } = parse(&body)?;
    let role =
        role.ok_or_else(|| ApiError::invalid("role is missing: sender, auditor or admin"))?;
    let accounts = match (accounts, role) {
        (Some(given), _) => given.among("accounts")?,
        (None, Role::Admin) => Among::All,
        (None, _) => {
            return Err(ApiError::invalid(
                "accounts is missing: \"all\" or a list of account ids",
            ));
        }
    };
    if role == Role::Admin && accounts != Among::All {
        return Err(ApiError::invalid(
            "an administrator is one for all accounts; leave accounts away or say \"all\"",
        ));
    }
    let withheld = withhold(named.unwrap_or_default(), role)?;
    checked_name(name.as_ref())?;
    // Before it is recorded: the events of its holder tell this id.
    let id = app.registry.new_token_id()?;
    let changing = Changing {
        name: "CreateToken",
        request: json!({
            "tokenId": id,
            "role": role,
            "accounts": among_json(&accounts),
            "withhold": withheld.named(),
            "name": name,
        }),
        resource: ("CAIRN::Token", id.to_string()),
        asked: &asked,
    };
    let change = async {
        Ok(app
            .registry
            .create_token_without(&asked.principal.id, id, role, accounts, withheld, name)
            .await?)
    };
    let (token, text) = changing.make(&app, change).await?;
    Ok((
        StatusCode::CREATED,
        Json(json!({"id": token.id, "token": text, "withheld": token.withhold.columns()})),
    ))
}

/// `PATCH /v1/tokens/{id}`: its accounts, the columns withheld, its name. The
/// role stays: another role is another token.
pub async fn update(
    State(app): State<Shared>,
    asked: Authenticated,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    asked.needs(&app, &[Role::Admin], "UpdateToken").await?;
    let id = TokenId::new(&id).map_err(|e| ApiError::invalid(e.to_string()))?;
    let wanted: UpdateToken = parse(&body)?;
    if wanted.accounts.is_none() && wanted.withhold.is_none() && wanted.name.is_none() {
        return Err(ApiError::invalid(
            "nothing to change: name accounts, withhold or name",
        ));
    }
    let role = app.registry.valid_token(&id)?.role;
    let accounts = wanted.accounts.map(|a| a.among("accounts")).transpose()?;
    if role == Role::Admin && accounts.as_ref().is_some_and(|a| *a != Among::All) {
        return Err(ApiError::invalid(
            "an administrator is one for all accounts; revoke the token and make an auditor's",
        ));
    }
    let withheld = wanted.withhold.map(|w| withhold(w, role)).transpose()?;
    checked_name(wanted.name.as_ref())?;
    let mut request = json!({"tokenId": id});
    if let Some(accounts) = &accounts {
        request["accounts"] = among_json(accounts);
    }
    if let Some(withheld) = &withheld {
        request["withhold"] = json!(withheld.named());
    }
    if let Some(name) = &wanted.name {
        request["name"] = json!(name);
    }
    let changing = Changing {
        name: "UpdateToken",
        request,
        resource: ("CAIRN::Token", id.to_string()),
        asked: &asked,
    };
    let change = TokenChange {
        accounts,
        withhold: withheld,
        name: wanted.name.map(Some),
    };
    let change = async {
        Ok(app
            .registry
            .update_token(&asked.principal.id, &id, change)
            .await?)
    };
    let token = changing.make(&app, change).await?;
    Ok(Json(token_json(&token)))
}

/// `DELETE /v1/tokens/{id}`.
pub async fn revoke(
    State(app): State<Shared>,
    asked: Authenticated,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    asked.needs(&app, &[Role::Admin], "RevokeToken").await?;
    let id = TokenId::new(&id).map_err(|e| ApiError::invalid(e.to_string()))?;
    let changing = Changing {
        name: "RevokeToken",
        request: json!({"tokenId": id}),
        resource: ("CAIRN::Token", id.to_string()),
        asked: &asked,
    };
    let change = async { Ok(app.registry.revoke_token(&asked.principal.id, &id).await?) };
    changing.make(&app, change).await?;
    Ok(StatusCode::NO_CONTENT)
}
