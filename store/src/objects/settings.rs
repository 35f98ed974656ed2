//! How a store is reached: plain data, taken from the server's settings.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cairn_schemas::{Clock, Micros};

use super::reach::Reach;

/// How a store is reached. Nothing is taken from the environment.
#[derive(Clone, Debug)]
pub struct ObjectSettings {
    /// The S3 endpoint; AWS' own of the region where it is missing.
    pub endpoint: Option<String>,
    /// The S3 region; that of the profile, else `us-east-1`, where it is missing.
    pub region: Option<String>,
    /// Whether plain HTTP is allowed. It is also where the endpoint says `http://`.
    pub allow_http: bool,
    /// `host/bucket/key` instead of `bucket.host/key`; where nothing is said,
    /// only with an endpoint of one's own.
    pub path_style: Option<bool>,
    /// Whose key signs the requests.
    pub credentials: Credentials,
    /// PEM certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a whole request may take, its body and the answer's included.
    pub request_timeout: Duration,
    /// Objects of more bytes than this are sent in parts.
    pub multipart_bytes: u64,
    /// What the store encrypts with; its own default where nothing is said.
    pub encryption: Option<Encryption>,
    /// Whether each object carries its SHA-256 as S3's own checksum. A bucket
    /// with a default retention takes no object without.
    pub checksum: bool,
    /// The storage class of data files; the bucket's default where nothing is said.
    pub storage_class: Option<String>,
    /// Retention that Cairn asks for with each data file and log entry.
    pub object_lock: Option<ObjectLock>,
    /// Where others than the operator say where to write: which addresses may
    /// be connected to. Any, where nothing is said.
    pub reach: Option<Reach>,
}

impl Default for ObjectSettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            allow_http: false,
            path_style: None,
            credentials: Credentials::default(),
            ca_file: None,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(120),
            multipart_bytes: 64 << 20,
            encryption: None,
            checksum: true,
            storage_class: None,
            object_lock: None,
            reach: None,
        }
    }
}

/// Whose key signs the requests to S3.
#[derive(Clone, Default)]
pub enum Credentials {
    /// Nobody's: S3 is refused with an explanation.
    #[default]
    Missing,
    /// One key, which is never renewed.
    Static {
        /// Where it stands, for people: "the settings", "the environment".
        from: &'static str,
        /// The public half.
        access_key_id: String,
        /// The secret half.
        secret_access_key: String,
        /// Of temporary credentials.
        session_token: Option<String>,
    },
    /// A profile of AWS' own files, which are read again when they change.
    Profile(ProfileFiles),
    /// A role that STS gives for a token in a file; renewed in time.
    WebIdentity(WebIdentity),
    /// The machine's or the container's own role; renewed in time.
    Instance(Instance),
    /// Requests are not signed.
    Anonymous,
}

/// A profile of AWS' own files.
#[derive(Clone, Debug, Default)]
pub struct ProfileFiles {
    /// The profile's name.
    pub name: String,
    /// `~/.aws/credentials`, or what stands for it.
    pub credentials_file: Option<PathBuf>,
    /// `~/.aws/config`, or what stands for it.
    pub config_file: Option<PathBuf>,
    /// For a profile that names a role and a token's file.
    pub sts_endpoint: Option<String>,
}

/// A role that STS gives for a token.
#[derive(Clone, Debug, Default)]
pub struct WebIdentity {
    /// The token's file, read anew each time.
    pub token_file: PathBuf,
    /// The role's ARN.
    pub role_arn: String,
    /// What the session is called in AWS' own log; `cairn` where nothing is said.
    pub session_name: Option<String>,
    /// The STS to ask, always by TLS; the region's own where nothing is said.
    pub sts_endpoint: Option<String>,
}

/// The machine's or the container's own role.
#[derive(Clone, Debug, Default)]
pub struct Instance {
    /// ECS' `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`.
    pub container_relative_uri: Option<String>,
    /// EKS' `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
    pub container_full_uri: Option<String>,
    /// EKS' `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`.
    pub container_token_file: Option<String>,
    /// Where the machine's metadata is asked for; AWS' own address where
    /// nothing is said.
    pub metadata_endpoint: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_string())
    }
}

/// Where the key comes from, never the key.
impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("none"),
            Self::Static { from, .. } => f.write_str(from),
            Self::Profile(profile) => write!(f, "the profile {:?}", profile.name),
            Self::WebIdentity(web) => write!(f, "web identity, role {}", web.role_arn),
            Self::Instance(at) if at.container_relative_uri.is_some() => {
                f.write_str("the container's role")
            }
            Self::Instance(at) if at.container_full_uri.is_some() => f.write_str("the pod's role"),
            Self::Instance(_) => f.write_str("the machine's role"),
            Self::Anonymous => f.write_str("none, requests are not signed"),
        }
    }
}

/// What the store encrypts objects with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// `AES256`, `aws:kms` or `aws:kms:dsse`.
    pub kind: String,
    /// The key of KMS; AWS' own where nothing is said.
    pub kms_key_id: Option<String>,
    /// Whether a bucket key saves requests to KMS.
    pub bucket_key: Option<bool>,
}

/// Who may shorten retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Whoever has a right of its own for it.
    Governance,
    /// Nobody, the account's owner among them.
    Compliance,
}

impl LockMode {
    /// As S3 writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }
}

/// Retention that Cairn asks for.
#[derive(Clone, Debug)]
pub struct ObjectLock {
    /// Who may shorten it.
    pub mode: LockMode,
    /// For how many days from the object's making.
    pub days: u32,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl ObjectLock {
    /// Until when an object that is made now is kept, in whole seconds, as S3
    /// wants to read it.
    pub(super) fn until(&self) -> String {
        const SECOND: i64 = 1_000_000;
        let now = self.clock.now().0.div_euclid(SECOND) + 1;
        let until = now + i64::from(self.days) * 86_400;
        Micros(until * SECOND).to_rfc3339()
    }
}
