//! Which addresses may be connected to.
//!
//! Where somebody else than the operator says where to write, a name may lead
//! inside the network: to the machine's own metadata, to a database next door.
//! So a name is resolved here, each of its addresses is looked at, and those
//! and no others are connected to: a second answer of the name's server, given
//! after the first was checked, is never asked for. Redirects are not
//! followed, and no proxy, which would resolve by itself, is used.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use object_store::client::HttpClient;
use reqwest::dns::{Name, Resolve, Resolving};
use url::{Host, Url};

use super::settings::ObjectSettings;

/// Public addresses, and those inside that the operator named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    inside: Arc<[IpNet]>,
}

/// Why an address is not connected to.
#[derive(Debug, thiserror::Error)]
#[error(
    "{host} lies inside the network ({address}), where nothing is sent unless the settings name that address"
)]
pub struct Inside {
    host: String,
    address: IpAddr,
}

impl Reach {
    /// Public addresses and those in `inside`.
    pub fn new(inside: impl IntoIterator<Item = IpNet>) -> Self {
        Self {
            inside: inside.into_iter().collect(),
        }
    }

    /// Whether `address` may be connected to.
    pub fn may(&self, address: IpAddr) -> bool {
        // `::ffff:127.0.0.1` is the loopback too.
        let address = address.to_canonical();
        is_public(address) || self.inside.iter().any(|net| net.contains(&address))
    }

    /// Refuses a URL whose host is an address that may not be connected to.
    /// Names are looked at when they are resolved.
    pub fn check_url(&self, url: &Url) -> Result<(), Inside> {
        let address = match url.host() {
            Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
            Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        self.check(url.host_str().unwrap_or_default(), address)
    }

    fn check(&self, host: &str, address: IpAddr) -> Result<(), Inside> {
        match self.may(address) {
            true => Ok(()),
            false => Err(Inside {
                host: host.to_owned(),
                address,
            }),
        }
    }

    /// A client that keeps to this.
    pub(super) fn client(&self, settings: &ObjectSettings) -> Result<HttpClient, String> {
        let plain = settings.endpoint.as_deref().map(Url::parse);
        let plain = plain.is_some_and(|url| url.is_ok_and(|url| url.scheme() == "http"));
        let mut client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .https_only(!plain)
            .dns_resolver(Arc::new(self.clone()))
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.request_timeout);
        if let Some(file) = &settings.ca_file {
            let show = file.display();
            let pem = std::fs::read(file).map_err(|e| {
                format!("the certificates in s3.ca_file = {show} cannot be read: {e}")
            })?;
            let found = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|e| format!("s3.ca_file = {show} is not PEM: {e}"))?;
            for certificate in found {
                client = client.add_root_certificate(certificate);
            }
        }
        let client = client.build().map_err(|e| super::with_causes(&e))?;
        Ok(HttpClient::new(client))
    }
}

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            // One inside is enough to refuse all: which of them is taken is
            // not decided here.
            for address in &found {
                reach.check(name.as_str(), address.ip())?;
            }
            let addresses: reqwest::dns::Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

/// Whether anybody on the internet could mean this address.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => public_v4(v4),
        IpAddr::V6(v6) => public_v6(v6),
    }
}

fn public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match a {
        0 | 10 | 127 => true,
        // Shared by carriers; some clouds have their metadata there.
        100 => (64..128).contains(&b),
        169 => b == 254,
        172 => (16..32).contains(&b),
        192 => b == 168 || (b == 0 && matches!(c, 0 | 2)) || (b == 88 && c == 99),
        198 => matches!(b, 18 | 19) || (b == 51 && c == 100),
        203 => b == 0 && c == 113,
        // Multicast, reserved, broadcast.
        224..=255 => true,
        _ => false,
    };
    !special
}

fn public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        // NAT64 leads to the IPv4 address in its end.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        // So does 6to4, to the one in its middle.
        [0x2002, high, low, ..] => embedded(high, low),
        // Teredo, benchmarking, ORCHID and the like; documentation.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // Of the rest only the global unicast addresses: neither loopback nor
        // link-local, private, site-local, multicast, or mapped.
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests;
