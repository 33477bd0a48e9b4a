//! `counterfoil account` and `counterfoil init`.

use super::{
    Failure, Global, Listing, Part,
    operator::{Operator, read_secret, segment, with_query},
    organizations::{Names, RankName, resolve},
    output,
};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an account
    Create(Create),
    /// List accounts
    List(Part),
    /// Show one account
    Show {
        /// An id or an e-mail address
        account: String,
    },
    /// Change what an account is called
    Change {
        /// An id or an e-mail address
        account: String,
        #[command(flatten)]
        names: Names,
    },
    /// Disable an account; its tokens stop at once
    Disable {
        /// An id or an e-mail address
        account: String,
    },
    /// Enable a disabled account, its tokens too
    Enable {
        /// An id or an e-mail address
        account: String,
    },
    /// Give a person a new password
    SetPassword {
        /// An id or an e-mail address
        account: String,
        /// A file with the password (its first line); - reads standard input
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
    },
    /// Give an account another e-mail address
    SetEmail {
        /// An id or the e-mail address that it has
        account: String,
        /// The one that it is to have
        email: String,
    },
    /// Remove the second factor of somebody who has lost it and the recovery codes
    RemoveSecondFactor {
        /// An id or an e-mail address
        account: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The e-mail address; without one the account cannot sign in, nor use HTTP Basic
    #[arg(long, required_unless_present = "name")]
    email: Option<String>,
    /// What to call it [default: the e-mail address]
    #[arg(long)]
    name: Option<String>,
    /// What another system calls it
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// A program rather than a person
    #[arg(long)]
    service: bool,
    /// The organization to make it a member of: an id or a name [default: the only one]
    #[arg(long)]
    organization: Option<String>,
    /// As what
    #[arg(long, value_enum, default_value_t = RankName::Member)]
    rank: RankName,
    /// A file with a password for it (its first line); - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "service")]
    password_file: Option<PathBuf>,
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Failure> {
    let operator = Operator::reach(global).await?;
    let result = match command {
        Command::Create(create) => self::create(global, &operator, create).await,
        Command::List(part) => list(global, &operator, part).await,
        Command::Show { account } => {
            let found = operator.call(Method::GET, &path(&account, ""), None).await;
            found.and_then(|found| show(global, &found))
        }
        Command::Change { account, names } => {
            let (path, body) = (path(&account, ""), names.body());
            let changed = operator.call(Method::PATCH, &path, Some(&body)).await;
            changed.and_then(|account| show(global, &account))
        }
        Command::Disable { account } => set_state(global, &operator, &account, "disabled").await,
        Command::Enable { account } => set_state(global, &operator, &account, "active").await,
        Command::SetPassword { account, password_file } => {
            set_password(&operator, &account, &password_file)
                .await
                .and_then(|account| show(global, &account))
        }
        Command::SetEmail { account, email } => {
            let (path, body) = (path(&account, "/email"), json!({ "email": email }));
            let set = operator.call(Method::PUT, &path, Some(&body)).await;
            set.and_then(|account| show(global, &account))
        }
        Command::RemoveSecondFactor { account } => {
            let path = path(&account, "/second-factor");
            let removed = operator.call(Method::DELETE, &path, None).await;
            removed.and_then(|account| show(global, &account))
        }
    };
    operator.close().await;
    result
}

/// The first organization and its administrator.
pub(crate) async fn initialise(
    global: &Global,
    email: &str,
    password_file: Option<&Path>,
    organization: Option<&str>,
) -> Result<(), Failure> {
    let mut body = Map::from_iter([("email".to_owned(), json!(email))]);
    if let Some(file) = password_file {
        body.insert("password".to_owned(), json!(read_secret(file)?));
    }
    if let Some(organization) = organization {
        body.insert("organization".to_owned(), json!(organization));
    }
    let operator = Operator::reach_or_make(global).await?;
    let made = operator.call(Method::POST, "/v1/init", Some(&Value::Object(body))).await;
    operator.close().await;
    let made = made?;
    if global.json {
        return Ok(output::json(&made)?);
    }
    let email = output::text(&made["account"]["email"]);
    output::note(format_args!("Set up. {email} administers the first organization."));
    if password_file.is_none() {
        output::note(format_args!(
            "There is no password yet: counterfoil account set-password {email} --password-file FILE"
        ));
    }
    Ok(())
}

async fn create(global: &Global, operator: &Operator, create: Create) -> Result<(), Failure> {
    let organization = match &create.organization {
        Some(name) => Some(resolve(operator, name).await?),
        None => super::organizations::only(operator).await?,
    };
    let mut body = json!({
        "kind": if create.service { "service" } else { "person" },
        "email": create.email,
        "name": create.name,
        "external_id": create.external_id,
    });
    if let Some(organization) = organization {
        body["organization"] = json!(organization);
        body["rank"] = json!(create.rank.as_str());
    }
    if let Some(file) = &create.password_file {
        body["password"] = json!(read_secret(file)?);
    }
    let account = operator.call(Method::POST, "/v1/accounts", Some(&body)).await?;
    show(global, &account)
}

async fn list(global: &Global, operator: &Operator, part: Part) -> Result<(), Failure> {
    let query = with_query("/v1/accounts", &part.parameters());
    let found = operator.call(Method::GET, &query, None).await?;
    let fields = ["id", "email", "name", "kind", "state", "created_at"];
    let listing = Listing {
        empty: "No accounts. Begin with `counterfoil init --email YOU@EXAMPLE.COM`.",
        headings: &["id", "e-mail", "name", "kind", "state", "created"],
        id: "id",
        row: |item: &Value| fields.map(|field| output::text(&item[field])).to_vec(),
        more: "--cursor",
    };
    listing.print(global, &found)
}

async fn set_state(
    global: &Global,
    operator: &Operator,
    account: &str,
    state: &str,
) -> Result<(), Failure> {
    let body = json!({ "state": state });
    let account = operator.call(Method::PATCH, &path(account, ""), Some(&body)).await?;
    show(global, &account)
}

async fn set_password(operator: &Operator, account: &str, file: &Path) -> Result<Value, Failure> {
    let body = json!({ "password": read_secret(file)? });
    operator.call(Method::PUT, &path(account, "/password"), Some(&body)).await
}

fn show(global: &Global, account: &Value) -> Result<(), Failure> {
    if global.json {
        return Ok(output::json(account)?);
    }
    if global.quiet {
        return Ok(output::print(format_args!("{}", output::text(&account["id"])))?);
    }
    let whether = |field: &str| {
        let is_set = account[field] == json!(true);
        if is_set { "set".to_owned() } else { "none".to_owned() }
    };
    Ok(output::print(format_args!(
        "{}",
        output::facts(&[
            ("id", output::text(&account["id"])),
            ("e-mail", output::text(&account["email"])),
            ("name", output::text(&account["name"])),
            ("external id", output::text(&account["external_id"])),
            ("kind", output::text(&account["kind"])),
            ("state", output::text(&account["state"])),
            ("password", whether("has_password")),
            ("second factor", whether("has_second_factor")),
            ("created", output::text(&account["created_at"])),
            ("disabled", output::text(&account["disabled_at"])),
        ])
    ))?)
}

fn path(account: &str, rest: &str) -> String {
    format!("/v1/accounts/{}{rest}", segment(account))
}
