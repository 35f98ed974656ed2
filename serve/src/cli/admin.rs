//! Who belongs to the organization, and who may do what: `token`, `account`,
//! `organization`.

use cairn_schemas::control::Role;
use cairn_schemas::{AccountId, TokenId};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::connect::ConnectArgs;
use super::ops::print_tree;
use super::output::{Columns, Out, cell};
use super::trail::Chosen;
use super::{Exit, Failure, Outcome};
use crate::client::{Answer, Client};

/// Arguments of `cairn token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token; it is printed on standard output this one time
    Create {
        /// sender: sends events; auditor: reads them; admin: everything
        #[arg(long, value_name = "sender|auditor|admin")]
        role: Role,
        /// Over which accounts: ids with commas, or all
        #[arg(long, value_name = "ID,ID|all")]
        accounts: Chosen<AccountId>,
        /// Columns that an auditor may not see, with commas; whatever else holds the same values is
        /// withheld with them
        #[arg(long, value_name = "COLUMN,COLUMN", value_delimiter = ',')]
        withhold: Vec<String>,
        /// A name for people
        #[arg(long)]
        name: Option<String>,
    },
    /// Change what a token's holder may see; it holds at once, also for answers under way
    #[command(arg_required_else_help = true)]
    Update {
        /// The token's id, as `cairn token list` shows it
        id: TokenId,
        /// Over which accounts: ids with commas, or all
        #[arg(long, value_name = "ID,ID|all")]
        accounts: Option<Chosen<AccountId>>,
        /// Columns that an auditor may not see, with commas, instead of those until now; none
        /// withholds nothing
        #[arg(long, value_name = "COLUMN,COLUMN|none", value_delimiter = ',')]
        withhold: Option<Vec<String>>,
        /// A name for people
        #[arg(long)]
        name: Option<String>,
    },
    /// List tokens, without their secrets
    List {
        /// Print the server's answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a token back, at once and for ever
    Revoke {
        /// The token's id, as `cairn token list` shows it
        id: TokenId,
    },
}

/// Arguments of `cairn account`.
#[derive(Debug, Args)]
pub struct AccountArgs {
    #[command(subcommand)]
    command: AccountCommand,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Make an account a member of the organization
    Add {
        /// 12 to 16 digits
        id: AccountId,
        /// A name for people
        #[arg(long)]
        name: Option<String>,
    },
    /// List the accounts
    List {
        /// Print the server's answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// End a membership; the account's events stay
    Remove {
        /// 12 to 16 digits
        id: AccountId,
    },
}

/// Arguments of `cairn organization`.
#[derive(Debug, Args)]
pub struct OrganizationArgs {
    #[command(subcommand)]
    command: OrganizationCommand,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What to do with the organization.
#[derive(Debug, Subcommand)]
enum OrganizationCommand {
    /// Show it
    Show {
        /// Print the server's answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Change it
    #[command(arg_required_else_help = true)]
    Set {
        /// A name for people
        #[arg(long)]
        name: Option<String>,
        /// The account that Cairn's own events belong to
        #[arg(long, value_name = "ID")]
        management_account: Option<AccountId>,
    },
}

/// `cairn token`.
pub(super) async fn token(args: TokenArgs, out: &mut Out) -> Outcome {
    #[derive(Deserialize)]
    struct Made {
        id: String,
        token: String,
        #[serde(default)]
        withheld: Vec<String>,
    }
    let client = args.connect.client()?;
    match args.command {
        TokenCommand::Create {
            role,
            accounts,
            withhold,
            name,
        } => {
            let mut body = json!({
                "role": role.as_str(),
                "accounts": accounts.json().unwrap_or_else(|| "all".into()),
            });
            if !withhold.is_empty() {
                body["withhold"] = withhold.into();
            }
            if let Some(name) = name {
                body["name"] = name.into();
            }
            let answer = client
                .call(Method::POST, &["v1", "tokens"], Some(&body))
                .await?;
            let made: Made = answer.json()?;
            // Alone on standard output, so that $(cairn token create …) is the token.
            out.line(&made.token)?;
            out.note(&format!(
                "token {} ({}): keep it now, it is not shown again",
                made.id,
                role.as_str()
            ));
            if !made.withheld.is_empty() {
                out.note(&format!("withheld: {}", made.withheld.join(", ")));
            }
        }
        TokenCommand::Update {
            id,
            accounts,
            withhold,
            name,
        } => {
            let mut body = json!({});
            if let Some(accounts) = accounts {
                body["accounts"] = accounts.json().unwrap_or_else(|| "all".into());
            }
            if let Some(withhold) = withhold {
                let nothing = withhold.iter().all(|w| w == "none");
                body["withhold"] = if nothing { json!([]) } else { withhold.into() };
            }
            if let Some(name) = name {
                body["name"] = name.into();
            }
            update_token(&client, id.as_str(), &body, out).await?;
        }
        TokenCommand::List { json } => {
            let answer = client.get(&["v1", "tokens"], &[]).await?;
            let fields = [
                "id", "name", "role", "accounts", "withhold", "created", "by", "revoked",
            ];
            print_list(&answer, json, "tokens", &fields, out)?;
        }
        TokenCommand::Revoke { id } => {
            client
                .call(Method::DELETE, &["v1", "tokens", id.as_str()], None)
                .await?;
            out.note(&format!("token {id} is revoked"));
        }
    }
    Ok(Exit::Done)
}

async fn update_token(
    client: &Client,
    id: &str,
    body: &Value,
    out: &mut Out,
) -> Result<(), Failure> {
    let path = ["v1", "tokens", id];
    let answer = client.call(Method::PATCH, &path, Some(body)).await?;
    let made: Value = answer.json()?;
    out.note(&format!(
        "token {id}: accounts {}, withheld {}",
        cell(&made["accounts"]),
        cell(&made["withheld"]),
    ));
    Ok(())
}

/// `cairn account`.
pub(super) async fn account(args: AccountArgs, out: &mut Out) -> Outcome {
    let client = args.connect.client()?;
    match args.command {
        AccountCommand::Add { id, name } => {
            let mut body = json!({ "id": id.as_str() });
            if let Some(name) = name {
                body["name"] = name.into();
            }
            client
                .call(Method::POST, &["v1", "accounts"], Some(&body))
                .await?;
            out.note(&format!("account {id} is a member"));
        }
        AccountCommand::List { json } => {
            let answer = client.get(&["v1", "accounts"], &[]).await?;
            let fields = ["id", "name", "member", "added", "by"];
            print_list(&answer, json, "accounts", &fields, out)?;
        }
        AccountCommand::Remove { id } => {
            client
                .call(Method::DELETE, &["v1", "accounts", id.as_str()], None)
                .await?;
            out.note(&format!(
                "account {id} is no longer a member; its events stay"
            ));
        }
    }
    Ok(Exit::Done)
}

/// `cairn organization`.
pub(super) async fn organization(args: OrganizationArgs, out: &mut Out) -> Outcome {
    let client = args.connect.client()?;
    let path = ["v1", "organization"];
    match args.command {
        OrganizationCommand::Show { json } => {
            let answer = client.get(&path, &[]).await?;
            if json {
                out.line(&answer.text)?;
            } else {
                print_tree(&answer.json()?, 0, out)?;
            }
        }
        OrganizationCommand::Set {
            name,
            management_account,
        } => {
            let mut body = json!({});
            if let Some(name) = name {
                body["name"] = name.into();
            }
            if let Some(account) = management_account {
                body["management_account"] = account.as_str().into();
            }
            client.call(Method::PUT, &path, Some(&body)).await?;
            out.note("the organization is changed");
        }
    }
    Ok(Exit::Done)
}

/// The list under `name`, a row each, or the answer as it came.
pub(super) fn print_list(
    answer: &Answer,
    as_json: bool,
    name: &str,
    fields: &[&str],
    out: &mut Out,
) -> Result<(), Failure> {
    if as_json {
        out.line(&answer.text)?;
        return Ok(());
    }
    let value: Value = answer.json()?;
    let heading: Vec<String> = fields
        .iter()
        .map(|field| field.to_ascii_uppercase())
        .collect();
    let mut columns = Columns::new(&heading.iter().map(String::as_str).collect::<Vec<_>>());
    for item in value[name].as_array().into_iter().flatten() {
        columns.row(fields.iter().map(|field| cell(&item[*field])).collect());
    }
    columns.print(out)?;
    Ok(())
}
