//! Values that only one setting takes: addresses, accounts, log levels.

use std::net::SocketAddr;

use cairn_schemas::AccountId;

use super::LogFormat;
use super::value::{Allowed, Given};

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
