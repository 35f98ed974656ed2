//! Errors as PostgreSQL's clients know them: a severity, an SQLSTATE, words,
//! and where in the statement.

use cairn_query::{ErrorKind, Exceeded, QueryError};
use pgwire::messages::response::{ErrorResponse, NoticeResponse};

/// How much of the connection an error takes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// The statement.
    Error,
    /// The session.
    Fatal,
    /// Nothing; the client is told.
    Warning,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Warning => "WARNING",
        }
    }
}

/// The codes in use, by PostgreSQL's names for them.
pub(super) mod state {
    pub(in super::super) const PROTOCOL_VIOLATION: &str = "08P01";
    pub(in super::super) const FEATURE_NOT_SUPPORTED: &str = "0A000";
    pub(in super::super) const BAD_TEXT: &str = "22021";
    pub(in super::super) const BAD_PARAMETER: &str = "22023";
    pub(in super::super) const BAD_TEXT_OF_TYPE: &str = "22P02";
    pub(in super::super) const BAD_BINARY_OF_TYPE: &str = "22P03";
    pub(in super::super) const ACTIVE_TRANSACTION: &str = "25001";
    pub(in super::super) const READ_ONLY: &str = "25006";
    pub(in super::super) const NO_TRANSACTION: &str = "25P01";
    pub(in super::super) const FAILED_TRANSACTION: &str = "25P02";
    pub(in super::super) const NO_STATEMENT: &str = "26000";
    pub(in super::super) const BAD_AUTHORIZATION: &str = "28000";
    pub(in super::super) const BAD_PASSWORD: &str = "28P01";
    pub(in super::super) const NO_CURSOR: &str = "34000";
    pub(in super::super) const NO_SAVEPOINT: &str = "3B001";
    pub(in super::super) const NO_DATABASE: &str = "3D000";
    pub(in super::super) const NOT_ALLOWED: &str = "42501";
    pub(in super::super) const SYNTAX: &str = "42601";
    pub(in super::super) const DUPLICATE_CURSOR: &str = "42P03";
    pub(in super::super) const DUPLICATE_STATEMENT: &str = "42P05";
    pub(in super::super) const DISK_FULL: &str = "53100";
    pub(in super::super) const OUT_OF_MEMORY: &str = "53200";
    pub(in super::super) const TOO_MANY: &str = "53300";
    pub(in super::super) const TOO_MUCH: &str = "54000";
    pub(in super::super) const TOO_COMPLEX: &str = "54001";
    pub(in super::super) const CANCELED: &str = "57014";
    pub(in super::super) const STOPPING: &str = "57P01";
    pub(in super::super) const IO: &str = "58030";
    pub(in super::super) const INTERNAL: &str = "XX000";
}

/// One error or notice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct PgError {
    pub(super) severity: Severity,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// In characters of the query's text, from 1.
    pub(super) position: Option<usize>,
}

impl PgError {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            hint: None,
            position: None,
        }
    }

    pub(super) fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Fatal,
            ..Self::new(code, message)
        }
    }

    pub(super) fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::new(code, message)
        }
    }

    /// A message that is not what the protocol says.
    pub(super) fn protocol(message: impl Into<String>) -> Self {
        Self::new(state::PROTOCOL_VIOLATION, message)
    }

    /// What a session is told when the server stops.
    pub(super) fn stopping() -> Self {
        Self::fatal(
            state::STOPPING,
            "terminating connection: the server is stopping",
        )
    }

    /// What a session is told whose token is no longer valid.
    pub(super) fn revoked() -> Self {
        Self::fatal(
            state::BAD_AUTHORIZATION,
            "the token was revoked, or its accounts were narrowed",
        )
        .hint("connect again with a token that is valid")
    }

    pub(super) fn canceled() -> Self {
        Self::new(state::CANCELED, "canceling statement due to user request")
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn is_fatal(&self) -> bool {
        self.severity == Severity::Fatal
    }

    /// The engine's error about `text`, which begins `before` characters into
    /// what the client sent.
    pub(super) fn of_query(error: &QueryError, text: &str, before: usize) -> Self {
        let code = match error.kind {
            ErrorKind::Invalid { .. } => invalid(&error.message),
            ErrorKind::Forbidden => forbidden(&error.message),
            ErrorKind::Limit(which) => match which {
                Exceeded::Time => state::CANCELED,
                Exceeded::Memory => state::OUT_OF_MEMORY,
                Exceeded::Spill => state::DISK_FULL,
                Exceeded::Rows | Exceeded::Bytes => state::TOO_MUCH,
                Exceeded::Statement => state::TOO_COMPLEX,
                Exceeded::Busy => state::TOO_MANY,
            },
            ErrorKind::Withdrawn => {
                return Self {
                    hint: error.hint.clone(),
                    ..Self::fatal(state::BAD_AUTHORIZATION, error.message.clone())
                };
            }
            ErrorKind::Unavailable => state::IO,
            ErrorKind::Internal => state::INTERNAL,
        };
        let place = match error.kind {
            ErrorKind::Invalid {
                line: Some(line),
                column: Some(column),
            } => place(text, line, column).map(|at| at + before),
            _ => None,
        };
        Self {
            hint: error.hint.clone(),
            position: place,
            ..Self::new(code, error.message.clone())
        }
    }

    fn fields(&self) -> Vec<(u8, String)> {
        let severity = self.severity.as_str().to_owned();
        let mut fields = vec![
            (b'S', severity.clone()),
            (b'V', severity),
            (b'C', self.code.to_owned()),
            (b'M', clean(&self.message)),
        ];
        fields.extend(self.hint.as_deref().map(|h| (b'H', clean(h))));
        fields.extend(self.position.map(|p| (b'P', p.to_string())));
        fields
    }

    pub(super) fn response(&self) -> ErrorResponse {
        ErrorResponse::new(self.fields())
    }

    pub(super) fn notice(&self) -> NoticeResponse {
        NoticeResponse::new(self.fields())
    }
}

/// A zero byte would end the field, and what follows would be taken for more.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The engine has one kind for all that is wrong with a statement; drivers
/// tell finer ones apart, by code alone.
fn invalid(message: &str) -> &'static str {
    let has = |part: &str| message.contains(part);
    if has("there is no column") {
        "42703"
    } else if has("there is no table") || has("no table") {
        "42P01"
    } else if has("nvalid function") || has("no function") {
        "42883"
    } else if has("division by zero") {
        "22012"
    } else if has("cannot be converted") {
        state::BAD_TEXT_OF_TYPE
    } else if has("out of range") {
        "22003"
    } else if has("failed on a value") {
        "22000"
    } else if has("not supported") {
        state::FEATURE_NOT_SUPPORTED
    } else if has("mbiguous") {
        "42702"
    } else {
        state::SYNTAX
    }
}

fn forbidden(message: &str) -> &'static str {
    match message.contains("nothing but questions") {
        true => state::READ_ONLY,
        false => state::NOT_ALLOWED,
    }
}

/// The character that stands at `line` and `column`, all counted from 1.
fn place(text: &str, line: u64, column: u64) -> Option<usize> {
    let (line, column) = (usize::try_from(line).ok()?, usize::try_from(column).ok()?);
    let before: usize = text
        .split_inclusive('\n')
        .take(line.checked_sub(1)?)
        .map(|l| l.chars().count())
        .sum();
    Some(before + column)
}

#[cfg(test)]
mod tests;
