//! What a connection may set, and what it is told of the server's settings.
//!
//! A setting that is honoured or changes nothing here can be set; one whose
//! other values would change what an answer means is refused for those values;
//! one that is not known is refused as PostgreSQL refuses it. Nothing that a
//! connection sets reaches beyond that connection, and nothing gets it more
//! than it had: the account scope and the server's limits know no settings.

mod list;

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::tables::Cell;
use list::{Rule, SETTINGS, Setting};

/// What the server says it is: clients read their queries' dialect from it.
pub const SERVER_VERSION: &str = "15.14 (Cairn)";
/// The same as a number.
const SERVER_VERSION_NUM: &str = "150014";

/// Values that are truthfully told, whatever was asked for: there are no
/// transactions to isolate, and nothing can be written.
const TOLD: &[&str] = &[
    "default_transaction_isolation",
    "default_transaction_read_only",
    "transaction_isolation",
    "transaction_mode",
    "transaction_read_only",
];

/// PostgreSQL's `GUC_REPORT`: drivers read them to know what they talk to.
const TELL: &[&str] = &[
    "application_name",
    "client_encoding",
    "datestyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "intervalstyle",
    "is_superuser",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "timezone",
];

/// How long a value may be.
const LONGEST: usize = 1024;

/// Why a setting was not set or told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SettingError {
    /// The SQLSTATE that PostgreSQL has for it.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl SettingError {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The settings of one connection.
#[derive(Debug, Default)]
pub struct Settings {
    values: Mutex<Values>,
    backend: i32,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Values {
    /// What the client asked for while it connected: RESET goes back to it.
    start: BTreeMap<&'static str, String>,
    /// What was set since.
    session: BTreeMap<&'static str, String>,
    /// What was set for a transaction only.
    local: BTreeMap<&'static str, String>,
    /// `session` as it was before the transaction that is open.
    before: Option<BTreeMap<&'static str, String>>,
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || *self.values.lock() == *other.values.lock()
    }
}

/// The other names that SQL has for settings.
fn canonical(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "time zone" => "timezone".to_owned(),
        "names" => "client_encoding".to_owned(),
        _ => lower,
    }
}

fn known(name: &str) -> Result<&'static Setting, SettingError> {
    let lower = canonical(name);
    SETTINGS.iter().find(|s| s.name == lower).ok_or_else(|| {
        let shown: String = name.chars().take(100).collect();
        SettingError::new(
            "42704",
            format!("unrecognized configuration parameter \"{shown}\""),
        )
        .hint("SHOW ALL lists the settings that there are")
    })
}

impl Settings {
    /// Of a connection that the door knows by `backend`.
    pub fn new(backend: i32) -> Self {
        Self {
            values: Mutex::default(),
            backend,
        }
    }

    /// The connection's number, as in PostgreSQL's `BackendKeyData`.
    pub fn backend(&self) -> i32 {
        self.backend
    }

    /// Sets `name`; with `local`, until the transaction's end.
    pub fn set(&self, name: &str, value: &str, local: bool) -> Result<(), SettingError> {
        let setting = known(name)?;
        let value = accepted(setting, value)?;
        let mut values = self.values.lock();
        if !local {
            values.local.remove(setting.name);
            values.session.insert(setting.name, value);
        } else if values.before.is_some() {
            values.local.insert(setting.name, value);
        }
        Ok(())
    }

    /// Sets what a client asks for while it connects, to which RESET goes back.
    /// Drivers send the time zone of the machine that they run on without
    /// having been asked, so one that is not UTC is passed over: the server
    /// tells them that it is UTC.
    pub fn set_at_start(&self, name: &str, value: &str) -> Result<(), SettingError> {
        let setting = known(name)?;
        let value = match accepted(setting, value) {
            Err(_) if setting.name == "timezone" => return Ok(()),
            other => other?,
        };
        self.values.lock().start.insert(setting.name, value);
        Ok(())
    }

    /// Who is asking, as the door shows it.
    pub fn set_principal(&self, id: &str) {
        let mut values = self.values.lock();
        values.start.insert("session_authorization", id.to_owned());
    }

    /// Sets `name` back to what it was at the start.
    pub fn reset(&self, name: &str) -> Result<(), SettingError> {
        let setting = known(name)?;
        let mut values = self.values.lock();
        values.local.remove(setting.name);
        values.session.remove(setting.name);
        Ok(())
    }

    /// Sets everything back.
    pub fn reset_all(&self) {
        let mut values = self.values.lock();
        values.local.clear();
        values.session.clear();
    }

    /// A transaction begins.
    pub fn begin(&self) {
        let mut values = self.values.lock();
        if values.before.is_none() {
            values.before = Some(values.session.clone());
        }
    }

    /// A transaction ends: what was set for it alone goes, and when it is
    /// rolled back what it set for later as well.
    pub fn end(&self, committed: bool) {
        let mut values = self.values.lock();
        values.local.clear();
        if let (Some(before), false) = (values.before.take(), committed) {
            values.session = before;
        }
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Result<String, SettingError> {
        known(name).map(|setting| self.value(setting))
    }

    fn value(&self, setting: &Setting) -> String {
        if TOLD.contains(&setting.name) {
            return setting.usual.to_owned();
        }
        let values = self.values.lock();
        let set = values
            .local
            .get(setting.name)
            .or_else(|| values.session.get(setting.name))
            .or_else(|| values.start.get(setting.name));
        set.map_or(setting.usual, String::as_str).to_owned()
    }

    /// The name that SHOW gives to a setting: PostgreSQL spells some in its
    /// own way.
    pub fn spelled(name: &str) -> Result<&'static str, SettingError> {
        known(name).map(|setting| spelled(setting.name))
    }

    /// The settings that a client is told of without asking, when it connects
    /// and when one changes.
    pub fn told(&self) -> Vec<(&'static str, String)> {
        SETTINGS
            .iter()
            .filter(|s| TELL.contains(&s.name))
            .map(|s| (spelled(s.name), self.value(s)))
            .collect()
    }

    /// Every setting: its name, its value, what it is about.
    pub fn all(&self) -> Vec<(&'static str, String, &'static str)> {
        SETTINGS
            .iter()
            .map(|s| (spelled(s.name), self.value(s), s.about))
            .collect()
    }

    /// The limit that the client set on its statements; never longer than the
    /// server's own, which the door sees to.
    pub fn statement_timeout(&self) -> Option<Duration> {
        let text = self.get("statement_timeout").ok()?;
        milliseconds(&text)
            .filter(|ms| *ms > 0)
            .map(Duration::from_millis)
    }

    /// The schemas that names without one are looked for in.
    pub(crate) fn path(&self) -> Vec<String> {
        let text = self.get("search_path").unwrap_or_default();
        schemas(&text)
            .into_iter()
            .filter(|s| s != "$user")
            .collect()
    }

    pub(super) fn rows(&self) -> Vec<[(&'static str, Cell); 10]> {
        SETTINGS
            .iter()
            .map(|s| {
                let vartype = match s.rule {
                    Rule::Switch => "bool",
                    Rule::Number(..) | Rule::Time => "integer",
                    _ => "string",
                };
                let context = match s.rule {
                    Rule::Fixed => "internal",
                    _ => "user",
                };
                [
                    ("name", spelled(s.name).into()),
                    ("setting", self.value(s).into()),
                    ("category", "Cairn".into()),
                    ("short_desc", s.about.into()),
                    ("context", context.into()),
                    ("vartype", vartype.into()),
                    ("source", "default".into()),
                    ("boot_val", s.usual.into()),
                    ("reset_val", s.usual.into()),
                    ("sourceline", Cell::Null),
                ]
            })
            .collect()
    }
}

fn spelled(name: &'static str) -> &'static str {
    match name {
        "datestyle" => "DateStyle",
        "intervalstyle" => "IntervalStyle",
        "timezone" => "TimeZone",
        other => other,
    }
}

/// The parts of a search path, unquoted.
pub(super) fn schemas(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|s| !s.is_empty())
        .map(
            |s| match s.strip_prefix('"').and_then(|s| s.strip_suffix('"')) {
                Some(quoted) => quoted.replace("\"\"", "\""),
                None => s.trim_matches('\'').to_ascii_lowercase(),
            },
        )
        .collect()
}

/// Milliseconds, or a number with PostgreSQL's units.
fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let each = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(each).filter(|ms| *ms <= i32::MAX as u64)
}

/// The value as it is kept, if the setting takes it.
fn accepted(setting: &Setting, value: &str) -> Result<String, SettingError> {
    let value = value.trim();
    let name = spelled(setting.name);
    let shown: String = value.chars().take(60).collect();
    let wrong = || {
        SettingError::new(
            "22023",
            format!("invalid value for parameter \"{name}\": \"{shown}\""),
        )
    };
    if value.len() > LONGEST {
        return Err(wrong().hint(format!("a value has at most {LONGEST} bytes")));
    }
    if value.eq_ignore_ascii_case("default") {
        return Ok(setting.usual.to_owned());
    }
    let lower = value.to_ascii_lowercase();
    match setting.rule {
        Rule::Fixed => {
            let text = format!("parameter \"{name}\" cannot be changed");
            Err(SettingError::new("55P02", text))
        }
        Rule::Any => Ok(value.to_owned()),
        Rule::Switch => match lower.as_str() {
            "on" | "true" | "yes" | "1" | "t" | "y" => Ok("on".to_owned()),
            "off" | "false" | "no" | "0" | "f" | "n" => Ok("off".to_owned()),
            _ => Err(wrong().hint("it is on or off")),
        },
        Rule::Number(least, most) => match value.parse::<i64>() {
            Ok(n) if (least..=most).contains(&n) => Ok(n.to_string()),
            _ => Err(wrong().hint(format!("it is a number from {least} to {most}"))),
        },
        Rule::OneOf(all) => match all.iter().any(|one| *one == lower) {
            true if matches!(lower.as_str(), "true" | "yes" | "1") => Ok("on".to_owned()),
            true => Ok(lower),
            false => Err(wrong().hint(format!("it can be {}", all.join(", ")))),
        },
        Rule::Like("utf8") => match lower.replace(['-', '_', '\''], "").as_str() {
            "utf8" | "unicode" => Ok("UTF8".to_owned()),
            _ => Err(wrong().hint("texts are UTF8 here, and nothing else")),
        },
        Rule::Like(start) => match lower.starts_with(start) {
            true => Ok(setting.usual.to_owned()),
            false => Err(wrong().hint(format!("it can be {} only", setting.usual))),
        },
        Rule::Utc => match lower.trim_matches('\'') {
            "utc" | "gmt" | "etc/utc" | "etc/gmt" | "zulu" | "universal" | "0" | "+00:00"
            | "00:00" => Ok("UTC".to_owned()),
            _ => Err(wrong().hint("times are given in UTC: convert them in the client")),
        },
        Rule::Time => match milliseconds(&lower) {
            Some(_) => Ok(lower),
            None => Err(wrong().hint("it is milliseconds, or a number with ms, s, min, h or d")),
        },
        Rule::Schemas => Ok(value.to_owned()),
    }
}

#[cfg(test)]
mod tests;
