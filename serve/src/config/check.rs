//! What single values cannot tell: whether they go together.

use super::load::Problem;
use super::s3::CredentialSource;
use super::{Role, S3, Settings};

/// Adds every contradiction to `problems`.
pub(super) fn check(settings: &Settings, problems: &mut Vec<Problem>) {
    check_server(settings, problems);
    check_pg(settings, problems);
    check_flight(settings, problems);
    check_s3(&settings.s3, problems);
    check_kafka(settings, problems);
    if settings.history.vacuum_grace < settings.query.timeout {
        problems.push(Problem::Together(format!(
            "history.vacuum_grace ({:?}) is shorter than query.timeout ({:?}): a query under way would lose the files that it reads; make the grace at least as long",
            settings.history.vacuum_grace, settings.query.timeout
        )));
    }
}

fn check_server(settings: &Settings, problems: &mut Vec<Problem>) {
    let server = &settings.server;
    if !server.listen.ip().is_loopback() && !server.allow_plaintext {
        problems.push(Problem::Together(format!(
            "server.listen = {} can be reached from other machines, and Cairn speaks plain HTTP: tokens and audit events would travel in the clear; \
             listen on 127.0.0.1 behind a proxy that speaks TLS, or, where the network itself is closed, say --allow-plaintext (server.allow_plaintext = true)",
            server.listen
        )));
    }
    if server.max_decompressed_bytes < server.max_body_bytes {
        problems.push(Problem::Together(format!(
            "server.max_decompressed_bytes ({}) is less than server.max_body_bytes ({}): a body that is not compressed has to fit both",
            server.max_decompressed_bytes, server.max_body_bytes
        )));
    }
    if server.max_event_bytes > server.max_body_bytes {
        problems.push(Problem::Together(format!(
            "server.max_event_bytes ({}) is more than server.max_body_bytes ({}): such an event could never arrive",
            server.max_event_bytes, server.max_body_bytes
        )));
    }
}

fn check_pg(settings: &Settings, problems: &mut Vec<Problem>) {
    let pg = &settings.pg;
    if pg.tls_cert.is_some() != pg.tls_key.is_some() {
        problems.push(Problem::Together(
            "pg.tls_cert and pg.tls_key go together: give both, or neither".to_owned(),
        ));
    }
    let Some(listen) = pg.listen else {
        return;
    };
    if !listen.ip().is_loopback() && pg.tls_cert.is_none() && !pg.allow_plaintext {
        problems.push(Problem::Together(format!(
            "pg.listen = {listen} can be reached from other machines, and without TLS audit events would travel in the clear; \
             give pg.tls_cert and pg.tls_key, listen on 127.0.0.1, or, where the network itself is closed, say --pg-allow-plaintext (pg.allow_plaintext = true)"
        )));
    }
}

fn check_flight(settings: &Settings, problems: &mut Vec<Problem>) {
    let flight = &settings.flight;
    if flight.tls_cert.is_some() != flight.tls_key.is_some() {
        problems.push(Problem::Together(
            "flight.tls_cert and flight.tls_key go together: give both, or neither".to_owned(),
        ));
    }
    let Some(listen) = flight.listen else {
        return;
    };
    if !listen.ip().is_loopback() && flight.tls_cert.is_none() && !flight.allow_plaintext {
        problems.push(Problem::Together(format!(
            "flight.listen = {listen} can be reached from other machines, and without TLS tokens and audit events would travel in the clear; \
             give flight.tls_cert and flight.tls_key, listen on 127.0.0.1, or, where the network itself is closed, say --flight-allow-plaintext (flight.allow_plaintext = true)"
        )));
    }
}

fn check_kafka(settings: &Settings, problems: &mut Vec<Problem>) {
    let kafka = &settings.kafka;
    let mut say = |text: String| problems.push(Problem::Together(text));
    if !kafka.is_on() {
        if !kafka.topics.is_empty() {
            say("kafka.topics is given without kafka.brokers: say where Kafka is with --kafka HOST:PORT".to_owned());
        }
        return;
    }
    if kafka.topics.is_empty() && settings.server.role != Role::Query {
        say("kafka.brokers is given without kafka.topics: say what to read with --topic NAME[=ACCOUNT]".to_owned());
    }
    if kafka.topics.iter().any(|t| t.topic == kafka.intake_topic) {
        say(format!(
            "kafka.topics names {0}, which is kafka.intake_topic: Cairn reads that one by itself; \
             take it out of the list, or give the intake another topic",
            kafka.intake_topic
        ));
    }
    let login = kafka.security_protocol.logs_in();
    let whole = kafka.sasl_mechanism.is_some()
        && kafka.sasl_username.is_some()
        && kafka.sasl_password.is_some();
    if login && !whole {
        say("kafka.security_protocol logs in, and not all of kafka.sasl_mechanism, kafka.sasl_username and kafka.sasl_password are given".to_owned());
    }
    if !login && kafka.sasl_username.is_some() {
        say("kafka.sasl_username is given and kafka.security_protocol does not log in: use sasl_ssl (or sasl_plaintext)".to_owned());
    }
    if kafka.certificate_file.is_some() != kafka.key_file.is_some() {
        say(
            "kafka.certificate_file and kafka.key_file go together: give both, or neither"
                .to_owned(),
        );
    }
}

fn check_s3(s3: &S3, problems: &mut Vec<Problem>) {
    match (&s3.access_key_id, &s3.secret_access_key) {
        (Some(_), None) => problems.push(Problem::Together(
            "s3.access_key_id is given without s3.secret_access_key: give both, or neither"
                .to_owned(),
        )),
        (None, Some(_)) => problems.push(Problem::Together(
            "s3.secret_access_key is given without s3.access_key_id: give both, or neither"
                .to_owned(),
        )),
        (None, None) if s3.session_token.is_some() => problems.push(Problem::Together(
            "s3.session_token is given without s3.access_key_id and s3.secret_access_key: give all three"
                .to_owned(),
        )),
        _ => {}
    }
    check_credentials(s3, problems);
    check_objects(s3, problems);
    let plain = s3
        .endpoint
        .as_deref()
        .is_some_and(|url| url.to_ascii_lowercase().starts_with("http://"));
    if plain && !s3.allow_http {
        problems.push(Problem::Together(format!(
            "s3.endpoint = {} has no TLS: events would travel in the clear; use https://, or set s3.allow_http = true",
            s3.endpoint.as_deref().unwrap_or_default()
        )));
    }
}

/// Whether what `s3.credentials` names is there, and whether one is named where
/// two could be meant.
fn check_credentials(s3: &S3, problems: &mut Vec<Problem>) {
    let web_identity = s3.web_identity_token_file.is_some() && s3.role_arn.is_some();
    let missing = match s3.credentials {
        Some(CredentialSource::Static) if s3.access_key_id.is_none() => {
            Some("static, and s3.access_key_id and s3.secret_access_key are not given")
        }
        Some(CredentialSource::Environment) if s3.aws.keys.is_none() => {
            Some("environment, and AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")
        }
        Some(CredentialSource::WebIdentity) if !web_identity => {
            Some("web-identity, and s3.role_arn and s3.web_identity_token_file are not both given")
        }
        _ => None,
    };
    if let Some(missing) = missing {
        problems.push(Problem::Together(format!("s3.credentials = {missing}")));
    }
    if s3.credentials.is_none() && s3.access_key_id.is_some() && s3.profile.is_some() {
        problems.push(Problem::Together(
            "s3.access_key_id and s3.profile are both given: say s3.credentials = \"static\" or \"profile\", or drop one"
                .to_owned(),
        ));
    }
}

/// What objects are given along.
fn check_objects(s3: &S3, problems: &mut Vec<Problem>) {
    let kind = s3.encryption.as_deref();
    if s3.kms_key_id.is_some() && !matches!(kind, Some("aws:kms" | "aws:kms:dsse")) {
        problems.push(Problem::Together(
            "s3.kms_key_id goes with s3.encryption = \"aws:kms\" or \"aws:kms:dsse\"".to_owned(),
        ));
    }
    if s3.bucket_key == Some(true) && kind != Some("aws:kms") {
        problems.push(Problem::Together(
            "s3.bucket_key goes with s3.encryption = \"aws:kms\"".to_owned(),
        ));
    }
    if s3.object_lock.is_some() && s3.retain_days.is_none() {
        problems.push(Problem::Together(
            "s3.object_lock is set without s3.retain_days: say for how many days objects are locked"
                .to_owned(),
        ));
    }
}
