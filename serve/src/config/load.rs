//! From the four places to one checked [`Settings`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check;
use super::keys::{KEYS, Key};
use super::s3::{AwsPlaces, EnvironmentKeys};
use super::value::Given;
use super::{Secret, Settings};

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A line of the settings file.
    File {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(&'static str),
    /// A flag, without its dashes.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// A value from the environment or a flag.
#[derive(Clone)]
pub struct Override {
    /// What it sets.
    pub key: &'static Key,
    /// The value.
    pub value: Given,
    /// Where it was given.
    pub origin: Origin,
}

impl fmt::Debug for Override {
    // The value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Override")
            .field("key", &self.key.name)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// All that was given, not yet understood.
#[derive(Clone, Default)]
pub struct Sources {
    /// The settings file: its name, for messages, and its text.
    pub file: Option<(PathBuf, String)>,
    /// From the environment and the flags, one a key at most.
    pub overrides: Vec<Override>,
    /// The `AWS_…` variables that other S3 tools read, by name. They stand
    /// below the file: whoever writes down an endpoint for Cairn means it.
    pub aws: BTreeMap<&'static str, String>,
}

impl fmt::Debug for Sources {
    // The file's text and the AWS variables may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("file", &self.file.as_ref().map(|(path, _)| path))
            .field("overrides", &self.overrides)
            .field("aws", &self.aws.keys())
            .finish()
    }
}

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A key or a section that does not exist.
    #[error("{origin}: there is no setting {name}{}", nearest.as_ref().map_or(String::new(), |n| format!("; did you mean {n}?")))]
    Unknown {
        /// Where it stands.
        origin: Origin,
        /// As written.
        name: String,
        /// The known name that is most like it.
        nearest: Option<String>,
    },
    /// A value that the setting does not take.
    #[error("{origin}: {name} = {value} is not allowed: {allowed}")]
    Value {
        /// Where it stands.
        origin: Origin,
        /// The setting.
        name: &'static str,
        /// The value; hidden where it is a secret.
        value: String,
        /// What to write instead.
        allowed: String,
    },
    /// Values that do not go together.
    #[error("{0}")]
    Together(String),
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the settings file {} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}: this is not TOML: {message}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// Something in it is wrong; all of it is told at once.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
}

impl Settings {
    /// Understands and checks what was given. Pure: files and the environment
    /// have been read by the caller.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        let mut problems = Vec::new();
        apply_aws_defaults(&mut settings, sources, &mut problems);
        if let Some((path, text)) = &sources.file {
            apply_file(&mut settings, path, text, &mut problems)?;
        }
        for given in &sources.overrides {
            apply(
                &mut settings,
                given.key,
                &given.value,
                given.origin.clone(),
                &mut problems,
            );
        }
        if problems.is_empty() {
            check::check(&settings, &mut problems);
        }
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(ConfigError::Problems(problems))
        }
    }

    /// The same, with the file read from `path`.
    pub fn load_with_file(path: Option<&Path>, mut sources: Sources) -> Result<Self, ConfigError> {
        if let Some(path) = path {
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
                path: path.to_owned(),
                source,
            })?;
            sources.file = Some((path.to_owned(), text));
        }
        Self::load(&sources)
    }
}

fn apply(
    settings: &mut Settings,
    key: &'static Key,
    value: &Given,
    origin: Origin,
    problems: &mut Vec<Problem>,
) {
    if let Err(allowed) = (key.set)(settings, value) {
        let value = if key.is_secret() {
            "(hidden)".to_owned()
        } else {
            value.to_string()
        };
        problems.push(Problem::Value {
            origin,
            name: key.name,
            value,
            allowed,
        });
    }
}

fn apply_aws_defaults(settings: &mut Settings, sources: &Sources, problems: &mut Vec<Problem>) {
    // The later wins: the variable for S3 alone beats the one for all services.
    for (variable, name) in [
        ("AWS_DEFAULT_REGION", "s3.region"),
        ("AWS_REGION", "s3.region"),
        ("AWS_ENDPOINT_URL", "s3.endpoint"),
        ("AWS_ENDPOINT_URL_S3", "s3.endpoint"),
        ("AWS_ENDPOINT_URL_STS", "s3.sts_endpoint"),
        ("AWS_CA_BUNDLE", "s3.ca_file"),
        ("AWS_ROLE_ARN", "s3.role_arn"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "s3.web_identity_token_file"),
    ] {
        if let (Some(value), Some(key)) = (sources.aws.get(variable), Key::find(name)) {
            let origin = Origin::Environment(variable);
            apply(settings, key, &Given::Text(value.clone()), origin, problems);
        }
    }
    let get = |variable: &str| sources.aws.get(variable).cloned();
    let file = |variable: &str, name: &str| {
        let home = || get("HOME").map(|home| PathBuf::from(home).join(".aws").join(name));
        get(variable).map(PathBuf::from).or_else(home)
    };
    settings.s3.aws = AwsPlaces {
        // The three belong together: a session token of one key makes every
        // request with another fail.
        keys: match (get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY")) {
            (Some(access_key_id), Some(secret)) => Some(EnvironmentKeys {
                access_key_id,
                secret_access_key: Secret::new(secret),
                session_token: get("AWS_SESSION_TOKEN").map(Secret::new),
            }),
            _ => None,
        },
        profile: get("AWS_PROFILE"),
        credentials_file: file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        config_file: file("AWS_CONFIG_FILE", "config"),
        role_session_name: get("AWS_ROLE_SESSION_NAME"),
        container_relative_uri: get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        container_full_uri: get("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        container_token_file: get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        metadata_endpoint: get("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
    };
}

fn apply_file(
    settings: &mut Settings,
    path: &Path,
    text: &str,
    problems: &mut Vec<Problem>,
) -> Result<(), ConfigError> {
    let table = DeTable::parse(text).map_err(|e| ConfigError::Toml {
        path: path.to_owned(),
        line: e.span().map_or(1, |span| line_of(text, span.start)),
        message: e.message().to_owned(),
    })?;
    let origin = |at: usize| Origin::File {
        path: path.to_owned(),
        line: line_of(text, at),
    };
    for (section, value) in table.get_ref() {
        let name = section.get_ref().as_ref();
        let known = KEYS
            .iter()
            .any(|key| key.name.split('.').next() == Some(name));
        let DeValue::Table(inner) = value.get_ref() else {
            problems.push(unknown(origin(section.span().start), name));
            continue;
        };
        if !known {
            problems.push(unknown_section(origin(section.span().start), name));
            continue;
        }
        for (key, value) in inner {
            let name = format!("{name}.{}", key.get_ref());
            let at = origin(key.span().start);
            match Key::find(&name) {
                Some(key) => apply(settings, key, &given(value.get_ref()), at, problems),
                None => problems.push(unknown(at, &name)),
            }
        }
    }
    Ok(())
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

fn given(value: &DeValue<'_>) -> Given {
    match value {
        DeValue::String(text) => Given::Text(text.to_string()),
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix())
            .map_or(Given::Other("a number beyond all bounds"), Given::Int),
        DeValue::Float(n) => n
            .as_str()
            .parse()
            .map_or(Given::Other("a number beyond all bounds"), Given::Float),
        DeValue::Boolean(b) => Given::Bool(*b),
        DeValue::Datetime(_) => Given::Other("a date"),
        DeValue::Array(list) => {
            let text = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
                DeValue::String(text) => Some(text.to_string()),
                _ => None,
            };
            let texts: Option<Vec<String>> = list.iter().map(text).collect();
            texts.map_or(
                Given::Other("a list of something else than texts"),
                Given::List,
            )
        }
        DeValue::Table(_) => Given::Other("a table"),
    }
}

fn unknown(origin: Origin, name: &str) -> Problem {
    let leaf = name.rsplit('.').next().unwrap_or(name);
    // A key in the wrong section, else the most similar name.
    let moved = KEYS
        .iter()
        .find(|key| key.name.rsplit('.').next() == Some(leaf));
    let nearest = moved.map(|key| key.name).or_else(|| {
        KEYS.iter()
            .map(|key| (distance(name, key.name), key.name))
            .min()
            .filter(|(distance, _)| *distance <= 4)
            .map(|(_, name)| name)
    });
    Problem::Unknown {
        origin,
        name: name.to_owned(),
        nearest: nearest.map(str::to_owned),
    }
}

fn unknown_section(origin: Origin, name: &str) -> Problem {
    let nearest = KEYS
        .iter()
        .filter_map(|key| key.name.split('.').next())
        .map(|section| (distance(name, section), section))
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, section)| format!("[{section}]"));
    Problem::Unknown {
        origin,
        name: format!("[{name}]"),
        nearest,
    }
}

/// Levenshtein's distance: how many letters to add, drop or change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    // A hostile name may be megabytes long; its start tells enough.
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
