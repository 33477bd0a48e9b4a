//! Import: tokens of other programs, known by their digests, go on here.
//!
//! The fixtures are made as those programs make them: from known secrets, with
//! the hash and the encoding that their sources have.

mod all_or_nothing;
mod calls;
mod files;
mod formats;

use crate::{
    installation::{ADA, Installation},
    process::Outcome,
    server::Server,
    upstream::Upstream,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest as _, Sha256, Sha512};
use std::fmt::Write as _;

const APIS: &str = r#"
[api.orders]
upstream = "UPSTREAM"
schemes = ["token"]

[api.keyed]
upstream = "UPSTREAM"
schemes = ["header"]
header = "x-api-key"
routes = ["GET /files/** -> files:read", "* /** -> files:write"]
[api.keyed.scopes]
"files:read" = "Read files"
"files:write" = "Change files"

[api.longnamed]
upstream = "UPSTREAM"

[api.costs]
upstream = "UPSTREAM"
[api.costs.tokens]
lifetime = { default = "30d", max = "90d" }
[api.costs.scopes]
read = "Read costs"
write = "Change costs"
[api.costs.roles]
viewer = ["read"]
editor = ["read", "write"]
"#;

/// The operator has three people whom the application before knew by number.
const PEOPLE: [(&str, &str); 2] = [("bob@example.com", "1"), ("eve@example.com", "2")];

/// An installation with its people, and an upstream behind it.
struct Stage<I> {
    installation: I,
    upstream: Upstream,
}

impl Stage<Installation> {
    fn set() -> Self {
        let upstream = Upstream::start();
        let configuration = APIS.replace("UPSTREAM", &upstream.url());
        let installation = Installation::new(&configuration).set_up();
        for (email, id) in PEOPLE {
            let create = ["account", "create", "--email", email, "--external-id", id];
            installation.cli(create).done();
        }
        Self { installation, upstream }
    }

    fn start(self) -> Stage<Server> {
        Stage { installation: self.installation.start(), upstream: self.upstream }
    }
}

impl Stage<Server> {
    /// The status of a request with `header`, and who the upstream heard it was.
    fn knock(&self, path: &str, header: &str) -> (u16, Option<String>) {
        let response = self.installation.curl(path, ["--header", header]);
        let received = self.upstream.take();
        let account = received.first().map(|received| received.identity().account);
        (response.status, account)
    }

    #[track_caller]
    fn admits(&self, path: &str, header: &str, account: &str) {
        assert_eq!(self.knock(path, header), (200, Some(account.to_owned())), "{header}");
    }

    #[track_caller]
    fn refuses(&self, path: &str, header: &str) {
        assert_eq!(self.knock(path, header), (401, None), "{header}");
    }
}

/// Has a file imported; `arguments` say what else there is to say.
fn import(installation: &Installation, from: &str, file: &str, arguments: &[&str]) -> Outcome {
    let first = ["import", "--from", from, "-"];
    installation.cli_reading(file, first.iter().chain(arguments))
}

/// Lines of JSON.
fn json_lines(rows: &[Value]) -> String {
    let mut lines = String::new();
    for row in rows {
        writeln!(lines, "{row}").unwrap();
    }
    lines
}

/// The id of an account.
fn id(installation: &Installation, account: &str) -> String {
    let shown = installation.cli(["account", "show", account, "--json"]).done().json();
    shown["id"].as_str().unwrap().to_owned()
}

/// All tokens, in the order of their names.
fn tokens(installation: &Installation) -> Vec<Value> {
    let listed = installation.cli(["token", "list", "--json"]).done().json();
    let mut items = listed["items"].as_array().unwrap().clone();
    items.sort_by_key(|item| item["name"].as_str().unwrap().to_owned());
    items
}

/// The ledger's head, having checked that it agrees with the database.
fn ledger(installation: &Installation) -> (u64, String) {
    let verified = installation.cli(["ledger", "verify", "--json"]).done().json();
    (verified["entries"].as_u64().unwrap(), verified["head"].as_str().unwrap().to_owned())
}

/// Lower-case hexadecimal digits, as Python's `hexdigest` writes them.
fn hex(bytes: impl AsRef<[u8]>) -> String {
    let mut digits = String::new();
    for byte in bytes.as_ref() {
        write!(digits, "{byte:02x}").unwrap();
    }
    digits
}

fn sha256(secret: &str) -> String {
    hex(Sha256::digest(secret))
}

fn sha512(secret: &str) -> String {
    hex(Sha512::digest(secret))
}

/// A secret that looks as one of `digits` in small letters does, the same in every run.
fn hex_secret(name: &str, digits: usize) -> String {
    sha512(name)[..digits].to_owned()
}

/// As better-auth draws one: 64 letters.
fn letters_secret(name: &str) -> String {
    let letters: Vec<char> = ('a'..='z').chain('A'..='Z').collect();
    Sha512::digest(name).iter().map(|byte| letters[usize::from(*byte) % letters.len()]).collect()
}

fn better_auth_key(secret: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(secret))
}
