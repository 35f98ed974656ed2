//! The settings of `[kafka]`.

use std::path::PathBuf;
use std::time::Duration;

use super::super::Secret;
use super::super::kafka::{Mechanism, Protocol};
use super::super::understand::{dialect_rule, property, topic_rule};
use super::{Key, key};

/// In the order of the file.
pub(super) const KAFKA: &[Key] = &[
    key(
        "kafka.brokers",
        ["kafka", "CAIRN_KAFKA_BROKERS"],
        "LIST",
        "",
        "Kafka brokers to begin with, HOST:PORT, separated by commas; without them events come over HTTP alone, into the embedded log",
        |s, v| {
            let brokers = v.list()?;
            s.kafka.brokers = brokers
                .iter()
                .flat_map(|text| text.split(','))
                .map(|broker| broker.trim().to_owned())
                .filter(|broker| !broker.is_empty())
                .collect();
            Ok(())
        },
    ),
    key(
        "kafka.topics",
        ["topic", "CAIRN_KAFKA_TOPICS"],
        "LIST",
        "",
        "Topics to read, NAME or ^PATTERN, with =ACCOUNT where all their events belong to one account; as a flag, once for each topic",
        |s, v| {
            let rules: Result<Vec<_>, _> = v.list()?.iter().map(|t| topic_rule(t)).collect();
            s.kafka.topics = rules?;
            Ok(())
        },
    ),
    key(
        "kafka.group",
        ["group", "CAIRN_KAFKA_GROUP"],
        "NAME",
        "cairn",
        "The consumer group, the same for all processes of one Cairn; they share the partitions",
        |s, v| {
            s.kafka.group = v.text()?;
            Ok(())
        },
    ),
    key(
        "kafka.intake_topic",
        ["kafka-intake-topic", "CAIRN_KAFKA_INTAKE_TOPIC"],
        "NAME",
        "cairn.intake",
        "The topic that POST /v1/events writes to; made where it is missing. Nobody but Cairn may write to it: its records say for themselves who sent them",
        |s, v| {
            s.kafka.intake_topic = v.text()?;
            Ok(())
        },
    ),
    key(
        "kafka.intake_partitions",
        ["kafka-intake-partitions", "CAIRN_KAFKA_INTAKE_PARTITIONS"],
        "N",
        "6",
        "The partitions of that topic where Cairn makes it",
        |s, v| {
            s.kafka.intake_partitions = v.number(1, 1000)?;
            Ok(())
        },
    ),
    key(
        "kafka.dialects",
        ["kafka-dialect", "CAIRN_KAFKA_DIALECTS"],
        "LIST",
        "",
        "Topics that hold one format only, NAME=actiontrail or NAME=cloudtrail; other events of theirs go to quarantine",
        |s, v| {
            let rules: Result<Vec<_>, _> = v.list()?.iter().map(|t| dialect_rule(t)).collect();
            s.kafka.dialects = rules?;
            Ok(())
        },
    ),
    key(
        "kafka.suspend",
        ["kafka-suspend", "CAIRN_KAFKA_SUSPEND"],
        "LIST",
        "",
        "Topics whose partitions stop at a record that is no event, instead of putting it into quarantine",
        |s, v| {
            s.kafka.suspend = v.list()?;
            Ok(())
        },
    ),
    key(
        "kafka.security_protocol",
        ["kafka-security-protocol", "CAIRN_KAFKA_SECURITY_PROTOCOL"],
        "NAME",
        "plaintext",
        "How to reach the brokers: plaintext, ssl, sasl_plaintext or sasl_ssl",
        |s, v| {
            s.kafka.security_protocol = Protocol::understand(v)?;
            Ok(())
        },
    ),
    key(
        "kafka.sasl_mechanism",
        ["kafka-sasl-mechanism", "CAIRN_KAFKA_SASL_MECHANISM"],
        "NAME",
        "",
        "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        |s, v| {
            s.kafka.sasl_mechanism = Some(Mechanism::understand(v)?);
            Ok(())
        },
    ),
    key(
        "kafka.sasl_username",
        ["kafka-sasl-username", "CAIRN_KAFKA_SASL_USERNAME"],
        "TEXT",
        "",
        "The name to log in with",
        |s, v| {
            s.kafka.sasl_username = Some(v.text()?);
            Ok(())
        },
    ),
    key(
        "kafka.sasl_password",
        ["kafka-sasl-password", "CAIRN_KAFKA_SASL_PASSWORD"],
        "SECRET",
        "",
        "The password to log in with",
        |s, v| {
            s.kafka.sasl_password = Some(Secret::new(v.text()?));
            Ok(())
        },
    ),
    key(
        "kafka.ca_file",
        ["kafka-ca-file", "CAIRN_KAFKA_CA_FILE"],
        "FILE",
        "",
        "The certificates (PEM) that the brokers' are checked against; the system's where nothing is said",
        |s, v| {
            s.kafka.ca_file = Some(PathBuf::from(v.text()?));
            Ok(())
        },
    ),
    key(
        "kafka.certificate_file",
        ["kafka-certificate-file", "CAIRN_KAFKA_CERTIFICATE_FILE"],
        "FILE",
        "",
        "The client's certificate (PEM), for brokers that ask for one",
        |s, v| {
            s.kafka.certificate_file = Some(PathBuf::from(v.text()?));
            Ok(())
        },
    ),
    key(
        "kafka.key_file",
        ["kafka-key-file", "CAIRN_KAFKA_KEY_FILE"],
        "FILE",
        "",
        "The certificate's private key (PEM)",
        |s, v| {
            s.kafka.key_file = Some(PathBuf::from(v.text()?));
            Ok(())
        },
    ),
    key(
        "kafka.key_password",
        ["kafka-key-password", "CAIRN_KAFKA_KEY_PASSWORD"],
        "SECRET",
        "",
        "The private key's password",
        |s, v| {
            s.kafka.key_password = Some(Secret::new(v.text()?));
            Ok(())
        },
    ),
    key(
        "kafka.verify_hostname",
        ["kafka-verify-hostname", "CAIRN_KAFKA_VERIFY_HOSTNAME"],
        "BOOL",
        "true",
        "Check that a broker's certificate is for the name it is reached by",
        |s, v| {
            s.kafka.verify_hostname = v.boolean()?;
            Ok(())
        },
    ),
    key(
        "kafka.session_timeout",
        ["kafka-session-timeout", "CAIRN_KAFKA_SESSION_TIMEOUT"],
        "TIME",
        "45s",
        "After so long without a sign of life the group gives a process's partitions to others",
        |s, v| {
            s.kafka.session_timeout =
                v.duration(Duration::from_secs(1), Duration::from_secs(1800))?;
            Ok(())
        },
    ),
    key(
        "kafka.static_member",
        ["kafka-static-member", "CAIRN_KAFKA_STATIC_MEMBER"],
        "BOOL",
        "true",
        "A process that crashed and comes back on the same data folder is the same member of the group, and has its partitions at once",
        |s, v| {
            s.kafka.static_member = v.boolean()?;
            Ok(())
        },
    ),
    key(
        "kafka.properties",
        ["kafka-property", "CAIRN_KAFKA_PROPERTIES"],
        "LIST",
        "",
        "Further properties of librdkafka, NAME=VALUE; those that exactly-once rests on are refused",
        |s, v| {
            let pairs: Result<_, _> = v.list()?.iter().map(|text| property(text)).collect();
            s.kafka.properties = pairs?;
            Ok(())
        },
    ),
];
