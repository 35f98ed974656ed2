//! Which server, and with which token: the flags that every client command has.

use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::Failure;
use crate::client::Client;
use crate::config::Secret;

/// Where the token comes from.
#[derive(Clone, Debug)]
enum Token {
    Given(Secret),
    File(PathBuf),
    Missing,
}

/// Which server, and with which token.
#[derive(Clone, Debug)]
pub(super) struct ConnectArgs {
    url: String,
    token: Token,
}

#[derive(Args)]
#[command(next_help_heading = "Connection")]
struct Raw {
    /// The server's address
    #[arg(
        long,
        env = "CAIRN_URL",
        default_value = "http://127.0.0.1:7070",
        value_name = "URL",
        global = true
    )]
    url: String,
    /// The token; better given in the environment, as everybody on the machine can read flags
    #[arg(
        long,
        env = "CAIRN_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        global = true
    )]
    token: Option<String>,
    /// A file that holds the token and nothing else
    #[arg(long, env = "CAIRN_TOKEN_FILE", value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
}

impl Args for ConnectArgs {
    fn augment_args(command: Command) -> Command {
        Raw::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Raw::augment_args(command)
    }
}

impl FromArgMatches for ConnectArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let raw = Raw::from_arg_matches(matches)?;
        let token = raw.token.filter(|token| !token.trim().is_empty());
        let file = raw.token_file.filter(|path| !path.as_os_str().is_empty());
        // A flag beats the environment, also the other one's variable.
        let file_is_flag = matches.value_source("token_file") == Some(ValueSource::CommandLine);
        let token_is_flag = matches.value_source("token") == Some(ValueSource::CommandLine);
        let token = match (token, file) {
            (_, Some(path)) if file_is_flag && !token_is_flag => Token::File(path),
            (Some(token), _) => Token::Given(Secret::new(token.trim())),
            (None, Some(path)) => Token::File(path),
            (None, None) => Token::Missing,
        };
        Ok(Self {
            url: raw.url,
            token,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl ConnectArgs {
    /// A client, or what the user has to do to get one.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let token = match &self.token {
            Token::Given(token) => token.clone(),
            Token::File(path) => read_token(path)?,
            Token::Missing => {
                return Err(Failure::Other(
                    "no token was given\nhint: set CAIRN_TOKEN, or use --token-file FILE; \
                     `cairn serve` says at its first start where the first token lies"
                        .to_owned(),
                ));
            }
        };
        Ok(Client::new(&self.url, Some(&token))?)
    }

    #[cfg(test)]
    pub(super) fn test(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            token: Token::Given(Secret::new("cairn_test")),
        }
    }
}

fn read_token(path: &Path) -> Result<Secret, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(Failure::io(format!("the token file {}", path.display())))?;
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(Failure::Other(format!(
            "the token file {} has to hold one token and nothing else",
            path.display()
        )));
    }
    Ok(Secret::new(token))
}
