//! The one form of every error that a door answers with.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use cairn_ingest::kafka::{SendError, SendFailure};
use cairn_query::QueryError;
use cairn_store::control::ControlError;
use cairn_store::log::LogError;
use serde_json::{Value, json};

use crate::server::registry::RegistryError;

/// An answer that is an error. `code` is stable; the texts are for people.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<String>,
    more: Vec<(&'static str, Value)>,
}

impl ApiError {
    /// An error with its status, code and message.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            hint: None,
            more: Vec::new(),
        }
    }

    /// `400`: the caller has to change the request.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    /// `401`: no token, or none that is known.
    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "a valid token is needed")
            .hint("send `Authorization: Bearer TOKEN`; an administrator makes tokens with `cairn token create`")
    }

    /// `403`: the token does not allow it.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// `404`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// `409`.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// `503`: nothing was done; trying again may help.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// Adds what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a field.
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.more.push((name, value));
        self
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The text for people.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut error = json!({"code": self.code, "message": self.message});
        if let Some(hint) = self.hint {
            error["hint"] = json!(hint);
        }
        for (name, value) in self.more {
            error[name] = value;
        }
        let mut response = (self.status, Json(json!({"error": error}))).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                header::HeaderValue::from_static("Bearer"),
            );
        }
        if matches!(
            self.status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        ) {
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<RegistryError> for ApiError {
    fn from(error: RegistryError) -> Self {
        let text = error.to_string();
        match error {
            RegistryError::Control(e) => e.into(),
            RegistryError::NotFound { .. } => Self::not_found(text),
            RegistryError::Exists { .. } => Self::conflict("exists", text),
            RegistryError::LastAdmin => Self::conflict("last_admin", text),
            RegistryError::Id(_) => Self::invalid(text),
        }
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        match &error {
            ControlError::Conflict { .. } => Self::conflict("conflict", error.to_string()),
            ControlError::Unavailable { .. } => Self::unavailable(error.to_string()),
            ControlError::Damaged { .. } => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "damaged",
                error.to_string(),
            ),
        }
    }
}

impl From<SendError> for ApiError {
    fn from(error: SendError) -> Self {
        let failures = || error.results.iter().filter_map(|r| r.as_ref().err());
        let hint = "send all of it again in a moment: what was kept is recognised and counts once";
        if failures().any(|f| *f == SendFailure::TooLarge) {
            return Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                error.to_string(),
            );
        }
        if failures().all(|f| *f == SendFailure::Busy) {
            return Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", error.to_string()).hint(hint);
        }
        Self::unavailable(error.to_string()).hint(hint)
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        if let LogError::TooLarge { .. } = &error {
            return Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                error.to_string(),
            )
            .hint("send fewer events in one request; nothing was taken");
        }
        Self::unavailable(format!("the log cannot be written: {error}"))
            .hint("nothing was acknowledged; send it again once the disk has room")
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        super::sql::api_error(&error)
    }
}
