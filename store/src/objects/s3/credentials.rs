//! Whose key signs, as the builder wants to hear it.

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

use super::profile::{self, Profile};
use crate::objects::settings::{Credentials, Instance, WebIdentity};

/// Credentials that were looked for and found.
pub(super) struct Found {
    /// Where they come from, for people.
    pub(super) source: String,
    /// The region that the profile names.
    pub(super) region: Option<String>,
    what: What,
}

enum What {
    Unsigned,
    Static {
        id: String,
        secret: String,
        token: Option<String>,
    },
    Files(Arc<profile::FileCredentials>),
    WebIdentity(WebIdentity),
    Instance(Instance),
}

/// Looks where `credentials` say. The error says what to do.
pub(super) fn find(credentials: &Credentials) -> Result<Found, String> {
    let mut source = credentials.to_string();
    let mut region = None;
    let what = match credentials {
        Credentials::Missing => {
            return Err(
                "no credentials: give s3.access_key_id and s3.secret_access_key, or AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY, or a profile (s3.profile), or say s3.credentials = \"instance\" \
                 for the machine's own role"
                    .to_owned(),
            );
        }
        Credentials::Anonymous => What::Unsigned,
        Credentials::Static {
            access_key_id,
            secret_access_key,
            session_token,
            ..
        } => {
            source = format!("{source} ({access_key_id})");
            What::Static {
                id: access_key_id.clone(),
                secret: secret_access_key.clone(),
                token: session_token.clone(),
            }
        }
        Credentials::Profile(files) => {
            let read = profile::read(files)?;
            region = read.region;
            match read.what {
                Profile::Keys(keys) => {
                    source = format!("{source} ({})", keys.key_id);
                    What::Files(Arc::new(profile::FileCredentials::new(files.clone(), keys)))
                }
                Profile::WebIdentity(web) => {
                    source = format!("{source}, role {}", web.role_arn);
                    What::WebIdentity(web)
                }
            }
        }
        Credentials::WebIdentity(web) => What::WebIdentity(web.clone()),
        Credentials::Instance(at) => What::Instance(at.clone()),
    };
    Ok(Found {
        source,
        region,
        what,
    })
}

impl Found {
    /// Whether requests are signed at all.
    pub(super) fn signs(&self) -> bool {
        !matches!(self.what, What::Unsigned)
    }

    /// `builder` with these credentials.
    pub(super) fn give(&self, builder: AmazonS3Builder) -> Result<AmazonS3Builder, String> {
        use AmazonS3ConfigKey as Key;
        let mut given: Vec<(Key, String)> = Vec::new();
        match &self.what {
            What::Unsigned => return Ok(builder.with_skip_signature(true)),
            What::Files(files) => return Ok(builder.with_credentials(Arc::clone(files) as _)),
            What::Static { id, secret, token } => {
                given.push((Key::AccessKeyId, id.clone()));
                given.push((Key::SecretAccessKey, secret.clone()));
                given.extend(token.clone().map(|token| (Key::Token, token)));
            }
            What::WebIdentity(web) => {
                let file = web
                    .token_file
                    .to_str()
                    .ok_or_else(|| format!("the path {} is not UTF-8", web.token_file.display()))?;
                let session = web.session_name.as_deref().unwrap_or("cairn");
                given.push((Key::WebIdentityTokenFile, file.to_owned()));
                given.push((Key::RoleArn, web.role_arn.clone()));
                given.push((Key::RoleSessionName, session.to_owned()));
                given.extend(web.sts_endpoint.clone().map(|e| (Key::StsEndpoint, e)));
            }
            What::Instance(at) => {
                for (key, value) in [
                    (
                        Key::ContainerCredentialsRelativeUri,
                        &at.container_relative_uri,
                    ),
                    (Key::ContainerCredentialsFullUri, &at.container_full_uri),
                    (
                        Key::ContainerAuthorizationTokenFile,
                        &at.container_token_file,
                    ),
                    (Key::MetadataEndpoint, &at.metadata_endpoint),
                ] {
                    given.extend(value.clone().map(|value| (key, value)));
                }
            }
        }
        Ok(given
            .into_iter()
            .fold(builder, |b, (key, value)| b.with_config(key, value)))
    }
}
