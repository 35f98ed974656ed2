//! A session's settings: how they begin, and what a client has to be told when
//! they change. What there is to set, and what it does, is the engine's to say
//! ([`cairn_query::pg`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_query::pg::{SettingError, Settings};

use super::error::{PgError, state};
use super::statement::Set;

/// A setting that a client is told of, and its value.
pub(super) type Told = (&'static str, String);

/// What a client gives when it connects that is no setting.
const ABOUT_THE_SESSION: &[&str] = &["user", "database", "options", "replication"];

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Parameters {
    settings: Arc<Settings>,
    /// What the client was told last.
    told: Vec<Told>,
}

impl From<SettingError> for PgError {
    fn from(error: SettingError) -> Self {
        Self {
            hint: error.hint,
            ..Self::new(error.code, error.message)
        }
    }
}

impl Parameters {
    /// The settings of session `pid` of `principal`, which asked for `given`
    /// when it connected.
    pub(super) fn new(
        pid: i32,
        principal: &str,
        given: &BTreeMap<String, String>,
    ) -> Result<Self, PgError> {
        let settings = Settings::new(pid);
        settings.set_principal(principal);
        for (name, value) in given {
            // A name with a point is some program's own.
            if !ABOUT_THE_SESSION.contains(&name.as_str()) && !name.contains('.') {
                settings.set_at_start(name, value)?;
            }
        }
        for (name, value) in options(given.get("options").map_or("", String::as_str)) {
            settings.set_at_start(&name, &value)?;
        }
        Ok(Self {
            told: settings.told(),
            settings: Arc::new(settings),
        })
    }

    /// For questions of this session.
    pub(super) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// What a client is told when it has connected.
    pub(super) fn told(&self) -> &[Told] {
        &self.told
    }

    /// What has changed since the client was told last.
    pub(super) fn news(&mut self) -> Vec<Told> {
        let now = self.settings.told();
        let news = now
            .iter()
            .filter(|t| !self.told.contains(t))
            .cloned()
            .collect();
        self.told = now;
        news
    }

    /// SET.
    pub(super) fn set(&self, set: &Set) -> Result<(), PgError> {
        match (set.name.as_str(), &set.value) {
            // Modes of transactions change nothing here.
            ("transaction_mode", _) => {}
            ("role" | "session_authorization", value) => {
                let nobody = value
                    .as_deref()
                    .is_none_or(|v| v.eq_ignore_ascii_case("none"));
                if !nobody {
                    return Err(PgError::new(
                        state::NOT_ALLOWED,
                        "nobody can become somebody else here",
                    )
                    .hint("log in with the other token"));
                }
            }
            (name, Some(value)) => self.settings.set(name, value, set.local)?,
            (name, None) => self.settings.reset(name)?,
        }
        Ok(())
    }

    /// SHOW: the name as it is written, and the value.
    pub(super) fn show(&self, name: &str) -> Result<Told, PgError> {
        Ok((Settings::spelled(name)?, self.settings.get(name)?))
    }

    /// SHOW ALL: names, values, and what they are about.
    pub(super) fn all(&self) -> Vec<(&'static str, String, &'static str)> {
        self.settings.all()
    }

    /// RESET; `None` is ALL.
    pub(super) fn reset(&self, name: Option<&str>) -> Result<(), PgError> {
        match name {
            Some(name) => self.settings.reset(name)?,
            None => self.settings.reset_all(),
        }
        Ok(())
    }
}

/// The `-c name=value` of a client's `options`, in which a backslash keeps the
/// character that follows.
fn options(text: &str) -> Vec<(String, String)> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        let word = words.last_mut().expect("there is one from the start");
        match c {
            '\\' => word.extend(characters.next()),
            c if c.is_whitespace() => words.push(String::new()),
            c => word.push(c),
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
