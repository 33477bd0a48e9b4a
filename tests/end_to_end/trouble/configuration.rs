//! A configuration with a mistake: nothing starts, and the mistake is named.

use super::ORDERS;
use crate::installation::{ADA, Installation};

/// What the server says to `configuration`.
#[track_caller]
fn refused(configuration: &str) -> String {
    let installation = Installation::new(configuration);
    let error = installation.cli(["serve"]).failed(2);
    assert!(error.starts_with("counterfoil: the configuration is wrong\n"), "{error}");
    assert!(!installation.data().exists(), "{error}");
    // The same words from whoever else reads it.
    assert_eq!(installation.cli(["config", "check"]).failed(2), error);
    assert_eq!(installation.cli(["init", "--email", ADA]).failed(2), error);
    error
}

#[test]
fn the_line_and_the_key_are_named() {
    for (configuration, line, key, hint) in [
        ("[gatway]\n", 1, "gatway", "did you mean gateway?"),
        ("[gateway]\nlisten_on = \"127.0.0.1:1\"\n", 2, "gateway.listen_on", "listen"),
        ("[log]\nformat = \"loud\"\n", 2, "log.format", "auto, text, json"),
        ("[log]\nlevel = \"a=b=c\"\n", 2, "log.level", "level"),
        ("[log]\nlevel = 3\n", 2, "log.level", "text"),
        ("[database]\nurl = \"sqlite:../escape.db\"\n", 2, "database.url", "file"),
        ("[database]\nurl = \"mysql://x\"\n", 2, "database.url", "sqlite:"),
        ("[database]\nurl = \"postgres://x\"\n", 2, "database.url", "a user before the host"),
        ("\n[api.orders]\nerrors = \"oauth\"\n", 2, "api.orders", "upstream"),
        ("[api.Orders]\nupstream = \"http://x\"\n", 1, "api.Orders", "a-z"),
        ("[api.refusals]\nupstream = \"http://x\"\n", 1, "api.refusals", "taken"),
        ("[api.x]\nupstream = \"http://x/?q\"\n", 2, "api.x.upstream", "no query"),
        ("[api.x]\nupstream = \"http://u:p@x\"\n", 2, "api.x.upstream", "no user name"),
        (
            "[api.x]\nupstream = \"http://x\"\nschemes = [\"carrier-pigeon\"]\n",
            3,
            "api.x.schemes",
            "basic",
        ),
        ("[api.x]\nupstream = \"http://x\"\nschemes = [\"header\"]\n", 1, "api.x.header", "x-"),
        ("[api.x]\nupstream = \"http://x\"\nroutes = [\"GET /a\"]\n", 3, "api.x.routes", "->"),
        (
            "[api.x]\nupstream = \"http://x\"\nroutes = [\n  \"* /** -> any\",\n  \
          \"GET /a/../b -> any\",\n]\n",
            5,
            "api.x.routes[1]",
            "a path begins with /",
        ),
        (
            "[api.x]\nupstream = \"http://x\"\n[api.x.tokens]\nlifetime = { max = \"1y\" }\n",
            4,
            "api.x.tokens.lifetime.max",
            "90d",
        ),
        (
            "[api.x]\nupstream = \"http://x\"\n[api.x.roles]\nking = [\"rule\"]\n",
            4,
            "api.x.roles.king[0]",
            "is not declared",
        ),
    ] {
        let error = refused(configuration);
        let place = format!("counterfoil.toml:{line}:");
        assert!(error.contains(&place), "{place}\n{configuration}\n{error}");
        assert!(error.contains(key), "{key}\n{configuration}\n{error}");
        assert!(error.contains(hint), "{hint}\n{configuration}\n{error}");
    }
}

#[test]
fn what_two_apis_cannot_share() {
    let two = format!("{ORDERS}[api.other]\nupstream = \"http://127.0.0.1:1\"\n");
    let prefixes = format!("{two}tokens.prefix = \"orders\"\n");
    let error = refused(&prefixes);
    assert!(error.contains("api.other.tokens.prefix") && error.contains("orders"), "{error}");
    let mounts = format!("{two}mount = {{ path = \"/orders\" }}\n");
    let error = refused(&mounts);
    assert!(error.contains("api.other.mount") && error.contains("orders"), "{error}");
}

#[test]
fn an_upstream_that_could_not_be_checked() {
    let orders = "[api.orders]\nupstream = \"https://127.0.0.1:1\"\n";
    let error = refused(&format!("{orders}upstream_tls = {{ ca_file = \"/nowhere\" }}\n"));
    let place = "counterfoil.toml:3:28: api.orders.upstream_tls.ca_file";
    assert!(error.contains(place), "{error}");
    assert!(error.contains("cannot read this file"), "{error}");
    let error = refused(&format!("{orders}upstream_tls = {{ verify = false }}\n"));
    assert!(error.contains("upstream_tls.verify: unknown key"), "{error}");
}

#[test]
fn what_is_not_toml() {
    let error = refused("[api.orders]\nupstream = \"http://x\n");
    assert!(error.contains("counterfoil.toml:2:"), "{error}");
    let error = refused("[api.orders]\nupstream = \"http://x\"\nupstream = \"http://y\"\n");
    assert!(error.contains("counterfoil.toml:3:"), "{error}");
    let installation = Installation::new("");
    std::fs::write(installation.configuration(), b"# \xff\n").unwrap();
    let error = installation.cli(["serve"]).failed(2);
    assert!(error.contains("is not UTF-8, from byte 2 on"), "{error}");
}

#[test]
fn a_variable_with_a_mistake_is_named() {
    for (variable, value) in [
        ("COUNTERFOIL_GATEWAY_LISTEN", "everywhere"),
        ("COUNTERFOIL_GATEWAY_LISTEN", "127.0.0.1:99999"),
        ("COUNTERFOIL_LOG_LEVEL", "a=b=c"),
        ("COUNTERFOIL_API_ORDERS_UPSTREAM", "nowhere"),
        ("COUNTERFOIL_API_ORDERS_MOUNT_STRIP", "perhaps"),
    ] {
        let mut installation = Installation::new(ORDERS);
        installation.set(variable, value);
        let error = installation.cli(["serve"]).failed(2);
        assert!(error.contains(variable), "{error}");
        assert!(!installation.data().exists());
    }
}

#[test]
fn a_file_that_cannot_be_read() {
    let installation = Installation::new(ORDERS);
    let missing = installation.home().join("missing.toml");
    let error = installation.cli(["serve", "--config", missing.to_str().unwrap()]).failed(2);
    assert!(error.starts_with("counterfoil: cannot read the configuration "), "{error}");
    assert!(error.contains("missing.toml"), "{error}");
    let directory = installation.home().to_str().unwrap();
    installation.cli(["serve", "--config", directory]).failed(2);
}

#[test]
fn beside_a_running_server_only_the_servers_own_counts() {
    let server = Installation::new(ORDERS).set_up().start();
    std::fs::write(server.configuration(), "nonsense").unwrap();
    // The server answers; its file is not read again.
    server.issue("orders", &[]);
    let installation = server.stop();
    installation.cli(["token", "list"]).failed(2);
}
