//! The management API for whoever has a token of it: who sees what, and who may what.

mod accounts;
mod audit;
mod authentication;
mod handing_out;
mod idempotency;
mod metadata;
mod names;
mod operators;
mod races;
mod scopes;
mod sight;

use crate::{
    caller::{Caller, SCOPES, says_no},
    installation::{ADA, Installation, Token},
    response::Response,
    server::Server,
};
use serde_json::{Value, json};

/// A member of the first organization, where Ada is the administrator.
const BOB: &str = "bob@example.com";
/// The other organization's administrator, and a member of it.
const EVE: &str = "eve@example.com";
const MALLORY: &str = "mallory@example.com";

/// Any member issues tokens for `orders`, administrators alone for `costs`.
const APIS: &str = r#"
[api.orders]
upstream = "http://127.0.0.1:1"

[api.costs]
upstream = "http://127.0.0.1:1"
issuers = "administrators"
[api.costs.scopes]
read = "Read"
write = "Write"
"#;

/// Two organizations, with everybody's token of the management API and one for
/// `orders`, and a service account in each.
struct Stage {
    server: Server,
    ada: Caller,
    bob: Caller,
    eve: Caller,
    mallory: Caller,
    adas: Token,
    bobs: Token,
    eves: Token,
    bot: Token,
    their_bot: Token,
}

impl Stage {
    fn set() -> Self {
        let server = Installation::new(APIS).set_up().start();
        server.cli(["organization", "create", "--name", "Other"]).done();
        for (email, organization, rank) in [
            (BOB, "Default", "member"),
            (EVE, "Other", "administrator"),
            (MALLORY, "Other", "member"),
        ] {
            let account = ["account", "create", "--email", email, "--rank", rank];
            server.cli(account.iter().chain(&["--organization", organization])).done();
        }
        let all = |owner: &str| Caller::new(&server, owner, &SCOPES, &[]);
        let orders = |owner: &str| server.issue_to(owner, "orders", &[]);
        let bot = |organization: &str| {
            let bot = ["account", "create", "--service", "--name", "bot", "--quiet"];
            let bot = server.cli(bot.iter().chain(&["--organization", organization])).done();
            orders(bot.out.trim())
        };
        Self {
            ada: all(ADA),
            bob: all(BOB),
            eve: all(EVE),
            mallory: all(MALLORY),
            adas: orders(ADA),
            bobs: orders(BOB),
            eves: orders(EVE),
            bot: bot("Default"),
            their_bot: bot("Other"),
            server,
        }
    }

    fn own_organization(&self) -> &str {
        &self.adas.organization
    }

    fn other_organization(&self) -> &str {
        &self.eves.organization
    }

    /// How many entries the ledger has, and what the last one's hash is.
    fn head(&self) -> (Value, Value) {
        let ledger = self.server.cli(["ledger", "verify", "--json"]).done().json();
        (ledger["entries"].clone(), ledger["head"].clone())
    }

    /// Plays a scene after which everything is as it was before.
    #[track_caller]
    fn changes_nothing(&self, scene: impl FnOnce()) {
        let before = self.head();
        scene();
        assert_eq!(self.head(), before);
    }
}

/// Everything that a token, an account or a membership may be changed by.
fn changes_of_token(id: &str) -> [(&'static str, String, Value); 4] {
    [
        ("PATCH", format!("/v1/tokens/{id}"), json!({"state": "paused"})),
        ("PATCH", format!("/v1/tokens/{id}"), json!({"state": "active"})),
        ("POST", format!("/v1/tokens/{id}/rotate"), json!({})),
        ("POST", format!("/v1/tokens/{id}/revoke"), json!({"reason": "because"})),
    ]
}

fn send(caller: &Caller, (method, path, body): &(&'static str, String, Value)) -> Response {
    caller.call(method, path, &body.to_string())
}

/// The ids in a list, which has to be whole.
#[track_caller]
fn ids(response: &Response) -> Vec<String> {
    assert_eq!(response.status, 200, "{response:?}");
    let list = response.json();
    assert_eq!(list["next_cursor"], Value::Null);
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// Checks that something is not there, or might as well not be.
#[track_caller]
fn is_not_found(response: &Response) {
    says_no(response, 404, "not_found");
}

/// Checks that the caller may not do this, and hears why.
#[track_caller]
fn is_forbidden(response: &Response, why: &str) {
    says_no(response, 403, "forbidden");
    assert_eq!(response.json()["detail"], why);
}

const OPERATORS: &str = "only the operator may do this, on the machine that Counterfoil runs on";
const ADMINISTRATORS: &str = "only an administrator may do this";
