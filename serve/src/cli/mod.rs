//! The command line: `cairn serve`, and everything that talks to a server.
//!
//! One file a subject. Each command gets its arguments, a [`output::Out`] to
//! write to and says how it ended by an [`Exit`] or a [`Failure`]; nothing
//! else here knows of processes, so that tests can run commands too.

mod admin;
mod connect;
mod export;
mod ingest;
mod job;
mod ops;
pub mod output;
mod query;
mod serve;
mod source;
mod sql;
mod trail;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::bench::{self, BenchArgs};
use crate::client::ClientError;
use crate::config::ConfigError;
use crate::config::flags::ServeArgs;
use output::Out;

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All done.
    Done,
    /// Done, but some events were refused.
    SomeRefused,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::SomeRefused => Self::from(3),
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The arguments do not go together.
    #[error("{0}")]
    Usage(String),
    /// The server could not be reached, or said no.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file or a pipe.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What went wrong.
        source: io::Error,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
    /// The server ended with an error.
    #[error("{0:#}")]
    Server(anyhow::Error),
    /// Control-C.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// For `map_err`: says what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// 1 for failures, 2 for usage, 130 as shells have it for Control-C.
    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Interrupted => 130,
            _ => 1,
        }
    }

    /// Whether the reader of our output went away (`| head`), which is no
    /// failure of ours.
    fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<io::Error> for Failure {
    fn from(source: io::Error) -> Self {
        Self::io("cannot write the output")(source)
    }
}

/// What commands return.
pub type Outcome = Result<Exit, Failure>;

/// Cairn takes in audit events, keeps them, and answers questions about them.
#[derive(Debug, Parser)]
#[command(name = "cairn", bin_name = "cairn", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(Box<ServeArgs>),
    /// Send events from files, folders or standard input
    Ingest(ingest::IngestArgs),
    /// Ask a question in SQL
    Sql(sql::SqlArgs),
    /// Look after the queries that nobody waits for (cairn sql --detach), and get their rows
    Job(job::JobArgs),
    /// Hand rows or events over as files with a manifest, and check such files
    Export(Box<export::ExportArgs>),
    /// Ask the questions that come with Cairn, and keep your own
    Query(query::QueryArgs),
    /// Make, change, start, stop and explain trails
    Trail(trail::TrailArgs),
    /// Make and revoke tokens
    Token(admin::TokenArgs),
    /// Add and remove member accounts
    Account(admin::AccountArgs),
    /// Show or change the organization
    Organization(admin::OrganizationArgs),
    /// Show where the log, history and the trails stand
    Status(ops::StatusArgs),
    /// Wait until everything acknowledged is committed to every table
    Flush(ops::FlushArgs),
    /// Show whose token is in use
    Whoami(ops::WhoamiArgs),
    /// Look at what could not become an event, and take it in again
    Quarantine(ops::QuarantineArgs),
    /// Look at the Kafka partitions, and let a stopped one go on
    Source(source::SourceArgs),
    /// Generate events, and measure this machine
    Bench(BenchArgs),
}

/// The whole program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = Out::process();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(source) => {
            let failure = Failure::io("cannot start threads")(source);
            return finish(Err(failure), &mut out);
        }
    };
    let outcome = runtime.block_on(run(cli.command, &mut out));
    // A thread that still reads a pipe must not keep the process alive.
    runtime.shutdown_background();
    finish(outcome, &mut out)
}

/// Runs one command.
pub async fn run(command: Command, out: &mut Out) -> Outcome {
    match command {
        Command::Serve(args) => serve::run(*args).await,
        Command::Ingest(args) => ingest::run(args, out).await,
        Command::Sql(args) => sql::run(args, out).await,
        Command::Job(args) => job::run(args, out).await,
        Command::Export(args) => export::run(*args, out).await,
        Command::Query(args) => query::run(args, out).await,
        Command::Trail(args) => trail::run(args, out).await,
        Command::Token(args) => admin::token(args, out).await,
        Command::Account(args) => admin::account(args, out).await,
        Command::Organization(args) => admin::organization(args, out).await,
        Command::Status(args) => ops::status(args, out).await,
        Command::Flush(args) => ops::flush(args, out).await,
        Command::Whoami(args) => ops::whoami(args, out).await,
        Command::Quarantine(args) => ops::quarantine(args, out).await,
        Command::Source(args) => source::run(args, out).await,
        Command::Bench(args) => match bench::run(args).await {
            Ok(()) => Ok(Exit::Done),
            Err(error) => Err(Failure::Other(format!("{error:#}"))),
        },
    }
}

/// Tells the failure, and turns the outcome into the process's exit code.
fn finish(outcome: Outcome, out: &mut Out) -> ExitCode {
    let failure = match outcome {
        Ok(exit) => match out.flush() {
            Ok(()) => return exit.into(),
            Err(source) => Failure::from(source),
        },
        Err(failure) => failure,
    };
    if failure.is_broken_pipe() {
        return ExitCode::SUCCESS;
    }
    // Where standard error is gone too, the exit code has to do.
    let _ = out.flush();
    out.note(&format!("error: {failure}"));
    ExitCode::from(failure.code())
}

/// The command as `clap` knows it, for tests and manual pages.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests;
