//! Why a call failed, told so that a person knows what to do.

use std::error::Error;
use std::time::Duration;

use reqwest::Response;
use reqwest::header::RETRY_AFTER;
use serde::Deserialize;

/// The server's own error (docs/http-api.md, Errors).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// Stable, for programs.
    pub code: String,
    /// For people.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The line of the query, from 1.
    pub line: Option<usize>,
    /// The column of the query, from 1.
    pub column: Option<usize>,
    /// When to come back.
    pub retry_after: Option<Duration>,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is none.
    #[error(
        "{url:?} is not the address of a server: {reason}; use a form such as http://127.0.0.1:7070 (--url or CAIRN_URL)"
    )]
    Address {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The token cannot be sent.
    #[error(
        "the token has characters that no token has; take it as `cairn token create` printed it"
    )]
    Token,
    /// No answer came.
    #[error("{}", lost(url, source))]
    Unreachable {
        /// The server.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The answer did not come to its end.
    #[error(
        "the answer was cut short: {}; what came is incomplete",
        root_cause(source)
    )]
    CutShort {
        /// Why.
        source: reqwest::Error,
    },
    /// The server said no.
    #[error("{}", explain(.0))]
    Refused(Box<ApiError>),
    /// Something answered, but not like Cairn.
    #[error("{reason}; is there a Cairn server of this version at that address?")]
    Strange {
        /// What was strange.
        reason: String,
    },
}

impl ClientError {
    /// The server's own error, where it is one.
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Refused(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the same call may succeed a little later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::CutShort { .. } => true,
            Self::Refused(error) => matches!(error.status, 408 | 429 | 502 | 503 | 504),
            _ => false,
        }
    }
}

fn explain(error: &ApiError) -> String {
    let mut text = error.message.clone();
    match (error.status, &error.hint) {
        (_, Some(hint)) => text.push_str(&format!("\nhint: {hint}")),
        (401, None) => {
            text.push_str("\nhint: set CAIRN_TOKEN, or use --token-file FILE");
        }
        _ => {}
    }
    text
}

fn lost(url: &str, source: &reqwest::Error) -> String {
    let cause = root_cause(source);
    if source.is_connect() {
        format!(
            "cannot reach Cairn at {url}: {cause}; does `cairn serve` run there? (--url or CAIRN_URL)"
        )
    } else if source.is_timeout() {
        format!("Cairn at {url} did not answer in time")
    } else {
        format!("the connection to Cairn at {url} was lost before it answered: {cause}")
    }
}

/// The innermost cause: the outer ones repeat that a request was sent.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[derive(Deserialize)]
struct Envelope {
    error: Body,
}

#[derive(Deserialize)]
struct Body {
    code: String,
    message: String,
    #[serde(default)]
    hint: Option<String>,
    #[serde(default)]
    line: Option<usize>,
    #[serde(default)]
    column: Option<usize>,
}

/// Reads the error form, or makes one where a proxy answered.
pub(super) async fn from_response(response: Response) -> ClientError {
    let status = response.status();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let text = response.text().await.unwrap_or_default();
    let error = match serde_json::from_str::<Envelope>(&text) {
        Ok(Envelope { error }) => ApiError {
            status: status.as_u16(),
            code: error.code,
            message: error.message,
            hint: error.hint,
            line: error.line,
            column: error.column,
            retry_after,
        },
        Err(_) => {
            // Whatever stands there, its start tells enough.
            let start: String = text.trim().chars().take(200).collect();
            ApiError {
                status: status.as_u16(),
                code: "unexpected".to_owned(),
                message: format!("the server answered {status}: {start}"),
                hint: None,
                line: None,
                column: None,
                retry_after,
            }
        }
    };
    ClientError::Refused(Box::new(error))
}
