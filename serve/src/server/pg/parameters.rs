//! A session's run-time parameters: what SET, SHOW and RESET speak of, and what
//! a client is told when it connects.
//!
//! They change what clients are told and nothing of what is read. So one that
//! could change an answer's form takes only the value that it has here.

use std::collections::BTreeMap;

use super::error::{PgError, state};
use super::statement::Set;

/// The version that is claimed: its catalog and its types are what clients ask
/// for.
pub(super) const SERVER_VERSION: &str = "15.14";

/// Which values a parameter takes.
#[derive(Clone, Copy, Debug)]
enum Takes {
    /// Any.
    Any,
    /// What it has, whatever is said: programs set it out of habit.
    Shrug,
    /// One of these, without regard to case.
    OneOf(&'static [&'static str]),
    /// None: it says what is so.
    Nothing,
}

struct Known {
    /// As it is shown.
    name: &'static str,
    default: &'static str,
    takes: Takes,
    /// Whether clients are told of it unasked.
    told: bool,
}

const fn known(name: &'static str, default: &'static str, takes: Takes, told: bool) -> Known {
    Known {
        name,
        default,
        takes,
        told,
    }
}

const BOOLEAN: &[&str] = &["on", "off", "true", "false", "yes", "no", "1", "0"];

const KNOWN: &[Known] = &[
    known("application_name", "", Takes::Any, true),
    known("bytea_output", "hex", Takes::OneOf(&["hex"]), false),
    known(
        "client_encoding",
        "UTF8",
        Takes::OneOf(&["utf8", "utf-8", "unicode"]),
        true,
    ),
    known("client_min_messages", "notice", Takes::Any, false),
    known(
        "DateStyle",
        "ISO, MDY",
        Takes::OneOf(&["iso", "iso, mdy", "iso, dmy", "iso, ymd"]),
        true,
    ),
    known(
        "default_transaction_isolation",
        "repeatable read",
        Takes::Shrug,
        false,
    ),
    known("default_transaction_read_only", "on", Takes::Shrug, true),
    known("extra_float_digits", "1", Takes::Any, false),
    known("in_hot_standby", "off", Takes::Nothing, true),
    known("integer_datetimes", "on", Takes::Nothing, true),
    known(
        "IntervalStyle",
        "postgres",
        Takes::OneOf(&["postgres"]),
        true,
    ),
    known("is_superuser", "off", Takes::Nothing, true),
    known("jit", "off", Takes::Shrug, false),
    known("lc_messages", "C.UTF-8", Takes::Shrug, false),
    known("lock_timeout", "0", Takes::Any, false),
    known(
        "idle_in_transaction_session_timeout",
        "0",
        Takes::Any,
        false,
    ),
    known("max_identifier_length", "63", Takes::Nothing, false),
    known("role", "none", Takes::OneOf(&["none"]), false),
    known("search_path", "public", Takes::Any, false),
    known("server_encoding", "UTF8", Takes::Nothing, true),
    known("server_version", SERVER_VERSION, Takes::Nothing, true),
    known("server_version_num", "150014", Takes::Nothing, false),
    known("session_authorization", "", Takes::Nothing, true),
    known(
        "standard_conforming_strings",
        "on",
        Takes::OneOf(&["on", "true", "1"]),
        true,
    ),
    known("statement_timeout", "0", Takes::Any, false),
    known("synchronize_seqscans", "on", Takes::OneOf(BOOLEAN), false),
    known("TimeZone", "UTC", Takes::Shrug, true),
    known(
        "transaction_isolation",
        "repeatable read",
        Takes::Shrug,
        false,
    ),
    known("transaction_mode", "", Takes::Shrug, false),
    known("transaction_read_only", "on", Takes::Shrug, false),
];

fn find(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|k| k.name.eq_ignore_ascii_case(name))
}

type Values = BTreeMap<String, String>;

/// A parameter that a client is told of, and its new value.
pub(super) type Told = (String, String);

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Parameters {
    /// What a session begins with, by names in lower case.
    initial: Values,
    now: Values,
    /// As they were when the transaction began, to go back to.
    before: Option<Values>,
    /// Those that last as long as the transaction, as they were before.
    local: Values,
}

impl Parameters {
    /// The parameters of a session of `user` that asked for `given` when it
    /// connected.
    pub(super) fn new(user: &str, given: &BTreeMap<String, String>) -> Result<Self, PgError> {
        let initial: Values = KNOWN
            .iter()
            .map(|k| (k.name.to_ascii_lowercase(), k.default.to_owned()))
            .collect();
        let mut own = Self {
            now: initial.clone(),
            initial,
            before: None,
            local: Values::new(),
        };
        own.now
            .insert("session_authorization".to_owned(), user.to_owned());
        for (name, value) in given {
            let about_the_session = matches!(
                name.as_str(),
                "user" | "database" | "options" | "replication"
            ) || name.starts_with("_pq_.");
            if !about_the_session {
                own.put(name, Some(value))?;
            }
        }
        for (name, value) in options(given.get("options").map_or("", String::as_str)) {
            own.put(&name, Some(&value))?;
        }
        own.initial = own.now.clone();
        Ok(own)
    }

    /// What a client is told when it has connected.
    pub(super) fn told(&self) -> Vec<Told> {
        let told = KNOWN.iter().filter(|k| k.told);
        told.map(|k| (k.name.to_owned(), self.value(k))).collect()
    }

    fn value(&self, known: &Known) -> String {
        let value = self.now.get(&known.name.to_ascii_lowercase());
        value.cloned().unwrap_or_default()
    }

    fn put(&mut self, name: &str, value: Option<&str>) -> Result<(), PgError> {
        let key = name.to_ascii_lowercase();
        let Some(known) = find(name) else {
            // A name with a point is somebody's own.
            if !key.contains('.') {
                return Err(unknown(name));
            }
            match value {
                Some(value) => self.now.insert(key, value.to_owned()),
                None => self.now.remove(&key),
            };
            return Ok(());
        };
        let Some(value) = value else {
            let initial = self.initial.get(&key).cloned().unwrap_or_default();
            self.now.insert(key, initial);
            return Ok(());
        };
        match known.takes {
            Takes::Any => {
                // Bounded, for it is kept and told.
                let value = value.chars().take(1024).collect();
                self.now.insert(key, value);
                Ok(())
            }
            Takes::Shrug => Ok(()),
            Takes::OneOf(values) => {
                let asked = value.to_ascii_lowercase();
                match values.contains(&asked.as_str()) {
                    true => Ok(()),
                    false => Err(PgError::new(
                        state::BAD_PARAMETER,
                        format!(
                            "invalid value for parameter \"{}\": \"{value}\"",
                            known.name
                        ),
                    )
                    .hint(format!("here it is always {}", known.default))),
                }
            }
            Takes::Nothing => Err(PgError::new(
                "55P02",
                format!("parameter \"{}\" cannot be changed", known.name),
            )),
        }
    }

    /// SET. Gives what a client has to be told.
    pub(super) fn set(&mut self, set: &Set) -> Result<Vec<Told>, PgError> {
        let old = self.now.clone();
        self.put(&set.name, set.value.as_deref())?;
        if set.local {
            match self.before {
                Some(_) => {
                    let key = set.name.to_ascii_lowercase();
                    if let Some(value) = old.get(&key) {
                        self.local.entry(key).or_insert_with(|| value.clone());
                    }
                }
                // Outside of a transaction it is over at once.
                None => self.now.clone_from(&old),
            }
        }
        Ok(self.changes(&old))
    }

    /// SHOW: the name as it is written, and the value.
    pub(super) fn show(&self, name: &str) -> Result<Told, PgError> {
        match find(name) {
            Some(known) => Ok((known.name.to_owned(), self.value(known))),
            None => match self.now.get(name) {
                Some(value) => Ok((name.to_owned(), value.clone())),
                None => Err(unknown(name)),
            },
        }
    }

    /// SHOW ALL.
    pub(super) fn all(&self) -> Vec<Told> {
        KNOWN
            .iter()
            .map(|k| (k.name.to_owned(), self.value(k)))
            .collect()
    }

    /// RESET; `None` is ALL.
    pub(super) fn reset(&mut self, name: Option<&str>) -> Result<Vec<Told>, PgError> {
        let old = self.now.clone();
        match name {
            Some(name) => self.put(name, None)?,
            None => self.now.clone_from(&self.initial),
        }
        Ok(self.changes(&old))
    }

    /// A transaction begins.
    pub(super) fn begin(&mut self) {
        self.before.get_or_insert_with(|| self.now.clone());
    }

    /// It ends, and what was set in it stays or goes.
    pub(super) fn end(&mut self, committed: bool) -> Vec<Told> {
        let old = self.now.clone();
        let before = self.before.take();
        let local = std::mem::take(&mut self.local);
        match (committed, before) {
            (false, Some(before)) => self.now = before,
            _ => self.now.extend(local),
        }
        self.changes(&old)
    }

    fn changes(&self, old: &Values) -> Vec<Told> {
        let changed = KNOWN.iter().filter(|k| {
            let key = k.name.to_ascii_lowercase();
            k.told && self.now.get(&key) != old.get(&key)
        });
        changed
            .map(|k| (k.name.to_owned(), self.value(k)))
            .collect()
    }
}

fn unknown(name: &str) -> PgError {
    PgError::new(
        state::NO_OBJECT,
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

/// The `-c name=value` of a client's `options`, in which a backslash keeps the
/// character that follows.
fn options(text: &str) -> Vec<(String, String)> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => words
                .last_mut()
                .expect("there is one")
                .extend(characters.next()),
            c if c.is_whitespace() => words.push(String::new()),
            c => words.last_mut().expect("there is one").push(c),
        }
    }
    let mut found = Vec::new();
    let mut words = words.into_iter().filter(|w| !w.is_empty());
    while let Some(word) = words.next() {
        let setting = match word.as_str() {
            "-c" => words.next(),
            word => word
                .strip_prefix("--")
                .or_else(|| word.strip_prefix("-c"))
                .map(str::to_owned),
        };
        if let Some((name, value)) = setting.as_deref().and_then(|s| s.split_once('=')) {
            found.push((name.replace('-', "_"), value.to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests;
