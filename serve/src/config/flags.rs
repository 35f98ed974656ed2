//! The settings as flags and environment variables of `cairn serve`, made from
//! [`KEYS`] so that no list has to agree with another.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::Settings;
use super::keys::{COMMON, KEYS, Key};
use super::load::{ConfigError, Origin, Override, Sources};
use super::value::Given;

/// The variables that other S3 tools read too, and the folder of AWS' files.
const AWS: &[(&str, &str)] = &[
    ("AWS_ACCESS_KEY_ID", "aws-access-key-id"),
    ("AWS_SECRET_ACCESS_KEY", "aws-secret-access-key"),
    ("AWS_SESSION_TOKEN", "aws-session-token"),
    ("AWS_REGION", "aws-region"),
    ("AWS_DEFAULT_REGION", "aws-default-region"),
    ("AWS_ENDPOINT_URL", "aws-endpoint-url"),
    ("AWS_ENDPOINT_URL_S3", "aws-endpoint-url-s3"),
    ("AWS_ENDPOINT_URL_STS", "aws-endpoint-url-sts"),
    ("AWS_CA_BUNDLE", "aws-ca-bundle"),
    ("AWS_PROFILE", "aws-profile"),
    ("AWS_SHARED_CREDENTIALS_FILE", "aws-shared-credentials-file"),
    ("AWS_CONFIG_FILE", "aws-config-file"),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "aws-web-identity-token-file"),
    ("AWS_ROLE_ARN", "aws-role-arn"),
    ("AWS_ROLE_SESSION_NAME", "aws-role-session-name"),
    (
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "aws-container-credentials-relative-uri",
    ),
    (
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "aws-container-credentials-full-uri",
    ),
    (
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "aws-container-authorization-token-file",
    ),
    (
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "aws-ec2-metadata-service-endpoint",
    ),
    ("HOME", "aws-home"),
];

/// What `cairn serve` was given: the flags and the environment, not yet
/// understood.
#[derive(Clone, Debug, Default)]
pub struct ServeArgs {
    config: Option<PathBuf>,
    sources: Sources,
}

impl ServeArgs {
    /// Reads the settings file and puts everything together.
    pub fn settings(self) -> Result<Settings, ConfigError> {
        Settings::load_with_file(self.config.as_deref(), self.sources)
    }
}

/// Of the variables with these names, those that look like settings and are none:
/// misspelt, most likely. What an orchestrator sets for a service by the name of
/// `cairn-query` is not meant.
pub fn misspelt(names: impl Iterator<Item = String>) -> Vec<String> {
    let section = |name: &str| {
        let (section, _) = name.strip_prefix("CAIRN_")?.split_once('_')?;
        Some(section.to_owned())
    };
    let sections: BTreeSet<String> = KEYS.iter().filter_map(|k| section(k.env)).collect();
    let orchestrated = |name: &str| name.contains("_SERVICE_") || name.contains("_PORT");
    let known = |name: &str| KEYS.iter().any(|k| k.env == name);
    names
        .filter(|n| section(n).is_some_and(|s| sections.contains(&s)))
        .filter(|n| !known(n) && !orchestrated(n))
        .collect()
}

impl Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        let command = command.arg(
            Arg::new("config")
                .long("config")
                .env("CAIRN_CONFIG")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .help("A TOML file of settings; deploy/cairn.example.toml has them all"),
        );
        let command = KEYS.iter().fold(command, |c, key| c.arg(argument(key)));
        AWS.iter().fold(command, |c, (variable, id)| {
            // Never given as a flag: only the environment is meant.
            c.arg(
                Arg::new(*id)
                    .long(*id)
                    .env(*variable)
                    .hide(true)
                    .hide_env_values(true),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(key: &'static Key) -> Arg {
    let help = if key.default.is_empty() {
        key.help.to_owned()
    } else {
        format!("{} [default: {}]", key.help, key.default)
    };
    let arg = Arg::new(key.name)
        .long(key.flag)
        .env(key.env)
        .hide_env_values(true)
        .value_name(key.kind)
        .help(help)
        .hide_short_help(!COMMON.contains(&key.name))
        // Whoever is on the machine can read a process's flags.
        .hide(key.is_secret());
    if key.kind == "BOOL" {
        arg.num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
    } else if key.kind == "LIST" {
        arg.action(ArgAction::Append)
    } else {
        arg
    }
}

impl FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let text = |id: &str| {
            matches
                .get_one::<String>(id)
                // An empty variable is how compose files say "not set".
                .filter(|value| {
                    !value.is_empty() || matches.value_source(id) == Some(ValueSource::CommandLine)
                })
                .cloned()
        };
        let mut overrides = Vec::new();
        for key in KEYS {
            let Some(value) = text(key.name) else {
                continue;
            };
            let origin = match matches.value_source(key.name) {
                Some(ValueSource::EnvVariable) => Origin::Environment(key.env),
                _ => Origin::Flag(key.flag),
            };
            // Flags of a list may come again; the environment has one text.
            let value = match origin {
                Origin::Flag(_) if key.kind == "LIST" => {
                    let many = matches.get_many::<String>(key.name).into_iter().flatten();
                    Given::List(many.cloned().collect())
                }
                _ => Given::Text(value),
            };
            overrides.push(Override { key, value, origin });
        }
        let aws: BTreeMap<_, _> = AWS
            .iter()
            .filter_map(|(variable, id)| Some((*variable, text(id)?)))
            .collect();
        let config = matches
            .get_one::<PathBuf>("config")
            .filter(|path| !path.as_os_str().is_empty())
            .cloned();
        Ok(Self {
            config,
            sources: Sources {
                file: None,
                overrides,
                aws,
            },
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
