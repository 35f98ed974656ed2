//! `cairn query`: the questions that come with Cairn, and those that people
//! keep.

use std::io::Read as _;
use std::path::PathBuf;
use std::str::FromStr;

use cairn_schemas::QueryName;
use cairn_schemas::saved::{Parameter, ParameterKind};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::admin::print_list;
use super::connect::ConnectArgs;
use super::output::{Out, cell, visible};
use super::sql::{self, AnswerArgs, Asked};
use super::{Exit, Failure, Outcome};
use crate::client::Client;

/// Arguments of `cairn query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    #[command(subcommand)]
    command: QueryCommand,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// A name and a value, as `name=value`.
#[derive(Clone, Debug)]
struct Given {
    name: String,
    value: String,
}

impl FromStr for Given {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("write NAME=VALUE".to_owned()),
        }
    }
}

/// A parameter's declaration: `name:type`, or `name:type=default`.
#[derive(Clone, Debug)]
struct Declared(Parameter);

impl FromStr for Declared {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (declared, default) = match text.split_once('=') {
            Some((declared, default)) => (declared, Some(default.to_owned())),
            None => (text, None),
        };
        let (name, kind) = declared.split_once(':').unwrap_or((declared, "text"));
        let kind: ParameterKind = serde_json::from_value(json!(kind))
            .map_err(|_| "a type is text, bigint, double, boolean or timestamp".to_owned())?;
        Ok(Self(Parameter {
            name: name.to_owned(),
            kind,
            default,
            says: String::new(),
        }))
    }
}

/// What to do with saved queries.
#[derive(Debug, Subcommand)]
enum QueryCommand {
    /// List the questions that come with Cairn, and those that people kept
    List {
        /// Print the server's answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the SQL and the parameters of one
    Show {
        /// Its name
        name: QueryName,
        /// Print the server's answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Keep a query for everybody in the organization, or change one
    Save {
        /// Its name: lower-case letters, digits and -
        name: QueryName,
        /// The statement, with :name where a parameter stands
        #[arg(long, value_name = "QUERY", required_unless_present = "file")]
        sql: Option<String>,
        /// Read the statement from this file; - is standard input
        #[arg(long, value_name = "FILE", conflicts_with = "sql")]
        file: Option<PathBuf>,
        /// One line about it
        #[arg(long, default_value = "")]
        title: String,
        /// A parameter: its name, its type (text, bigint, double, boolean, timestamp), its default
        #[arg(long = "param", value_name = "NAME[:TYPE][=DEFAULT]")]
        parameters: Vec<Declared>,
    },
    /// Delete one; its versions stay readable in the store
    Delete {
        /// Its name
        name: QueryName,
    },
    /// Ask one
    Run {
        /// Its name
        name: QueryName,
        /// The value of a parameter; a time may be now, or so long ago: -7d, -12h, -30m
        #[arg(long = "param", value_name = "NAME=VALUE", allow_hyphen_values = true)]
        parameters: Vec<Given>,
        #[command(flatten)]
        answer: AnswerArgs,
    },
}

const PATH: [&str; 2] = ["v1", "saved-queries"];

fn path(name: &QueryName) -> [&str; 3] {
    [PATH[0], PATH[1], name.as_str()]
}

/// Runs the command.
pub(super) async fn run(args: QueryArgs, out: &mut Out) -> Outcome {
    let client = args.connect.client()?;
    match args.command {
        QueryCommand::List { json } => {
            let answer = client.get(&PATH, &[]).await?;
            let columns = ["name", "origin", "topic", "title"];
            print_list(&answer, json, "saved_queries", &columns, out)?;
        }
        QueryCommand::Show { name, json } => show(&client, &name, json, out).await?,
        QueryCommand::Save {
            name,
            sql,
            file,
            title,
            parameters,
        } => {
            let sql = match (sql, file) {
                (Some(sql), _) => sql,
                (None, Some(file)) => read(&file)?,
                (None, None) => return Err(Failure::Usage("there is no statement".to_owned())),
            };
            let parameters: Vec<Parameter> = parameters.into_iter().map(|d| d.0).collect();
            let body = json!({"title": title, "sql": sql, "parameters": parameters});
            let answer = client.call(Method::PUT, &path(&name), Some(&body)).await?;
            let saved: Value = answer.json()?;
            out.note(&format!(
                "saved {name}, version {}",
                cell(&saved["version"])
            ));
        }
        QueryCommand::Delete { name } => {
            client.call(Method::DELETE, &path(&name), None).await?;
            out.note(&format!("deleted {name}"));
        }
        QueryCommand::Run {
            name,
            parameters,
            answer,
        } => {
            answer.check(out)?;
            let mut values = Map::new();
            for given in parameters {
                if values
                    .insert(given.name.clone(), json!(given.value))
                    .is_some()
                {
                    let text = format!("the parameter {} is given twice", given.name);
                    return Err(Failure::Usage(text));
                }
            }
            let asked = Asked::Saved(name, Value::Object(values));
            return sql::answered(&answer, &client, &asked, out).await;
        }
    }
    Ok(Exit::Done)
}

fn read(file: &std::path::Path) -> Result<String, Failure> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        let read = std::io::stdin().read_to_string(&mut text);
        read.map_err(Failure::io("cannot read the statement"))?;
        return Ok(text);
    }
    let what = format!("cannot read {}", file.display());
    std::fs::read_to_string(file).map_err(Failure::io(what))
}

async fn show(
    client: &Client,
    name: &QueryName,
    as_json: bool,
    out: &mut Out,
) -> Result<(), Failure> {
    let answer = client.get(&path(name), &[]).await?;
    if as_json {
        out.line(&answer.text)?;
        return Ok(());
    }
    let query: Value = answer.json()?;
    for field in ["title", "says", "origin", "version", "owner"] {
        if !query[field].is_null() {
            out.line(&format!("{field}: {}", cell(&query[field])))?;
        }
    }
    for parameter in query["parameters"].as_array().into_iter().flatten() {
        let default = match &parameter["default"] {
            Value::Null => String::new(),
            default => format!(" = {}", cell(default)),
        };
        let (name, kind) = (cell(&parameter["name"]), cell(&parameter["type"]));
        let says = cell(&parameter["says"]);
        out.line(&format!("parameter {name} ({kind}{default}) {says}"))?;
    }
    out.line("")?;
    for line in query["sql"].as_str().unwrap_or_default().lines() {
        out.line(&visible(line))?;
    }
    Ok(())
}
