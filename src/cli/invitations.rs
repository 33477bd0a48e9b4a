//! `counterfoil invitation`.

use super::{
    Failure, Global, Listing, Part,
    operator::{Operator, segment, with_query},
    organizations::{RankName, only, resolve},
    output,
};
use anyhow::anyhow;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Invite somebody; prints the path of the link, this once
    Create {
        /// Whose e-mail address it is for
        email: String,
        #[command(flatten)]
        home: Home,
        /// As what
        #[arg(long, value_enum, default_value_t = RankName::Member)]
        rank: RankName,
    },
    /// List invitations, the newest first
    List {
        #[command(flatten)]
        home: Home,
        /// Those that are over, too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        part: Part,
    },
    /// Make a link good for nothing
    Withdraw {
        /// Its id
        invitation: String,
    },
}

/// Which organization.
#[derive(Debug, Args)]
pub(crate) struct Home {
    /// The organization: an id or a name [default: the only one]
    #[arg(long)]
    organization: Option<String>,
}

impl Home {
    async fn id(self, operator: &Operator) -> Result<String, Failure> {
        match self.organization {
            Some(name) => resolve(operator, &name).await,
            None => only(operator).await?.ok_or_else(|| {
                Failure::Wrong(anyhow!("there is not just one organization; say --organization"))
            }),
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
        Command::Create { email, home, rank } => {
            let organization = home.id(operator).await?;
            let body =
                json!({ "organization": organization, "email": email, "rank": rank.as_str() });
            let made = operator.call(Method::POST, "/v1/invitations", Some(&body)).await?;
            if global.json {
                return Ok(output::json(&made)?);
            }
            output::print(format_args!("/invitations/{}", output::text(&made["code"])))?;
            if !global.quiet {
                output::note(format_args!(
                    "Put the console's address in front of this and hand it over. It works once, \
                     for {email}, and is not shown again."
                ));
            }
            Ok(())
        }
        Command::List { home, all, part } => {
            let organization = home.id(operator).await?;
            let [cursor, limit] = part.parameters();
            let open = (!all).then(|| "true".to_owned());
            let parameters = [("organization", Some(organization)), ("open", open), cursor, limit];
            let query = with_query("/v1/invitations", &parameters);
            let found = operator.call(Method::GET, &query, None).await?;
            let fields = ["id", "email", "rank", "state", "expires_at"];
            let listing = Listing {
                empty: "No invitations. Make one with `counterfoil invitation create`.",
                headings: &["id", "e-mail", "rank", "state", "expires"],
                id: "id",
                row: |item: &Value| fields.map(|field| output::text(&item[field])).to_vec(),
                more: "--cursor",
            };
            listing.print(global, &found)
        }
        Command::Withdraw { invitation } => {
            let path = format!("/v1/invitations/{}", segment(&invitation));
            let withdrawn = operator.call(Method::DELETE, &path, None).await?;
            if global.json {
                return Ok(output::json(&withdrawn)?);
            }
            output::note(format_args!("Withdrawn: the link leads nowhere now."));
            Ok(())
        }
    }
}
