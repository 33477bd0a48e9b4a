//! `counterfoil organization`.

use super::{
    Failure, Global, Listing, Part,
    operator::{Operator, segment, with_query},
    output,
};
use crate::loggable::loggable;
use anyhow::anyhow;
use clap::{Args, Subcommand, ValueEnum};
use counterfoil_core::id::OrganizationId;
use http::Method;
use serde_json::{Map, Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an organization
    Create {
        /// What it is called
        #[arg(long)]
        name: String,
        /// What another system calls it
        #[arg(long, value_name = "ID")]
        external_id: Option<String>,
    },
    /// List organizations
    List(Part),
    /// Show one organization
    Show {
        /// An id or a name
        organization: String,
    },
    /// Change what an organization is called
    Change {
        /// An id or a name
        organization: String,
        #[command(flatten)]
        names: Names,
    },
    /// Close an organization for good; its tokens stop at once
    Close {
        /// An id or a name
        organization: String,
    },
    /// List who belongs to an organization
    Members {
        /// An id or a name
        organization: String,
        #[command(flatten)]
        part: Part,
    },
    /// Make an account a member, or give a member another rank
    AddMember {
        /// An id or a name
        organization: String,
        /// An id or an e-mail address
        account: String,
        /// As what
        #[arg(long, value_enum, default_value_t = RankName::Member)]
        rank: RankName,
    },
    /// End a membership; the account's tokens in that organization stop at once
    RemoveMember {
        /// An id or a name
        organization: String,
        /// An id or an e-mail address
        account: String,
    },
}

/// What to call an account or an organization from now on.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Names {
    /// What to call it
    #[arg(long)]
    name: Option<String>,
    /// What another system calls it; nothing, when empty
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
}

impl Names {
    /// As the body of a PATCH.
    pub(crate) fn body(self) -> Value {
        let mut body = Map::new();
        if let Some(name) = self.name {
            body.insert("name".to_owned(), json!(name));
        }
        if let Some(id) = self.external_id {
            let id = (!id.is_empty()).then_some(id);
            body.insert("external_id".to_owned(), json!(id));
        }
        Value::Object(body)
    }
}

/// What a member may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RankName {
    Administrator,
    Member,
}

impl RankName {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Member => "member",
        }
    }
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Failure> {
    let operator = Operator::reach(global).await?;
    let result = act(global, &operator, command).await;
    operator.close().await;
    result
}

async fn act(global: &Global, operator: &Operator, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create { name, external_id } => {
            let body = json!({ "name": name, "external_id": external_id });
            let made = operator.call(Method::POST, "/v1/organizations", Some(&body)).await?;
            show(global, &made)
        }
        Command::List(part) => {
            let query = with_query("/v1/organizations", &part.parameters());
            let found = operator.call(Method::GET, &query, None).await?;
            let fields = ["id", "name", "state", "created_at"];
            let listing = Listing {
                empty: "No organizations. Begin with `counterfoil init --email YOU@EXAMPLE.COM`.",
                headings: &["id", "name", "state", "created"],
                id: "id",
                row: |item: &Value| fields.map(|field| output::text(&item[field])).to_vec(),
                more: "--cursor",
            };
            listing.print(global, &found)
        }
        Command::Show { organization } => {
            let path =
                format!("/v1/organizations/{}", segment(&resolve(operator, &organization).await?));
            show(global, &operator.call(Method::GET, &path, None).await?)
        }
        Command::Change { organization, names } => {
            let path =
                format!("/v1/organizations/{}", segment(&resolve(operator, &organization).await?));
            show(global, &operator.call(Method::PATCH, &path, Some(&names.body())).await?)
        }
        Command::Close { organization } => {
            let path =
                format!("/v1/organizations/{}", segment(&resolve(operator, &organization).await?));
            let body = json!({ "state": "closed" });
            show(global, &operator.call(Method::PATCH, &path, Some(&body)).await?)
        }
        Command::Members { organization, part } => {
            let organization = resolve(operator, &organization).await?;
            let [cursor, limit] = part.parameters();
            let parameters = [("organization", Some(organization)), cursor, limit];
            let query = with_query("/v1/memberships", &parameters);
            let found = operator.call(Method::GET, &query, None).await?;
            let fields = ["account", "rank", "joined_at"];
            let listing = Listing {
                empty: "No members. Add one with `counterfoil organization add-member`.",
                headings: &["id", "rank", "joined"],
                id: "account",
                row: |item: &Value| fields.map(|field| output::text(&item[field])).to_vec(),
                more: "--cursor",
            };
            listing.print(global, &found)
        }
        Command::AddMember { organization, account, rank } => {
            let organization = resolve(operator, &organization).await?;
            let body =
                json!({ "organization": organization, "account": account, "rank": rank.as_str() });
            let made = operator.call(Method::PUT, "/v1/memberships", Some(&body)).await?;
            if global.json {
                return Ok(output::json(&made)?);
            }
            output::note(format_args!("{account} is a {} now.", rank.as_str()));
            Ok(())
        }
        Command::RemoveMember { organization, account } => {
            let organization = resolve(operator, &organization).await?;
            let parameters =
                [("organization", Some(organization)), ("account", Some(account.clone()))];
            let query = with_query("/v1/memberships", &parameters);
            operator.call(Method::DELETE, &query, None).await?;
            output::note(format_args!("{account} has left; the tokens there are refused."));
            Ok(())
        }
    }
}

/// The id of an organization that was named by id or name.
pub(crate) async fn resolve(operator: &Operator, name: &str) -> Result<String, Failure> {
    if name.parse::<OrganizationId>().is_ok() {
        return Ok(name.to_owned());
    }
    let parameters = [("name", Some(name.to_owned())), ("limit", Some("2".into()))];
    let found =
        operator.call(Method::GET, &with_query("/v1/organizations", &parameters), None).await?;
    match found["items"].as_array().map(Vec::as_slice) {
        Some([only]) => Ok(output::text(&only["id"])),
        Some([_, _, ..]) => Err(Failure::Wrong(anyhow!(
            "more than one organization is called {:?}; give the id of one",
            loggable(name)
        ))),
        _ => Err(Failure::Failed(anyhow!("there is no organization {:?}", loggable(name)))),
    }
}

/// The id of the only open organization, where there is just one.
pub(crate) async fn only(operator: &Operator) -> Result<Option<String>, Failure> {
    let (mut only, mut cursor) = (None, None);
    loop {
        let parameters = [("cursor", cursor), ("limit", Some("1000".into()))];
        let query = with_query("/v1/organizations", &parameters);
        let found = operator.call(Method::GET, &query, None).await?;
        let items = found["items"].as_array().into_iter().flatten();
        for organization in items.filter(|organization| organization["state"] == json!("open")) {
            if only.replace(output::text(&organization["id"])).is_some() {
                return Ok(None);
            }
        }
        cursor = found["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(only);
        }
    }
}

fn show(global: &Global, organization: &Value) -> Result<(), Failure> {
    if global.json {
        return Ok(output::json(organization)?);
    }
    if global.quiet {
        return Ok(output::print(format_args!("{}", output::text(&organization["id"])))?);
    }
    Ok(output::print(format_args!(
        "{}",
        output::facts(&[
            ("id", output::text(&organization["id"])),
            ("name", output::text(&organization["name"])),
            ("external id", output::text(&organization["external_id"])),
            ("state", output::text(&organization["state"])),
            ("created", output::text(&organization["created_at"])),
            ("closed", output::text(&organization["closed_at"])),
        ])
    ))?)
}
