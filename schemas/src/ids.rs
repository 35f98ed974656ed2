//! Names that came from outside and were checked once, at the door.
//!
//! A value of one of these types is safe in an object key, an SQL identifier
//! and a log line.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a name was refused. The message is for the person who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {given:?} is not valid: {rule}")]
pub struct IdError {
    what: &'static str,
    given: String,
    rule: &'static str,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and keeps it.
            pub fn new(text: &str) -> Result<Self, IdError> {
                Self::check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// What [`Self::new`] would say of `text`.
            pub fn check(text: &str) -> Result<(), IdError> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(())
                } else {
                    // A hostile name may be megabytes long; its start tells enough.
                    let given = text.chars().take(64).collect();
                    Err(IdError { what: $what, given, rule: $rule })
                }
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.to_string()
            }
        }
    };
}

fn all(text: &str, ok: fn(u8) -> bool) -> bool {
    text.bytes().all(ok)
}

name_type!(
    /// A member account, the tenant: 12 to 16 ASCII digits, which covers AWS
    /// (12) and Alibaba Cloud (16).
    AccountId, "account id", "an account id is 12 to 16 digits, 0 to 9",
    |t| (12..=16).contains(&t.len()) && all(t, |b| b.is_ascii_digit())
);

name_type!(
    /// A trail's name: what both ActionTrail (6 to 36, lower case) and
    /// CloudTrail (3 to 128) allow. Two names that differ only in case are the
    /// same name; see [`TrailName::folded`].
    TrailName, "trail name",
    "a trail name has 3 to 128 letters, digits, '-', '_' or '.', and starts with a letter",
    |t| (3..=128).contains(&t.len())
        && t.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && all(t, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
);

name_type!(
    /// What a trail is called inside: 32 hexadecimal digits, never used again,
    /// so that a trail deleted and made anew under the same name has a history
    /// of its own.
    TrailId, "trail id", "a trail id is 32 lower-case hexadecimal digits",
    |t| t.len() == 32 && all(t, |b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
);

name_type!(
    /// The public half of a token: 16 hexadecimal digits.
    TokenId, "token id", "a token id is 16 lower-case hexadecimal digits",
    |t| t.len() == 16 && all(t, |b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
);

name_type!(
    /// What a saved query is called.
    QueryName, "saved query's name",
    "a saved query's name has 2 to 64 lower-case letters, digits or '-', and starts with a letter",
    |t| (2..=64).contains(&t.len())
        && t.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && all(t, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);

impl TrailName {
    /// The form in which names are compared: ASCII lower case.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests;
