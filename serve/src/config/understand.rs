//! Values that only one setting takes: addresses, accounts, log levels.

use std::net::SocketAddr;

use cairn_schemas::AccountId;

use super::kafka::{Format, TopicRule};
use super::value::{Allowed, Given};
use super::{LogFormat, Role};

pub(super) fn address(v: &Given) -> Result<SocketAddr, Allowed> {
    let allowed = || {
        "use ADDRESS:PORT, such as 127.0.0.1:7070, [::1]:7070, or 0.0.0.0:7070 for every address"
            .to_owned()
    };
    let Given::Text(text) = v else {
        return Err(allowed());
    };
    // The one name that everybody types; others would need a resolver.
    let text = match text.trim().strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.trim().to_owned(),
    };
    text.parse().map_err(|_| allowed())
}

/// The same, or nothing for a door that is switched off.
pub(super) fn address_or_off(v: &Given) -> Result<Option<SocketAddr>, Allowed> {
    match v {
        Given::Text(text) if matches!(text.trim(), "" | "off") => Ok(None),
        other => match address(other) {
            Ok(address) => Ok(Some(address)),
            Err(allowed) => Err(format!("{allowed}; off switches the door off")),
        },
    }
}

pub(super) fn account(v: &Given) -> Result<AccountId, Allowed> {
    let allowed = || "use an account id: 12 to 16 digits, in quotes".to_owned();
    match v {
        Given::Text(text) => AccountId::new(text.trim()).map_err(|_| allowed()),
        _ => Err(allowed()),
    }
}

pub(super) fn web_url(v: &Given) -> Result<String, Allowed> {
    let allowed = || "use a URL such as https://s3.example.com".to_owned();
    let text = v.text().map_err(|_| allowed())?;
    let url = url::Url::parse(text.trim()).map_err(|_| allowed())?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(text.trim().to_owned())
    } else {
        Err(allowed())
    }
}

pub(super) fn role(v: &Given) -> Result<Role, Allowed> {
    match v.text().unwrap_or_default().as_str() {
        "all" => Ok(Role::All),
        "ingest" => Ok(Role::Ingest),
        "query" => Ok(Role::Query),
        _ => Err("use all, ingest or query".to_owned()),
    }
}

pub(super) fn store_url(v: &Given) -> Result<String, Allowed> {
    let text = v.text().unwrap_or_default();
    match cairn_store::objects::check_url(text.trim()) {
        Ok(_) => Ok(text.trim().trim_end_matches('/').to_owned()),
        Err(error) => Err(format!(
            "use s3://bucket/prefix or file:///folder ({error})"
        )),
    }
}

/// What Kafka allows in a topic's name.
fn is_topic(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !text.is_empty() && text.len() <= 249 && text != "." && text != ".." && text.chars().all(legal)
}

pub(super) fn topic_rule(text: &str) -> Result<TopicRule, Allowed> {
    let allowed = || {
        "use NAME or ^PATTERN, with =ACCOUNT (12 to 16 digits) where all its events belong to one account"
            .to_owned()
    };
    let text = text.trim();
    // A pattern may hold an equals sign; an account is digits to the end.
    let (topic, account) = match text.rsplit_once('=') {
        Some((topic, account)) if account.bytes().all(|b| b.is_ascii_digit()) => {
            let account = AccountId::new(account).map_err(|_| allowed())?;
            (topic, Some(account))
        }
        _ => (text, None),
    };
    if is_topic(topic) || (topic.starts_with('^') && topic.len() > 1) {
        let topic = topic.to_owned();
        return Ok(TopicRule { topic, account });
    }
    Err(allowed())
}

pub(super) fn dialect_rule(text: &str) -> Result<(String, Format), Allowed> {
    let rule = text.split_once('=').and_then(|(topic, format)| {
        let format = match format.trim() {
            "actiontrail" => Format::ActionTrail,
            "cloudtrail" => Format::CloudTrail,
            _ => return None,
        };
        Some((topic.trim().to_owned(), format))
    });
    rule.ok_or_else(|| "use NAME=actiontrail or NAME=cloudtrail".to_owned())
}

pub(super) fn property(text: &str) -> Result<(String, String), Allowed> {
    text.split_once('=')
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| "use NAME=VALUE".to_owned())
}

pub(super) fn log_format(v: &Given) -> Result<LogFormat, Allowed> {
    match v {
        Given::Text(text) if text == "text" => Ok(LogFormat::Text),
        Given::Text(text) if text == "json" => Ok(LogFormat::Json),
        _ => Err("use text or json".to_owned()),
    }
}

pub(super) fn log_level(v: &Given) -> Result<String, Allowed> {
    let allowed = || {
        "use error, warn, info, debug, trace or off, or directives such as info,cairn_ingest=debug"
            .to_owned()
    };
    let text = v.text().map_err(|_| allowed())?;
    // A bare word that is no level would be taken for the name of a module,
    // and silence everything else.
    for part in text.split(',') {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
        if !["error", "warn", "info", "debug", "trace", "off"].contains(&level.trim()) {
            return Err(allowed());
        }
    }
    tracing_subscriber::EnvFilter::try_new(&text).map_err(|_| allowed())?;
    Ok(text)
}
