//! `[export]`: where exports may go, and what they may take.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::MIB;
use super::value::Allowed;

/// A place that exports may be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedPlace {
    /// `file:///folder` or `s3://bucket/prefix`, without a slash at its end.
    pub url: String,
    /// The S3 endpoint; that of `[s3]` where nothing is said.
    pub endpoint: Option<String>,
}

/// `[export]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Where exports may go; the folder `exports` of the data folder where
    /// nothing is said.
    pub allow: Vec<AllowedPlace>,
    /// Addresses inside the network that a name may lead to.
    pub allow_addresses: Vec<IpNet>,
    /// The longest that one export may run.
    pub timeout: Duration,
    /// Exports that run at once.
    pub max_concurrent: u32,
    /// Memory of the queries of all exports together.
    pub memory_bytes: u64,
}

impl Default for Export {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            allow_addresses: Vec::new(),
            timeout: Duration::from_secs(3600),
            max_concurrent: 2,
            memory_bytes: 256 * MIB,
        }
    }
}

/// Understands `URL` or `URL=ENDPOINT`.
pub(super) fn place(text: &str) -> Result<AllowedPlace, Allowed> {
    let allowed = |why: String| {
        format!(
            "use file:///folder or s3://bucket/prefix, and for a store that is not AWS' =http(s)://host:port after it ({why})"
        )
    };
    let text = text.trim();
    let endpoint_at = ["=https://", "=http://"]
        .iter()
        .filter_map(|mark| text.find(mark))
        .min();
    let (url, endpoint) = match endpoint_at {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let url = url.trim_end_matches('/');
    let parsed = cairn_store::objects::check_url(url).map_err(|e| allowed(e.to_string()))?;
    if parsed.scheme() == "file" {
        if endpoint.is_some() {
            return Err(allowed("a folder has no endpoint".to_owned()));
        }
        let folder = parsed.to_file_path().ok();
        if folder.is_none_or(|folder| folder.parent().is_none()) {
            return Err(allowed("name a folder below /".to_owned()));
        }
    } else if parsed.host_str().is_none_or(str::is_empty) {
        return Err(allowed("name a bucket".to_owned()));
    }
    let endpoint = endpoint.map(|e| e.trim_end_matches('/').to_owned());
    if let Some(endpoint) = &endpoint {
        let parsed = url::Url::parse(endpoint).map_err(|e| allowed(e.to_string()))?;
        let bare = parsed.path() == "/" && parsed.query().is_none() && parsed.fragment().is_none();
        let named = parsed.username().is_empty() && parsed.password().is_none();
        if !parsed.has_host() || !bare || !named {
            return Err(allowed(
                "an endpoint is a scheme, a host and a port".to_owned(),
            ));
        }
    }
    Ok(AllowedPlace {
        url: url.to_owned(),
        endpoint,
    })
}

/// Understands an address or a range of them.
pub(super) fn network(text: &str) -> Result<IpNet, Allowed> {
    let text = text.trim();
    let single = text.parse::<IpAddr>().map(IpNet::from);
    let found = single.or_else(|_| text.parse::<IpNet>());
    found.map_err(|_| "use addresses such as 10.1.2.3, fd00::5 or 10.1.2.0/24".to_owned())
}

#[cfg(test)]
mod tests;
