//! Calls without a valid token, as events.
//!
//! Whoever tries tokens has to be seen (PCI DSS 10.2.1.4), and must not be able
//! to fill the log by trying. So what an address tries is put together: at most
//! one event an address and minute, with how often it was tried. Addresses are
//! held up to a bound; those beyond share one entry. What was presented is
//! never told, only whether it was a token that this server once made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cairn_schemas::control::{Principal, Role};
use cairn_schemas::selector::Among;
use cairn_schemas::{Micros, TokenId, Withheld};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::app::{App, Shared};
use super::audit::{ANONYMOUS, Act, Caller};

/// At most one event an address in this time.
const QUIET: Duration = Duration::from_secs(60);
/// How often it is looked whether an event is due.
const LOOK: Duration = Duration::from_secs(1);
/// So many addresses have entries of their own.
const ADDRESSES: usize = 256;
/// So many tokens are named in one event.
const TOKENS: usize = 8;
/// A path is the sender's own text; this much of it is kept.
const PATH_CHARS: usize = 256;

/// What the others share. No address looks like this.
const OTHERS: &str = "other addresses";

/// What was presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// No token.
    Nothing,
    /// A token of this id, which is revoked or has another secret.
    Known(TokenId),
    /// Something that is no token of this server.
    Unknown,
}

/// One refused call.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// From where.
    pub caller: Caller,
    /// The method and the path, without the query.
    pub call: String,
    /// With what.
    pub presented: Presented,
    /// When.
    pub at: Micros,
}

/// The calls of one address that no event tells of yet.
#[derive(Clone, Debug)]
struct Pending {
    caller: Caller,
    call: String,
    first: Micros,
    last: Micros,
    calls: u64,
    without_token: u64,
    tokens: BTreeSet<TokenId>,
}

impl Pending {
    fn of(attempt: &Attempt) -> Self {
        Self {
            caller: attempt.caller.clone(),
            call: attempt.call.chars().take(PATH_CHARS).collect(),
            first: attempt.at,
            last: attempt.at,
            calls: 0,
            without_token: 0,
            tokens: BTreeSet::new(),
        }
    }

    fn add(&mut self, attempt: Attempt) {
        self.last = attempt.at;
        self.calls += 1;
        match attempt.presented {
            Presented::Nothing => self.without_token += 1,
            Presented::Known(id) if self.tokens.len() < TOKENS => {
                self.tokens.insert(id);
            }
            _ => {}
        }
    }
}

#[derive(Debug, Default)]
struct Entry {
    pending: Option<Pending>,
    quiet_until: Option<Instant>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Rejected(Mutex<BTreeMap<String, Entry>>);

impl Rejected {
    /// Counts a call that was refused.
    pub fn note(&self, mut attempt: Attempt) {
        let mut entries = self.0.lock();
        let address = &mut attempt.caller.address;
        if !entries.contains_key(address.as_str()) && entries.len() >= ADDRESSES {
            OTHERS.clone_into(address);
        }
        let entry = entries.entry(address.clone()).or_default();
        let pending = entry.pending.get_or_insert_with(|| Pending::of(&attempt));
        pending.add(attempt);
    }

    /// Takes what an event is due for, or, with no `now`, all that is left.
    fn take(&self, now: Option<Instant>) -> Vec<Pending> {
        let mut due = Vec::new();
        self.0.lock().retain(|_, entry| {
            let quiet = now.is_some_and(|now| entry.quiet_until.is_some_and(|until| now < until));
            if quiet {
                return true;
            }
            let Some(pending) = entry.pending.take() else {
                return false;
            };
            due.push(pending);
            entry.quiet_until = now.map(|now| now + QUIET);
            true
        });
        due
    }
}

/// Makes events of refused calls until `stop`, and then of those that are left.
pub async fn report(app: Shared, stop: CancellationToken) {
    loop {
        let now = tokio::select! {
            () = stop.cancelled() => None,
            () = tokio::time::sleep(LOOK) => Some(Instant::now()),
        };
        for pending in app.rejected.take(now) {
            record(&app, &pending).await;
        }
        if now.is_none() {
            return;
        }
    }
}

async fn record(app: &Arc<App>, pending: &Pending) {
    // Nobody that the server knows: may do nothing, and owns nothing.
    let nobody = Principal {
        id: ANONYMOUS.to_owned(),
        role: Role::Sender,
        accounts: Among::Only(BTreeSet::new()),
        withheld: Withheld::nothing(),
    };
    let mut act = Act::new("RejectedCall", false, &nobody, &pending.caller);
    act.request = json!({
        "call": pending.call,
        "calls": pending.calls,
        "withoutToken": pending.without_token,
        "tokenIds": pending.tokens,
        "first": pending.first.to_rfc3339(),
        "last": pending.last.to_rfc3339(),
    });
    act.error = Some((
        "unauthenticated".to_owned(),
        format!("{} calls without a valid token", pending.calls),
    ));
    if let Err(error) = app.audit.record(act).await {
        tracing::warn!(error = %error, "refused calls could not be recorded");
    }
}

#[cfg(test)]
mod tests;
