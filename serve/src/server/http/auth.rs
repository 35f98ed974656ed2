//! From a request to a principal: the first thing every door does.

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::{header, request::Parts};
use cairn_schemas::control::{Principal, Role};
use std::net::SocketAddr;

use serde_json::json;

use super::error::ApiError;
use crate::server::app::Shared;
use crate::server::audit::{Act, Caller, is_change};
use crate::server::rejected::{Attempt, Presented};

/// Who asks, and from where.
#[derive(Debug)]
pub struct Authenticated {
    /// Who.
    pub principal: Principal,
    /// From where.
    pub caller: Caller,
    /// The method and the path.
    pub call: String,
}

/// A user agent is the sender's own text; this much of it is kept.
const AGENT_CHARS: usize = 256;
/// So is a path; this much of it.
const CALL_CHARS: usize = 256;

fn caller_of(parts: &Parts) -> Caller {
    let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let agent = parts
        .headers
        .get(header::USER_AGENT)
        .map(|v| String::from_utf8_lossy(v.as_bytes()));
    Caller {
        address: address.map(|a| a.0.ip().to_string()).unwrap_or_default(),
        agent: agent
            .unwrap_or_default()
            .chars()
            .take(AGENT_CHARS)
            .collect(),
    }
}

fn presented(app: &Shared, token: Option<&str>) -> Presented {
    match token.and_then(|text| app.registry.made(text)) {
        Some(id) => Presented::Known(id),
        None => Presented::Unknown,
    }
}

impl FromRequestParts<Shared> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let given = parts.headers.get(header::AUTHORIZATION);
        let text = given.and_then(|v| v.to_str().ok());
        let token = text.and_then(|v| v.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let caller = caller_of(parts);
        let call = format!("{} {}", parts.method, parts.uri.path());
        match token.and_then(|(_, text)| app.registry.authenticate(text.trim())) {
            Some(principal) => Ok(Self {
                principal,
                caller,
                call,
            }),
            None => {
                app.metrics.unauthenticated.inc();
                app.rejected.note(Attempt {
                    caller,
                    call,
                    presented: match given {
                        None => Presented::Nothing,
                        Some(_) => presented(app, token.map(|(_, text)| text.trim())),
                    },
                    at: app.clock.now(),
                });
                Err(ApiError::unauthenticated())
            }
        }
    }
}

impl Authenticated {
    /// Refuses all but the given roles. The attempt is recorded.
    pub async fn needs(
        &self,
        app: &Shared,
        roles: &[Role],
        what: &'static str,
    ) -> Result<(), ApiError> {
        if roles.contains(&self.principal.role) {
            return Ok(());
        }
        let needed: Vec<&str> = roles.iter().map(|r| r.as_str()).collect();
        let error = ApiError::forbidden(format!(
            "{what} needs a token of role {}, and this one is of role {}",
            needed.join(" or "),
            self.principal.role.as_str()
        ));
        let mut act = Act::new(what, is_change(what), &self.principal, &self.caller);
        // The body was not looked at; the path names what it was about.
        act.request = json!({"call": self.call.chars().take(CALL_CHARS).collect::<String>()});
        act.error = Some((error.code().to_owned(), error.message().to_owned()));
        app.audit.record(act).await?;
        Err(error)
    }
}
