use super::*;
use crate::kafka::topics::TopicRule;

fn options() -> KafkaOptions {
    KafkaOptions {
        brokers: "127.0.0.1:9092".to_owned(),
        topics: vec![TopicRule::new("audit")],
        ..KafkaOptions::default()
    }
}

fn refused(options: &KafkaOptions) -> String {
    options.check().unwrap_err().to_string()
}

#[test]
fn what_carries_the_promise_is_fixed() {
    let mut options = options();
    options
        .properties
        .insert("client.id".to_owned(), "me".to_owned());
    options.check().unwrap();
    let config = options.consumer_config();
    for (name, value) in [
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "error"),
        ("isolation.level", "read_committed"),
        ("partition.assignment.strategy", "range"),
        ("client.id", "me"),
    ] {
        assert_eq!(config.get(name), Some(value), "{name}");
    }
    let config = options.producer_config();
    assert_eq!(config.get("acks"), Some("all"));
    assert_eq!(config.get("enable.idempotence"), Some("true"));
}

#[test]
fn a_session_holds_three_signs_of_life() {
    for (session, heartbeat) in [(3, "1000"), (6, "2000"), (45, "3000")] {
        let options = KafkaOptions {
            session_timeout: Duration::from_secs(session),
            ..options()
        };
        options.check().unwrap();
        let config = options.consumer_config();
        assert_eq!(config.get("heartbeat.interval.ms"), Some(heartbeat));
    }
}

#[test]
fn properties_that_would_break_it_are_refused() {
    for (name, _) in RESERVED {
        let mut options = options();
        options
            .properties
            .insert((*name).to_owned(), "x".to_owned());
        let error = refused(&options);
        assert!(error.contains(name), "{error}");
    }
    let mut options = options();
    options
        .properties
        .insert("no.such.thing".to_owned(), "1".to_owned());
    assert!(refused(&options).contains("no.such.thing"));
}

#[test]
fn what_is_missing_or_contradicts_itself_is_told() {
    let bare = KafkaOptions::default();
    assert!(refused(&bare).contains("brokers"));
    let mut none = options();
    none.topics.clear();
    assert!(refused(&none).contains("topic"));
    none.intake_topic = Some("intake".to_owned());
    none.check().unwrap();
    let mut sasl = options();
    sasl.security.protocol = Protocol::SaslSsl;
    assert!(refused(&sasl).contains("mechanism"));
    sasl.security.mechanism = Some(Mechanism::ScramSha512);
    assert!(refused(&sasl).contains("username"));
    sasl.security.username = Some("u".to_owned());
    sasl.security.password = Some(Secret("geheim".to_owned()));
    sasl.check().unwrap();
    sasl.security.protocol = Protocol::Plaintext;
    assert!(refused(&sasl).contains("sasl_ssl"));
    let mut tls = options();
    tls.security.ca_file = Some("ca.pem".into());
    assert!(refused(&tls).contains("TLS"));
    tls.security.protocol = Protocol::Ssl;
    tls.security.key_file = Some("key.pem".into());
    assert!(refused(&tls).contains("belong together"));
}

#[test]
fn secrets_are_not_printed() {
    let mut options = options();
    options.security.password = Some(Secret("geheim".to_owned()));
    options.security.key_password = Some(Secret("geheimer".to_owned()));
    assert!(!format!("{options:?}").contains("geheim"));
}

#[test]
fn tls_checks_the_hosts_name() {
    let mut options = options();
    options.security.protocol = Protocol::Ssl;
    let algorithm = "ssl.endpoint.identification.algorithm";
    assert_eq!(options.consumer_config().get(algorithm), Some("https"));
    options.security.accept_any_host = true;
    assert_eq!(options.consumer_config().get(algorithm), Some("none"));
}
