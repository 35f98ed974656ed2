//! Questions that are kept: a statement with named parameters, for everybody
//! in the organization to ask, each over their own accounts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::QueryName;
use crate::time::Micros;

/// One version of a saved query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedQuery {
    /// 1, 2, 3, …
    pub version: u64,
    /// When this version was made.
    pub at: Micros,
    /// The principal who made it.
    pub by: String,
    /// The principal who made the first version: who may change it, besides
    /// administrators.
    pub owner: String,
    /// What it is called.
    pub name: QueryName,
    /// One line about it.
    #[serde(default)]
    pub title: String,
    /// The statement, with `:name` where a parameter stands.
    pub sql: String,
    /// Its parameters.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Whether this version is its end. Its name may be used again.
    #[serde(default)]
    pub deleted: bool,
}

/// A parameter of a saved query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What it is called: `:name` in the statement.
    pub name: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: ParameterKind,
    /// The value where none is given; without one it has to be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// One line about it.
    #[serde(default)]
    pub says: String,
}

/// What the values of a parameter are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParameterKind {
    /// Text.
    Text,
    /// A whole number.
    Bigint,
    /// Any number.
    Double,
    /// `true` or `false`.
    Boolean,
    /// A moment: ISO 8601, `now`, or so long ago: `-7d`, `-12h`, `-30m`.
    Timestamp,
}

impl ParameterKind {
    /// As in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Bigint => "bigint",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
        }
    }
}

impl fmt::Display for ParameterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a parameter may have that name: what SQL takes for a word.
pub fn is_parameter_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.as_bytes()[0].is_ascii_lowercase()
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
