//! `[s3]`: how trails reach S3, and whose key is used.

use std::path::PathBuf;
use std::time::Duration;

use cairn_store::objects::{
    Credentials, Encryption, Instance, LockMode, ProfileFiles, WebIdentity,
};

use super::Secret;

/// Whose key is used, where the operator says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// `s3.access_key_id` and its like.
    Static,
    /// `AWS_ACCESS_KEY_ID` and its like.
    Environment,
    /// A profile in AWS' own files.
    Profile,
    /// A role that STS gives for a token.
    WebIdentity,
    /// The machine's or the container's own role.
    Instance,
}

/// The three that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentKeys {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: Secret,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: Option<Secret>,
}

/// What AWS' own variables say and no setting does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsPlaces {
    /// The key in the environment.
    pub keys: Option<EnvironmentKeys>,
    /// `AWS_PROFILE`.
    pub profile: Option<String>,
    /// `AWS_SHARED_CREDENTIALS_FILE`, else `~/.aws/credentials`.
    pub credentials_file: Option<PathBuf>,
    /// `AWS_CONFIG_FILE`, else `~/.aws/config`.
    pub config_file: Option<PathBuf>,
    /// `AWS_ROLE_SESSION_NAME`.
    pub role_session_name: Option<String>,
    /// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`.
    pub container_relative_uri: Option<String>,
    /// `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
    pub container_full_uri: Option<String>,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`.
    pub container_token_file: Option<String>,
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    pub metadata_endpoint: Option<String>,
}

/// `[s3]`: how trails reach S3. What a trail's own destination says wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3 {
    /// The S3 API's base URL, for stores other than AWS.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// Whose key is used; the first that is there where nothing is said.
    pub credentials: Option<CredentialSource>,
    /// The key's public half.
    pub access_key_id: Option<String>,
    /// The key's secret half; there exactly when the public half is.
    pub secret_access_key: Option<Secret>,
    /// The session token of temporary credentials.
    pub session_token: Option<Secret>,
    /// The profile.
    pub profile: Option<String>,
    /// The role that web identity asks for.
    pub role_arn: Option<String>,
    /// The token that web identity shows.
    pub web_identity_token_file: Option<PathBuf>,
    /// The STS that web identity asks.
    pub sts_endpoint: Option<String>,
    /// Whether the bucket stands in the path.
    pub path_style: Option<bool>,
    /// Whether an endpoint without TLS may be used.
    pub allow_http: bool,
    /// PEM certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a whole request may take.
    pub request_timeout: Duration,
    /// The bytes beyond which a data file is sent in parts.
    pub multipart_bytes: u64,
    /// What the store encrypts with, as S3 calls it.
    pub encryption: Option<String>,
    /// The key of KMS.
    pub kms_key_id: Option<String>,
    /// Whether a bucket key is used.
    pub bucket_key: Option<bool>,
    /// Whether objects carry a checksum of S3's own.
    pub checksum: bool,
    /// The storage class of data files.
    pub storage_class: Option<String>,
    /// The retention to ask for.
    pub object_lock: Option<LockMode>,
    /// Days that an object is locked; there where `object_lock` is.
    pub retain_days: Option<u32>,
    /// What AWS' own variables say.
    pub aws: AwsPlaces,
}

impl Default for S3 {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            credentials: None,
            access_key_id: None,
            secret_access_key: None,
            session_token: None,
            profile: None,
            role_arn: None,
            web_identity_token_file: None,
            sts_endpoint: None,
            path_style: None,
            allow_http: false,
            ca_file: None,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(120),
            multipart_bytes: 64 << 20,
            encryption: None,
            kms_key_id: None,
            bucket_key: None,
            checksum: true,
            storage_class: None,
            object_lock: None,
            retain_days: None,
            aws: AwsPlaces::default(),
        }
    }
}

impl S3 {
    /// The source that is used: as told, else the first that is there, what
    /// Cairn's own settings name before what AWS' variables do. The machine's
    /// role is used only where it is asked for, or a container's variables are
    /// there: asking an address that does not answer takes long.
    pub fn source(&self) -> CredentialSource {
        if let Some(source) = self.credentials {
            return source;
        }
        if self.access_key_id.is_some() {
            CredentialSource::Static
        } else if self.profile.is_some() {
            CredentialSource::Profile
        } else if self.aws.keys.is_some() {
            CredentialSource::Environment
        } else if self.web_identity_token_file.is_some() && self.role_arn.is_some() {
            CredentialSource::WebIdentity
        } else if self.aws.profile.is_none() && self.in_container() {
            CredentialSource::Instance
        } else {
            CredentialSource::Profile
        }
    }

    fn in_container(&self) -> bool {
        self.aws.container_relative_uri.is_some() || self.aws.container_full_uri.is_some()
    }

    /// The credentials themselves, or where they come from.
    pub fn to_credentials(&self) -> Credentials {
        let shown = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose().to_owned());
        match self.source() {
            CredentialSource::Static => {
                match (&self.access_key_id, shown(&self.secret_access_key)) {
                    (Some(id), Some(secret)) => Credentials::Static {
                        from: "the settings",
                        access_key_id: id.clone(),
                        secret_access_key: secret,
                        session_token: shown(&self.session_token),
                    },
                    _ => Credentials::Missing,
                }
            }
            CredentialSource::Environment => match &self.aws.keys {
                Some(keys) => Credentials::Static {
                    from: "the environment",
                    access_key_id: keys.access_key_id.clone(),
                    secret_access_key: keys.secret_access_key.expose().to_owned(),
                    session_token: shown(&keys.session_token),
                },
                None => Credentials::Missing,
            },
            CredentialSource::Profile => {
                let name = self.profile.as_ref().or(self.aws.profile.as_ref());
                Credentials::Profile(ProfileFiles {
                    name: name.map_or_else(|| "default".to_owned(), Clone::clone),
                    credentials_file: self.aws.credentials_file.clone(),
                    config_file: self.aws.config_file.clone(),
                    sts_endpoint: self.sts_endpoint.clone(),
                })
            }
            CredentialSource::WebIdentity => {
                match (&self.web_identity_token_file, &self.role_arn) {
                    (Some(token_file), Some(role_arn)) => Credentials::WebIdentity(WebIdentity {
                        token_file: token_file.clone(),
                        role_arn: role_arn.clone(),
                        session_name: self.aws.role_session_name.clone(),
                        sts_endpoint: self.sts_endpoint.clone(),
                    }),
                    _ => Credentials::Missing,
                }
            }
            CredentialSource::Instance => Credentials::Instance(Instance {
                container_relative_uri: self.aws.container_relative_uri.clone(),
                container_full_uri: self.aws.container_full_uri.clone(),
                container_token_file: self.aws.container_token_file.clone(),
                metadata_endpoint: self.aws.metadata_endpoint.clone(),
            }),
        }
    }

    /// What the store is to encrypt with.
    pub fn to_encryption(&self) -> Option<Encryption> {
        self.encryption.as_ref().map(|kind| Encryption {
            kind: kind.clone(),
            kms_key_id: self.kms_key_id.clone(),
            bucket_key: self.bucket_key,
        })
    }
}
