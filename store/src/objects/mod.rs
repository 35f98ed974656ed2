//! Object stores: where tables and control documents lie.
//!
//! - [`open`]: from a URL to a store, on local disk or S3
//! - [`DurableLocal`]: local disk, where done means on the disk
//! - [`CasProbe`]: whether put-if-absent is what it claims to be
//!
//! Everything above holds a store for one that keeps two promises: what a put
//! returned `Ok` for survives a power cut, and of all puts of one key that ask
//! for its absence exactly one succeeds. The first is made here for local
//! disk; the second is tested here for every store.

mod local;
mod probe;
mod sweep;
mod whole;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use url::Url;

pub use local::DurableLocal;
pub use probe::{CasProbe, ProbeError};
pub(crate) use probe::{is_scratch, scratch};

/// How a store is reached. Nothing is taken from the environment.
#[derive(Clone, Default)]
pub struct ObjectSettings {
    /// The S3 endpoint; AWS' own of the region where it is missing.
    pub endpoint: Option<String>,
    /// The S3 region; `us-east-1` where it is missing.
    pub region: Option<String>,
    /// Whether plain HTTP is allowed. It is also where the endpoint says `http://`.
    pub allow_http: bool,
    /// `bucket.host/key` instead of `host/bucket/key`.
    pub virtual_hosted: bool,
    /// `access_key_id`, `secret_access_key` and, for temporary ones,
    /// `session_token`. With `instance_role` set to `true` the machine's own
    /// role is used instead, with `anonymous` set to `true` none.
    pub credentials: BTreeMap<String, String>,
}

impl fmt::Debug for ObjectSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectSettings")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("credentials", &self.credentials.keys())
            .finish_non_exhaustive()
    }
}

/// A folder in a store.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The folder; empty for the store's root.
    pub prefix: Path,
    /// A URL that names this store and no other in this process.
    pub store_url: Url,
    /// The same store, where it is a local disk.
    pub(crate) local: Option<DurableLocal>,
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL or the settings are not right.
    #[error("cannot open the store {url}: {reason}")]
    Refused {
        /// The URL.
        url: String,
        /// What to do.
        reason: String,
    },
    /// The disk said no.
    #[error("cannot open the store {url}: {source}")]
    Io {
        /// The URL.
        url: String,
        /// What it said.
        source: std::io::Error,
    },
}

impl Opened {
    /// `store` under a URL of its own. A body that ends early is an error here.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        // Only a name: no two stores of a process may share it.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let store_url = Url::parse(&format!("cairn-store://{number}"))
            .expect("a scheme and a number are a URL");
        Self {
            store: Arc::new(whole::Whole::new(store)),
            prefix,
            store_url,
            local: None,
        }
    }

    /// A folder below this one, in the same store. `folder` comes from
    /// [`cairn_schemas::keys`].
    #[must_use]
    pub fn at(&self, folder: &str) -> Self {
        Self {
            store: Arc::clone(&self.store),
            prefix: self
                .prefix
                .parts()
                .chain(Path::from(folder).parts())
                .collect(),
            store_url: self.store_url.clone(),
            local: self.local.clone(),
        }
    }
}

/// Opens `file:///path` or `s3://bucket/prefix`. A local folder is made where
/// it is missing, and refused where a symbolic link lies under it: a link
/// would have Cairn write where its operator did not say. What [`check_url`]
/// refuses is refused here.
pub async fn open(url: &str, settings: &ObjectSettings) -> Result<Opened, OpenError> {
    let parsed = check_url(url)?;
    let refused = |reason: String| OpenError::Refused {
        url: url.to_owned(),
        reason,
    };
    match parsed.scheme() {
        "file" => {
            let folder = parsed
                .to_file_path()
                .map_err(|()| refused("write file:///folder, with three slashes".to_owned()))?;
            open_local(url, folder).await
        }
        _ => open_s3(&parsed, settings).map_err(refused),
    }
}

/// Refuses what is no URL of a store, and one that holds more than a place: credentials,
/// which would be stored and shown with it, a query or a fragment. The error
/// does not repeat them.
pub fn check_url(url: &str) -> Result<Url, OpenError> {
    let refused = |reason: String| OpenError::Refused {
        url: without_secrets(url),
        reason,
    };
    let parsed = Url::parse(url)
        .map_err(|e| refused(format!("{e}; write file:///folder or s3://bucket/prefix")))?;
    if has_credentials(&parsed) {
        return Err(refused(
            "a destination holds no credentials; they stand in the server's settings".to_owned(),
        ));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(refused(
            "a destination holds no query and no fragment; write %3F for ? and %23 for # in a name"
                .to_owned(),
        ));
    }
    if !matches!(parsed.scheme(), "file" | "s3") {
        return Err(refused(
            "only file:///folder and s3://bucket/prefix are supported".to_owned(),
        ));
    }
    Ok(parsed)
}

/// `s3://KEY:123/45@bucket` parses as a port: no bucket has one.
fn has_credentials(url: &Url) -> bool {
    let port = url.scheme() == "s3" && url.port().is_some();
    !url.username().is_empty() || url.password().is_some() || port
}

/// What may be shown of a `url` that is refused. It may hold a secret, and
/// where is not known: a key with a `/` or a `#` in it ends the host early.
fn without_secrets(url: &str) -> String {
    let scheme = ["s3://", "file://"]
        .into_iter()
        .find(|s| url.starts_with(s))
        .unwrap_or_default();
    let suspect = url[scheme.len()..].contains(['@', '?', '#', ':']);
    match suspect {
        true => format!("{scheme}…"),
        false => url.to_owned(),
    }
}

async fn open_local(url: &str, folder: PathBuf) -> Result<Opened, OpenError> {
    let opened = tokio::task::spawn_blocking(move || DurableLocal::open(&folder)).await;
    let store = opened
        .map_err(std::io::Error::other)
        .and_then(|opened| opened)
        .map_err(|source| OpenError::Io {
            url: url.to_owned(),
            source,
        })?;
    let store_here: Arc<dyn ObjectStore> = Arc::new(store.clone());
    Ok(Opened {
        // The disk itself: it ends no body early, and reads many ranges at once.
        store: Arc::clone(&store_here),
        local: Some(store),
        ..Opened::new(store_here, Path::default())
    })
}

fn open_s3(url: &Url, settings: &ObjectSettings) -> Result<Opened, String> {
    let bucket = url
        .host_str()
        .filter(|b| !b.is_empty())
        .ok_or("no bucket; write s3://bucket/prefix")?;
    let endpoint = settings.endpoint.as_deref().map(Url::parse);
    if endpoint.is_some_and(|e| e.is_ok_and(|e| has_credentials(&e))) {
        return Err("an endpoint holds no credentials; they stand in the server's settings".into());
    }
    let prefix = Path::from_url_path(url.path()).map_err(|e| e.to_string())?;
    let plain = settings
        .endpoint
        .as_ref()
        .is_some_and(|e| e.starts_with("http://"));
    let client = ClientOptions::new()
        .with_allow_http(settings.allow_http || plain)
        .with_connect_timeout(Duration::from_secs(10))
        // Of a whole request: a large file over a slow line takes its time.
        .with_timeout(Duration::from_secs(120));
    // `new`, not `from_env`: whose key is used is the operator's to say.
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(settings.region.as_deref().unwrap_or("us-east-1"))
        .with_virtual_hosted_style_request(settings.virtual_hosted)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_client_options(client)
        // Whoever asked tries again too, and is to hear of an outage soon.
        .with_retry(RetryConfig {
            max_retries: 3,
            retry_timeout: Duration::from_secs(30),
            ..RetryConfig::default()
        });
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    builder = with_credentials(builder, &settings.credentials)?;
    let store = builder.build().map_err(|e| e.to_string())?;
    Ok(Opened::new(Arc::new(store), prefix))
}

fn with_credentials(
    builder: AmazonS3Builder,
    credentials: &BTreeMap<String, String>,
) -> Result<AmazonS3Builder, String> {
    const KNOWN: &[&str] = &[
        "access_key_id",
        "secret_access_key",
        "session_token",
        "instance_role",
        "anonymous",
    ];
    if let Some(key) = credentials.keys().find(|k| !KNOWN.contains(&k.as_str())) {
        return Err(format!(
            "{key} is no credential; known are {}",
            KNOWN.join(", ")
        ));
    }
    let on = |key: &str| credentials.get(key).is_some_and(|v| v == "true");
    if on("anonymous") {
        return Ok(builder.with_skip_signature(true));
    }
    if on("instance_role") {
        return Ok(builder);
    }
    let (Some(id), Some(secret)) = (
        credentials.get("access_key_id"),
        credentials.get("secret_access_key"),
    ) else {
        return Err(
            "no credentials; give access_key_id and secret_access_key, or instance_role".to_owned(),
        );
    };
    let builder = builder
        .with_access_key_id(id)
        .with_secret_access_key(secret);
    Ok(match credentials.get("session_token") {
        Some(token) => builder.with_token(token),
        None => builder,
    })
}

#[cfg(test)]
mod tests;
