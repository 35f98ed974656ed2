//! Cairn's own events: every change of a trail, account or token, every query
//! and every call that a token's role or accounts refuse becomes an event of
//! service `cairn` in the same log as all others. Calls without a valid token
//! are put together by address first: see [`super::rejected`].
//!
//! A change is recorded **before** it takes effect, so that there is no change
//! without its event; a change that then fails is followed by a second event
//! with the error and the first one's request id. A query is recorded before the last byte of its answer goes
//! out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_ingest::judge::OWN_SENDER;
use cairn_ingest::verdict::Verdicts;
use cairn_schemas::control::{Principal, Role};
use cairn_schemas::selector::Among;
use cairn_schemas::{Clock, IdSource};
use cairn_store::log::{EmbeddedLog, Envelope, LogError};
use serde_json::{Value, json};

use super::registry::Registry;

/// The id in the events of calls without a valid token.
pub const ANONYMOUS: &str = "anonymous";

/// Where a request came from.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The peer's address.
    pub address: String,
    /// What it calls itself; cut to a bounded length.
    pub agent: String,
}

/// One of Cairn's own events.
#[derive(Clone, Debug)]
pub struct Act<'a> {
    /// The operation, such as `CreateTrail`.
    pub name: &'static str,
    /// Whether it changes something.
    pub write: bool,
    /// Who did it.
    pub principal: &'a Principal,
    /// From where.
    pub caller: &'a Caller,
    /// The request's parameters; no secrets.
    pub request: Value,
    /// What came of it.
    pub response: Value,
    /// The type and name of what it was done to.
    pub resource: Option<(&'static str, String)>,
    /// The error's code and message, where it failed.
    pub error: Option<(String, String)>,
    /// What the events of one call have in common; without one, an event's own id.
    pub request_id: Option<String>,
}

impl<'a> Act<'a> {
    /// An act with no parameters yet.
    pub fn new(
        name: &'static str,
        write: bool,
        principal: &'a Principal,
        caller: &'a Caller,
    ) -> Self {
        Self {
            name,
            write,
            principal,
            caller,
            request: Value::Null,
            response: Value::Null,
            resource: None,
            error: None,
            request_id: None,
        }
    }
}

/// Whether the operation `name` changes what Cairn keeps: for the events of
/// calls that are refused before it is known what they ask for.
pub fn is_change(name: &str) -> bool {
    let reads = ["List", "Get", "Explain", "Query", "Flush"];
    !reads.iter().any(|read| name.starts_with(read))
}

/// Writes Cairn's own events into the log.
#[derive(Debug, Clone)]
pub struct Audit {
    log: EmbeddedLog,
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    verdicts: Arc<Verdicts>,
}

/// How long an act waits until SQL shows it, where intake is busy.
const VISIBLE_WAIT: Duration = Duration::from_secs(1);

impl Audit {
    /// A writer into `log`.
    pub fn new(
        log: EmbeddedLog,
        registry: Arc<Registry>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        verdicts: Arc<Verdicts>,
    ) -> Self {
        Self {
            log,
            registry,
            clock,
            ids,
            verdicts,
        }
    }

    /// Records one act. Durable on return, and as a rule visible in SQL.
    pub async fn record(&self, act: Act<'_>) -> Result<(), LogError> {
        let event = self.event(&act).to_string();
        let envelope = Envelope {
            received: self.clock.now(),
            sender: OWN_SENDER.to_owned(),
            accounts: Among::All,
            account: None,
        };
        let range = self.log.append(envelope, vec![Bytes::from(event)]).await?;
        // Whoever asks next shall find it. Where that takes long it is durable
        // all the same.
        let visible = self.verdicts.judged(range.end);
        let _ = tokio::time::timeout(VISIBLE_WAIT, visible).await;
        Ok(())
    }

    /// What several events of one call may have in common.
    pub fn request_id(&self) -> String {
        self.ids.hex128()
    }

    fn event(&self, act: &Act<'_>) -> Value {
        let account = self.registry.organization().management_account;
        let id = self.ids.hex128();
        let kind = match act.principal.role {
            _ if act.principal.id == "cairn" => "system",
            _ if act.principal.id == ANONYMOUS => ANONYMOUS,
            Role::Admin => "admin-token",
            Role::Auditor => "auditor-token",
            Role::Sender => "sender-token",
        };
        let mut event = json!({
            "eventId": id,
            "eventVersion": "1",
            "eventCategory": "Management",
            "eventType": "ApiCall",
            "eventName": act.name,
            "eventRW": if act.write { "Write" } else { "Read" },
            "eventSource": "cairn",
            "serviceName": "cairn",
            "eventTime": self.clock.now().to_rfc3339(),
            "recipientAccountId": account,
            "requestId": act.request_id.as_ref().unwrap_or(&id),
            "requestParameters": act.request,
            "responseElements": act.response,
            "sourceIpAddress": act.caller.address,
            "userAgent": act.caller.agent,
            "userIdentity": {
                "type": kind,
                "accountId": account,
                "principalId": act.principal.id,
                "userName": self.name_of(act.principal),
            },
        });
        if let Some((resource_type, name)) = &act.resource {
            event["resourceType"] = json!(resource_type);
            event["resourceName"] = json!(name);
        }
        if let Some((code, message)) = &act.error {
            event["errorCode"] = json!(code);
            event["errorMessage"] = json!(message);
        }
        event
    }

    fn name_of(&self, principal: &Principal) -> String {
        let named = self
            .registry
            .tokens()
            .into_iter()
            .find(|t| t.id.as_str() == principal.id);
        named
            .and_then(|t| t.name)
            .unwrap_or_else(|| principal.id.clone())
    }
}
