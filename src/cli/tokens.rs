//! `counterfoil token`.

use super::{
    Failure, Global, Listing, Part, access_tokens, denials,
    operator::{Operator, Unavailable, read_secret, segment, with_query},
    output,
};
use anyhow::anyhow;
use clap::{Args, Subcommand, ValueEnum};
use counterfoil_core::token::{Digest, Prefix};
use http::Method;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Issue a token; its secret is shown this once
    Create(Create),
    /// List tokens
    List(List),
    /// Show one token
    Show {
        /// The token's id
        id: String,
    },
    /// Say which token a secret belongs to, or belonged to before a rotation
    Find {
        /// A file with the secret (its first line), which is not sent; - reads standard input
        #[arg(long, value_name = "FILE")]
        secret_file: PathBuf,
    },
    /// Refuse a token until it is resumed
    Pause {
        /// The token's id
        id: String,
    },
    /// Accept a paused token again
    Resume {
        /// The token's id
        id: String,
    },
    /// Give a token a new secret
    Rotate {
        /// The token's id
        id: String,
        /// For how long the old secret works beside the new one, as in 24h
        #[arg(long, value_name = "TIME")]
        overlap: Option<String>,
    },
    /// End a token for good; it is refused everywhere when this returns
    Revoke {
        /// The token's id
        id: String,
        /// Why
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Refuse a token at this node alone, at once and without the database
    #[command(after_help = DENY)]
    Deny {
        /// The token's id
        #[arg(required_unless_present_any = ["secret_file", "list"])]
        id: Option<String>,
        /// A file with the token's secret (its first line), which is not sent; - reads standard
        /// input
        #[arg(long, value_name = "FILE", conflicts_with = "id")]
        secret_file: Option<PathBuf>,
        /// Take it back
        #[arg(long, conflicts_with = "secret_file")]
        lift: bool,
        /// List the tokens that this node denies
        #[arg(long, conflicts_with_all = ["id", "secret_file", "lift"])]
        list: bool,
    },
    /// Exchange a token for an access token, which is good for a while: as POST /authenticate
    Exchange {
        /// A file with the secret (its first line); - reads standard input [default: -]
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
        /// A scope that the access token is to have; may be given more than once [default: all]
        #[arg(long)]
        scope: Vec<String>,
    },
    /// Say what an access token says, whether we signed it, and whether it is accepted now
    Decode {
        /// A file with the access token; - reads standard input [default: -]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

const DENY: &str = "\
For the day on which a token has leaked and the database is gone, so that nothing can be revoked. \
The server in whose data directory this runs refuses the token from then on, as it refuses a \
revoked one, and remembers that when it is started again. Other servers know nothing of it: run it \
at each. `token show` tells of it while that server runs. It ends with --lift, or by itself once \
the token is revoked, which is still to be done.";

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The API that it is for
    #[arg(long)]
    api: String,
    /// The account that is to own it: an id or an e-mail address
    #[arg(long)]
    owner: String,
    /// What to call it [default: the date]
    #[arg(long)]
    name: Option<String>,
    /// What it is for
    #[arg(long)]
    note: Option<String>,
    /// The role that it gets
    #[arg(long, conflicts_with = "scope")]
    role: Option<String>,
    /// A scope that it gets; may be given more than once
    #[arg(long)]
    scope: Vec<String>,
    /// How long it lives, as in 90d, or "never" [default: as the API has it]
    #[arg(long, value_name = "TIME", conflicts_with = "expires_at")]
    expires_in: Option<String>,
    /// When it ends, as in 2027-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// A network that it may be used from, as in 10.0.0.0/8; may be given more than once
    #[arg(long, value_name = "NETWORK")]
    allowed_network: Vec<String>,
    /// The organization that it belongs to, where its owner belongs to several: an id or a name
    #[arg(long)]
    organization: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those of this API
    #[arg(long)]
    api: Option<String>,
    /// Only those of this account: an id or an e-mail address
    #[arg(long)]
    owner: Option<String>,
    /// Only those of this organization: an id or a name
    #[arg(long)]
    organization: Option<String>,
    /// Only those in this state
    #[arg(long)]
    state: Option<StateName>,
    /// Only those that were not used for so many days, and are older than that
    #[arg(long, value_name = "N")]
    unused_days: Option<u32>,
    /// Only those that end before this moment, as in 2027-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    expires_before: Option<String>,
    #[command(flatten)]
    part: Part,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StateName {
    Active,
    Paused,
    Expired,
    Revoked,
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Failure> {
    match command {
        Command::Exchange { secret_file, scope } => {
            access_tokens::exchange(global, secret_file, scope).await
        }
        Command::Deny { id, secret_file, lift, list } => {
            let which = denials::Which { id, secret_file };
            denials::run(global, which, lift, list).await
        }
        Command::Decode { file } => access_tokens::decode(global, file).await,
        command => run_as_operator(global, command).await,
    }
}

async fn run_as_operator(global: &Global, command: Command) -> Result<(), Failure> {
    let operator = Operator::reach(global).await?;
    let result = match command {
        Command::Create(create) => issue(global, &operator, create).await,
        Command::List(list) => self::list(global, &operator, list).await,
        Command::Show { id } => show_with_addresses(global, &operator, &id).await,
        Command::Find { secret_file } => find(global, &operator, &secret_file).await,
        Command::Pause { id } => set_state(global, &operator, &id, "paused").await,
        Command::Resume { id } => set_state(global, &operator, &id, "active").await,
        Command::Rotate { id, overlap } => {
            let body = json!({ "overlap": overlap });
            let rotated = operator.call(Method::POST, &path(&id, "/rotate"), Some(&body)).await;
            rotated.and_then(|rotated| reveal(global, &rotated, "Rotated"))
        }
        Command::Revoke { id, reason } => revoke(global, &operator, &id, &reason).await,
        // They are done elsewhere: they need to verify, too, or a server.
        Command::Exchange { .. } | Command::Decode { .. } | Command::Deny { .. } => Ok(()),
    };
    operator.close().await;
    result
}

async fn issue(global: &Global, operator: &Operator, create: Create) -> Result<(), Failure> {
    let mut body = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    if let Some(name) = &create.organization {
        let organization = super::organizations::resolve(operator, name).await?;
        set("organization", Some(json!(organization)));
    }
    set("api", Some(json!(create.api)));
    set("owner", Some(json!(create.owner)));
    set("name", create.name.map(Value::from));
    set("note", create.note.map(Value::from));
    set("role", create.role.map(Value::from));
    set("scopes", (!create.scope.is_empty()).then(|| json!(create.scope)));
    set(
        "expires_in",
        create.expires_in.map(|text| if text == "never" { Value::Null } else { json!(text) }),
    );
    set("expires_at", create.expires_at.map(Value::from));
    set(
        "allowed_networks",
        (!create.allowed_network.is_empty()).then(|| json!(create.allowed_network)),
    );
    let issued = operator.call(Method::POST, "/v1/tokens", Some(&Value::Object(body))).await?;
    reveal(global, &issued, "Issued")
}

/// The secret to standard output, its facts to standard error.
fn reveal(global: &Global, issued: &Value, what: &str) -> Result<(), Failure> {
    if !global.json && !global.quiet {
        output::note(format_args!("{what}. The secret is shown this once; nothing keeps it.\n"));
        output::note(format_args!("{}\n", facts(&issued["token"])));
    }
    let written = if global.json {
        output::json(issued)
    } else {
        output::print(format_args!("{}", output::text(&issued["secret"])))
    };
    written.map_err(|error| secret_lost(&output::text(&issued["token"]["id"]), &error))
}

/// A failure even where the reader has only gone away: the token lives, and
/// nobody has its secret. So its text is all that it keeps of `error`.
fn secret_lost(id: &str, error: &std::io::Error) -> Failure {
    Failure::Failed(anyhow!(
        "token {id} has a new secret, but it could not be written to standard output: {error}\n\
         It cannot be shown again: end the token with `counterfoil token revoke {id}`, or give it \
         another secret with `counterfoil token rotate {id}`"
    ))
}

async fn list(global: &Global, operator: &Operator, list: List) -> Result<(), Failure> {
    let organization = match &list.organization {
        Some(name) => Some(super::organizations::resolve(operator, name).await?),
        None => None,
    };
    let state = list.state.and_then(|state| state.to_possible_value());
    let [cursor, limit] = list.part.parameters();
    let query = with_query(
        "/v1/tokens",
        &[
            ("api", list.api),
            ("owner", list.owner),
            ("organization", organization),
            ("state", state.map(|state| state.get_name().to_owned())),
            ("unused_days", list.unused_days.map(|days| days.to_string())),
            ("expires_before", list.expires_before),
            cursor,
            limit,
        ],
    );
    let found = operator.call(Method::GET, &query, None).await?;
    let listing = Listing {
        empty: "No tokens. Issue one with `counterfoil token create --api API --owner ACCOUNT`.",
        headings: &["id", "name", "api", "may", "token", "state", "expires", "last used"],
        id: "id",
        row: |item: &Value| {
            vec![
                output::text(&item["id"]),
                output::text(&item["name"]),
                output::text(&item["api"]),
                grant(item),
                hint(item),
                output::text(&item["state"]),
                expires(item),
                output::text(&item["last_used"]["at"]),
            ]
        },
        more: "--cursor",
    };
    listing.print(global, &found)
}

/// What leaves this process is a digest.
async fn find(global: &Global, operator: &Operator, file: &Path) -> Result<(), Failure> {
    let secret = read_whole_secret(file)?;
    let digest = json!(Digest::of(&secret));
    let query = with_query("/v1/tokens", &[("digest", Some(output::text(&digest)))]);
    let found = operator.call(Method::GET, &query, None).await?;
    if let Some([token]) = found["items"].as_array().map(Vec::as_slice) {
        return show_with_addresses(global, operator, &output::text(&token["id"])).await;
    }
    let hint = if is_mistyped(&secret) {
        "; its checksum is wrong: it is mistyped or cut off"
    } else {
        ""
    };
    Err(Failure::Failed(anyhow!("no token has this secret, or ever had it{hint}")))
}

/// Reads a token's secret, and makes sure that there is nothing around it.
pub(super) fn read_whole_secret(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let read = Zeroizing::new(read_secret(file)?);
    let secret = read.trim();
    if secret.is_empty() || secret.contains(char::is_whitespace) {
        let why = "that is not a secret alone: give it without the words around it";
        return Err(Failure::Wrong(anyhow!("{why}")));
    }
    Ok(Zeroizing::new(secret.to_owned()))
}

/// Whether it looks like a secret that we minted, but for its checksum.
fn is_mistyped(secret: &str) -> bool {
    let prefix = secret.rsplit_once('_').map(|(prefix, _)| Prefix::try_from(prefix.to_owned()));
    matches!(prefix, Some(Ok(prefix)) if !prefix.is_plausible(secret))
}

async fn set_state(
    global: &Global,
    operator: &Operator,
    id: &str,
    state: &str,
) -> Result<(), Failure> {
    let body = json!({ "state": state });
    let token = operator.call(Method::PATCH, &path(id, ""), Some(&body)).await?;
    show(global, &token)
}

async fn revoke(
    global: &Global,
    operator: &Operator,
    id: &str,
    reason: &str,
) -> Result<(), Failure> {
    let body = json!({ "reason": reason });
    let asked = async {
        let before = operator.call(Method::GET, &path(id, ""), None).await?;
        let revoked = operator.call(Method::POST, &path(id, "/revoke"), Some(&body)).await?;
        Ok((before, revoked))
    };
    let (before, revoked) = asked.await.map_err(|failure| not_revoked(failure, id))?;
    if global.json {
        return Ok(output::json(&revoked)?);
    }
    let (name, at) = (output::text(&before["name"]), output::text(&revoked["revoked_at"]));
    let already = if before["state"] == "revoked" { "had been revoked already" } else { "revoked" };
    output::note(format_args!("{name} ({id}): {already} at {at}; refused everywhere."));
    if let Some(end) = revoked["offline_until"].as_str() {
        output::note(format_args!(
            "Whoever verifies its access tokens by themselves may accept them until {end}."
        ));
    }
    Ok(())
}

/// What can be done without the database, where there is none.
fn not_revoked(failure: Failure, id: &str) -> Failure {
    match failure {
        Failure::Failed(error) if error.is::<Unavailable>() => Failure::Failed(anyhow!(
            "{error}\n\nUntil it can be revoked, each node can be made to refuse it by itself. Run \
             this on its machine:\n\n  counterfoil token deny {id}"
        )),
        failure => failure,
    }
}

/// For people, with where its requests came from.
async fn show_with_addresses(
    global: &Global,
    operator: &Operator,
    id: &str,
) -> Result<(), Failure> {
    let mut token = operator.call(Method::GET, &path(id, ""), None).await?;
    if global.json || global.quiet {
        return show(global, &token);
    }
    name_holders(operator, &mut token).await?;
    show(global, &token)?;
    let found = operator.call(Method::GET, &path(id, "/addresses"), None).await?;
    let items: Vec<&Value> = found["items"].as_array().into_iter().flatten().collect();
    if items.is_empty() {
        return Ok(());
    }
    output::print(format_args!(""))?;
    let rows = items.into_iter().map(|item| {
        let day = output::text(&item["day"]);
        vec![
            day.split('T').next().unwrap_or_default().to_owned(),
            item["value"].as_str().unwrap_or("others, or not known").to_owned(),
            output::text(&item["admitted"]),
            output::text(&item["refused"]),
            output::text(&item["last_at"]),
        ]
    });
    Ok(output::table(&["day", "address", "admitted", "refused", "last"], rows)?)
}

/// Puts names to whom a token belongs, and says where it is dead by them.
async fn name_holders(operator: &Operator, token: &mut Value) -> Result<(), Failure> {
    let account = format!("/v1/accounts/{}", segment(&output::text(&token["owner"])));
    let account = operator.call(Method::GET, &account, None).await?;
    let home = format!("/v1/organizations/{}", segment(&output::text(&token["organization"])));
    let home = operator.call(Method::GET, &home, None).await?;
    let denied = denials::has(operator, &output::text(&token["id"])).await?;
    let called = |field: &str| account[field].as_str().filter(|name| !name.is_empty());
    let name = called("email").or(called("name")).unwrap_or_default();
    for (is_dead, why) in [
        (account["state"] == "disabled", "its owner is disabled"),
        (home["state"] == "closed", "its organization is closed"),
        (denied, "the operator has this node deny it"),
    ] {
        if is_dead && token["state"] == "active" {
            token["state"] = json!(format!("active, but refused: {why}"));
        }
    }
    token["owner"] = json!(format!("{name} ({})", output::text(&token["owner"])));
    let home = output::text(&home["name"]);
    token["organization"] = json!(format!("{home} ({})", output::text(&token["organization"])));
    Ok(())
}

fn show(global: &Global, token: &Value) -> Result<(), Failure> {
    if global.json {
        return Ok(output::json(token)?);
    }
    if global.quiet {
        return Ok(output::print(format_args!("{}", output::text(&token["id"])))?);
    }
    Ok(output::print(format_args!("{}", facts(token)))?)
}

fn facts(token: &Value) -> String {
    output::facts(&[
        ("client ID", output::text(&token["id"])),
        ("name", output::text(&token["name"])),
        ("note", output::text(&token["note"])),
        ("API", output::text(&token["api"])),
        ("may", grant(token)),
        ("token", hint(token)),
        ("state", output::text(&token["state"])),
        ("owner", output::text(&token["owner"])),
        ("organization", output::text(&token["organization"])),
        ("networks", output::text(&token["allowed_networks"])),
        ("created", output::text(&token["created_at"])),
        ("expires", expires(token)),
        ("old secret until", output::text(&token["previous_secret_until"])),
        ("paused", output::text(&token["paused_at"])),
        ("revoked", output::text(&token["revoked_at"])),
        ("because", output::text(&token["revoke_reason"])),
        ("last used", last_used(&token["last_used"])),
        ("with", output::text(&token["last_used"]["user_agent"])),
        ("for", output::text(&token["last_used"]["route"])),
    ])
}

fn last_used(last: &Value) -> String {
    let fact = |name: &str| output::text(&last[name]);
    match (last, &last["address"]) {
        (Value::Null, _) => String::new(),
        (_, Value::Null) => format!("{} at {}", fact("at"), fact("door")),
        _ => format!("{} at {} from {}", fact("at"), fact("door"), fact("address")),
    }
}

fn grant(token: &Value) -> String {
    match (&token["role"], &token["scopes"]) {
        (Value::String(role), _) => format!("role {role}"),
        (_, scopes @ Value::Array(_)) => output::text(scopes),
        _ => "everything".to_owned(),
    }
}

fn hint(token: &Value) -> String {
    match (output::text(&token["prefix"]), output::text(&token["last_four"])) {
        // It was imported, and nothing of it may be shown.
        (prefix, last_four) if prefix.is_empty() && last_four.is_empty() => String::new(),
        (prefix, last_four) => format!("{prefix}…{last_four}"),
    }
}

fn expires(token: &Value) -> String {
    match &token["expires_at"] {
        Value::Null => "never".to_owned(),
        moment => output::text(moment),
    }
}

fn path(id: &str, rest: &str) -> String {
    format!("/v1/tokens/{}{rest}", segment(id))
}
