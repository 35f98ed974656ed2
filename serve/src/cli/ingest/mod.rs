//! `cairn ingest`: files, folders and standard input to `POST /v1/events`.
//!
//! One thread reads, decompresses and cuts ([`read`]); a few bodies are under
//! way at once ([`send`]); this file counts and decides. Memory is bounded by
//! the number of bodies under way. Everything may be repeated: the server
//! recognises each event.

mod elements;
mod inputs;
mod lines;
mod read;
mod send;
mod tally;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cairn_schemas::AccountId;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc::{self, Receiver, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::inputs::{Found, Input};
use self::read::{Job, Limits, Piece};
use self::send::{Delivered, Patience, deliver};
use self::tally::{Refusal, Tally};
use super::connect::ConnectArgs;
use super::output::Out;
use super::{Exit, Failure, Outcome};
use crate::client::{Client, ClientError};

const HELP: &str = "\
Files hold one JSON event, an array of events, {\"Records\": [...]} or NDJSON, plain, gzip or zstd. \
ActionTrail's and CloudTrail's field names are recognised. In folders, *.json, *.ndjson, *.jsonl, \
*.log (also .gz and .zst) and *.gz are read. Running the same command again is safe: events that \
Cairn has are counted as duplicates.

Ends with 0 when every event is held, 3 when some were refused, 1 when it failed.";

/// Arguments of `cairn ingest`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct IngestArgs {
    /// Files and folders; - is standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The account of events that name none
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// Print one JSON object instead of a sentence
    #[arg(long)]
    json: bool,
    /// Bodies under way at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    concurrency: u32,
    /// Further attempts while the server is busy or away
    #[arg(long, value_name = "N", default_value_t = 8)]
    retries: u32,
    /// The length that bodies aim at
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 20, hide_short_help = true)]
    chunk_bytes: usize,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Runs the command.
pub(super) async fn run(args: IngestArgs, out: &mut Out) -> Outcome {
    let patience = Patience {
        retries: args.retries,
        first: Duration::from_millis(200),
        most: Duration::from_secs(10),
    };
    run_with(args, patience, out).await
}

async fn run_with(args: IngestArgs, patience: Patience, out: &mut Out) -> Outcome {
    let client = args.connect.client()?;
    let found = inputs::find(&args.paths)
        .map_err(|source| Failure::Other(format!("cannot read {source}")))?;
    tell_left_out(&found, out);
    if found.inputs.is_empty() {
        return Err(Failure::Other(
            "there is no file of events under the given paths; in folders, *.json, *.ndjson, *.jsonl, \
             *.log (also .gz and .zst) and *.gz are read; a file that is named itself is always read"
                .to_owned(),
        ));
    }
    // A wrong address or token is told at once, not after a minute of patience.
    client.get(&["v1", "whoami"], &[]).await?;
    let mut run = Run {
        client,
        account: args.account.map(|id| id.to_string()),
        patience,
        concurrency: args.concurrency as usize,
        limits: Limits {
            chunk: args.chunk_bytes,
            ..Limits::default()
        },
        bar: progress_bar(&found.inputs, out),
        tally: Tally::default(),
        unreadable: Vec::new(),
    };
    let begun = Instant::now();
    let ended = run.all(&found.inputs, out).await;
    run.bar.finish_and_clear();
    run.tally.files = found.inputs.len() as u64;
    run.tally.bytes = run.bar.position();
    run.tally.elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    run.tally.print(args.json, out)?;
    if matches!(ended, Err(Failure::Interrupted)) {
        out.note(&run.left());
    }
    run.outcome(ended)
}

fn tell_left_out(found: &Found, out: &mut Out) {
    for path in found.left_out.iter().take(10) {
        out.note(&format!("left out: {}", path.display()));
    }
    if found.left_out.len() > 10 {
        out.note(&format!(
            "left out: {} more files whose names are no events'",
            found.left_out.len() - 10
        ));
    }
}

fn progress_bar(inputs: &[Input], out: &Out) -> ProgressBar {
    if !out.stderr_is_terminal {
        return ProgressBar::hidden();
    }
    let known = inputs.iter().all(|input| *input != Input::Stdin);
    let bar = if known {
        ProgressBar::new(inputs.iter().map(Input::length).sum())
    } else {
        ProgressBar::no_length()
    };
    let template = if known {
        "{bar:32} {bytes}/{total_bytes}  {bytes_per_sec}  {msg}  {elapsed}, {eta} left"
    } else {
        "{spinner} {bytes}  {bytes_per_sec}  {msg}  {elapsed}"
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    // It moves also while a server that is away is waited for.
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

struct Run {
    client: Client,
    account: Option<String>,
    patience: Patience,
    concurrency: usize,
    limits: Limits,
    bar: ProgressBar,
    tally: Tally,
    unreadable: Vec<String>,
}

impl Run {
    /// Everything; a file that is too large for the server as it is, is cut in
    /// a second pass.
    async fn all(&mut self, inputs: &[Input], out: &mut Out) -> Result<(), Failure> {
        let again = self.pass(inputs, self.limits, out).await?;
        if again.is_empty() {
            return Ok(());
        }
        let cut = self.limits.cut_everything();
        self.pass(&again, cut, out).await.map(drop)
    }

    /// Reads and sends `inputs`; returns those that were too large as they are.
    async fn pass(
        &mut self,
        inputs: &[Input],
        limits: Limits,
        out: &mut Out,
    ) -> Result<Vec<Input>, Failure> {
        let (hand_over, jobs) = mpsc::channel(1);
        let (tell, mut notes) = mpsc::unbounded_channel();
        let owned: Arc<[Input]> = inputs.into();
        let bar = self.bar.clone();
        tokio::task::spawn_blocking(move || {
            read::read_all(&owned, limits, &bar, &mut |job| {
                hand_over.blocking_send(job).is_ok()
            });
        });
        let ended = self.pump(jobs, tell, &mut notes, out).await;
        while let Ok(note) = notes.try_recv() {
            out.note(&note);
        }
        ended
    }

    /// Sends what the reader hands over, some bodies at once, until there is
    /// nothing left. An error drops what is under way, and the reader's
    /// channel, which ends the reader.
    async fn pump(
        &mut self,
        mut jobs: Receiver<Job>,
        tell: UnboundedSender<String>,
        notes: &mut UnboundedReceiver<String>,
        out: &mut Out,
    ) -> Result<Vec<Input>, Failure> {
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        let mut flying = JoinSet::new();
        let mut again = Vec::new();
        let mut reading = true;
        while reading || !flying.is_empty() {
            tokio::select! {
                job = jobs.recv(), if reading && flying.len() < self.concurrency => match job {
                    None => reading = false,
                    Some(Job::Send(piece)) => {
                        let account = self.account.clone();
                        let client = self.client.clone();
                        flying.spawn(deliver(client, piece, account, self.patience, tell.clone()));
                    }
                    Some(Job::Refused(refusal)) => self.tally.refuse(1, refusal),
                    Some(Job::Unreadable(what)) => self.unreadable.push(what),
                },
                Some(done) = flying.join_next() => {
                    let done = done.map_err(|e| Failure::Other(format!("a sender ended: {e}")))?;
                    again.extend(self.settle(done)?);
                    self.bar.set_message(format!("{} events", self.tally.held()));
                }
                Some(note) = notes.recv() => self.bar.suspend(|| out.note(&note)),
                _ = &mut interrupted => return Err(Failure::Interrupted),
            }
        }
        Ok(again)
    }

    /// Counts one body's answer. Returns the input where it has to be cut.
    fn settle(&mut self, done: Delivered) -> Result<Option<Input>, ClientError> {
        let piece = done.piece;
        let error = match done.result {
            Ok(receipt) => {
                self.tally.add(&piece.input.name(), piece.first, &receipt);
                return Ok(None);
            }
            Err(error) => error,
        };
        let status = error.api().map(|api| (api.status, api.code.as_str()));
        match (status, piece.events) {
            (Some((413, _)), None) => Ok(Some(piece.input)),
            (Some((413, _)), Some(1)) | (Some((400, "invalid_body")), _) => {
                let refusal = refusal(&piece, &error);
                self.tally.refuse(piece.events.unwrap_or(1), refusal);
                Ok(None)
            }
            _ => Err(error),
        }
    }

    fn outcome(self, ended: Result<(), Failure>) -> Outcome {
        if let Err(failure) = ended {
            return Err(self.given_up(failure));
        }
        if !self.unreadable.is_empty() {
            return Err(Failure::Other(format!(
                "cannot read {}",
                self.unreadable.join("\ncannot read ")
            )));
        }
        Ok(if self.tally.refused > 0 {
            Exit::SomeRefused
        } else {
            Exit::Done
        })
    }

    /// What an end before the end leaves behind.
    fn left(&self) -> String {
        format!(
            "{} events are held, those that were under way perhaps too; \
             running the same command again is safe, as Cairn recognises what it has",
            self.tally.held()
        )
    }

    fn given_up(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Interrupted => Failure::Interrupted,
            other => Failure::Other(format!("{other}\n{}", self.left())),
        }
    }
}

fn refusal(piece: &Piece, error: &ClientError) -> Refusal {
    let (code, message) = match error.api() {
        Some(api) => (api.code.clone(), api.message.clone()),
        None => (String::new(), error.to_string()),
    };
    Refusal {
        file: piece.input.name(),
        // Of a body of several, none was taken: the first stands for all.
        index: piece.events.map(|_| piece.first),
        code,
        message,
    }
}

#[cfg(test)]
mod tests;
