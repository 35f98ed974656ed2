//! How Kafka is reached and what is read: pure data, and what it becomes for
//! librdkafka.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::topics::{RuleError, Rules, TopicRule};

/// Everything about Kafka that an operator decides.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// Brokers to ask first: `host:port` and commas.
    pub brokers: String,
    /// The consumer group: the processes that share the work.
    pub group: String,
    /// A name of this process that survives a restart (`group.instance.id`):
    /// it then comes back to its place, and the group does not share out anew.
    /// Without one its place is given away when its session has run out.
    pub instance: Option<String>,
    /// The topics that are read. The first rule that fits a topic counts,
    /// names before patterns.
    pub topics: Vec<TopicRule>,
    /// The topic that Cairn's own doors write to and that is read beside the
    /// others. Nobody else may write to it: its records say for whom they are.
    pub intake_topic: Option<String>,
    /// How the connection is secured.
    pub security: KafkaSecurity,
    /// After this time without a sign of life the group gives this process's
    /// partitions to others.
    pub session_timeout: Duration,
    /// The longest that the group waits for this process to let go of its
    /// partitions.
    pub max_poll_interval: Duration,
    /// The most bytes of records that are polled and not yet taken.
    pub buffer_bytes: usize,
    /// Further settings of librdkafka, handed on as they are. See
    /// [`KafkaOptions::check`] for those that are refused.
    pub properties: BTreeMap<String, String>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            group: "cairn".to_owned(),
            instance: None,
            topics: Vec::new(),
            intake_topic: None,
            security: KafkaSecurity::default(),
            session_timeout: Duration::from_secs(30),
            max_poll_interval: Duration::from_secs(300),
            buffer_bytes: 32 << 20,
            properties: BTreeMap::new(),
        }
    }
}

/// How the connection to the brokers is secured.
#[derive(Clone, Debug, Default)]
pub struct KafkaSecurity {
    /// TLS, SASL, both or neither.
    pub protocol: Protocol,
    /// How SASL proves the password.
    pub mechanism: Option<Mechanism>,
    /// SASL's user.
    pub username: Option<String>,
    /// SASL's password.
    pub password: Option<Secret>,
    /// PEM file of the authorities that may sign brokers' certificates; the
    /// system's without it.
    pub ca_file: Option<PathBuf>,
    /// PEM file of this client's certificate chain.
    pub certificate_file: Option<PathBuf>,
    /// PEM file of its key.
    pub key_file: Option<PathBuf>,
    /// The key's password.
    pub key_password: Option<Secret>,
    /// Accept a broker's certificate whatever host it names. For tests.
    pub accept_any_host: bool,
}

/// `security.protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Neither.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL in the clear.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl Protocol {
    /// Its name, as in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    /// The protocol of this name.
    pub fn of(name: &str) -> Option<Self> {
        [
            Self::Plaintext,
            Self::Ssl,
            Self::SaslPlaintext,
            Self::SaslSsl,
        ]
        .into_iter()
        .find(|p| p.as_str() == name)
    }

    fn sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    fn tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }
}

/// `sasl.mechanism`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// The password itself.
    Plain,
    /// RFC 7677.
    ScramSha256,
    /// The same with SHA-512.
    ScramSha512,
}

impl Mechanism {
    /// Its name, as in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    /// The mechanism of this name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Plain, Self::ScramSha256, Self::ScramSha512]
            .into_iter()
            .find(|m| m.as_str() == name)
    }
}

/// A password, which `Debug` does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is wrong with the options, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Something that cannot be done without is missing.
    #[error("kafka: {0} is missing")]
    Missing(&'static str),
    /// Two settings contradict each other.
    #[error("kafka: {0}")]
    Contradiction(&'static str),
    /// A property that Cairn's promise rests on.
    #[error("kafka: the property {name} is Cairn's own: {why}")]
    Reserved {
        /// Its name.
        name: String,
        /// Why it cannot be set, or where.
        why: &'static str,
    },
    /// A topic's rule makes no sense.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// librdkafka does not know a property, or its value.
    #[error("kafka: {0}")]
    Property(String),
}

/// The most bytes of a record of the intake topic.
pub(super) const MAX_MESSAGE: &str = "2097152";

const PROMISE: &str = "what is read and kept exactly once depends on it, so leave it out";
const ELSEWHERE: &str = "it has a setting of its own, use that";

/// Properties that cannot be handed on.
const RESERVED: &[(&str, &str)] = &[
    ("enable.auto.commit", PROMISE),
    ("auto.commit.enable", PROMISE),
    ("auto.commit.interval.ms", PROMISE),
    ("enable.auto.offset.store", PROMISE),
    ("auto.offset.reset", PROMISE),
    ("isolation.level", PROMISE),
    ("enable.partition.eof", PROMISE),
    ("partition.assignment.strategy", PROMISE),
    ("group.protocol", PROMISE),
    ("check.crcs", PROMISE),
    ("statistics.interval.ms", PROMISE),
    ("log.queue", PROMISE),
    ("enable.idempotence", PROMISE),
    ("acks", PROMISE),
    ("request.required.acks", PROMISE),
    ("max.in.flight", PROMISE),
    ("max.in.flight.requests.per.connection", PROMISE),
    ("message.timeout.ms", PROMISE),
    ("delivery.timeout.ms", PROMISE),
    ("transactional.id", PROMISE),
    ("topic.blacklist", PROMISE),
    ("plugin.library.paths", "code from elsewhere is not loaded"),
    ("bootstrap.servers", ELSEWHERE),
    ("metadata.broker.list", ELSEWHERE),
    ("group.id", ELSEWHERE),
    ("group.instance.id", ELSEWHERE),
    ("session.timeout.ms", ELSEWHERE),
    ("max.poll.interval.ms", ELSEWHERE),
    (
        "heartbeat.interval.ms",
        "it is a third of the session's time-out, 3 s at most",
    ),
    ("security.protocol", ELSEWHERE),
    ("sasl.mechanism", ELSEWHERE),
    ("sasl.mechanisms", ELSEWHERE),
    ("sasl.username", ELSEWHERE),
    ("sasl.password", ELSEWHERE),
    ("ssl.ca.location", ELSEWHERE),
    ("ssl.certificate.location", ELSEWHERE),
    ("ssl.key.location", ELSEWHERE),
    ("ssl.key.password", ELSEWHERE),
    ("ssl.endpoint.identification.algorithm", ELSEWHERE),
    ("enable.ssl.certificate.verification", ELSEWHERE),
];

impl KafkaOptions {
    /// Checks everything that can be checked without a broker, also that
    /// librdkafka knows the free-form properties.
    ///
    /// # Errors
    ///
    /// The first fault. Refused are properties that carry the promise (commits,
    /// offsets, isolation, assignment, acknowledgement) and those that have a
    /// setting of their own.
    pub fn check(&self) -> Result<Rules, OptionsError> {
        if self.brokers.trim().is_empty() {
            return Err(OptionsError::Missing("brokers (host:port)"));
        }
        if self.group.trim().is_empty() {
            return Err(OptionsError::Missing("group"));
        }
        if self.topics.is_empty() && self.intake_topic.is_none() {
            return Err(OptionsError::Missing("a topic"));
        }
        for name in self.properties.keys() {
            if let Some((_, why)) = RESERVED.iter().find(|(reserved, _)| reserved == name) {
                return Err(OptionsError::Reserved {
                    name: name.clone(),
                    why,
                });
            }
        }
        self.security.check()?;
        let rules = Rules::new(&self.topics, self.intake_topic.as_deref())?;
        for config in [
            self.consumer_config(),
            self.admin_config(),
            self.producer_config(),
        ] {
            config
                .create_native_config()
                .map_err(|error| OptionsError::Property(error.to_string()))?;
        }
        Ok(rules)
    }

    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        // Who asks for librdkafka's own debug lines gets them, at the level debug.
        let level = match self.properties.contains_key("debug") {
            true => RDKafkaLogLevel::Debug,
            false => RDKafkaLogLevel::Warning,
        };
        config
            .set_log_level(level)
            .set("bootstrap.servers", &self.brokers)
            // A topic that is made anew, or grows, is noticed within this.
            .set("topic.metadata.refresh.interval.ms", "10000");
        self.security.apply(&mut config);
        config
    }

    /// For the consumer of the group.
    pub(super) fn consumer_config(&self) -> ClientConfig {
        let mut config = self.base();
        let millis = |d: Duration| d.as_millis().to_string();
        let fixed = [
            ("group.id", self.group.as_str()),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("isolation.level", "read_committed"),
            ("partition.assignment.strategy", "range"),
            ("enable.partition.eof", "true"),
            ("check.crcs", "true"),
            ("statistics.interval.ms", "1000"),
            ("topic.blacklist", "^__"),
        ];
        for (name, value) in fixed {
            config.set(name, value);
        }
        config.set("session.timeout.ms", millis(self.session_timeout));
        // Three signs of life within a session, or a short one would end
        // between two of them. librdkafka's own interval is 3 s.
        let heartbeat = (self.session_timeout / 3).min(Duration::from_secs(3));
        config.set("heartbeat.interval.ms", millis(heartbeat));
        config.set(
            "max.poll.interval.ms",
            millis(self.max_poll_interval.max(self.session_timeout)),
        );
        // The queue is one for all partitions, so memory does not grow with
        // them; one fetch may go over it.
        for (name, value) in [
            ("queued.max.messages.kbytes", "16384"),
            ("fetch.max.bytes", "16777216"),
            ("fetch.message.max.bytes", "1048576"),
        ] {
            if !self.properties.contains_key(name) {
                config.set(name, value);
            }
        }
        if let Some(instance) = &self.instance {
            config.set("group.instance.id", instance);
        }
        config
    }

    /// For questions to the cluster: a consumer without a group.
    pub(super) fn admin_config(&self) -> ClientConfig {
        let mut config = self.base();
        config.set("isolation.level", "read_committed");
        config
    }

    /// For a consumer that compares logs with what was read of them: it reads one
    /// record of each, or learns that there is none, and ends.
    pub(super) fn comparing_config(&self) -> ClientConfig {
        let mut config = self.consumer_config();
        config
            .remove("group.instance.id")
            .set("statistics.interval.ms", "0")
            .set("queued.min.messages", "1")
            .set("fetch.message.max.bytes", "65536")
            .set("fetch.queue.backoff.ms", "20")
            .set("fetch.wait.max.ms", "20");
        config
    }

    /// For what the doors write.
    pub(super) fn producer_config(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("delivery.timeout.ms", "20000")
            .set("queue.buffering.max.kbytes", "65536");
        for (name, value) in [
            ("linger.ms", "2"),
            // The largest event, and its envelope.
            ("message.max.bytes", MAX_MESSAGE),
        ] {
            if !self.properties.contains_key(name) {
                config.set(name, value);
            }
        }
        config
    }
}

impl KafkaSecurity {
    fn check(&self) -> Result<(), OptionsError> {
        let contradiction = |text| Err(OptionsError::Contradiction(text));
        if self.protocol.sasl() {
            if self.mechanism.is_none() {
                return Err(OptionsError::Missing("mechanism, which sasl needs"));
            }
            if self.username.is_none() || self.password.is_none() {
                return Err(OptionsError::Missing(
                    "username and password, which sasl needs",
                ));
            }
        } else if self.mechanism.is_some() || self.username.is_some() || self.password.is_some() {
            return contradiction(
                "username, password and mechanism belong to sasl: use the protocol sasl_ssl",
            );
        }
        let files = [&self.ca_file, &self.certificate_file, &self.key_file];
        if !self.protocol.tls() && files.iter().any(|file| file.is_some()) {
            return contradiction("certificates belong to TLS: use the protocol ssl or sasl_ssl");
        }
        if self.certificate_file.is_some() != self.key_file.is_some() {
            return contradiction("certificate_file and key_file belong together");
        }
        Ok(())
    }

    fn apply(&self, config: &mut ClientConfig) {
        config.set("security.protocol", self.protocol.as_str());
        if self.protocol.sasl() {
            if let Some(mechanism) = self.mechanism {
                config.set("sasl.mechanism", mechanism.as_str());
            }
            if let (Some(user), Some(password)) = (&self.username, &self.password) {
                config.set("sasl.username", user);
                config.set("sasl.password", &password.0);
            }
        }
        if !self.protocol.tls() {
            return;
        }
        let host = if self.accept_any_host {
            "none"
        } else {
            "https"
        };
        config.set("ssl.endpoint.identification.algorithm", host);
        for (name, file) in [
            ("ssl.ca.location", &self.ca_file),
            ("ssl.certificate.location", &self.certificate_file),
            ("ssl.key.location", &self.key_file),
        ] {
            if let Some(file) = file {
                config.set(name, file.to_string_lossy());
            }
        }
        if let Some(password) = &self.key_password {
            config.set("ssl.key.password", &password.0);
        }
    }
}

#[cfg(test)]
mod tests;
