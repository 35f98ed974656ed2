//! What a bucket itself says of versions and locks.

use std::fmt;
use std::time::Duration;

use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};

use super::retain::Signer;
use crate::objects::settings::{LockMode, ObjectLock};
use crate::objects::with_causes;

/// How long the bucket may take to answer one of the questions.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether what is written can be changed or removed before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WormStatus {
    /// The bucket locks every object by itself.
    ByBucket {
        /// `GOVERNANCE` or `COMPLIANCE`.
        mode: String,
        /// For how long, as in `365 days`.
        period: String,
    },
    /// The bucket locks what it is asked to, and Cairn asks.
    ByHeaders {
        /// `GOVERNANCE` or `COMPLIANCE`.
        mode: &'static str,
        /// Days from the object's making.
        days: u32,
    },
    /// The bucket keeps what is overwritten or deleted as older versions, which
    /// whoever has the right can remove.
    VersionedOnly {
        /// Whether it could lock, and nobody asks it to.
        lockable: bool,
    },
    /// Whoever has the right can overwrite and delete.
    NotEnforced,
    /// The store does not tell.
    Unknown {
        /// What it said.
        reason: String,
    },
}

impl WormStatus {
    /// Whether retention is enforced; `None` where that is not known.
    pub fn is_enforced(&self) -> Option<bool> {
        match self {
            Self::ByBucket { .. } | Self::ByHeaders { .. } => Some(true),
            Self::VersionedOnly { .. } | Self::NotEnforced => Some(false),
            Self::Unknown { .. } => None,
        }
    }
}

impl fmt::Display for WormStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByBucket { mode, period } => {
                write!(f, "enforced by the bucket: {mode} {period}")
            }
            Self::ByHeaders { mode, days } => write!(
                f,
                "enforced by what Cairn asks of the bucket: {mode} {days} days for data files and log entries"
            ),
            Self::VersionedOnly { lockable: false } => f.write_str("versioned only"),
            Self::VersionedOnly { lockable: true } => f.write_str(
                "versioned only: the bucket has Object Lock and nothing asks for it; set s3.object_lock, or a default retention of the bucket",
            ),
            Self::NotEnforced => f.write_str("not enforced"),
            Self::Unknown { reason } => write!(f, "unknown: {reason}"),
        }
    }
}

/// A bucket that can be asked about itself.
#[derive(Debug)]
pub(crate) struct Bucket {
    url: String,
    http: HttpClient,
    signer: Signer,
    asked_for: Option<ObjectLock>,
}

impl Bucket {
    pub(super) fn new(
        url: String,
        http: HttpClient,
        signer: Signer,
        asked_for: Option<ObjectLock>,
    ) -> Self {
        Self {
            url,
            http,
            signer,
            asked_for,
        }
    }

    /// The retention that Cairn asks for.
    pub(crate) fn asked_for(&self) -> Option<&ObjectLock> {
        self.asked_for.as_ref()
    }

    /// Asks the bucket.
    pub(crate) async fn worm_status(&self) -> WormStatus {
        match tokio::time::timeout(PATIENCE, self.ask_both()).await {
            Ok(Ok(status)) => status,
            Ok(Err(reason)) => WormStatus::Unknown { reason },
            Err(_) => WormStatus::Unknown {
                reason: "the store does not answer".to_owned(),
            },
        }
    }

    async fn ask_both(&self) -> Result<WormStatus, String> {
        let lock = self.ask("object-lock").await?;
        if let Some(lock) = lock.filter(|xml| tag(xml, "ObjectLockEnabled") == Some("Enabled")) {
            return Ok(self.of_lock(&lock));
        }
        let versions = self.ask("versioning").await?.unwrap_or_default();
        Ok(match tag(&versions, "Status") {
            Some("Enabled") => WormStatus::VersionedOnly { lockable: false },
            _ => WormStatus::NotEnforced,
        })
    }

    fn of_lock(&self, xml: &str) -> WormStatus {
        let days = tag(xml, "Days").map(|n| format!("{n} days"));
        let years = tag(xml, "Years").map(|n| format!("{n} years"));
        match (tag(xml, "Mode"), days.or(years), &self.asked_for) {
            // What Cairn asks for stands in place of the bucket's default.
            (_, _, Some(ObjectLock { mode, days, .. })) => WormStatus::ByHeaders {
                mode: LockMode::as_str(*mode),
                days: *days,
            },
            (Some(mode), Some(period), None) => WormStatus::ByBucket {
                mode: mode.to_owned(),
                period,
            },
            _ => WormStatus::VersionedOnly { lockable: true },
        }
    }

    /// The answer to `GET ?what`; `None` where there is no such configuration.
    async fn ask(&self, what: &str) -> Result<Option<String>, String> {
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = format!("{}?{what}", self.url)
            .parse()
            .map_err(|e| format!("{} is no address: {e}", self.url))?;
        self.signer
            .sign(&mut request)
            .await
            .map_err(|e| e.to_string())?;
        let answer = self
            .http
            .execute(request)
            .await
            .map_err(|e| with_causes(&e))?;
        let status = answer.status();
        let body = answer
            .into_body()
            .bytes()
            .await
            .map_err(|e| with_causes(&e))?;
        let body = String::from_utf8_lossy(&body);
        let code = tag(&body, "Code").unwrap_or_default();
        match status.as_u16() {
            200 => Ok(Some(body.into_owned())),
            404 if code == "ObjectLockConfigurationNotFoundError" => Ok(None),
            403 => Err(format!(
                "the store does not let this key ask (?{what}: {status} {code}); allow s3:GetBucketObjectLockConfiguration and s3:GetBucketVersioning"
            )),
            _ => Err(format!(
                "the store does not answer ?{what}: {status} {code}"
            )),
        }
    }
}

/// The text of the first `name` in `xml`. The documents asked for are flat
/// enough, and hold nothing that anybody could put into them.
fn tag<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let after = xml.split_once(&format!("<{name}>"))?.1;
    Some(after.split_once("</")?.0.trim())
}

#[cfg(test)]
mod tests;
