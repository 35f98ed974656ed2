//! From a call to who makes it: a bearer token with every call, or any user
//! name with the token as password.

use std::pin::Pin;

use arrow_flight::HandshakeResponse;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use cairn_schemas::control::Principal;
use futures::Stream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::status::internal;
use crate::server::app::Shared;
use crate::server::asking::Asker;
use crate::server::audit::Caller;
use crate::server::rejected::{Attempt, Presented};

/// Go's driver leaves the padding out, others put it in.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A user agent is the sender's own text; this much of it is kept.
const AGENT_CHARS: usize = 256;

fn caller_of<T>(request: &Request<T>) -> Caller {
    let agent = request.metadata().get("user-agent");
    let agent = agent.map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    Caller {
        address: request
            .remote_addr()
            .map(|a| a.ip().to_string())
            .unwrap_or_default(),
        agent: agent
            .unwrap_or_default()
            .chars()
            .take(AGENT_CHARS)
            .collect(),
    }
}

/// The token that a call bears.
fn token_of(metadata: &MetadataMap) -> Option<String> {
    let given = metadata.get("authorization")?.to_str().ok()?;
    let (scheme, rest) = given.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = String::from_utf8(BASE64.decode(rest).ok()?).ok()?;
    let (_anybody, token) = plain.split_once(':')?;
    Some(token.to_owned())
}

/// Who makes the call. A call without a valid token is noted.
pub(super) fn asker<T>(app: &Shared, call: &str, request: &Request<T>) -> Result<Asker, Status> {
    let caller = caller_of(request);
    let token = token_of(request.metadata());
    let principal = token.as_deref().and_then(|t| app.registry.authenticate(t));
    match principal {
        Some(principal) => Ok(asker_of(principal, caller)),
        None => {
            app.metrics.unauthenticated.inc();
            let there = request.metadata().contains_key("authorization");
            app.rejected.note(Attempt {
                caller,
                call: format!("FLIGHT {call}"),
                presented: match token.and_then(|t| app.registry.made(&t)) {
                    Some(id) => Presented::Known(id),
                    None if there => Presented::Unknown,
                    None => Presented::Nothing,
                },
                at: app.clock.now(),
            });
            Err(Status::unauthenticated(
                "a valid token is needed: any user name and the token as password, or `authorization: Bearer TOKEN`",
            ))
        }
    }
}

fn asker_of(principal: Principal, caller: Caller) -> Asker {
    Asker {
        principal,
        caller,
        door: "flight",
    }
}

/// What a handshake gives back.
pub(super) type Handshakes = Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>;

/// A handshake: any call with the password does as well; this one gives it the
/// form that drivers go on with.
pub(super) fn welcomed<T>(
    app: &Shared,
    request: &Request<T>,
) -> Result<Response<Handshakes>, Status> {
    asker(app, "Handshake", request)?;
    let token = token_of(request.metadata()).unwrap_or_default();
    let bearer = format!("Bearer {token}").parse().map_err(internal)?;
    let answer = HandshakeResponse {
        protocol_version: 0,
        payload: token.into_bytes().into(),
    };
    let answers: Handshakes = Box::pin(futures::stream::iter([Ok(answer)]));
    let mut response = Response::new(answers);
    response.metadata_mut().insert("authorization", bearer);
    Ok(response)
}
