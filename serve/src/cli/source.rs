//! `cairn source`: the Kafka partitions, and letting a stopped one go on.

use cairn_schemas::Partition;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::connect::ConnectArgs;
use super::output::{Columns, Out, cell};
use super::{Exit, Failure, Outcome};

/// Arguments of `cairn source`.
#[derive(Debug, Args)]
pub struct SourceArgs {
    #[command(subcommand)]
    command: SourceCommand,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What to do with the sources.
#[derive(Debug, Subcommand)]
enum SourceCommand {
    /// List the Kafka partitions that the server reads, and what is wrong with them
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let a stopped partition go on, over records that are gone, or a bad one
    Accept {
        /// The partition: SOURCE/NUMBER, as `cairn source list` shows it
        #[arg(value_name = "PARTITION")]
        partition: String,
        /// The offset at which it stopped, as `cairn source list` shows it
        #[arg(value_name = "OFFSET")]
        offset: i64,
        /// The first offset after what is gone: refused if that has changed since
        #[arg(long, value_name = "OFFSET")]
        to: Option<i64>,
    },
}

/// `cairn source`.
pub(super) async fn run(args: SourceArgs, out: &mut Out) -> Outcome {
    let client = args.connect.client()?;
    match args.command {
        SourceCommand::List { json } => {
            let answer = client.get(&["v1", "sources"], &[]).await?;
            if json {
                out.line(&answer.text)?;
            } else {
                print(&answer.json()?, out)?;
            }
        }
        SourceCommand::Accept {
            partition,
            offset,
            to,
        } => {
            let partition = Partition::try_from(partition)
                .map_err(|error| Failure::Usage(error.to_string()))?;
            let body = json!({"partition": partition, "offset": offset, "to": to});
            let path = ["v1", "sources", "accept"];
            let answer = client.call(Method::POST, &path, Some(&body)).await?;
            let accepted: Value = answer.json()?;
            let on = accepted["to"].as_i64().unwrap_or(offset);
            out.note(&match accepted["reason"].as_str() {
                Some("truncated") => format!(
                    "{partition} ends at {on}; what its log holds from {offset} on is read under a new name"
                ),
                _ => format!(
                    "{partition} goes on from {on}; what is missing stands in the table quarantine"
                ),
            });
        }
    }
    Ok(Exit::Done)
}

fn print(status: &Value, out: &mut Out) -> Result<(), Failure> {
    let mut columns = Columns::new(&[
        "PARTITION",
        "STATE",
        "COMMITTED",
        "LOG END",
        "LAG",
        "STOPPED AT",
    ]);
    let partitions = status["partitions"].as_array();
    let partitions = partitions.map(Vec::as_slice).unwrap_or_default();
    for p in partitions {
        let fields = [
            "partition",
            "state",
            "committed",
            "log_end",
            "lag_records",
            "stopped_at",
        ];
        columns.row(fields.iter().map(|name| cell(&p[*name])).collect());
    }
    columns.print(out)?;
    for p in partitions.iter().filter(|p| p["state"] == "stopped") {
        out.line(&format!(
            "\n{} is stopped: {}. {}",
            cell(&p["partition"]),
            cell(&p["reason"]),
            cell(&p["what_to_do"])
        ))?;
    }
    Ok(())
}
