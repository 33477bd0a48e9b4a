//! The reference of all settings, as `docs/configuration.md` has it.

use super::{
    key_path::KeyPath,
    schema::{self, Choice, Kind, Node},
    variables,
};
use std::fmt::Write;

const BEGINNING: &str = "\
# Configuration

<!-- Generated from src/config/settings.rs; its test rewrites this page when
     COUNTERFOIL_UPDATE_DOCS is set. -->

## The file

One TOML file: the one that `--config` names, else `counterfoil.toml` in the working
directory, else `/etc/counterfoil/counterfoil.toml`. There need not be one: everything
has a default, but without a file there are no APIs.

`counterfoil config check FILE` reports every mistake with its line and column. A key
that is not on this page is a mistake.

## Variables

A setting with a variable below may also be set in the environment, which wins over the
file. In the name of a variable, `NAME` is the name of an API that the file defines, in
capitals and with `_` for `-`: `COUNTERFOIL_API_MY_ORDERS_UPSTREAM` is the `upstream` of
`[api.my-orders]`. Lists, and tables whose keys are yours to choose, stand in the file
alone. A variable that begins with `COUNTERFOIL_` and sets nothing is reported at the
start, with the nearest one that would.
";

/// Every setting: of the two ways to mount an API each has one, and so have the
/// two kinds of header.
const EXAMPLE: &str = r#"[server]
listen = "127.0.0.1:8080"
public_url = "https://tokens.example.com"
trusted_proxies = ["10.0.0.7"]

[server.tls]
certificate_file = "/etc/counterfoil/tls/fullchain.pem"
key_file = "/etc/counterfoil/tls/privkey.pem"

[gateway]
listen = "0.0.0.0:8081"
public_url = "https://api.example.com"
trusted_proxies = ["10.0.0.7"]
forwarded = "x-forwarded"

[gateway.tls]
certificate_file = "/etc/counterfoil/tls/fullchain.pem"
key_file = "/etc/counterfoil/tls/privkey.pem"

[forward_auth]
listen = "10.0.0.5:8082"
proxy = "caddy"
trusted_proxies = ["10.0.0.0/24", "fd00::/64"]
strip_mounts = true

[forward_auth.tls]
certificate_file = "/etc/counterfoil/tls/fullchain.pem"
key_file = "/etc/counterfoil/tls/privkey.pem"

[metrics]
listen = "127.0.0.1:9090"

[database]
url = "postgres://counterfoil@db.example.com/counterfoil?sslmode=verify-full"
password_file = "/etc/counterfoil/database-password"
ca_file = "/etc/counterfoil/database-ca.pem"
connections = 8

[limiter]
url = "rediss://counterfoil@limits.example.com:6379/0"
password_file = "/etc/counterfoil/limiter-password"
ca_file = "/etc/counterfoil/limiter-ca.pem"
prefix = "counterfoil"
nodes = 3
patience_ms = 50

[log]
format = "json"
level = "info,counterfoil=debug"

[console]
docs = "public"
operators = ["ops@example.com"]
session = "12h"
session_max = "30d"

[mail]
smtp = "smtp://mail.example.com:587"
tls = "starttls"
ca_file = "/etc/counterfoil/mail-ca.pem"
user = "counterfoil"
password_file = "/etc/counterfoil/mail-password"
from = "Counterfoil <tokens@example.com>"

[signing]
rotate = "30d"
keys_directory = "/etc/counterfoil/keys"

[doors]
unproven = "600/60s"

# The shortest useful API: bearer tokens, problem details, any live token may do anything.
[api.orders]
upstream = "http://127.0.0.1:9000"

# One with everything.
[api.costs]
upstream = ["https://costs-1.internal:9001/costs", "https://costs-2.internal:9001/costs"]
mount = { path = "/finance/costs", strip = true }
schemes = ["bearer", "header", "header-pair"]
header = "x-api-key"
header_pair = ["x-client-id", "x-secret-key"]
errors = "message"
realm = "Costs"
issuers = "administrators"
in_flight = 5
rate = ["1000/60s", "10000/24h"]
routes = [
  "GET /health -> anonymous",
  "POST /reports/search -> reports:read",
  "* /{resource}/** -> {resource}:{access}",
]

[api.costs.tokens]
prefix = "costs_live"
lifetime = { default = "90d", max = "365d", never = false }

[api.costs.access_tokens]
lifetime = "24h"
algorithm = "ES256"

[api.costs.cors]
origins = ["https://app.example.com", "http://localhost:5173"]
methods = ["GET", "POST"]
headers = ["authorization", "content-type", "x-api-key"]
expose = ["x-request-id"]
credentials = false
max_age = "1h"

[api.costs.scopes]
read = "See everything"
"reports:read" = "See reports"
"reports:write" = "Write and delete reports"

[api.costs.roles]
viewer = ["read"]
author = ["reports:read", "reports:write"]

[api.costs.upstream_tls]
ca_file = "/etc/counterfoil/upstream-ca.pem"
server_name = "costs.internal"
certificate_file = "/etc/counterfoil/client.pem"
key_file = "/etc/counterfoil/client.key"

[api.costs.timeouts]
connect = "2s"
response = "5m"
upload = "30s"
download = "1m"

[api.costs.health]
path = "/costs/healthz"
interval = "5s"
expect = "204"

[api.costs.console]
ask = ["name", "note", "role", "expiry", "networks"]

[api.costs.words]
menu = ["Settings", "Access keys"]
generate = "New access key"
title = "New access key"
name = "Description"
note = "Purpose"
owner = "Holder"
role = "Access level"
scopes = "Permissions"
expiry = "Valid for"
networks = "Allowed addresses"
submit = "Create access key"
client_id = "Key ID"
secret = "Access key"
revoke = "Delete"
done = "I have copied it"

# One with a host name of its own.
[api.search]
upstream = "http://127.0.0.1:9002"
mount = { host = "search.example.com" }
"#;

/// All settings in Markdown: what each is called in the file and in the
/// environment, its default and its meaning.
pub(crate) fn reference() -> String {
    let mut page = String::from(BEGINNING);
    if let Kind::Table { fields, .. } = &schema::root().kind {
        for (key, node) in fields {
            section(&mut page, &KeyPath::of([key]), node);
        }
    }
    page.push_str("\n## A full example\n\n```toml\n");
    page.push_str(EXAMPLE);
    page.push_str("```\n");
    page
}

fn section(page: &mut String, path: &KeyPath, node: &Node) {
    let (path, fields) = match &node.kind {
        Kind::Table { fields, .. } => (path.clone(), fields),
        Kind::Map { key, item } => {
            let Kind::Table { fields, .. } = &item.kind else {
                heading(page, path, node);
                let value =
                    if matches!(item.kind, Kind::List { .. }) { "[…]" } else { "\"…\"" };
                let _ = writeln!(page, "\nThe keys are yours to choose: `{key} = {value}`.");
                return;
            };
            (path.key(key), fields)
        }
        _ => return,
    };
    heading(page, &path, node);
    let mut rows = String::new();
    for (key, field) in fields {
        row(&mut rows, &path, key, field);
    }
    if !rows.is_empty() {
        page.push_str("\n| setting | default | variable | meaning |\n|---|---|---|---|\n");
        page.push_str(&rows);
    }
    for (key, field) in fields.iter().filter(|(_, field)| is_section(field)) {
        section(page, &path.key(key), field);
    }
}

fn heading(page: &mut String, path: &KeyPath, node: &Node) {
    let _ = writeln!(page, "\n## `[{path}]`\n\n{}", node.about);
}

fn row(rows: &mut String, table: &KeyPath, key: &str, node: &Node) {
    if is_section(node) {
        return;
    }
    let path = key.split('.').fold(table.clone(), |path, key| path.key(key));
    let variable = match node.kind {
        Kind::List { lone: true, .. }
        | Kind::Choice(_)
        | Kind::Text
        | Kind::Flag
        | Kind::Number => {
            format!("`{}`", variables::name(&path))
        }
        _ => "–".to_owned(),
    };
    let default = node.default.as_deref().unwrap_or("–");
    let mut meaning = node.about.clone();
    for Choice { word, about } in choices(&node.kind) {
        let _ = write!(meaning, " `{word}`: {about}");
    }
    let meaning = meaning.replace('|', "\\|");
    let _ = writeln!(rows, "| `{key}` | {default} | {variable} | {meaning} |");
    if let Kind::Table { fields, .. } = &node.kind {
        for (inner, field) in fields {
            row(rows, table, &format!("{key}.{inner}"), field);
        }
    }
}

/// Whether a table is written under a header of its own.
fn is_section(node: &Node) -> bool {
    matches!(node.kind, Kind::Map { .. } | Kind::Table { inline: false, .. })
}

fn choices(kind: &Kind) -> &[Choice] {
    match kind {
        Kind::Choice(choices) => choices,
        Kind::List { item, .. } => choices(&item.kind),
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Config, Environment, Source},
        *,
    };
    use counterfoil_support::certificates::{Authority, Good};

    #[test]
    fn the_documentation_is_current() {
        crate::generated_page::check("configuration.md", &reference());
    }

    #[test]
    fn the_example_has_every_setting_and_no_mistake() {
        /// `tables` are all that stand where `node` does, those of each API among them.
        fn check(node: &Node, path: &str, tables: &[&toml::Table]) {
            match &node.kind {
                Kind::Table { fields, .. } => {
                    for (key, field) in fields {
                        let path = format!("{path}.{key}");
                        // Who has it in a file cannot have it in words as well.
                        if path == ".mail.password" {
                            continue;
                        }
                        let values: Vec<_> =
                            tables.iter().filter_map(|table| table.get(key)).collect();
                        assert!(!values.is_empty(), "{path} is not in the example");
                        let tables: Vec<_> =
                            values.iter().filter_map(|value| value.as_table()).collect();
                        check(field, &path, &tables);
                    }
                }
                Kind::Map { item, .. } => {
                    let values = tables.iter().flat_map(|table| table.values());
                    let tables: Vec<_> = values.filter_map(toml::Value::as_table).collect();
                    check(item, path, &tables);
                }
                _ => {}
            }
        }
        let table: toml::Table = EXAMPLE.parse().unwrap();
        check(schema::root(), "", &[&table]);

        let directory = tempfile::tempdir().unwrap();
        let mut text = EXAMPLE.to_owned();
        let (authority, password) = (include_str!("example_ca.pem"), "hunter2\n");
        for (name, content) in [
            ("mail-ca.pem", authority),
            ("mail-password", password),
            ("database-ca.pem", authority),
            ("database-password", password),
            ("limiter-ca.pem", authority),
            ("limiter-password", password),
            ("upstream-ca.pem", authority),
            ("client.pem", include_str!("example_client.pem")),
            ("client.key", include_str!("example_client.key")),
        ] {
            let file = directory.path().join(name);
            std::fs::write(&file, content).unwrap();
            let named = format!("/etc/counterfoil/{name}");
            assert!(text.contains(&named), "{named}");
            text = text.replace(&named, &file.display().to_string());
        }
        let pair = Authority::new(directory.path()).issue("server", Good::Days(1));
        for (name, file) in [("fullchain.pem", pair.certificate), ("privkey.pem", pair.key)] {
            let named = format!("/etc/counterfoil/tls/{name}");
            assert!(text.contains(&named), "{named}");
            text = text.replace(&named, &file.display().to_string());
        }
        let source = Source { name: "example".into(), text };
        let loaded = Config::load(Some(&source), &Environment::default()).unwrap();
        assert_eq!(loaded.config.apis.len(), 3);
        assert_eq!(loaded.warnings, [""; 0]);
    }
}
