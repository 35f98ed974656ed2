//! Object stores: where tables and control documents lie.
//!
//! - [`open_checked`]: from a URL to a store, on local disk or S3, that keeps the
//!   promises below; [`open`] takes the store's word for it
//! - [`DurableLocal`]: local disk, where done means on the disk
//! - [`Reach`]: which addresses may be connected to
//! - [`CasProbe`]: whether put-if-absent is what it claims to be
//! - [`worm_status`]: whether the store itself keeps what is written
//!
//! Everything above holds a store for one that keeps two promises: what a put
//! returned `Ok` for survives a power cut, and of all puts of one key that ask
//! for its absence exactly one succeeds. The first is made here for local
//! disk; the second is tested here for every store.

mod disk;
mod local;
mod probe;
mod reach;
mod s3;
mod settings;
pub(crate) mod sorted;
mod sweep;
mod whole;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cairn_schemas::IdSource;
use futures::StreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;

pub use local::DurableLocal;
pub use probe::{CasProbe, ProbeError, Rounds};
pub(crate) use probe::{is_scratch, scratch};
pub use reach::{Inside, Reach, is_public};
pub use s3::WormStatus;
pub use settings::{
    Credentials, Encryption, Instance, LockMode, ObjectLock, ObjectSettings, ProfileFiles,
    WebIdentity,
};

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
    /// The bucket, where it is S3.
    pub(crate) bucket: Option<Arc<s3::Bucket>>,
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
    /// The store did not answer as it should; trying again may help.
    #[error("cannot open the store {url}: {reason}")]
    Unavailable {
        /// The URL.
        url: String,
        /// What it said.
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
            bucket: None,
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
            bucket: self.bucket.clone(),
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
        _ => s3::open(&parsed, settings).map_err(refused),
    }
}

/// [`open`], and for S3 the checks that have to come before anything is trusted
/// to the store: that of many writers of one key exactly one wins, and that a
/// bucket that is asked to lock objects can. `ids` names the probe's keys,
/// which are removed again.
///
/// [`OpenError::Refused`] stays until somebody changes something;
/// [`OpenError::Unavailable`] may be gone at the next try.
pub async fn open_checked(
    url: &str,
    settings: &ObjectSettings,
    ids: &dyn IdSource,
) -> Result<Opened, OpenError> {
    let opened = open(url, settings).await?;
    let Some(bucket) = &opened.bucket else {
        return Ok(opened);
    };
    let probe = match is_empty(&opened).await {
        true => CasProbe::thorough(),
        false => CasProbe::quick(),
    };
    probe.run(&opened, ids).await.map_err(|e| match e {
        ProbeError::NotAtomic { .. } => OpenError::Refused {
            url: url.to_owned(),
            reason: e.to_string(),
        },
        ProbeError::Unavailable { .. } => OpenError::Unavailable {
            url: url.to_owned(),
            reason: e.to_string(),
        },
    })?;
    if bucket.asked_for().is_some()
        && let WormStatus::NotEnforced | WormStatus::VersionedOnly { .. } =
            bucket.worm_status().await
    {
        return Err(OpenError::Refused {
            url: url.to_owned(),
            reason: "s3.object_lock is set, and the bucket has no Object Lock; turn it on for the bucket, \
                     use another bucket, or set s3.object_lock = \"off\""
                .to_owned(),
        });
    }
    Ok(opened)
}

/// Whether nothing of Cairn's lies there yet. Where the store does not say, it
/// is tried as if it were so.
async fn is_empty(opened: &Opened) -> bool {
    let mut listing = opened.store.list(Some(&opened.prefix));
    !matches!(listing.next().await, Some(Ok(_)))
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

/// An error with those of its causes that its own text leaves out: of a
/// certificate that is not trusted it tells only that the request failed.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(&format!(": {more}"));
        }
        source = cause.source();
    }
    text
}

/// What `opened`'s store itself says of whether what is written there can be
/// changed or removed before its time. Asks the store, for ten seconds at most;
/// never fails.
pub async fn worm_status(opened: &Opened) -> WormStatus {
    match &opened.bucket {
        Some(bucket) => bucket.worm_status().await,
        None => WormStatus::NotEnforced,
    }
}

#[cfg(test)]
mod tests;
