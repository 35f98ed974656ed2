//! A small typed client of Cairn's HTTP interface (docs/http-api.md). The
//! command line uses it; it knows nothing of the server's insides.

mod error;

use std::time::Duration;

use bytes::Bytes;
use cairn_schemas::QueryName;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::{Host, Url};

pub use error::{ApiError, ClientError};

use crate::config::Secret;

/// How long a call may take that moves no large body.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// A flush waits for every table, slow buckets among them.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(600);

/// A connection to one server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    bearer: Option<HeaderValue>,
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    /// As in `Content-Encoding`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct EventReceipt {
    /// Its place in the body, from 0.
    pub index: u64,
    /// `accepted`, `duplicate` or `refused`.
    pub status: String,
    /// Why it was refused.
    #[serde(default)]
    pub code: Option<String>,
    /// The same for people.
    #[serde(default)]
    pub message: Option<String>,
}

/// The answer to events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Receipt {
    /// New, and durable.
    pub accepted: u64,
    /// Known already.
    pub duplicate: u64,
    /// Not taken.
    pub refused: u64,
    /// One each, or the refused only.
    #[serde(default)]
    pub events: Vec<EventReceipt>,
}

/// An answer in JSON, as text, so that it can be shown as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The body.
    pub text: String,
}

impl Answer {
    /// Understands the answer.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_str(&self.text).map_err(|e| ClientError::Strange {
            reason: e.to_string(),
        })
    }
}

impl Client {
    /// A client of the server at `base`. Nothing is sent yet.
    pub fn new(base: &str, token: Option<&Secret>) -> Result<Self, ClientError> {
        let url = parse_base(base)?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            // A token must not follow a redirect to somebody else.
            .redirect(reqwest::redirect::Policy::none())
            .tcp_keepalive(Duration::from_secs(30));
        if is_loopback(&url) {
            // A proxy's loopback is another machine.
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|e| ClientError::Address {
            url: base.to_owned(),
            reason: e.to_string(),
        })?;
        let bearer = token.map(bearer).transpose()?;
        Ok(Self {
            http,
            base: url,
            bearer,
        })
    }

    /// The server's address.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// `GET`, answered in JSON.
    pub async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Answer, ClientError> {
        let request = self.request(Method::GET, path).query(query);
        self.answer(request.timeout(CALL_TIMEOUT)).await
    }

    /// Any call with a JSON body or none, answered in JSON or by nothing.
    pub async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Answer, ClientError> {
        let mut request = self.request(method, path).timeout(CALL_TIMEOUT);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.answer(request).await
    }

    /// Waits until everything acknowledged is committed everywhere.
    pub async fn flush(&self) -> Result<Answer, ClientError> {
        let request = self.request(Method::POST, &["v1", "flush"]);
        self.answer(request.timeout(FLUSH_TIMEOUT)).await
    }

    /// Sends one body of events; on return they are durable. Sending the same
    /// body again is safe: the server knows what it has.
    pub async fn events(
        &self,
        body: Bytes,
        encoding: Option<Encoding>,
        account: Option<&str>,
    ) -> Result<Receipt, ClientError> {
        let mut request = self
            .request(Method::POST, &["v1", "events"])
            .query(&[("receipts", "refused")])
            .header(CONTENT_TYPE, "application/json")
            .timeout(Duration::from_secs(300));
        if let Some(account) = account {
            request = request.query(&[("account", account)]);
        }
        if let Some(encoding) = encoding {
            request = request.header(CONTENT_ENCODING, encoding.as_str());
        }
        self.answer(request.body(body)).await?.json()
    }

    /// Asks a question; the answer streams in the form that `accept` names. A
    /// body that fails half-way was cut short by the server on purpose.
    pub async fn sql(&self, query: &str, accept: &str) -> Result<Response, ClientError> {
        let request = self
            .request(Method::POST, &["v1", "sql"])
            .header(ACCEPT, accept)
            .json(&serde_json::json!({ "query": query }));
        self.send(request).await
    }

    /// Asks a saved query, with these values of its parameters; the answer
    /// streams as that of [`Self::sql`].
    pub async fn saved(
        &self,
        name: &QueryName,
        values: &Value,
        accept: &str,
    ) -> Result<Response, ClientError> {
        let request = self
            .request(Method::POST, &["v1", "saved-queries", name.as_str(), "run"])
            .header(ACCEPT, accept)
            .json(&serde_json::json!({ "parameters": values }));
        self.send(request).await
    }

    /// The rows of a query that nobody waited for; they stream as an answer does.
    pub async fn results(
        &self,
        id: &str,
        offset: Option<u64>,
        limit: Option<u64>,
        accept: &str,
    ) -> Result<Response, ClientError> {
        let page: Vec<(&str, u64)> = [("offset", offset), ("limit", limit)]
            .into_iter()
            .filter_map(|(name, n)| Some((name, n?)))
            .collect();
        let request = self
            .request(Method::GET, &["v1", "queries", id, "results"])
            .query(&page)
            .header(ACCEPT, accept);
        self.send(request).await
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            // Each part is encoded by itself: a name with a slash stays one part.
            segments.pop_if_empty().extend(path);
        }
        let request = self.http.request(method, url);
        match &self.bearer {
            Some(bearer) => request.header(AUTHORIZATION, bearer.clone()),
            None => request,
        }
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Answer, ClientError> {
        let response = self.send(request).await?;
        match response.text().await {
            Ok(text) => Ok(Answer { text }),
            Err(source) => Err(ClientError::CutShort { source }),
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request
            .send()
            .await
            .map_err(|source| ClientError::Unreachable {
                url: self.base.to_string(),
                source,
            })?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(error::from_response(response).await)
        }
    }
}

fn parse_base(base: &str) -> Result<Url, ClientError> {
    let wrong = |reason: &str| ClientError::Address {
        url: base.to_owned(),
        reason: reason.to_owned(),
    };
    let url = Url::parse(base.trim()).map_err(|e| wrong(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("it has to begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("a name or password has no place in it"));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn bearer(token: &Secret) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
        .map_err(|_| ClientError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}
