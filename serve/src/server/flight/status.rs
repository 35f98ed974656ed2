//! Errors as gRPC has them.

use cairn_query::{ErrorKind, Exceeded, QueryError};
use tonic::{Code, Status};

use super::seal::Broken;
use crate::server::asking::AskError;

/// The status that tells of `error`, with its hint on a line of its own.
pub(super) fn status_of(error: &AskError) -> Status {
    let code = match error {
        AskError::Role(_) => Code::PermissionDenied,
        AskError::OtherProcess => Code::FailedPrecondition,
        AskError::Query(error) => code_of(error),
        AskError::Unrecorded(_) => Code::Unavailable,
    };
    let mut text = format!("{error} [{}]", error.code());
    if let AskError::Query(QueryError {
        kind:
            ErrorKind::Invalid {
                line: Some(line),
                column: Some(column),
            },
        ..
    }) = error
    {
        text.push_str(&format!("\nat line {line}, column {column}"));
    }
    if let Some(hint) = error.hint() {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    Status::new(code, text)
}

fn code_of(error: &QueryError) -> Code {
    match error.kind {
        ErrorKind::Invalid { .. } => Code::InvalidArgument,
        ErrorKind::Forbidden | ErrorKind::Withdrawn => Code::PermissionDenied,
        ErrorKind::Limit(Exceeded::Time) => Code::DeadlineExceeded,
        ErrorKind::Limit(_) => Code::ResourceExhausted,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Internal => Code::Internal,
    }
}

pub(super) fn broken(error: Broken) -> Status {
    Status::permission_denied(error.to_string())
}

/// What cannot be put into Arrow's forms is a fault of Cairn.
pub(super) fn internal(error: impl std::fmt::Display) -> Status {
    tracing::error!(error = %error, "flight: internal error");
    Status::internal("the call failed inside; the server's log says more")
}

/// What the protocol has and Cairn does not.
pub(super) fn refused(what: &str) -> Status {
    Status::permission_denied(format!(
        "{what} is not possible here: nothing but questions is"
    ))
}
