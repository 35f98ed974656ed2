//! The columns that an administrator withholds from a principal.
//!
//! A withheld column is there and null in every row, in every table that has
//! it: as if nothing had ever been stored in it. That is worth nothing while
//! another column holds the same value, so whatever carries a withheld value is
//! withheld with it ([`carriers`]).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::columns::{EVENT_COLUMNS, QUARANTINE_COLUMNS};

/// What makes a row a row, decides who sees it, or is its place in the log:
/// without these there is neither scope nor order, and an auditor could not
/// even name the event that they ask an administrator about.
const NEVER: &[&str] = &[
    "event_id",
    "event_time",
    "ingest_time",
    "account_id",
    "log_source",
    "log_partition",
    "log_offset",
    "log_item",
    "ingest_date",
];

/// The bytes as received, and what tells of them.
const WHOLE: &[&str] = &["raw", "raw_base64", "detail"];

/// What services fill in as they like.
const FREE: &[&str] = &[
    "request_parameters",
    "response_elements",
    "additional_event_data",
    "error_message",
];

/// The columns, besides those that hold the whole event, in which the value of
/// `column` can be read: where intake takes both from one field, and where real
/// events of AWS and Alibaba Cloud say it again (looked for in the 3,798 of
/// `testdata`). The name of a service that AWS writes in place of an address or
/// an agent is no such value: `invoked_by` says it too.
fn again_in(column: &str) -> &'static [&'static [&'static str]] {
    match column {
        "user_name" => &[
            &["user_identity", "principal_arn", "principal_id"],
            &["resources", "resource_name"],
            FREE,
        ],
        "principal_arn" => &[&["user_identity", "resources", "resource_name"], FREE],
        "principal_id" => &[&["user_identity"], FREE],
        "access_key_id" => &[&["user_identity"], FREE],
        "identity_account_id" => &[
            &["user_identity", "principal_arn", "principal_id"],
            &["resources", "resource_name"],
            FREE,
        ],
        "invoked_by" => &[&["user_identity", "source_ip", "user_agent"]],
        "mfa" => &[&["user_identity", "additional_event_data"]],
        "identity_type" | "session_created" => &[&["user_identity"]],
        "tls_version" => &[&["request_parameters", "additional_event_data"]],
        "source_ip" | "user_agent" | "request_id" | "vpc_id" | "event_name" => &[FREE],
        "region" => &[&["resources", "resource_name"], FREE],
        "resource_name" => &[&["resources"], FREE],
        "resources" => &[&["resource_type", "resource_name"], FREE],
        "resource_type" => &[&["resources"]],
        "error_code" => &[&["error_message", "response_elements"]],
        "event_source" => &[&["service_name"], FREE],
        "service_name" => &[&["event_source"], FREE],
        _ => &[],
    }
}

/// Every column in which the value of `column` can be read again.
pub fn carriers(column: &str) -> BTreeSet<&'static str> {
    let received = EVENT_COLUMNS
        .iter()
        .any(|c| c.name == column && !(c.actiontrail.is_empty() && c.cloudtrail.is_empty()));
    let whole: &[&str] = match column {
        "raw" | "raw_base64" | "detail" => WHOLE,
        _ if received => WHOLE,
        _ => &[],
    };
    let again = again_in(column).iter().flat_map(|some| some.iter());
    let mut all: BTreeSet<&str> = again.chain(whole).copied().collect();
    all.remove(column);
    all
}

/// The names of all columns that can be withheld, in the order of the tables.
pub fn can_be_withheld() -> impl Iterator<Item = &'static str> {
    let mut seen = BTreeSet::new();
    EVENT_COLUMNS
        .iter()
        .chain(QUARANTINE_COLUMNS)
        .map(|c| c.name)
        .filter(move |name| !NEVER.contains(name) && seen.insert(*name))
}

/// What an administrator withholds, as named: see [`Withheld::columns`] for
/// what that comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Withheld(BTreeSet<String>);

/// Why a column cannot be withheld.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WithholdError {
    /// No table has it.
    #[error("there is no column {0:?}: DESCRIBE history and DESCRIBE quarantine list them")]
    Unknown(String),
    /// Rows need it.
    #[error("{0} cannot be withheld: it says which row this is, or whose")]
    Needed(String),
}

impl Withheld {
    /// Nothing is withheld.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// These columns, if each can be withheld.
    pub fn of<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, WithholdError> {
        let mut named = BTreeSet::new();
        for name in names {
            let name = name.as_ref().trim();
            if NEVER.contains(&name) {
                return Err(WithholdError::Needed(name.to_owned()));
            }
            if !can_be_withheld().any(|c| c == name) {
                return Err(WithholdError::Unknown(name.chars().take(100).collect()));
            }
            named.insert(name.to_owned());
        }
        Ok(Self(named))
    }

    /// Whether every column may be seen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the administrator named.
    pub fn named(&self) -> &BTreeSet<String> {
        &self.0
    }

    /// Every column that is withheld: those named, and those in which the same
    /// values could be read. Worked out anew each time, so that a token made
    /// today also covers the columns of later versions.
    pub fn columns(&self) -> BTreeSet<String> {
        let carried = self.0.iter().flat_map(|name| carriers(name));
        let mut all: BTreeSet<String> = carried.map(str::to_owned).collect();
        all.extend(self.0.iter().cloned());
        all
    }

    /// Whether whoever has this withheld from them sees nothing that `other`
    /// withholds.
    pub fn covers(&self, other: &Self) -> bool {
        other.columns().is_subset(&self.columns())
    }
}

#[cfg(test)]
mod tests;
