//! `[pg]`: the door for PostgreSQL's clients.

use std::net::SocketAddr;
use std::path::PathBuf;

/// `[pg]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pg {
    /// The address to listen on; `None` where the door is switched off.
    pub listen: Option<SocketAddr>,
    /// The certificate (PEM) that clients are shown, with those that it needs.
    pub tls_cert: Option<PathBuf>,
    /// Its key (PEM).
    pub tls_key: Option<PathBuf>,
    /// Whether clients from other machines may come without TLS. Checked
    /// already: an address that other machines reach has TLS, or has this.
    pub allow_plaintext: bool,
    /// How many sessions may be open.
    pub max_connections: u32,
}

impl Default for Pg {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 7432))),
            tls_cert: None,
            tls_key: None,
            allow_plaintext: false,
            max_connections: 100,
        }
    }
}
