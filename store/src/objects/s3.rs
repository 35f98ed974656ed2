//! S3: from settings to a store.

mod credentials;
mod profile;
mod retain;
mod store;
mod worm;

use std::path::Path as FilePath;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum, S3ConditionalPut};
use object_store::client::{HttpConnector, ReqwestConnector};
use object_store::path::Path;
use object_store::{Certificate, ClientOptions, ObjectStore, RetryConfig};
use std::time::Duration;
use url::Url;

use super::settings::{Encryption, ObjectSettings};
use super::{Opened, has_credentials};
use retain::{Retaining, Signer};
use store::S3Store;
pub(super) use worm::Bucket;
pub use worm::WormStatus;

/// Opens the bucket and prefix of `url`. The error says what to do.
pub(super) fn open(url: &Url, settings: &ObjectSettings) -> Result<Opened, String> {
    let bucket = url
        .host_str()
        .filter(|b| !b.is_empty())
        .ok_or("no bucket; write s3://bucket/prefix")?;
    let endpoint = settings.endpoint.as_deref().map(Url::parse);
    if let Some(Ok(endpoint)) = &endpoint {
        if has_credentials(endpoint) {
            return Err(
                "an endpoint holds no credentials; they stand in the server's settings".into(),
            );
        }
        // A client asks no resolver about an address.
        if let Some(reach) = &settings.reach {
            reach.check_url(endpoint).map_err(|e| e.to_string())?;
        }
    }
    let prefix = Path::from_url_path(url.path()).map_err(|e| e.to_string())?;
    let found = credentials::find(&settings.credentials)?;
    let region = settings
        .region
        .clone()
        .or_else(|| found.region.clone())
        .unwrap_or_else(|| "us-east-1".to_owned());
    let address = Address::new(bucket, &region, settings)?;
    let client = client_options(settings)?;
    let builder = builder(bucket, &region, &address, &client, settings)?;
    let signs = found.signs();
    let plain = found.give(builder)?.build().map_err(|e| e.to_string())?;
    let signer = Signer::new(Arc::clone(plain.credentials()), region.clone(), signs);
    let http = match &settings.reach {
        Some(reach) => reach.client(settings)?,
        None => ReqwestConnector::default()
            .connect(&client)
            .map_err(|e| e.to_string())?,
    };
    let retaining = Retaining::new(signer.clone(), http.clone());
    // Built twice, for only a built store says who signs for it.
    let mut builder = self::builder(bucket, &region, &address, &client, settings)?
        .with_credentials(Arc::clone(plain.credentials()))
        .with_http_connector(retaining);
    if !signs {
        builder = builder.with_skip_signature(true);
    }
    let store = builder.build().map_err(|e| e.to_string())?;
    tracing::info!(
        bucket,
        region,
        endpoint = settings.endpoint,
        credentials = %found.source,
        "s3 store opened"
    );
    let store = S3Store::new(store, settings);
    let bucket = Bucket::new(
        address.bucket_url,
        http,
        signer,
        settings.object_lock.clone(),
    );
    let mut opened = Opened::new(Arc::new(store) as Arc<dyn ObjectStore>, prefix);
    opened.bucket = Some(Arc::new(bucket));
    Ok(opened)
}

/// Where a bucket is.
struct Address {
    /// Whether the bucket stands in the host's name.
    virtual_hosted: bool,
    /// What the builder is given; `None` for AWS' own.
    endpoint: Option<String>,
    /// The bucket's own URL, without a slash at its end.
    bucket_url: String,
}

impl Address {
    fn new(bucket: &str, region: &str, settings: &ObjectSettings) -> Result<Self, String> {
        let path_style = settings
            .path_style
            // A dot in the name, and TLS' wildcard does not fit the host.
            .unwrap_or(settings.endpoint.is_some() || bucket.contains('.'));
        let Some(endpoint) = &settings.endpoint else {
            let bucket_url = match path_style {
                true => format!("https://s3.{region}.amazonaws.com/{bucket}"),
                false => format!("https://{bucket}.s3.{region}.amazonaws.com"),
            };
            return Ok(Self {
                virtual_hosted: !path_style,
                endpoint: None,
                bucket_url,
            });
        };
        let endpoint = endpoint.trim_end_matches('/');
        if path_style {
            return Ok(Self {
                virtual_hosted: false,
                endpoint: Some(endpoint.to_owned()),
                bucket_url: format!("{endpoint}/{bucket}"),
            });
        }
        // The builder takes an endpoint that holds the bucket already.
        let (scheme, rest) = endpoint
            .split_once("://")
            .ok_or("the endpoint is no URL; write https://host")?;
        let hosted = format!("{scheme}://{bucket}.{rest}");
        Ok(Self {
            virtual_hosted: true,
            endpoint: Some(hosted.clone()),
            bucket_url: hosted,
        })
    }
}

fn client_options(settings: &ObjectSettings) -> Result<ClientOptions, String> {
    let plain = settings
        .endpoint
        .as_ref()
        .is_some_and(|e| e.to_ascii_lowercase().starts_with("http://"));
    let mut client = ClientOptions::new()
        .with_allow_http(settings.allow_http || plain)
        .with_connect_timeout(settings.connect_timeout)
        // Of a whole request: a large file over a slow line takes its time.
        .with_timeout(settings.request_timeout);
    if let Some(file) = &settings.ca_file {
        for certificate in certificates(file)? {
            client = client.with_root_certificate(certificate);
        }
    }
    Ok(client)
}

fn certificates(file: &FilePath) -> Result<Vec<Certificate>, String> {
    let show = file.display();
    let pem = std::fs::read(file)
        .map_err(|e| format!("the certificates in s3.ca_file = {show} cannot be read: {e}"))?;
    let found = Certificate::from_pem_bundle(&pem)
        .map_err(|e| format!("s3.ca_file = {show} is not PEM: {e}"))?;
    if found.is_empty() {
        return Err(format!(
            "s3.ca_file = {show} holds no certificate; it takes PEM, as in -----BEGIN CERTIFICATE-----"
        ));
    }
    Ok(found)
}

fn builder(
    bucket: &str,
    region: &str,
    address: &Address,
    client: &ClientOptions,
    settings: &ObjectSettings,
) -> Result<AmazonS3Builder, String> {
    // `new`, not `from_env`: whose key is used is the operator's to say.
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(region)
        .with_virtual_hosted_style_request(address.virtual_hosted)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_client_options(client.clone())
        // Whoever asked tries again too, and is to hear of an outage soon.
        .with_retry(RetryConfig {
            max_retries: 3,
            retry_timeout: Duration::from_secs(30),
            ..RetryConfig::default()
        });
    if let Some(endpoint) = &address.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    // S3 takes retention only of an object whose checksum goes along.
    if settings.checksum || settings.object_lock.is_some() {
        builder = builder.with_checksum_algorithm(Checksum::SHA256);
    }
    if let Some(encryption) = &settings.encryption {
        builder = encrypted(builder, encryption)?;
    }
    Ok(builder)
}

fn encrypted(
    mut builder: AmazonS3Builder,
    encryption: &Encryption,
) -> Result<AmazonS3Builder, String> {
    let bucket_key = encryption.bucket_key.map(|on| on.to_string());
    for (key, value) in [
        ("aws_server_side_encryption", Some(&encryption.kind)),
        ("aws_sse_kms_key_id", encryption.kms_key_id.as_ref()),
        ("aws_sse_bucket_key_enabled", bucket_key.as_ref()),
    ] {
        let key: AmazonS3ConfigKey = key.parse().map_err(|e| format!("{e}"))?;
        if let Some(value) = value {
            builder = builder.with_config(key, value);
        }
    }
    Ok(builder)
}

#[cfg(test)]
mod tests;
