//! `cairn serve`: the settings are put together, logging is begun, and the
//! server is run.

use super::{Exit, Failure, Outcome};
use crate::config::flags::ServeArgs;
use crate::config::{LogFormat, Logging};

/// Runs the server until it is told to stop.
pub(super) async fn run(args: ServeArgs) -> Outcome {
    let settings = args.settings()?;
    start_logging(&settings.logging)?;
    crate::server::run(settings)
        .await
        .map_err(Failure::Server)?;
    Ok(Exit::Done)
}

/// Log lines go to standard error: standard output is for what was asked.
fn start_logging(logging: &Logging) -> Result<(), Failure> {
    let filter = tracing_subscriber::EnvFilter::try_new(&logging.level)
        .map_err(|e| Failure::Other(format!("logging.level = {:?}: {e}", logging.level)))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match logging.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|e| Failure::Other(format!("logging cannot be started: {e}")))
}
