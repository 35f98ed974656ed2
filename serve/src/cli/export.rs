//! `cairn export`: rows or events as files with a manifest, made by the server;
//! and the check of what somebody was given, which needs no server.

mod verify;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};

use super::connect::ConnectArgs;
use super::output::{Columns, Out, cell};
use super::{Exit, Failure, Outcome};
use crate::client::Client;

/// How often the server is asked while somebody waits.
const LOOK: Duration = Duration::from_millis(500);

/// Arguments of `cairn export`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Without --sql a filter chooses the events. An export is there once its manifest.json is."
)]
pub struct ExportArgs {
    #[command(subcommand)]
    command: Option<ExportCommand>,
    #[command(flatten)]
    start: StartArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// The form of an export's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Parquet, zstd
    Parquet,
    /// RFC 4180, with a header in each file
    Csv,
    /// One object a row, gzip
    Ndjson,
    /// CloudTrail's events as CloudTrail delivers them
    Cloudtrail,
    /// ActionTrail's events as ActionTrail delivers them
    Actiontrail,
}

impl Format {
    fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Cloudtrail => "cloudtrail",
            Self::Actiontrail => "actiontrail",
        }
    }
}

/// What to export, and where to.
#[derive(Debug, Args)]
struct StartArgs {
    /// One SELECT
    #[arg(long, value_name = "QUERY", conflicts_with_all = ["accounts", "from", "until", "trail"])]
    sql: Option<String>,
    /// Events of these accounts only
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    accounts: Vec<String>,
    /// Events from then on: 2026-01-02, or 2026-01-02T03:04:05Z
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Events before
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Events of this trail instead of history
    #[arg(long, value_name = "NAME")]
    trail: Option<String>,
    /// One of the places that the server allows, or a folder below it; else the first of them
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// The S3 endpoint of --to, where two places differ in nothing else
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The form of the files
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Leave CSV cells as they are that a spreadsheet would run as formulas
    #[arg(long)]
    keep_formulas: bool,
    /// Wait until it is done, and fail if it fails
    #[arg(long)]
    wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What to do with exports.
#[derive(Debug, Subcommand)]
enum ExportCommand {
    /// List your exports; an administrator sees all
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one export
    Show {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take an export back; what was written goes
    Cancel {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Begin an export again that failed
    Resume {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// Wait until it is done, and fail if it fails
        #[arg(long)]
        wait: bool,
    },
    /// Check an export: every file's hash, size and rows, and that there is no other; needs no server
    Verify(verify::VerifyArgs),
}

/// `cairn export`.
pub(super) async fn run(args: ExportArgs, out: &mut Out) -> Outcome {
    match args.command {
        Some(ExportCommand::Verify(verify)) => verify::run(verify, out).await,
        Some(command) => manage(command, &args.connect.client()?, out).await,
        None => start(args.start, &args.connect, out).await,
    }
}

async fn manage(command: ExportCommand, client: &Client, out: &mut Out) -> Outcome {
    match command {
        ExportCommand::List { json } => {
            let answer = client.get(&["v1", "exports"], &[]).await?;
            if json {
                out.line(&answer.text)?;
            } else {
                print_list(&answer.json()?, out)?;
            }
        }
        ExportCommand::Show { id, json } => {
            let answer = client.get(&["v1", "exports", &id], &[]).await?;
            if json {
                out.line(&answer.text)?;
            } else {
                print_one(&answer.json()?, out)?;
            }
        }
        ExportCommand::Cancel { id } => {
            let path = ["v1", "exports", &id, "cancel"];
            client.call(Method::POST, &path, None).await?;
            out.note(&format!("{id} is taken back; what was written goes"));
        }
        ExportCommand::Resume { id, wait } => {
            let path = ["v1", "exports", &id, "resume"];
            client.call(Method::POST, &path, None).await?;
            match wait {
                true => return waited(client, &id, false, out).await,
                false => out.note(&format!("{id} is begun again")),
            }
        }
        // It needs no server, and was taken out before.
        ExportCommand::Verify(verify) => return verify::run(verify, out).await,
    }
    Ok(Exit::Done)
}

async fn start(args: StartArgs, connect: &ConnectArgs, out: &mut Out) -> Outcome {
    let Some(format) = args.format else {
        return Err(Failure::Usage(
            "say in which form: --format parquet, csv, ndjson, cloudtrail or actiontrail"
                .to_owned(),
        ));
    };
    let filtered = !args.accounts.is_empty()
        || args.from.is_some()
        || args.until.is_some()
        || args.trail.is_some();
    if args.sql.is_none() && !filtered {
        return Err(Failure::Usage(
            "say what to export: --sql \"SELECT …\", or --accounts, --from, --until, --trail"
                .to_owned(),
        ));
    }
    let mut body = json!({
        "to": args.to,
        "endpoint": args.endpoint,
        "format": format.as_str(),
        "neutralise": !args.keep_formulas,
    });
    match &args.sql {
        Some(sql) => body["sql"] = json!(sql),
        None => {
            body["filter"] = json!({
                "accounts": args.accounts,
                "from": args.from,
                "until": args.until,
                "trail": args.trail,
            });
        }
    }
    let client = connect.client()?;
    let path = ["v1", "exports"];
    let answer = client.call(Method::POST, &path, Some(&body)).await?;
    let export: Value = answer.json()?;
    let id = cell(&export["id"]);
    if args.wait {
        return waited(&client, &id, args.json, out).await;
    }
    if args.json {
        out.line(&answer.text)?;
    } else {
        out.line(&id)?;
        out.note(&format!(
            "it goes to {}; `cairn export show {id}` says how far it is",
            cell(&export["to"])
        ));
    }
    Ok(Exit::Done)
}

/// Waits for the end of an export, and tells of it.
async fn waited(client: &Client, id: &str, json: bool, out: &mut Out) -> Outcome {
    loop {
        let answer = client.get(&["v1", "exports", id], &[]).await?;
        let export: Value = answer.json()?;
        match export["state"].as_str() {
            Some("done") => {
                if json {
                    out.line(&answer.text)?;
                } else {
                    print_one(&export, out)?;
                }
                return Ok(Exit::Done);
            }
            Some("failed") => {
                return Err(Failure::Other(format!(
                    "export {id} failed: {}\nhint: `cairn export resume {id}` begins it again",
                    cell(&export["error"]["message"])
                )));
            }
            Some("canceled") => {
                return Err(Failure::Other(format!("export {id} was taken back")));
            }
            _ => {}
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => {
                out.note(&format!("export {id} goes on; `cairn export cancel {id}` takes it back"));
                return Err(Failure::Interrupted);
            }
        }
    }
}

fn print_list(answer: &Value, out: &mut Out) -> Result<(), Failure> {
    let mut columns = Columns::new(&[
        "ID", "STATE", "FORMAT", "ROWS", "FILES", "CREATED", "BY", "TO",
    ]);
    let exports = answer["exports"].as_array();
    for e in exports.map(Vec::as_slice).unwrap_or_default() {
        let by = match &e["principal"]["name"] {
            Value::Null => cell(&e["principal"]["id"]),
            name => cell(name),
        };
        columns.row(vec![
            cell(&e["id"]),
            cell(&e["state"]),
            cell(&e["format"]),
            cell(&e["rows"]),
            cell(&e["files"]),
            cell(&e["created"]),
            by,
            cell(&e["to"]),
        ]);
    }
    columns.print(out)?;
    Ok(())
}

fn print_one(export: &Value, out: &mut Out) -> Result<(), Failure> {
    let fields = [
        ("id", "id"),
        ("state", "state"),
        ("to", "to"),
        ("endpoint", "endpoint"),
        ("format", "format"),
        ("rows", "rows"),
        ("files", "files"),
        ("bytes", "bytes"),
        ("created", "created"),
        ("attempt", "attempt"),
        ("sql", "query"),
        ("manifest_sha256", "manifest SHA-256"),
    ];
    for (field, name) in fields {
        if !export[field].is_null() {
            out.line(&format!("{name:<17} {}", cell(&export[field])))?;
        }
    }
    if !export["error"].is_null() {
        out.line(&format!(
            "{:<17} {}",
            "error",
            cell(&export["error"]["message"])
        ))?;
    }
    Ok(())
}
