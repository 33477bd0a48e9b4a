//! `counterfoil serve --demo`: five APIs, an account, and lines to paste.

use super::{Failure, configuration, output};
use crate::{
    app::App,
    config::{Config, Mount},
    entropy,
    service::{
        Caller,
        accounts::AccountName,
        tokens::{Expiry, Issued, NewToken},
    },
};
use anyhow::{Context as _, anyhow};
use counterfoil_core::account::Email;
use std::{net::SocketAddr, path::Path};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// The five contracts, as their own files define them.
const EXAMPLES: [&str; 5] = [
    include_str!("../../examples/facets.toml"),
    include_str!("../../examples/togai.toml"),
    include_str!("../../examples/selectstar.toml"),
    include_str!("../../examples/finout.toml"),
    include_str!("../../examples/aristotle.toml"),
];
const EMAIL: &str = "demo@example.com";

/// One contract's part of the demonstration.
struct Act {
    api: &'static str,
    what: &'static str,
    role: Option<&'static str>,
    scopes: Option<&'static [&'static str]>,
    /// What is wrong with the line that is refused.
    mistake: &'static str,
    /// The arguments of `curl` that are right, and that are wrong: for the
    /// API's address, and the issued secret and client ID.
    lines: fn(&str, &str, &str) -> [String; 2],
}

const ACTS: [Act; 5] = [
    Act {
        api: "facets",
        what: "HTTP Basic, e-mail and token",
        role: None,
        scopes: None,
        mistake: "the token is another person's",
        lines: |address, secret, _| {
            [
                format!("-u '{EMAIL}:{secret}' {address}/cc-ui/v1/stacks"),
                format!("-u 'somebody@example.com:{secret}' {address}/cc-ui/v1/stacks"),
            ]
        },
    },
    Act {
        api: "togai",
        what: "Bearer secret key",
        role: None,
        scopes: None,
        mistake: "one character was mistyped",
        lines: |address, secret, _| {
            let (kept, last) = secret.split_at(secret.len() - 1);
            let wrong = if last == "x" { "y" } else { "x" };
            [
                format!("-H 'Authorization: Bearer {secret}' {address}/customers"),
                format!("-H 'Authorization: Bearer {kept}{wrong}' {address}/customers"),
            ]
        },
    },
    Act {
        api: "selectstar",
        what: "the word is Token",
        role: None,
        scopes: None,
        mistake: "the word was Bearer",
        lines: |address, secret, _| {
            [
                format!("-H 'Authorization: Token {secret}' {address}/v1/tables/"),
                format!("-H 'Authorization: Bearer {secret}' {address}/v1/tables/"),
            ]
        },
    },
    Act {
        api: "finout",
        what: "client ID and secret key",
        role: Some("viewer"),
        scopes: None,
        mistake: "the client ID is not this key's",
        lines: |address, secret, client_id| {
            let line = |id: &str| {
                format!(
                    "-H 'x-finout-client-id: {id}' -H 'x-finout-secret-key: {secret}' \
                     {address}/v1/cost/views"
                )
            };
            [line(client_id), line("00000000-0000-7000-8000-000000000000")]
        },
    },
    Act {
        api: "aristotle",
        what: "a key that may read metadata",
        role: None,
        scopes: Some(&["metadata:read"]),
        mistake: "it may not write",
        lines: |address, secret, _| {
            let url = format!("{address}/api/v4/metadata/");
            [
                format!("-H 'Authorization: Token {secret}' {url}"),
                format!("-X POST -H 'Authorization: Token {secret}' {url}"),
            ]
        },
    },
];

/// The five example APIs; where their upstream is, the server says.
pub(crate) fn configuration() -> Result<Config, Failure> {
    let loaded = configuration::built_in("the built-in examples", EXAMPLES.join("\n"))?;
    let config = loaded.config;
    let listeners = [
        config.server.listen,
        config.gateway.listen,
        config.forward_auth.listen,
        config.metrics.listen,
    ];
    for address in listeners {
        if !address.ip().is_loopback() {
            return Err(Failure::Wrong(anyhow!(
                "the demonstration listens on loopback addresses only, not on {address}"
            )));
        }
    }
    Ok(config)
}

/// A directory that goes when the demonstration ends; none where the operator
/// gave an empty one.
pub(crate) fn directory(given: Option<&Path>) -> Result<Option<TempDir>, Failure> {
    let Some(given) = given else {
        return Ok(Some(tempfile::Builder::new().prefix("counterfoil-demo-").tempdir()?));
    };
    match given.read_dir().map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Ok(false) => Err(Failure::Wrong(anyhow!(
            "the demonstration wants an empty directory, and {} is not empty",
            given.display()
        ))),
        Err(error) => Err(Failure::Wrong(anyhow!("{} cannot be read: {error}", given.display()))),
    }
}

/// Makes the account and a token for each API, and says what to paste.
pub(crate) async fn introduce(
    app: &App,
    config: &Config,
    gateway: SocketAddr,
    data: &Path,
) -> Result<(), Failure> {
    let email: Email = EMAIL.parse().context("the demonstration's address")?;
    let password = Zeroizing::new(random_password());
    app.service
        .initialise(&Caller::Operator, "Demo", email.clone(), None, Some(password.clone()))
        .await
        .context("the demonstration's account")?;
    output::note(format_args!(
        "\nA demonstration: what follows is thrown away when it stops (Ctrl-C).\n\
         The console is at {}: sign in with {EMAIL} and the password {}\n",
        config.server.public_url,
        password.as_str()
    ));
    for act in &ACTS {
        let new = NewToken {
            api: act.api.into(),
            organization: None,
            name: Some("demo".into()),
            note: Some("made by serve --demo".into()),
            owner: Some(AccountName::Email(email.clone())),
            role: act.role.map(str::to_owned),
            scopes: act.scopes.map(|scopes| scopes.iter().map(|s| (*s).to_owned()).collect()),
            expiry: Expiry::Default,
            allowed_networks: Vec::new(),
            external_id: None,
            metadata: None,
        };
        let Issued { token, secret, .. } =
            app.service
                .issue_token(&Caller::Operator, &new)
                .await
                .with_context(|| format!("the demonstration's token for {}", act.api))?;
        let mount = config.apis.iter().find(|api| *api.api.name == *act.api).map(|api| &api.mount);
        let path = match mount {
            Some(Mount::Path { path, .. }) => path.as_str(),
            _ => "",
        };
        let address = format!("http://{gateway}{path}");
        let [works, refused] = (act.lines)(&address, secret.reveal(), &token.token.id.to_string());
        output::print(format_args!("# {}: {}", act.api, act.what))?;
        output::print(format_args!("curl -i {works}"))?;
        output::print(format_args!("# refused: {}", act.mistake))?;
        output::print(format_args!("curl -i {refused}\n"))?;
    }
    output::note(format_args!(
        "Why was one refused? Its X-Request-Id says: {} --data {} why X-REQUEST-ID",
        program(),
        data.display()
    ));
    output::note(format_args!(
        "How many events a second? With togai's secret in a file: {} sample load --url \
         http://{gateway}/togai --secret-file FILE",
        program()
    ));
    Ok(())
}

/// How this program was called, for lines that are to work when pasted.
pub(crate) fn program() -> String {
    let called = std::env::args_os().next().unwrap_or_else(|| "counterfoil".into());
    let called = called.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if called.chars().all(plain) { called.into_owned() } else { format!("'{called}'") }
}

fn random_password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    entropy::bytes::<20>().iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}
