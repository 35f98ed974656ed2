//! `[kafka]`: where events come from beside HTTP.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use cairn_schemas::AccountId;

use super::Secret;
use super::value::{Allowed, Given};

/// `[kafka]`. Without brokers there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kafka {
    /// Brokers to begin with.
    pub brokers: Vec<String>,
    /// What is read.
    pub topics: Vec<TopicRule>,
    /// The consumer group.
    pub group: String,
    /// Where `POST /v1/events` goes.
    pub intake_topic: String,
    /// Its partitions where Cairn makes it.
    pub intake_partitions: u32,
    /// Topics of one format.
    pub dialects: Vec<(String, Format)>,
    /// Topics that stop at a bad record.
    pub suspend: Vec<String>,
    /// How the brokers are reached.
    pub security_protocol: Protocol,
    /// How to log in.
    pub sasl_mechanism: Option<Mechanism>,
    /// The name to log in with.
    pub sasl_username: Option<String>,
    /// The password to log in with.
    pub sasl_password: Option<Secret>,
    /// Certificates to check the brokers' against.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate.
    pub certificate_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// The key's password.
    pub key_password: Option<Secret>,
    /// Whether a broker's name has to be that of its certificate.
    pub verify_hostname: bool,
    /// How long a silent process keeps its partitions.
    pub session_timeout: Duration,
    /// Whether a process that comes back is the member that it was.
    pub static_member: bool,
    /// Further properties of librdkafka.
    pub properties: BTreeMap<String, String>,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: Vec::new(),
            topics: Vec::new(),
            group: "cairn".to_owned(),
            intake_topic: "cairn.intake".to_owned(),
            intake_partitions: 6,
            dialects: Vec::new(),
            suspend: Vec::new(),
            security_protocol: Protocol::Plaintext,
            sasl_mechanism: None,
            sasl_username: None,
            sasl_password: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            key_password: None,
            verify_hostname: true,
            session_timeout: Duration::from_secs(45),
            static_member: true,
            properties: BTreeMap::new(),
        }
    }
}

impl Kafka {
    /// Whether events come from Kafka at all.
    pub fn is_on(&self) -> bool {
        !self.brokers.is_empty()
    }
}

/// What is read, and whose events it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRule {
    /// A topic's name, or a pattern that begins with `^`.
    pub topic: String,
    /// The one account that its events belong to.
    pub account: Option<AccountId>,
}

/// The one format of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// ActionTrail's field names.
    ActionTrail,
    /// CloudTrail's.
    CloudTrail,
}

/// How the brokers are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Neither TLS nor a login.
    Plaintext,
    /// TLS.
    Ssl,
    /// A login without TLS.
    SaslPlaintext,
    /// Both.
    SaslSsl,
}

impl Protocol {
    /// Reads the name.
    pub fn understand(v: &Given) -> Result<Self, Allowed> {
        let text = v.text().unwrap_or_default().to_ascii_lowercase();
        match text.as_str() {
            "plaintext" => Ok(Self::Plaintext),
            "ssl" => Ok(Self::Ssl),
            "sasl_plaintext" => Ok(Self::SaslPlaintext),
            "sasl_ssl" => Ok(Self::SaslSsl),
            _ => Err("use plaintext, ssl, sasl_plaintext or sasl_ssl".to_owned()),
        }
    }

    /// Whether it logs in.
    pub fn logs_in(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// How to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Name and password as they are: over TLS only.
    Plain,
    /// SCRAM with SHA-256.
    ScramSha256,
    /// SCRAM with SHA-512.
    ScramSha512,
}

impl Mechanism {
    /// Reads the name.
    pub fn understand(v: &Given) -> Result<Self, Allowed> {
        let text = v.text().unwrap_or_default().to_ascii_uppercase();
        match text.as_str() {
            "PLAIN" => Ok(Self::Plain),
            "SCRAM-SHA-256" => Ok(Self::ScramSha256),
            "SCRAM-SHA-512" => Ok(Self::ScramSha512),
            _ => Err("use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512".to_owned()),
        }
    }
}
