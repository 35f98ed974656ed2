//! Looking after a server: `status`, `flush`, `whoami`, `quarantine`.

use cairn_schemas::AccountId;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::connect::ConnectArgs;
use super::output::{Columns, Out, cell};
use super::{Exit, Failure, Outcome};
use crate::client::Receipt;

/// Arguments of `cairn status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Print the server's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Arguments of `cairn flush`.
#[derive(Debug, Args)]
pub struct FlushArgs {
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Arguments of `cairn whoami`.
#[derive(Debug, Args)]
pub struct WhoamiArgs {
    /// Print the server's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Arguments of `cairn quarantine`.
#[derive(Debug, Args)]
pub struct QuarantineArgs {
    #[command(subcommand)]
    command: QuarantineCommand,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What to do with the quarantine.
#[derive(Debug, Subcommand)]
enum QuarantineCommand {
    /// List the newest records (the table quarantine has everything)
    List {
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take the bytes in again, all of them or those of one place in the log
    Resubmit {
        /// The log's name
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
        /// The log's partition
        #[arg(long, value_name = "N", requires = "source")]
        partition: Option<i32>,
        /// The record's offset
        #[arg(long, value_name = "N", requires = "partition")]
        offset: Option<i64>,
        /// The account of records that name none
        #[arg(long, value_name = "ID")]
        account: Option<AccountId>,
        /// Print the server's answer as JSON
        #[arg(long)]
        json: bool,
    },
}

/// `cairn status`.
pub(super) async fn status(args: StatusArgs, out: &mut Out) -> Outcome {
    let answer = args.connect.client()?.get(&["v1", "status"], &[]).await?;
    if args.json {
        out.line(&answer.text)?;
    } else {
        print_tree(&answer.json()?, 0, out)?;
    }
    Ok(Exit::Done)
}

/// Whatever the server tells, indented by its nesting.
pub(super) fn print_tree(value: &Value, depth: usize, out: &mut Out) -> Result<(), Failure> {
    let indent = "  ".repeat(depth);
    let is_deep = |value: &Value| match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => items.iter().any(|item| item.is_object() || item.is_array()),
        _ => false,
    };
    match value {
        Value::Object(fields) => {
            // What is one line first, what has lines of its own afterwards.
            for (name, value) in fields.iter().filter(|(_, value)| !is_deep(value)) {
                out.line(&format!("{indent}{name}: {}", cell(value)))?;
            }
            for (name, value) in fields.iter().filter(|(_, value)| is_deep(value)) {
                out.line(&format!("{indent}{name}:"))?;
                print_tree(value, depth + 1, out)?;
            }
        }
        Value::Array(items) => {
            for item in items {
                out.line(&format!("{indent}-"))?;
                print_tree(item, depth + 1, out)?;
            }
        }
        other => out.line(&format!("{indent}{}", cell(other)))?,
    }
    Ok(())
}

/// `cairn flush`.
pub(super) async fn flush(args: FlushArgs, out: &mut Out) -> Outcome {
    args.connect.client()?.flush().await?;
    out.note("everything that was acknowledged is committed");
    Ok(Exit::Done)
}

/// `cairn whoami`.
pub(super) async fn whoami(args: WhoamiArgs, out: &mut Out) -> Outcome {
    let answer = args.connect.client()?.get(&["v1", "whoami"], &[]).await?;
    if args.json {
        out.line(&answer.text)?;
    } else {
        print_tree(&answer.json()?, 0, out)?;
    }
    Ok(Exit::Done)
}

/// `cairn quarantine`.
pub(super) async fn quarantine(args: QuarantineArgs, out: &mut Out) -> Outcome {
    let client = args.connect.client()?;
    match args.command {
        QuarantineCommand::List { limit, json } => {
            let query = format!(
                "SELECT ingest_time, account_id, sender, log_source, log_partition, log_offset, reason \
                 FROM quarantine ORDER BY ingest_time DESC LIMIT {limit}"
            );
            let response = client.sql(&query, "application/json").await?;
            let text = response
                .text()
                .await
                .map_err(|source| crate::client::ClientError::CutShort { source })?;
            if json {
                out.line(&text)?;
            } else {
                print_rows(&text, out)?;
            }
            Ok(Exit::Done)
        }
        QuarantineCommand::Resubmit {
            source,
            partition,
            offset,
            account,
            json,
        } => {
            let mut body = resubmit_body(source, partition, offset);
            if let Some(account) = account {
                body["account"] = account.as_str().into();
            }
            let path = ["v1", "quarantine", "resubmit"];
            let answer = client.call(Method::POST, &path, Some(&body)).await?;
            let receipt: Receipt = answer.json()?;
            if json {
                out.line(&answer.text)?;
            } else if receipt.accepted + receipt.duplicate + receipt.refused == 0 {
                out.line("nothing lies there that could be taken in again")?;
            } else {
                out.line(&format!(
                    "{} accepted, {} duplicate, {} refused",
                    receipt.accepted, receipt.duplicate, receipt.refused
                ))?;
            }
            Ok(if receipt.refused > 0 {
                Exit::SomeRefused
            } else {
                Exit::Done
            })
        }
    }
}

fn resubmit_body(source: Option<String>, partition: Option<i32>, offset: Option<i64>) -> Value {
    let mut body = json!({});
    if let Some(source) = source {
        body["source"] = source.into();
    }
    if let Some(partition) = partition {
        body["partition"] = partition.into();
    }
    if let Some(offset) = offset {
        body["offset"] = offset.into();
    }
    body
}

fn print_rows(text: &str, out: &mut Out) -> Result<(), Failure> {
    #[derive(serde::Deserialize)]
    struct Rows {
        columns: Vec<Named>,
        rows: Vec<Vec<Value>>,
    }
    #[derive(serde::Deserialize)]
    struct Named {
        name: String,
    }
    let rows: Rows = serde_json::from_str(text)
        .map_err(|e| Failure::Other(format!("the answer cannot be read: {e}")))?;
    let heading: Vec<String> = rows
        .columns
        .iter()
        .map(|c| c.name.to_ascii_uppercase())
        .collect();
    let mut columns = Columns::new(&heading.iter().map(String::as_str).collect::<Vec<_>>());
    for row in &rows.rows {
        columns.row(row.iter().map(cell).collect());
    }
    columns.print(out)?;
    Ok(())
}
