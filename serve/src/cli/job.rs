//! `cairn job`: the queries that nobody waits for, started by
//! `cairn sql --detach`.

use std::time::Duration;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::admin::print_list;
use super::connect::ConnectArgs;
use super::output::{Out, cell};
use super::sql::{self, AnswerArgs, Asked, Page};
use super::{Exit, Failure, Outcome};
use crate::client::{Client, ClientError};

/// How often the server is asked while somebody waits.
const LOOK: Duration = Duration::from_millis(500);

/// Arguments of `cairn job`.
#[derive(Debug, Args)]
#[command(after_help = "`cairn sql --detach QUERY` starts one and prints its ID.")]
pub struct JobArgs {
    #[command(subcommand)]
    command: JobCommand,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What to do with them.
#[derive(Debug, Subcommand)]
enum JobCommand {
    /// List your queries, the newest first
    List {
        /// Print the server's answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show how far one is, or how it ended
    Show {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// Print the server's answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Get the rows of one that is done
    Results {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// Wait until it is done, and fail if it fails
        #[arg(long)]
        wait: bool,
        /// Leave out so many rows
        #[arg(long, value_name = "N")]
        offset: Option<u64>,
        /// Give so many rows at most
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// End one that runs; remove the results of one that is over
    Cancel {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
}

const PATH: [&str; 2] = ["v1", "queries"];

/// Runs the command.
pub(super) async fn run(args: JobArgs, out: &mut Out) -> Outcome {
    let client = args.connect.client()?;
    match args.command {
        JobCommand::List { json } => {
            let answer = client.get(&PATH, &[]).await?;
            let columns = ["id", "state", "started", "ended", "rows", "query"];
            print_list(&answer, json, "queries", &columns, out)?;
        }
        JobCommand::Show { id, json } => {
            let answer = client.get(&[PATH[0], PATH[1], &id], &[]).await?;
            match json {
                true => out.line(&answer.text)?,
                false => print_one(&answer.json()?, out)?,
            }
        }
        JobCommand::Results {
            id,
            wait,
            offset,
            limit,
            answer,
        } => {
            answer.check(out)?;
            if wait {
                waited(&client, &id, out).await?;
            }
            let page = Page { offset, limit };
            return sql::answered(&answer, &client, &Asked::Kept(id, page), out).await;
        }
        JobCommand::Cancel { id } => {
            let path = [PATH[0], PATH[1], &id];
            let before: Value = client.get(&path, &[]).await?.json()?;
            client.call(Method::DELETE, &path, None).await?;
            match before["state"].as_str() {
                Some("running") => out.note(&format!("{id} is ended")),
                _ => out.note(&format!("{id} and its results are removed")),
            }
        }
    }
    Ok(Exit::Done)
}

/// Starts a query that nobody waits for, and prints its id.
pub(super) async fn start(client: &Client, query: &str, as_json: bool, out: &mut Out) -> Outcome {
    let body = json!({ "query": query });
    let answer = match client.call(Method::POST, &PATH, Some(&body)).await {
        Err(ClientError::Refused(error)) => return Err(sql::refused(query, &error)),
        answer => answer?,
    };
    if as_json {
        out.line(&answer.text)?;
        return Ok(Exit::Done);
    }
    let started: Value = answer.json()?;
    let id = cell(&started["id"]);
    // Alone on standard output, so that $(cairn sql --detach …) is the id.
    out.line(&id)?;
    out.note(&format!(
        "it runs; `cairn job results {id} --wait` gets its rows"
    ));
    Ok(Exit::Done)
}

/// Returns once the query is done.
async fn waited(client: &Client, id: &str, out: &mut Out) -> Result<(), Failure> {
    loop {
        let query: Value = client.get(&[PATH[0], PATH[1], id], &[]).await?.json()?;
        match query["state"].as_str() {
            Some("running") => {}
            Some("done") => return Ok(()),
            _ => return Err(Failure::Other(why(id, &query))),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => {
                out.note(&format!("{id} goes on; `cairn job cancel {id}` ends it"));
                return Err(Failure::Interrupted);
            }
        }
    }
}

/// Why a query has no rows.
fn why(id: &str, query: &Value) -> String {
    let error = &query["error"];
    let mut text = format!("query {id} is {}", cell(&query["state"]));
    if let Some(message) = error["message"].as_str() {
        text.push_str(&format!(": {message}"));
    }
    if let Some(hint) = error["hint"].as_str() {
        text.push_str(&format!("\nhint: {hint}"));
    }
    text
}

fn print_one(query: &Value, out: &mut Out) -> Result<(), Failure> {
    for field in [
        "id", "state", "started", "ended", "rows", "bytes", "as_of", "versions", "query",
    ] {
        if !query[field].is_null() {
            out.line(&format!("{field:<9} {}", cell(&query[field])))?;
        }
    }
    if !query["error"].is_null() {
        for (field, name) in [("message", "error"), ("hint", "hint")] {
            if !query["error"][field].is_null() {
                out.line(&format!("{name:<9} {}", cell(&query["error"][field])))?;
            }
        }
    }
    Ok(())
}
