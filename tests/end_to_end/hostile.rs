//! Everything that a stranger may send, and what comes of it: the right
//! refusal, and nothing else.
//!
//! [`rows`] are requests that can be made at every door; each door adds what
//! only it can be sent.

mod forward_auth;
mod gateway;
mod management;
mod verify;

use crate::{
    installation::{ADA, Installation, Token},
    response::Response,
    server::Server,
    upstream::{Identity, Upstream},
    wire::Wire,
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD},
};
use serde_json::Value;
use std::net::SocketAddr;

/// The administrator of another organization.
const EVE: &str = "eve@example.com";

/// Where `orders` is at the gateway, so that paths there are what they look like.
const HOST: &str = "orders.example.com";

const APIS: &str = r#"
[gateway]
trusted_proxies = ["127.0.0.2"]

[api.orders]
upstream = "UPSTREAM"
mount = { host = "orders.example.com" }
routes = [
  "GET /public/** -> anonymous",
  "* /secret/** -> admin",
  "* /** -> {access}",
]
[api.orders.scopes]
read = "Read"
write = "Write"
admin = "Everything"

[api.keyed]
upstream = "UPSTREAM"
schemes = ["header", "bearer"]
header = "x-api-key"

[api.paired]
upstream = "UPSTREAM"
schemes = ["header-pair"]
header_pair = ["x-client-id", "x-secret-key"]

[api.basic]
upstream = "UPSTREAM"
schemes = ["basic"]
"#;

/// A server, two organizations, and tokens.
struct Stage {
    server: Server,
    upstream: Upstream,
    /// May read `orders`.
    reader: Token,
    /// May read `orders` from elsewhere.
    bound: Token,
    keyed: Token,
    paired: Token,
    other_pair: Token,
    basic: Token,
    /// Of another organization.
    eves: Token,
    eves_pair: Token,
}

/// What is sent, and what has to come of it at every door.
#[derive(Debug, Clone)]
struct Row {
    what: &'static str,
    api: &'static str,
    method: &'static str,
    target: String,
    fields: Vec<(&'static str, Vec<u8>)>,
    comes: Comes,
}

#[derive(Debug, Clone, PartialEq)]
enum Comes {
    /// The API refuses, with this status and this true reason.
    Refused(u16, &'static str),
    /// The path has two readings.
    Ambiguous,
    /// It passes, as what it truly is and as nothing else.
    Passes(Identity),
}

impl Stage {
    fn set() -> Self {
        Self::on(|_| {})
    }

    /// One whose installation has been prepared.
    fn on(prepare: impl FnOnce(&mut Installation)) -> Self {
        let upstream = Upstream::start();
        let mut installation = Installation::new(&APIS.replace("UPSTREAM", &upstream.url()));
        prepare(&mut installation);
        let server = installation.set_up().start();
        server.cli(["organization", "create", "--name", "Other"]).done();
        let eve = ["account", "create", "--email", EVE, "--organization", "Other"];
        server.cli(eve.iter().chain(&["--rank", "administrator"])).done();
        let elsewhere = ["--scope", "read", "--allowed-network", "192.0.2.0/24"];
        Self {
            reader: server.issue("orders", &["--scope", "read"]),
            bound: server.issue("orders", &elsewhere),
            keyed: server.issue("keyed", &[]),
            paired: server.issue("paired", &[]),
            other_pair: server.issue("paired", &[]),
            basic: server.issue("basic", &[]),
            eves: server.issue_to(EVE, "basic", &[]),
            eves_pair: server.issue_to(EVE, "paired", &[]),
            server,
            upstream,
        }
    }

    /// Plays a scene that leaves everything as it was.
    #[track_caller]
    fn changes_nothing(&self, scene: impl FnOnce()) {
        let head = || self.server.cli(["ledger", "verify", "--json"]).done().json();
        let before = head();
        scene();
        assert_eq!(head(), before);
    }

    /// The true reason of a refusal, as the operator learns it.
    fn true_code(&self, request_id: &str) -> Value {
        let path = format!("/v1/refusals/{request_id}");
        let answer = self.server.operator().unwrap().call("GET", &path, "").unwrap();
        answer.json()["code"].clone()
    }

    /// Checks that the API has refused, and that only the operator learns why.
    #[track_caller]
    fn is_refused(&self, what: &str, answer: &Response, status: u16, code: &str) {
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        assert_eq!(self.true_code(answer.request_id()), code, "{what}: {answer:?}");
        let challenged = !answer.values("www-authenticate").is_empty();
        // One that is forbidden may be told which scope it lacks (RFC 6750 §3).
        assert!(challenged || status != 401, "{what}: {answer:?}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        // The answer to a HEAD has no body.
        if !answer.body.is_empty() {
            is_problem(what, answer, status, outward(code));
        }
    }
}

/// Checks a problem document.
#[track_caller]
fn is_problem(what: &str, answer: &Response, status: u16, code: &str) {
    assert_eq!(answer.header("content-type"), "application/problem+json", "{what}: {answer:?}");
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{what}: {answer:?}");
    assert_eq!(problem["status"], status, "{what}: {answer:?}");
    assert_eq!(problem["request_id"], answer.request_id(), "{what}: {answer:?}");
}

/// What a stranger sees of a true reason.
fn outward(code: &str) -> &str {
    match code {
        "wrong_api" | "owner_mismatch" | "client_mismatch" => "unknown_token",
        other => other,
    }
}

/// Sends a whole request; what comes may have no body.
fn exchange(address: SocketAddr, request: &[u8]) -> Response {
    let mut wire = Wire::connect(address).unwrap();
    wire.send(request).unwrap();
    if request.starts_with(b"HEAD ") {
        return Response::parse(&wire.read_head().unwrap(), Vec::new());
    }
    wire.read_response().unwrap()
}

/// Checks that what is sent ends the connection with a bare status: it is no
/// HTTP, so nobody knows where the next request would begin.
#[track_caller]
fn is_no_http(address: SocketAddr, what: &str, request: &[u8]) {
    let mut wire = Wire::connect(address).unwrap();
    wire.send(request).unwrap();
    let answer = wire.read_response().unwrap();
    assert_eq!((answer.status, answer.text()), (400, ""), "{what}");
    assert_eq!(wire.read_to_end().unwrap(), b"", "{what}");
}

/// Fields that take 64 KiB, with the name of the largest.
fn oversized() -> [(&'static str, String); 3] {
    let large = "x".repeat(64 * 1024);
    [
        ("x-large", format!("x-large: {large}\r\n")),
        ("authorization", format!("authorization: Bearer {large}\r\n")),
        ("x-many", format!("x-many: {}\r\n", "x".repeat(1000)).repeat(66)),
    ]
}

/// Checks the answer to such fields.
#[track_caller]
fn is_too_large(name: &str, answer: &Response) {
    is_problem(name, answer, 431, "head_too_large");
    assert_eq!(answer.json()["field"], name);
    let detail = format!("{name}: the request's head is larger than 65536 bytes");
    assert_eq!(answer.json()["detail"], detail);
}

fn bearer(secret: &str) -> Vec<u8> {
    format!("Bearer {secret}").into()
}

fn basic(pair: impl AsRef<[u8]>) -> Vec<u8> {
    format!("Basic {}", BASE64_STANDARD.encode(pair)).into()
}

fn identity(token: &Token, scopes: &str) -> Identity {
    Identity {
        token: token.id.clone(),
        account: token.owner.clone(),
        organization: token.organization.clone(),
        role: String::new(),
        scopes: scopes.to_owned(),
    }
}

/// `text` with another character at `at`.
fn changed(text: &str, at: usize) -> String {
    let other = if &text[at..=at] == "x" { "y" } else { "x" };
    [&text[..at], other, &text[at + 1..]].concat()
}

const MALFORMED: Comes = Comes::Refused(401, "malformed_credential");
const MISSING: Comes = Comes::Refused(401, "missing_credential");
const UNKNOWN: Comes = Comes::Refused(401, "unknown_token");
const INSUFFICIENT: Comes = Comes::Refused(403, "insufficient_scope");

/// What can be sent to every door.
fn rows(stage: &Stage) -> Vec<Row> {
    let mut rows = credentials(stage);
    rows.extend(secrets(stage));
    rows.extend(requests(stage));
    rows
}

fn row(
    what: &'static str,
    api: &'static str,
    fields: Vec<(&'static str, Vec<u8>)>,
    comes: Comes,
) -> Row {
    Row { what, api, method: "GET", target: "/orders/7".into(), fields, comes }
}

/// Ways to send a credential.
fn credentials(stage: &Stage) -> Vec<Row> {
    let Stage { reader, keyed, paired, basic: token, .. } = stage;
    let right = || ("authorization", bearer(&reader.secret));
    let pair = |id: &str, secret: &str| {
        vec![("x-client-id", id.as_bytes().to_vec()), ("x-secret-key", secret.as_bytes().to_vec())]
    };
    let key = || ("x-api-key", keyed.secret.as_bytes().to_vec());
    let right_pair = || pair(&paired.id, &paired.secret);
    let with_email = |email: &str| format!("{email}:{}", token.secret);
    let short = BASE64_STANDARD.encode(format!("{ADA}:"));
    let spare_bits = short.replace("Og==", "Oh==");
    assert_ne!(spare_bits, short);
    let no_padding = BASE64_STANDARD_NO_PAD.encode(format!("{ADA}:"));
    let at = |api, what, fields, comes| row(what, api, fields, comes);
    let orders = |what, value: &str| {
        row(what, "orders", vec![("authorization", value.as_bytes().to_vec())], MALFORMED)
    };
    let basics =
        |what, value: Vec<u8>, comes| row(what, "basic", vec![("authorization", value)], comes);
    let other_scheme = || ("authorization", basic(with_email(ADA)));
    vec![
        at("orders", "two Authorization headers", vec![right(), right()], MALFORMED),
        at("orders", "one of them of another scheme", vec![right(), other_scheme()], MALFORMED),
        at("orders", "one of them empty", vec![("Authorization", vec![]), right()], MALFORMED),
        at(
            "orders",
            "one of them in other letters",
            vec![("AUTHORIZATION", bearer(&reader.secret)), right()],
            MALFORMED,
        ),
        at(
            "keyed",
            "two schemes at once",
            vec![key(), ("authorization", bearer(&keyed.secret))],
            MALFORMED,
        ),
        at("keyed", "a credential header twice", vec![key(), key()], MALFORMED),
        at("paired", "a pair twice", [right_pair(), right_pair()].concat(), MALFORMED),
        at("paired", "half a pair", right_pair()[1..].to_vec(), MALFORMED),
        basics("base64 without its padding", format!("Basic {no_padding}").into(), MALFORMED),
        basics("base64 with bits to spare", format!("Basic {spare_bits}").into(), MALFORMED),
        basics("base64 of another alphabet", b"Basic _-==".to_vec(), MALFORMED),
        basics("no base64", format!("Basic {}", with_email(ADA)).into(), MALFORMED),
        basics("a NUL in base64", basic(with_email(ADA) + "\0"), MALFORMED),
        basics("no UTF-8 in base64", basic(b"ada@example.com:\xff\xfe"), MALFORMED),
        basics("no colon", basic(&token.secret), MALFORMED),
        basics("an e-mail with a colon", basic(with_email("ada:@example.com")), UNKNOWN),
        basics(
            "somebody else's e-mail",
            basic(with_email(EVE)),
            Comes::Refused(401, "owner_mismatch"),
        ),
        orders("white space inside", "Bearer a b"),
        orders("a tab inside", "Bearer a\tb"),
        orders("in quotes", &format!("Bearer \"{}\"", reader.secret)),
        orders("in a list", &format!("Bearer {0}, Bearer {0}", reader.secret)),
        orders("the word alone", "Bearer"),
        at("orders", "no UTF-8", vec![("authorization", b"Bearer \xff\xfe".to_vec())], MALFORMED),
        at("orders", "UTF-8", vec![("authorization", "Bearer é".into())], MALFORMED),
        at("orders", "nothing", vec![], MISSING),
        at("orders", "an empty field", vec![("authorization", vec![])], MISSING),
        at("orders", "a scheme that is not accepted", vec![other_scheme()], MISSING),
        at("orders", "no scheme", vec![("authorization", reader.secret.clone().into())], MISSING),
        at(
            "orders",
            "in a cookie",
            vec![("cookie", [b"token=", reader.secret.as_bytes()].concat())],
            MISSING,
        ),
        at("orders", "for a proxy", vec![("proxy-authorization", bearer(&reader.secret))], MISSING),
        at(
            "orders",
            "in another spelling",
            vec![("x_authorization", bearer(&reader.secret))],
            MISSING,
        ),
        Row {
            target: format!("/orders/7?access_token={0}&token={0}", reader.secret),
            ..at("orders", "in the query string", vec![], MISSING)
        },
        Row {
            target: format!("/orders/7?x-client-id={}&x-secret-key={}", paired.id, paired.secret),
            ..at("paired", "a pair in the query string", vec![], MISSING)
        },
    ]
}

/// Secrets that are not the right one.
fn secrets(stage: &Stage) -> Vec<Row> {
    let Stage { reader, keyed, paired, other_pair, eves, eves_pair, .. } = stage;
    let secret = &reader.secret;
    let shown = |what, shown: String, comes| {
        row(what, "orders", vec![("authorization", bearer(&shown))], comes)
    };
    let pair = |what, id: &str, secret: &str, comes| {
        let fields = vec![("x-client-id", id.into()), ("x-secret-key", secret.into())];
        row(what, "paired", fields, comes)
    };
    let mismatch = || Comes::Refused(401, "client_mismatch");
    let last = secret.len() - 1;
    vec![
        shown("one character changed, in the middle", changed(secret, secret.len() / 2), UNKNOWN),
        shown("one character changed, at the end", changed(secret, last), UNKNOWN),
        shown("one character changed, at the beginning", changed(secret, 0), UNKNOWN),
        shown("truncated by one", secret[..last].to_owned(), UNKNOWN),
        shown("truncated at the beginning", secret[1..].to_owned(), UNKNOWN),
        shown("truncated by half", secret[..secret.len() / 2].to_owned(), UNKNOWN),
        shown("its prefix alone", "orders_".to_owned(), UNKNOWN),
        shown("one character more", format!("{secret}0"), UNKNOWN),
        shown("in capitals", secret.to_uppercase(), UNKNOWN),
        shown("its id", reader.id.clone(), UNKNOWN),
        shown("8 KiB", "x".repeat(8 * 1024), UNKNOWN),
        shown(
            "with white space around it",
            format!("  {secret} "),
            Comes::Passes(identity(reader, "read")),
        ),
        shown("of another API", keyed.secret.clone(), Comes::Refused(401, "wrong_api")),
        row(
            "of another organization, with one's own e-mail",
            "basic",
            vec![("authorization", basic(format!("{ADA}:{}", eves.secret)))],
            Comes::Refused(401, "owner_mismatch"),
        ),
        row(
            "of another organization: it is that one's",
            "basic",
            vec![("authorization", basic(format!("{EVE}:{}", eves.secret)))],
            Comes::Passes(identity(eves, "")),
        ),
        pair("a client ID of another token", &other_pair.id, &paired.secret, mismatch()),
        pair("a client ID of another organization", &eves_pair.id, &paired.secret, mismatch()),
        pair("a client ID of another API", &reader.id, &paired.secret, mismatch()),
        pair("no client ID", "x", &paired.secret, mismatch()),
        pair("the two exchanged", &paired.secret, &paired.id, UNKNOWN),
    ]
}

/// Requests that would be another, if they could.
fn requests(stage: &Stage) -> Vec<Row> {
    let Stage { reader, bound, .. } = stage;
    let passes = || Comes::Passes(identity(reader, "read"));
    let with = |what, more: &[(&'static str, &str)], comes| {
        let more = more.iter().map(|(name, value)| (*name, (*value).into()));
        let right = ("authorization", bearer(&reader.secret));
        row(what, "orders", [right].into_iter().chain(more).collect(), comes)
    };
    let bare = |what, more: &[(&'static str, &str)], comes| {
        let mut row = with(what, more, comes);
        row.fields.remove(0);
        row
    };
    let to = |target: &str, row: Row| Row { target: target.to_owned(), ..row };
    let by = |method, row: Row| Row { method, ..row };
    let forged = [
        ("X-Counterfoil-Account", "root"),
        ("X_Counterfoil_Account", "root"),
        ("x-counterfoil_role", "root"),
        ("X-Counterfoil-Scopes", "admin"),
        ("X_COUNTERFOIL_TOKEN_ID", "root"),
    ];
    let named = ("Connection", "X-Counterfoil-Account, X_Counterfoil_Account, Authorization");
    let another = [
        ("X-Original-URL", "/public/7"),
        ("X-Rewrite-URL", "/public/7"),
        ("X-Envoy-Original-Path", "/public/7"),
        ("X-HTTP-Method-Override", "GET"),
        ("X-HTTP-Method", "GET"),
        ("X-Method-Override", "GET"),
        ("X_Original_URI", "/public/7"),
        ("X_Forwarded_Uri", "/public/7"),
        ("X_Forwarded_Method", "GET"),
    ];
    let from = [
        ("Forwarded", "for=192.0.2.1"),
        ("True-Client-IP", "192.0.2.1"),
        ("X-Client-IP", "192.0.2.1"),
        ("X_Forwarded_For", "192.0.2.1"),
        ("X_Real_IP", "192.0.2.1"),
    ];
    let elsewhere = Comes::Refused(403, "network_not_allowed");
    let mut from_elsewhere = bare("an address of its own making", &from, elsewhere);
    from_elsewhere.fields.push(("authorization", bearer(&bound.secret)));
    let nobody = || Comes::Passes(Identity::default());
    let mut rows = vec![
        with("an identity", &forged, passes()),
        with("an identity, named in Connection", &[&forged[..], &[named]].concat(), passes()),
        with("a credential, named in Connection", &[named], passes()),
        to("/public/7", bare("an identity for nobody", &forged, nobody())),
        bare("an identity alone", &forged, MISSING),
        bare("another request's target", &another, MISSING),
        by("POST", with("another request's target and method", &another, INSUFFICIENT)),
        to("/secret", with("another request's target, with a token", &another, INSUFFICIENT)),
        from_elsewhere,
        by("HEAD", with("HEAD reads", &[], passes())),
        by("HEAD", bare("HEAD without a token", &[], MISSING)),
        by("OPTIONS", with("OPTIONS reads", &[], passes())),
        by("OPTIONS", bare("OPTIONS without a token", &[], MISSING)),
        to("/public/7", by("HEAD", bare("HEAD of what is public", &[], nobody()))),
        to("/public/7", by("OPTIONS", bare("OPTIONS is no GET", &[], MISSING))),
        to("/secret", with("a route for others", &[], INSUFFICIENT)),
    ];
    for method in ["BREW", "get", "Get", "PROPFIND", "TRACE", "DELETE", "M-SEARCH"] {
        rows.push(by(method, with("a method that could do anything", &[], INSUFFICIENT)));
        rows.push(to("/public/7", by(method, bare("the same, of what is public", &[], MISSING))));
    }
    // One reading: that of the letters.
    for target in ["/%73ecret", "/s%65cret/7", "/secret/", "/secret?x=/public/7"] {
        rows.push(to(target, with("a guarded path, written otherwise", &[], INSUFFICIENT)));
        rows.push(to(target, bare("the same, without a token", &[], MISSING)));
    }
    for target in [
        "/public/../secret",
        "//secret",
        "/%2e%2e/secret",
        "/public/%2E%2E/secret",
        "/public/./7",
        "/public/..;/secret",
        "/public\\..\\secret",
        "/public%2f..%2fsecret",
        "/public/7%00",
        "/public/%zz",
    ] {
        rows.push(to(target, with("a path with two readings", &[], Comes::Ambiguous)));
        rows.push(to(target, bare("the same, without a token", &[], Comes::Ambiguous)));
    }
    rows
}
