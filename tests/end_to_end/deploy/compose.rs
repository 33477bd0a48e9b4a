//! Three nodes on one machine, as `compose.yaml` has them.

use super::{documents, file, is_sound, keys, names_after, port, python, sharing, text, texts};
use crate::{installation::Installation, process::run, redis::Redis, upstream::Upstream};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;
use toml::Table;

/// Where containers have their secrets.
const SECRETS: &str = "/run/secrets/";

/// Where nodes have the keys that sign access tokens, and where those are made.
pub(super) const KEYS: &str = "/run/signing-keys";
const MADE: &str = "/var/lib/counterfoil";

/// A copy of the directory, with secrets that were made by its own script.
pub(super) struct Made {
    directory: TempDir,
}

impl Made {
    pub(super) fn make() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::copy(file("compose/secrets.sh"), directory.path().join("secrets.sh")).unwrap();
        let made = Self { directory };
        made.run_script().done();
        made
    }

    fn run_script(&self) -> crate::process::Outcome {
        run(Command::new("sh").arg(self.directory.path().join("secrets.sh")), &[])
    }

    pub(super) fn secrets(&self) -> PathBuf {
        self.directory.path().join("secrets")
    }

    /// The keys that its service makes, once.
    pub(super) fn keys(&self) -> PathBuf {
        let directory = self.directory.path().join("keys");
        let compose = compose();
        let command = texts(&compose["services"]["keys"]["command"]);
        let here = directory.to_str().unwrap();
        let command = command.iter().map(|word| if *word == MADE { here } else { word });
        Installation::without_configuration().cli(command).done();
        directory
    }

    pub(super) fn secret(&self, name: &str) -> String {
        fs::read_to_string(self.secrets().join(name)).unwrap()
    }
}

fn compose() -> Value {
    documents("compose/compose.yaml").remove(0)
}

fn configuration() -> Table {
    text("compose/counterfoil.toml").parse().unwrap()
}

fn nodes(compose: &Value) -> BTreeSet<String> {
    keys(&compose["services"]).into_iter().filter(|name| name.starts_with("counterfoil-")).collect()
}

/// What the server of shared limits is started with, with its secrets where they are here.
pub(super) fn valkey_options(made: &Made) -> Vec<String> {
    let compose = compose();
    let command = texts(&compose["services"]["valkey"]["command"]);
    let [program, options @ ..] = &command[..] else { panic!("{command:?}") };
    assert_eq!(*program, "valkey-server");
    let secrets = made.secrets().join("");
    options.iter().map(|option| option.replace(SECRETS, secrets.to_str().unwrap())).collect()
}

#[test]
fn it_is_what_compose_takes() {
    let mut command = python("check-jsonschema");
    command.args(["--builtin-schema", "vendor.compose-spec"]);
    run(command.arg(file("compose/compose.yaml")), &[]).done();
}

#[test]
fn the_configuration_is_sound() {
    let made = Made::make();
    is_sound(&text("compose/counterfoil.toml"), &[(SECRETS, &made.secrets().join(""))]);
}

#[test]
fn what_is_said_twice_is_the_same() {
    let (compose, configuration) = (compose(), configuration());
    let (nginx, nodes) = (text("compose/nginx.conf"), nodes(&compose));
    assert_eq!(nodes.len(), sharing(&configuration));

    // nginx knows all of them, by both of their ports.
    let servers = nginx.lines().filter_map(|line| line.trim().strip_prefix("server counterfoil-"));
    let servers: BTreeSet<_> = servers.map(|rest| rest.split(' ').next().unwrap()).collect();
    let ports = ["server", "gateway"].map(|listener| port(&configuration, listener));
    let expected = nodes.iter().flat_map(|name| ports.map(|port| format!("{name}:{port}")));
    let expected: BTreeSet<_> = expected.collect();
    let servers: BTreeSet<_> = servers.iter().map(|rest| format!("counterfoil-{rest}")).collect();
    assert_eq!(servers, expected);

    // They believe nginx, and nobody else.
    let address = &compose["services"]["nginx"]["networks"]["front"]["ipv4_address"];
    for listener in ["server", "gateway"] {
        let trusted = &configuration[listener]["trusted_proxies"];
        assert_eq!(serde_json::to_value(trusted).unwrap(), serde_json::json!([address]));
    }
    // The names by which they are known.
    for listener in ["server", "gateway"] {
        let url = configuration[listener]["public_url"].as_str().unwrap();
        let name = url.strip_prefix("https://").unwrap();
        assert!(nginx.contains(&format!("server_name {name};")), "{name}");
    }
    // All have the keys that are made before.
    assert_eq!(configuration["signing"]["keys_directory"].as_str(), Some(KEYS));
    assert_eq!(texts(&compose["services"]["keys"]["volumes"]), [format!("keys:{MADE}")]);
    for name in &nodes {
        let service = &compose["services"][name];
        assert!(texts(&service["volumes"]).contains(&&*format!("keys:{KEYS}:ro")), "{name}");
        let waits = &service["depends_on"]["keys"]["condition"];
        assert_eq!(waits, "service_completed_successfully", "{name}");
    }
    // Where there is a node, there is what it reads.
    for (variable, path) in [
        ("COUNTERFOIL_CONFIG", "/etc/counterfoil/counterfoil.toml"),
        ("COUNTERFOIL_DATA", "/var/lib/counterfoil"),
    ] {
        assert!(text("container/Containerfile").contains(&format!("{variable}={path}")), "{path}");
        for name in &nodes {
            let service = &compose["services"][name];
            let mounts = texts(&service["volumes"]).join(" ") + &texts(&service["tmpfs"]).join(" ");
            assert!(mounts.contains(path), "{name} has no {path}");
        }
    }
}

#[test]
fn every_secret_is_made_and_is_whose_it_is() {
    let (compose, made) = (compose(), Made::make());
    let defined = keys(&compose["secrets"]);
    for name in &defined {
        let from = compose["secrets"][name]["file"].as_str().unwrap();
        assert_eq!(from, format!("./secrets/{name}"));
        // Containers have users of their own, who have to be able to read it.
        let bits = fs::metadata(made.secrets().join(name)).unwrap().permissions().mode();
        assert_eq!(bits & 0o777, 0o644, "{name}");
    }
    assert_eq!(fs::metadata(made.secrets()).unwrap().permissions().mode() & 0o777, 0o700);
    let there = fs::read_dir(made.secrets()).unwrap();
    let there: BTreeSet<_> =
        there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, defined);

    // Who reads one has been given it, and nobody has been given more.
    for (name, service) in compose["services"].as_object().unwrap() {
        let mut reads = service["command"].to_string() + &service["environment"].to_string();
        if name.starts_with("counterfoil-") {
            reads += &text("compose/counterfoil.toml");
        } else if name == "nginx" {
            reads += &text("compose/nginx.conf");
        }
        let given = service.get("secrets").map(texts).unwrap_or_default();
        let given: BTreeSet<_> = given.into_iter().map(str::to_owned).collect();
        assert_eq!(given, names_after(&reads, SECRETS), "{name}");
    }

    // The second time it leaves them as they are.
    let before = made.secret("database-password");
    assert!(made.run_script().failed(1).contains("there already"));
    assert_eq!(made.secret("database-password"), before);
}

/// The server of shared limits as compose starts it, under the access list that the script makes.
#[test]
fn limits_are_shared_by_who_may_do_that_alone() {
    let made = Made::make();
    let (users, password) = (made.secret("valkey-users"), made.secret("limiter-password"));
    let password = password.trim();
    // What the documentation shows is what the script writes.
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/shared-limits.md");
    let shown = fs::read_to_string(page).unwrap();
    let shown = shown.lines().find(|line| line.starts_with("user counterfoil")).unwrap();
    assert!(users.contains(&shown.replace("PASSWORD", password)), "{users}");

    let options = valkey_options(&made);
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let redis = Redis::with(&options);
    assert!(redis.says(&["ping"]).contains("NOAUTH"));
    let counterfoil = ["--no-auth-warning", "--user", "counterfoil", "--pass", password];
    let said = |words: &[&str]| redis.says(&[&counterfoil[..], words].concat());
    assert!(said(&["set", "another", "1"]).contains("NOPERM"));
    assert_eq!(said(&["set", "counterfoil:a", "1"]), "OK");

    // By a socket there is no user to name, so it is the default one here.
    let users = users.replace("user default off\n", "").replace("counterfoil on", "default on");
    fs::write(made.secrets().join("valkey-users"), users).unwrap();
    let redis = Redis::with(&options);
    let upstream = Upstream::start();
    let file = made.secrets().join("limiter-password");
    let (url, file) = (redis.url(), file.display());
    let configuration = format!(
        "[limiter]\nurl = \"{url}\"\npassword_file = \"{file}\"\nnodes = 1\npatience_ms = 1000\n\
         [api.orders]\nupstream = \"{}\"\nrate = \"2/60s\"\nin_flight = 1\n",
        upstream.url()
    );
    let server = Installation::new(&configuration).set_up().start();
    let token = server.issue("orders", &[]);
    let bearer = format!("Authorization: Bearer {}", token.secret);
    let statuses = [200, 200, 429].map(|_| server.curl("/orders/7", ["--header", &bearer]).status);
    assert_eq!(statuses, [200, 200, 429]);
    let metrics = server.scrape();
    assert!(metrics.contains("counterfoil_limiter_shared_up 1"), "{metrics}");
    assert!(metrics.contains("counterfoil_limiter_decided_alone_total 0"), "{metrics}");
}
