//! `[flight]`: the door for Arrow Flight SQL's clients.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `[flight]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flight {
    /// The address to listen on; `None` where the door is switched off.
    pub listen: Option<SocketAddr>,
    /// The certificate (PEM) that clients are shown, with those that it needs.
    pub tls_cert: Option<PathBuf>,
    /// Its key (PEM).
    pub tls_key: Option<PathBuf>,
    /// Whether clients from other machines may come without TLS. Checked
    /// already: an address that other machines reach has TLS, or has this.
    pub allow_plaintext: bool,
    /// How long a ticket holds.
    pub ticket_lifetime: Duration,
}

impl Default for Flight {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 7433))),
            tls_cert: None,
            tls_key: None,
            allow_plaintext: false,
            ticket_lifetime: Duration::from_secs(300),
        }
    }
}
