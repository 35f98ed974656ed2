//! TLS for the doors that speak it themselves: a certificate and its key from
//! PEM files, made into what `rustls` serves with, and read again when the files
//! have changed: certificates are renewed more often than servers are started.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use ring::digest;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;
use x509_certificate::{DigestAlgorithm, X509Certificate};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);

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

/// A certificate and its key, as their files say.
#[derive(Debug)]
pub struct TlsFiles {
    /// The two settings, for messages.
    names: [&'static str; 2],
    paths: [PathBuf; 2],
    /// The protocols that the door speaks.
    alpn: &'static [u8],
    now: RwLock<Now>,
}

/// What was read last, and what came of it.
struct Now {
    read: [Vec<u8>; 2],
    tls: Arc<Tls>,
}

impl std::fmt::Debug for Now {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Now")
    }
}

impl TlsFiles {
    /// Reads both files. `names` are the two settings, for messages; `alpn` the
    /// protocol that the door speaks.
    pub fn open(
        names: [&'static str; 2],
        cert: &Path,
        key: &Path,
        alpn: &'static [u8],
    ) -> Result<Self, TlsError> {
        let paths = [cert.to_owned(), key.to_owned()];
        let read = read(names, &paths)?;
        let tls = Arc::new(made(names, &paths, &read, alpn)?);
        Ok(Self {
            names,
            paths,
            alpn,
            now: RwLock::new(Now { read, tls }),
        })
    }

    /// For the next connection.
    pub fn tls(&self) -> Arc<Tls> {
        Arc::clone(&self.now.read().tls)
    }

    /// Looks whether the files have changed, and takes them where they have.
    /// What cannot be used changes nothing: of a pair that is being replaced
    /// one file comes first.
    pub fn look(&self) -> Result<bool, TlsError> {
        let read = read(self.names, &self.paths)?;
        if self.now.read().read == read {
            return Ok(false);
        }
        let tls = Arc::new(made(self.names, &self.paths, &read, self.alpn)?);
        *self.now.write() = Now { read, tls };
        Ok(true)
    }
}

/// Looks again and again until `stop`.
pub async fn follow(files: Arc<TlsFiles>, stop: CancellationToken) {
    let mut troubled = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let looked = Arc::clone(&files);
        let setting = files.names[0];
        match tokio::task::spawn_blocking(move || looked.look()).await {
            Ok(Ok(changed)) => {
                troubled = false;
                if changed {
                    tracing::info!(setting, "a new certificate is in use");
                }
            }
            Ok(Err(error)) if !troubled => {
                troubled = true;
                tracing::warn!(setting, error = %error, "a changed certificate cannot be used, the one before stays");
            }
            // Said once already.
            Ok(Err(_)) => {}
            Err(error) => {
                tracing::error!(setting, error = %error, "a certificate could not be looked at")
            }
        }
    }
}

fn read(names: [&'static str; 2], paths: &[PathBuf; 2]) -> Result<[Vec<u8>; 2], TlsError> {
    let one = |n: usize| {
        fs::read(&paths[n]).map_err(|source| TlsError::Read {
            setting: names[n],
            path: paths[n].clone(),
            source,
        })
    };
    Ok([one(0)?, one(1)?])
}

fn made(
    names: [&'static str; 2],
    paths: &[PathBuf; 2],
    [cert, key]: &[Vec<u8>; 2],
    alpn: &[u8],
) -> Result<Tls, TlsError> {
    let chain = chain(names[0], &paths[0], cert)?;
    let secret = secret(names[1], &paths[1], key)?;
    let endpoint = chain.first().and_then(|c| endpoint(c));
    let pair = |source| TlsError::Pair {
        cert: paths[0].clone(),
        key: paths[1].clone(),
        source,
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(pair)?;
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(Tls {
        config: Arc::new(config),
        endpoint,
    })
}

fn chain(
    setting: &'static str,
    path: &Path,
    text: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |what: String| TlsError::Content {
        setting,
        path: path.to_owned(),
        what,
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let chain = chain.map_err(|e| wrong(format!("this is not PEM: {e}")))?;
    match chain.is_empty() {
        true => Err(wrong(
            "there is no certificate in it: it has to begin with -----BEGIN CERTIFICATE-----"
                .to_owned(),
        )),
        false => Ok(chain),
    }
}

fn secret(
    setting: &'static str,
    path: &Path,
    text: &[u8],
) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|e| TlsError::Content {
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
