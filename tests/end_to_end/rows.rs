//! What can be sent under each of the five contracts, and what comes of it: the
//! same at every door.

use crate::{
    installation::{ADA, Token},
    process::PATIENCE,
    response::Response,
    server::Server,
    upstream::Identity,
    wire::Wire,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use std::time::Instant;

/// A person who has been disabled.
const BOB: &str = "bob@example.com";
/// A person who is no member any more.
const EVE: &str = "eve@example.com";
/// An organization that is closed.
const CLOSED: &str = "Former customer";

/// Ada's, for signing in to the console.
const PASSWORD: &str = "correct horse battery staple";

/// Where every row's request comes from.
pub(crate) const CLIENT: &str = "127.0.0.1";

/// A request under a contract, and what comes of it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) api: &'static str,
    pub(crate) method: &'static str,
    /// Below the API's mount, with a query where there is one.
    pub(crate) path: String,
    /// Header fields, in order.
    pub(crate) fields: Vec<Field>,
    pub(crate) outcome: Outcome,
}

pub(crate) type Field = (&'static str, String);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passes(Identity),
    /// With this status and this true code.
    Refused(u16, &'static str),
}

impl Row {
    /// The path as the gateway has it.
    pub(crate) fn mounted(&self) -> String {
        format!("/{}{}", self.api, self.path)
    }

    /// The header fields as they stand in a request.
    pub(crate) fn lines(&self) -> String {
        let line = |(name, value): &Field| [*name, ": ", value.as_str(), "\r\n"].concat();
        self.fields.iter().map(line).collect()
    }

    /// How many `Authorization` lines it has.
    pub(crate) fn authorization_lines(&self) -> usize {
        let named = |(name, _): &&Field| name.eq_ignore_ascii_case("authorization");
        self.fields.iter().filter(named).count()
    }

    /// What the gateway answers.
    #[track_caller]
    pub(crate) fn at_the_gateway(&self, server: &Server) -> Response {
        let request = format!(
            "{} {} HTTP/1.1\r\nhost: gateway\r\n{}\r\n",
            self.method,
            self.mounted(),
            self.lines()
        );
        Wire::connect(server.gateway).unwrap().exchange(request).unwrap()
    }
}

/// Every contract's rows, with tokens that are made for them.
pub(crate) fn rows(server: &Server) -> Vec<Row> {
    server.cli(["account", "create", "--email", BOB]).done();
    server.cli(["account", "create", "--email", EVE]).done();
    server.cli(["organization", "create", "--name", CLOSED]).done();
    server.cli(["organization", "add-member", CLOSED, ADA]).done();
    let set_password = ["account", "set-password", ADA, "--password-file", "-"];
    server.cli_reading(PASSWORD, set_password).done();
    let rows: Vec<Row> = [facets, togai, selectstar, finout, aristotle]
        .into_iter()
        .flat_map(|contract| contract(server))
        .collect();
    server.cli(["account", "disable", BOB]).done();
    server.cli(["organization", "remove-member", "Default", EVE]).done();
    server.cli(["organization", "close", CLOSED]).done();
    let deadline = Instant::now() + PATIENCE;
    for row in rows.iter().filter(|row| row.outcome == Outcome::Refused(401, "expired")) {
        while row.at_the_gateway(server).status == 200 {
            assert!(Instant::now() < deadline, "{} at {}", row.what, row.api);
        }
    }
    rows
}

/// A contract, as far as the contracts are alike.
struct Contract<'a> {
    server: &'a Server,
    api: &'static str,
    path: &'static str,
    /// What `token create` has to be told, and the role and scopes that come of it.
    grant: &'static [&'static str],
    role: &'static str,
    scopes: &'static str,
    /// The header fields that send a token of somebody's.
    send: fn(&str, &Token) -> Vec<Field>,
}

impl Contract<'_> {
    fn issue(&self, owner: &str, arguments: &[&str]) -> Token {
        let home: &[&str] = if arguments.contains(&"--organization") {
            &[]
        } else {
            &["--organization", "Default"]
        };
        self.server.issue_to(owner, self.api, &[self.grant, home, arguments].concat())
    }

    fn row(&self, what: &'static str, fields: Vec<Field>, outcome: Outcome) -> Row {
        Row { what, api: self.api, method: "GET", path: self.path.to_owned(), fields, outcome }
    }

    fn passes(&self, what: &'static str, fields: Vec<Field>, token: &Token) -> Row {
        self.row(what, fields, Outcome::Passes(identity(token, self.role, self.scopes)))
    }

    fn fails(&self, what: &'static str, fields: Vec<Field>, code: &'static str) -> Row {
        self.row(what, fields, Outcome::Refused(401, code))
    }

    /// What the contracts have in common.
    fn rows(&self) -> Vec<Row> {
        let send = |token: &Token| (self.send)(ADA, token);
        let set = |command: &str, token: &Token| {
            self.server.cli(["token", command, &token.id]).done();
        };
        let live = self.issue(ADA, &[]);
        let near = self.issue(ADA, &["--allowed-network", "127.0.0.0/8"]);
        let far = self.issue(ADA, &["--allowed-network", "192.0.2.0/24"]);
        let [revoked, paused, rotated] = std::array::from_fn(|_| self.issue(ADA, &[]));
        set("revoke", &revoked);
        set("pause", &paused);
        set("rotate", &rotated);
        let another = if self.api == "facets" { "togai" } else { "facets" };
        let foreign = self.server.issue_to(ADA, another, &["--organization", "Default"]);
        let closed = self.issue(ADA, &["--organization", CLOSED]);
        let (disabled, departed) = (self.issue(BOB, &[]), self.issue(EVE, &[]));
        let mistyped = Token { secret: format!("{}x", live.secret), ..live.clone() };
        let repeated = {
            let mut fields = send(&live);
            fields.extend(fields.last().cloned());
            fields
        };
        let expired = self.issue(ADA, &["--expires-in", "1s"]);
        let overlapped = self.issue(ADA, &[]);
        self.server.cli(["token", "rotate", &overlapped.id, "--overlap", "1s"]).done();
        let two_lines =
            [send(&live), authorization("Digest a"), authorization("Digest b")].concat();
        let beside = match self.api {
            "finout" => authorization("Bearer whatever"),
            _ => pair("whatever", "whatever"),
        };
        let truncated = live.secret[..live.secret.len() - 1].to_owned();
        let truncated = Token { secret: truncated, ..live.clone() };
        let in_query = format!("{0}?access_token={1}&token={1}", self.path, live.secret);
        let forbidden = Outcome::Refused(403, "network_not_allowed");
        vec![
            self.passes("a live token", send(&live), &live),
            self.passes("from its network", send(&near), &near),
            self.row("from elsewhere", send(&far), forbidden),
            self.fails("nothing", vec![], "missing_credential"),
            self.fails("twice", repeated, "malformed_credential"),
            self.fails("two Authorization lines", two_lines, "malformed_credential"),
            self.passes("beside another's", [send(&live), beside].concat(), &live),
            Row { path: in_query, ..self.fails("in the query", vec![], "missing_credential") },
            self.fails("truncated", send(&truncated), "unknown_token"),
            self.fails("expired", send(&expired), "expired"),
            self.fails("the old secret, its overlap over", send(&overlapped), "expired"),
            self.fails("mistyped", send(&mistyped), "unknown_token"),
            self.fails("another API's", send(&foreign), "wrong_api"),
            self.fails("revoked", send(&revoked), "revoked"),
            self.fails("paused", send(&paused), "paused"),
            self.fails("the old secret", send(&rotated), "unknown_token"),
            self.fails("a disabled account's", (self.send)(BOB, &disabled), "account_disabled"),
            self.fails("a former member's", (self.send)(EVE, &departed), "account_disabled"),
            self.fails("a closed organization's", send(&closed), "organization_closed"),
        ]
    }
}

fn facets(server: &Server) -> Vec<Row> {
    let contract = Contract {
        server,
        api: "facets",
        path: "/projects",
        grant: &[],
        role: "",
        scopes: "",
        send: |email, token| basic(&format!("{email}:{}", token.secret)),
    };
    let token = contract.issue(ADA, &[]);
    let malformed = "malformed_credential";
    let mut rows = contract.rows();
    rows.extend([
        contract.passes("the scheme in capitals", shouted(ADA, &token), &token),
        contract.fails("somebody else's", (contract.send)(BOB, &token), "owner_mismatch"),
        contract.passes("the address too", (contract.send)("ADA@Example.COM", &token), &token),
        contract.fails("no address", (contract.send)("", &token), "owner_mismatch"),
        contract.fails("a colon in it", (contract.send)("ada:", &token), "unknown_token"),
        contract.fails("the password", basic(&format!("{ADA}:{PASSWORD}")), "unknown_token"),
        contract.fails("a control character", (contract.send)("ada\n", &token), malformed),
        contract.fails("no pair", basic(&token.secret), malformed),
        contract.fails("no padding", unpadded(), malformed),
        contract.fails("not base64", authorization("Basic ?"), malformed),
        contract.fails("a bearer", bearer(&token), "missing_credential"),
    ]);
    rows
}

fn togai(server: &Server) -> Vec<Row> {
    let contract = Contract {
        server,
        api: "togai",
        path: "/events",
        grant: &[],
        role: "",
        scopes: "",
        send: |_, token| bearer(token),
    };
    let token = contract.issue(ADA, &[]);
    let spaced = authorization(&format!("Bearer {} b", token.secret));
    let mut rows = contract.rows();
    rows.extend([
        contract.fails("no token", authorization("Bearer"), "malformed_credential"),
        contract.fails("white space", spaced, "malformed_credential"),
        contract.fails("not ours", authorization("Bearer x"), "unknown_token"),
        contract.fails(
            "the word is Bearer",
            authorization(&format!("Token {}", token.secret)),
            "missing_credential",
        ),
    ]);
    rows
}

fn selectstar(server: &Server) -> Vec<Row> {
    let contract = Contract {
        server,
        api: "selectstar",
        path: "/v1/tables/",
        grant: &[],
        role: "",
        scopes: "",
        send: |_, token| authorization(&format!("Token {}", token.secret)),
    };
    let token = contract.issue(ADA, &[]);
    let mut rows = contract.rows();
    rows.extend([
        contract.fails("the word is Token", bearer(&token), "missing_credential"),
        contract.fails(
            "in that spelling",
            authorization(&format!("token {}", token.secret)),
            "missing_credential",
        ),
        contract.fails("no token", authorization("Token"), "malformed_credential"),
        contract.fails("two words", authorization("Token a b"), "malformed_credential"),
    ]);
    rows
}

fn finout(server: &Server) -> Vec<Row> {
    let contract = Contract {
        server,
        api: "finout",
        path: "/v1/costs",
        grant: &["--role", "viewer"],
        role: "viewer",
        scopes: "read",
        send: |_, token| pair(&token.id, &token.secret),
    };
    let (viewer, other) = (contract.issue(ADA, &[]), contract.issue(ADA, &[]));
    let home = ["--organization", "Default"];
    let editor = server.issue("finout", &[&home[..], &["--role", "editor"]].concat());
    let post = |row: Row| Row { method: "POST", ..row };
    let insufficient = || Outcome::Refused(403, "insufficient_scope");
    let read = || pair(&viewer.id, &viewer.secret);
    let half = "malformed_credential";
    let mut rows = contract.rows();
    rows.extend([
        post(contract.row("a viewer writes", read(), insufficient())),
        post(contract.row(
            "an editor writes",
            pair(&editor.id, &editor.secret),
            Outcome::Passes(identity(&editor, "editor", "read write")),
        )),
        contract.fails("not its ID", pair(&other.id, &viewer.secret), "client_mismatch"),
        contract.fails("no ID", pair("x", &viewer.secret), "client_mismatch"),
        Row { method: "OPTIONS", ..contract.passes("OPTIONS reads", read(), &viewer) },
        Row { method: "BREW", ..contract.row("whatever else writes", read(), insufficient()) },
        contract.fails("the other half", read()[1..].to_vec(), half),
        contract.fails("one half", pair(&viewer.id, "")[..1].to_vec(), "malformed_credential"),
        contract.fails("a bearer", bearer(&viewer), "missing_credential"),
    ]);
    rows
}

fn aristotle(server: &Server) -> Vec<Row> {
    let contract = Contract {
        server,
        api: "aristotle",
        path: "/api/v4/metadata/",
        grant: &["--scope", "metadata:read", "--scope", "search:write"],
        role: "",
        scopes: "metadata:read search:write",
        send: |_, token| authorization(&format!("Token {}", token.secret)),
    };
    let token = contract.issue(ADA, &[]);
    let right = || authorization(&format!("tOkEn {}", token.secret));
    let post = |row: Row| Row { method: "POST", ..row };
    let at = |path: &str, row: Row| Row { path: path.to_owned(), ..row };
    let insufficient = || Outcome::Refused(403, "insufficient_scope");
    let anonymous = || Outcome::Passes(Identity::default());
    let public = "/api/v4/public/pages/1";
    let mut rows = contract.rows();
    rows.extend([
        contract.passes("whatever the word's case", right(), &token),
        post(contract.row("a reader writes", right(), insufficient())),
        post(at("/api/v4/search/7", contract.passes("a writer writes", right(), &token))),
        at("/api/v4/search/7", contract.row("a writer reads", right(), insufficient())),
        at("/api/v3/metadata/", contract.row("outside the areas", right(), insufficient())),
        at(public, contract.row("in public", vec![], anonymous())),
        at(public, contract.row("in public, a bearer", bearer(&token), anonymous())),
        at(public, contract.passes("in public, with a key", right(), &token)),
        at(public, contract.fails("in public, a wrong key", bad_key(), "unknown_token")),
        post(at(public, contract.fails("to public", vec![], "missing_credential"))),
        contract.fails("no key", authorization("Token"), "malformed_credential"),
        contract.fails("spaces", authorization("Token a b"), "malformed_credential"),
        contract.fails("not ASCII", authorization("Token \u{e9}"), "malformed_credential"),
    ]);
    rows
}

fn bad_key() -> Vec<Field> {
    authorization("Token whatever")
}

fn identity(token: &Token, role: &str, scopes: &str) -> Identity {
    Identity {
        token: token.id.clone(),
        account: token.owner.clone(),
        organization: token.organization.clone(),
        role: role.to_owned(),
        scopes: scopes.to_owned(),
    }
}

fn authorization(value: &str) -> Vec<Field> {
    vec![("Authorization", value.to_owned())]
}

fn bearer(token: &Token) -> Vec<Field> {
    authorization(&format!("Bearer {}", token.secret))
}

fn basic(pair: &str) -> Vec<Field> {
    authorization(&format!("Basic {}", BASE64_STANDARD.encode(pair)))
}

fn unpadded() -> Vec<Field> {
    let encoded = BASE64_STANDARD.encode("ada@example.com:");
    authorization(&format!("Basic {}", encoded.trim_end_matches('=')))
}

fn shouted(email: &str, token: &Token) -> Vec<Field> {
    let pair = BASE64_STANDARD.encode(format!("{email}:{}", token.secret));
    vec![("AUTHORIZATION", format!("BASIC {pair}"))]
}

fn pair(client_id: &str, secret: &str) -> Vec<Field> {
    vec![("x-finout-client-id", client_id.to_owned()), ("x-finout-secret-key", secret.to_owned())]
}
