//! `cairn sql`: one question, and its answer in the form that is wanted.
//!
//! An answer that does not come to its proper end is an error, and leaves no
//! file behind: no part may pass for the whole.

mod part_file;
mod stream;
mod table;

use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

use cairn_schemas::QueryName;
use clap::{Args, ValueEnum};
use serde_json::Value;
use tokio::time::Instant;

use self::part_file::PartFile;
use super::connect::ConnectArgs;
use super::output::{Out, Pager, visible};
use super::{Exit, Failure, Outcome, job};
use crate::client::{ApiError, Client, ClientError};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// RFC 4180, with a header
    Csv,
    /// One object: columns, rows, row_count
    Json,
    /// One object a row
    Ndjson,
    /// A Parquet file
    Parquet,
}

impl Format {
    fn accept(self) -> &'static str {
        match self {
            Self::Table => "application/vnd.apache.arrow.stream",
            Self::Csv => "text/csv",
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// Arguments of `cairn sql`.
#[derive(Debug, Args)]
#[command(
    after_help = "Tables: history (also called events), quarantine, trails.NAME, and the system tables."
)]
pub struct SqlArgs {
    /// One SELECT; - or nothing reads it from standard input
    #[arg(value_name = "QUERY")]
    query: Option<String>,
    /// Start the query and print its id, and don't wait: `cairn job` has the rest
    #[arg(long, conflicts_with_all = ["format", "out", "timing"])]
    detach: bool,
    /// With --detach, print the server's answer as JSON
    #[arg(long, requires = "detach")]
    json: bool,
    #[command(flatten)]
    answer: AnswerArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Where an answer goes, and in which form.
#[derive(Debug, Args)]
pub(super) struct AnswerArgs {
    /// The form of the answer; else told by the name of --out, else a table
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write the answer here; the file appears once it is complete
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Say on standard error how long it took
    #[arg(long)]
    timing: bool,
    /// What shows a table on a terminal; else less -SFRXK
    #[arg(long, env = "PAGER", value_name = "COMMAND", hide_short_help = true)]
    pager: Option<String>,
    /// Show a table without a pager
    #[arg(long)]
    no_pager: bool,
}

impl AnswerArgs {
    fn form(&self) -> Format {
        let by_name = || {
            let end = self.out.as_ref()?.extension()?.to_str()?;
            match end.to_ascii_lowercase().as_str() {
                "csv" => Some(Format::Csv),
                "json" => Some(Format::Json),
                "ndjson" | "jsonl" => Some(Format::Ndjson),
                "parquet" => Some(Format::Parquet),
                _ => None,
            }
        };
        self.format.or_else(by_name).unwrap_or(Format::Table)
    }

    /// Whether the form and the place go together.
    pub(super) fn check(&self, out: &Out) -> Result<(), Failure> {
        match self.form() {
            Format::Parquet if self.out.is_none() && out.stdout_is_terminal => Err(Failure::Usage(
                "a Parquet file is nothing for a terminal: use --out FILE".to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

/// What an answer amounted to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    bytes: u64,
    /// Known for tables only: other forms pass through unread.
    rows: Option<u64>,
    /// Shown by a pager: how long that took says nothing of the query.
    paged: bool,
}

/// What is asked.
#[derive(Debug)]
pub(super) enum Asked {
    /// A statement.
    Statement(String),
    /// A saved query, with the values of its parameters.
    Saved(QueryName, Value),
    /// The rows of a query that nobody waited for, by its id.
    Kept(String, Page),
}

/// Which of the rows that are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    /// So many are left out.
    pub(super) offset: Option<u64>,
    /// So many at most.
    pub(super) limit: Option<u64>,
}

/// Runs the command.
pub(super) async fn run(args: SqlArgs, out: &mut Out) -> Outcome {
    args.answer.check(out)?;
    let query = read_query(args.query.as_deref())?;
    let client = args.connect.client()?;
    if args.detach {
        return job::start(&client, &query, args.json, out).await;
    }
    answered(&args.answer, &client, &Asked::Statement(query), out).await
}

/// Asks, and puts the answer where it is wanted.
pub(super) async fn answered(
    args: &AnswerArgs,
    client: &Client,
    asked: &Asked,
    out: &mut Out,
) -> Outcome {
    let format = args.form();
    let begun = Instant::now();
    let asking = ask(args, client, asked, format, out);
    let amount = tokio::select! {
        amount = asking => match amount {
            Err(Failure::Client(ClientError::CutShort { source })) => {
                return Err(cut_short(client, source).await);
            }
            other => other?,
        },
        // Dropping the question removes the part that was written.
        _ = tokio::signal::ctrl_c() => return Err(Failure::Interrupted),
    };
    let elapsed = begun.elapsed().as_millis();
    match amount.rows {
        Some(rows) if amount.paged => out.note(&format!("{rows} rows")),
        Some(1) => out.note(&format!("1 row in {elapsed} ms")),
        Some(rows) => out.note(&format!("{rows} rows in {elapsed} ms")),
        None if args.timing => out.note(&format!("{} bytes in {elapsed} ms", amount.bytes)),
        None => {}
    }
    Ok(Exit::Done)
}

/// Why the server broke its answer off. The broken body cannot say so itself;
/// where the token has gone in the meantime, that is why.
async fn cut_short(client: &Client, source: reqwest::Error) -> Failure {
    match client.get(&["v1", "whoami"], &[]).await {
        Err(ClientError::Refused(error)) if error.status == 401 => Failure::Other(
            "the answer was cut short: the token was revoked while the query ran; what came is incomplete"
                .to_owned(),
        ),
        _ => ClientError::CutShort { source }.into(),
    }
}

fn read_query(given: Option<&str>) -> Result<String, Failure> {
    let query = match given {
        Some(query) if query != "-" => query.to_owned(),
        None if io::stdin().is_terminal() => {
            return Err(Failure::Usage(
                "there is no question: cairn sql \"SELECT …\", or - to read it from standard input"
                    .to_owned(),
            ));
        }
        _ => {
            let mut query = String::new();
            io::stdin()
                .read_to_string(&mut query)
                .map_err(Failure::io("cannot read the question"))?;
            query
        }
    };
    if query.trim().is_empty() {
        return Err(Failure::Usage("the question is empty".to_owned()));
    }
    Ok(query)
}

async fn ask(
    args: &AnswerArgs,
    client: &Client,
    asked: &Asked,
    format: Format,
    out: &mut Out,
) -> Result<Amount, Failure> {
    let accept = format.accept();
    let (response, query) = match asked {
        Asked::Statement(query) => (client.sql(query, accept).await, query.as_str()),
        Asked::Saved(name, values) => (client.saved(name, values, accept).await, ""),
        Asked::Kept(id, page) => (
            client.results(id, page.offset, page.limit, accept).await,
            "",
        ),
    };
    let response = match response {
        Ok(response) => response,
        Err(ClientError::Refused(error)) => return Err(refused(query, &error)),
        Err(error) => return Err(error.into()),
    };
    if let Some(path) = &args.out {
        let mut file = PartFile::create(path)?;
        let amount = stream::copy(response, format, false, &mut file).await?;
        file.finish()?;
        return Ok(amount);
    }
    if format == Format::Table
        && out.stdout_is_terminal
        && !args.no_pager
        && let Some(mut pager) = Pager::start(args.pager.as_deref())
    {
        let copied = stream::copy(response, format, false, &mut pager).await;
        // The user has to see what came before an error is told.
        let left = pager.finish();
        return match copied {
            // Leaving the pager early is no failure.
            Err(failure) if failure.is_broken_pipe() => {
                left?;
                Ok(Amount::default())
            }
            other => {
                left?;
                other.map(|amount| Amount {
                    paged: true,
                    ..amount
                })
            }
        };
    }
    let shown = out.stdout_is_terminal;
    let amount = stream::copy(response, format, shown, out).await?;
    out.flush()?;
    Ok(amount)
}

/// The failure of a question that the server refused.
pub(super) fn refused(query: &str, error: &ApiError) -> Failure {
    Failure::Other(explain(query, error))
}

/// The server's message, with the place in the question where it is known.
fn explain(query: &str, error: &ApiError) -> String {
    let mut text = error.message.clone();
    let place = error.line.and_then(|line| {
        let code = query.lines().nth(line.checked_sub(1)?)?;
        Some((line, code))
    });
    if let Some((line, code)) = place {
        // Tabs would move the caret.
        let code = code.replace('\t', " ");
        let number = line.to_string();
        text.push_str(&format!("\n  {number} | {}", visible(&code)));
        if let Some(column) = error.column.and_then(|column| column.checked_sub(1)) {
            let before: String = code.chars().take(column).collect();
            let indent = visible(&before).chars().count() + number.len() + 5;
            text.push_str(&format!("\n{}^", " ".repeat(indent)));
        }
    }
    match (&error.hint, error.status) {
        (Some(hint), _) => text.push_str(&format!("\nhint: {hint}")),
        (None, 401) => text.push_str("\nhint: set CAIRN_TOKEN, or use --token-file FILE"),
        _ => {}
    }
    text
}

#[cfg(test)]
mod tests;
