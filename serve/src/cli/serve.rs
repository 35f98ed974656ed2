//! `cairn serve`: the settings are put together, logging is begun, and the
//! server is run.

use std::borrow::Cow;
use std::io::IsTerminal as _;

use super::{Exit, Failure, Outcome};
use crate::config::flags::{ServeArgs, misspelt};
use crate::config::{LogFormat, Logging};

/// Runs the server until it is told to stop.
pub(super) async fn run(args: ServeArgs) -> Outcome {
    let settings = args.settings()?;
    start_logging(&settings.logging)?;
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in misspelt(names) {
        tracing::warn!(
            name,
            "this environment variable is no setting: `cairn serve --help` and docs/configuration.md have those that are"
        );
    }
    crate::server::run(settings)
        .await
        .map_err(Failure::Server)?;
    Ok(Exit::Done)
}

/// At `info` the Delta kernel tells of each checkpoint in eight lines, of a
/// table that it does not name. Who wants them names it, or asks for `debug`.
fn directives(level: &str) -> Cow<'_, str> {
    let of_kernel = level.contains("buoyant_kernel");
    if !of_kernel && level.split(',').any(|part| part.trim() == "info") {
        return Cow::Owned(format!("{level},buoyant_kernel=warn"));
    }
    Cow::Borrowed(level)
}

/// Log lines go to standard error: standard output is for what was asked.
fn start_logging(logging: &Logging) -> Result<(), Failure> {
    let filter = tracing_subscriber::EnvFilter::try_new(directives(&logging.level))
        .map_err(|e| Failure::Other(format!("logging.level = {:?}: {e}", logging.level)))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = match logging.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|e| Failure::Other(format!("logging cannot be started: {e}")))
}

#[cfg(test)]
mod tests;
