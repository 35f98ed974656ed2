//! TLS for the doors that speak it themselves: a certificate and its key from
//! PEM files, made into what `rustls` serves with.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_certificate::{DigestAlgorithm, X509Certificate};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{setting} = {}: {source}", path.display())]
    Read {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error("{setting} = {}: {what}", path.display())]
    Content {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The two do not go together.
    #[error("the certificate in {} and the key in {} cannot be used: {source}", cert.display(), key.display())]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: tokio_rustls::rustls::Error,
    },
}

/// What a door needs to serve over TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    /// For `tokio_rustls::TlsAcceptor`.
    pub config: Arc<ServerConfig>,
    /// The certificate's hash, by which logins are bound to the connection
    /// (`tls-server-end-point`, RFC 5929); `None` for a certificate whose
    /// signature names no hash.
    pub endpoint: Option<Vec<u8>>,
}

/// Reads the certificate chain and its key. `names` are the two settings, for
/// messages; `alpn` the protocols that the door speaks.
pub fn load(
    names: [&'static str; 2],
    cert: &Path,
    key: &Path,
    alpn: &[&[u8]],
) -> Result<Tls, TlsError> {
    let chain = read_chain(names[0], cert)?;
    let secret = read_key(names[1], key)?;
    let endpoint = chain.first().and_then(|c| endpoint(c));
    let pair = |source| TlsError::Pair {
        cert: cert.to_owned(),
        key: key.to_owned(),
        source,
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(pair)?;
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(Tls {
        config: Arc::new(config),
        endpoint,
    })
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read {
        setting,
        path: path.to_owned(),
        source,
    })
}

fn read_chain(
    setting: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |what: String| TlsError::Content {
        setting,
        path: path.to_owned(),
        what,
    };
    let text = read(setting, path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|e| wrong(format!("this is not PEM: {e}")))?;
    match chain.is_empty() {
        true => Err(wrong(
            "there is no certificate in it: it has to begin with -----BEGIN CERTIFICATE-----"
                .to_owned(),
        )),
        false => Ok(chain),
    }
}

fn read_key(setting: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(setting, path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|e| TlsError::Content {
        setting,
        path: path.to_owned(),
        // The error names the kind of trouble, never the content.
        what: format!("there is no private key without a password in it (PEM): {e}"),
    })
}

/// The hash of the certificate by the hash of its signature; SHA-256 in place
/// of those that are too weak (RFC 5929, section 4.1).
fn endpoint(cert: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let parsed = X509Certificate::from_der(cert.as_ref()).ok()?;
    let algorithm = match parsed.signature_algorithm()?.digest_algorithm()? {
        DigestAlgorithm::Sha1 | DigestAlgorithm::Sha256 => &digest::SHA256,
        DigestAlgorithm::Sha384 => &digest::SHA384,
        DigestAlgorithm::Sha512 => &digest::SHA512,
    };
    Some(digest::digest(algorithm, cert.as_ref()).as_ref().to_vec())
}
