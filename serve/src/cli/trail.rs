//! `cairn trail`: named followers of history.

use std::fmt;
use std::str::FromStr;

use cairn_schemas::selector::{FieldSelector, ReadWriteFilter};
use cairn_schemas::{AccountId, TrailName};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::admin::print_list;
use super::connect::ConnectArgs;
use super::ops::print_tree;
use super::output::{Out, cell};
use super::{Exit, Failure, Outcome};
use crate::client::{Answer, Client};

/// Everything of a kind, or the ones named with commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Chosen<T> {
    All,
    These(Vec<T>),
}

impl<T> FromStr for Chosen<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        let items: Result<Vec<T>, String> = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| item.parse().map_err(|e: T::Err| e.to_string()))
            .collect();
        match items? {
            items if items.is_empty() => Err("name at least one, or say all".to_owned()),
            items => Ok(Self::These(items)),
        }
    }
}

impl<T: ToString> Chosen<T> {
    /// The list, or nothing for all.
    pub(super) fn json(&self) -> Option<Value> {
        match self {
            Self::All => None,
            Self::These(items) => Some(items.iter().map(ToString::to_string).collect()),
        }
    }
}

/// Days, or for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Retention(Option<u32>);

impl FromStr for Retention {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("forever") {
            return Ok(Self(None));
        }
        match text.parse() {
            Ok(days) if days > 0 => Ok(Self(Some(days))),
            _ => Err("use a number of days, 1 at least, or forever".to_owned()),
        }
    }
}

/// Arguments of `cairn trail`.
#[derive(Debug, Args)]
pub struct TrailArgs {
    #[command(subcommand)]
    command: TrailCommand,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What a trail takes and how long it keeps it.
#[derive(Debug, Default, Args)]
struct SelectorArgs {
    /// Member accounts: ids with commas, or all, future members too [default: all]
    #[arg(long, value_name = "ID,ID|all")]
    accounts: Option<Chosen<AccountId>>,
    /// Regions, with commas [default: all]
    #[arg(long, value_name = "R,R|all")]
    regions: Option<Chosen<String>>,
    /// Read, Write or All. The default for a new trail is All: reads are taken too
    #[arg(long, value_name = "Read|Write|All")]
    rw: Option<ReadWriteFilter>,
    /// Event categories such as Management,Data [default: all]
    #[arg(long, value_name = "C,C|all")]
    category: Option<Chosen<String>>,
    /// A finer criterion, such as 'event_name=Create*' or 'service!=kms'; may be repeated, all must
    /// hold. Fields: service, event_name, resource, resource_type, user
    #[arg(long, value_name = "FIELD=VALUE")]
    select: Vec<FieldSelector>,
    /// Days, counted from ingest, that the trail keeps events, or forever [default: forever]
    #[arg(long, value_name = "DAYS|forever")]
    retention: Option<Retention>,
}

impl SelectorArgs {
    /// Only what was said. All (or for ever) is `null`.
    fn json(&self) -> Value {
        let mut body = json!({});
        if let Some(accounts) = &self.accounts {
            body["accounts"] = accounts.json().unwrap_or(Value::Null);
        }
        if let Some(regions) = &self.regions {
            body["regions"] = regions.json().unwrap_or(Value::Null);
        }
        if let Some(rw) = &self.rw {
            body["read_write"] = rw.to_string().into();
        }
        if let Some(categories) = &self.category {
            body["categories"] = categories.json().unwrap_or(Value::Null);
        }
        if !self.select.is_empty() {
            body["fields"] = self.select.iter().map(ToString::to_string).collect();
        }
        if let Some(Retention(days)) = self.retention {
            body["retention_days"] = days.into();
        }
        body
    }
}

/// What to do with trails.
#[derive(Debug, Subcommand)]
enum TrailCommand {
    /// Make a trail. Without --rw it takes reads and writes alike
    Create {
        /// 3 to 128 letters, digits, dashes, underscores and dots, a letter first
        name: TrailName,
        #[command(flatten)]
        selector: SelectorArgs,
        /// Where its table shall lie: s3://BUCKET/PREFIX or file:///FOLDER of the server; else
        /// in the server's data folder
        #[arg(long, value_name = "URL")]
        to: Option<String>,
        /// The S3 API's base URL, for stores other than AWS
        #[arg(long, value_name = "URL", requires = "to")]
        endpoint: Option<String>,
        /// The S3 region
        #[arg(long, value_name = "REGION", requires = "to")]
        s3_region: Option<String>,
        /// Deliver from now on
        #[arg(long)]
        start: bool,
        /// Deliver what history holds already, too
        #[arg(long, requires = "start")]
        backfill: bool,
        /// Print the trail as JSON
        #[arg(long)]
        json: bool,
    },
    /// List the trails
    List {
        /// Print the server's answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a trail and its versions
    Show {
        /// The trail
        name: TrailName,
        /// Print the server's answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Change what a trail takes, from now on; what is not named stays
    #[command(arg_required_else_help = true)]
    Update {
        /// The trail
        name: TrailName,
        #[command(flatten)]
        selector: SelectorArgs,
        /// Drop all finer criteria
        #[arg(long, conflicts_with = "select")]
        no_select: bool,
        /// Print the trail as JSON
        #[arg(long)]
        json: bool,
    },
    /// Begin to deliver
    Start {
        /// The trail
        name: TrailName,
        /// Deliver what history holds already, too
        #[arg(long)]
        backfill: bool,
        /// Print the trail as JSON
        #[arg(long)]
        json: bool,
    },
    /// Stop to deliver; what was delivered stays
    Stop {
        /// The trail
        name: TrailName,
        /// Print the trail as JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a trail; its table stays where it lies
    Delete {
        /// The trail
        name: TrailName,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say why a trail took an event, or did not
    Explain {
        /// The trail
        name: TrailName,
        /// The event's id
        #[arg(long, value_name = "ID")]
        event: String,
        /// The event's account, where several have an event of that id
        #[arg(long, value_name = "ID")]
        account: Option<AccountId>,
        /// Print the server's answer as JSON
        #[arg(long)]
        json: bool,
    },
}

/// `cairn trail`.
pub(super) async fn run(args: TrailArgs, out: &mut Out) -> Outcome {
    let client = args.connect.client()?;
    match args.command {
        command @ (TrailCommand::Create { .. } | TrailCommand::Update { .. }) => {
            define(&client, command, out).await?;
        }
        TrailCommand::List { json } => {
            let answer = client.get(&["v1", "trails"], &[]).await?;
            let fields = [
                "name",
                "status",
                "accounts",
                "regions",
                "read_write",
                "categories",
                "rows",
                "last_delivery",
                "last_error",
            ];
            print_list(&answer, json, "trails", &fields, out)?;
        }
        TrailCommand::Show { name, json } => {
            let answer = client.get(&["v1", "trails", name.as_str()], &[]).await?;
            print_whole(&answer, json, out)?;
        }
        TrailCommand::Start {
            name,
            backfill,
            json,
        } => {
            let body = json!({ "backfill": backfill });
            let path = ["v1", "trails", name.as_str(), "start"];
            let answer = client.call(Method::POST, &path, Some(&body)).await?;
            print_changed(&answer, json, out)?;
        }
        TrailCommand::Stop { name, json } => {
            let path = ["v1", "trails", name.as_str(), "stop"];
            let answer = client.call(Method::POST, &path, None).await?;
            print_changed(&answer, json, out)?;
        }
        TrailCommand::Delete { name, json } => {
            client
                .call(Method::DELETE, &["v1", "trails", name.as_str()], None)
                .await?;
            if json {
                out.line(&json!({"name": name.as_str(), "deleted": true}).to_string())?;
            } else {
                out.note(&format!(
                    "trail {name} is deleted; its table stays where it lies"
                ));
            }
        }
        TrailCommand::Explain {
            name,
            event,
            account,
            json,
        } => explain(&client, &name, &event, account.as_ref(), json, out).await?,
    }
    Ok(Exit::Done)
}

/// `create` and `update`.
async fn define(client: &Client, command: TrailCommand, out: &mut Out) -> Result<(), Failure> {
    let (answer, json) = match command {
        TrailCommand::Create {
            name,
            selector,
            to,
            endpoint,
            s3_region,
            start,
            backfill,
            json,
        } => {
            let mut body = selector.json();
            if let Some(fields) = body.as_object_mut() {
                // All is what a new trail has anyway.
                fields.retain(|_, value| !value.is_null());
            }
            body["name"] = name.as_str().into();
            if let Some(url) = to {
                let mut destination = json!({ "url": url });
                if let Some(endpoint) = endpoint {
                    destination["endpoint"] = endpoint.into();
                }
                if let Some(region) = s3_region {
                    destination["region"] = region.into();
                }
                body["destination"] = destination;
            }
            if start {
                body["start"] = true.into();
                body["backfill"] = backfill.into();
            }
            let path = ["v1", "trails"];
            (client.call(Method::POST, &path, Some(&body)).await?, json)
        }
        TrailCommand::Update {
            name,
            selector,
            no_select,
            json,
        } => {
            let mut body = selector.json();
            if no_select {
                body["fields"] = Value::Null;
            }
            if body.as_object().is_none_or(serde_json::Map::is_empty) {
                return Err(Failure::Usage(
                    "there is nothing to change: name at least one of --accounts, --regions, --rw, \
                     --category, --select, --no-select, --retention"
                        .to_owned(),
                ));
            }
            let path = ["v1", "trails", name.as_str()];
            (client.call(Method::PATCH, &path, Some(&body)).await?, json)
        }
        _ => return Ok(()),
    };
    print_changed(&answer, json, out)
}

/// One line about the trail as it is now.
fn print_changed(answer: &Answer, as_json: bool, out: &mut Out) -> Result<(), Failure> {
    if as_json {
        out.line(&answer.text)?;
        return Ok(());
    }
    let trail: Value = answer.json()?;
    out.line(&format!(
        "trail {}: version {}, status {}, takes {} events of accounts {}, regions {}",
        cell(&trail["name"]),
        cell(&trail["version"]),
        cell(&trail["status"]),
        match trail["read_write"].as_str() {
            Some("All") => "read and write".to_owned(),
            _ => cell(&trail["read_write"]),
        },
        cell(&trail["accounts"]),
        cell(&trail["regions"]),
    ))?;
    if trail["status"] == "Fresh" {
        out.note(&format!(
            "it does not deliver yet: cairn trail start {}",
            cell(&trail["name"])
        ));
    }
    Ok(())
}

fn print_whole(answer: &Answer, as_json: bool, out: &mut Out) -> Result<(), Failure> {
    if as_json {
        out.line(&answer.text)?;
        Ok(())
    } else {
        print_tree(&answer.json()?, 0, out)
    }
}

async fn explain(
    client: &Client,
    name: &TrailName,
    event: &str,
    account: Option<&AccountId>,
    as_json: bool,
    out: &mut Out,
) -> Result<(), Failure> {
    let mut query = vec![("event_id", event)];
    if let Some(account) = account {
        query.push(("account", account.as_str()));
    }
    let path = ["v1", "trails", name.as_str(), "explain"];
    let answer = client.get(&path, &query).await?;
    if as_json {
        out.line(&answer.text)?;
        return Ok(());
    }
    let value: Value = answer.json()?;
    for found in each_event(&value) {
        let verdict = if found["taken"] == true {
            "taken"
        } else {
            "not taken"
        };
        let version = match &found["version"] {
            Value::Null => String::new(),
            version => format!(" by version {}", cell(version)),
        };
        out.line(&format!("{verdict}{version}: {}", cell(&found["why"])))?;
        if let Some(fields) = found["event"].as_object() {
            for (field, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                out.line(&format!("  {field}: {}", cell(value)))?;
            }
        }
    }
    Ok(())
}

/// The events of an answer: one, a list, or a list under `events`.
fn each_event(value: &Value) -> Vec<&Value> {
    let list = value.as_array().or_else(|| value["events"].as_array());
    match list {
        Some(items) => items.iter().collect(),
        None => vec![value],
    }
}
