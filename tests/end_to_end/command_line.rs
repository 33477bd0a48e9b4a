//! The command line: every command, for people, for programs and for scripts.

mod access_tokens;
mod accounts;
mod configuration;
mod deny;
mod find;
mod first_steps;
mod invocation;
mod keys;
mod organizations;
mod set_up;
mod tokens;
mod usage;
mod verify;

use crate::installation::Installation;
use serde_json::Value;

const APIS: &str = r#"
[api.orders]
upstream = "http://127.0.0.1:1"

[api.costs]
upstream = "http://127.0.0.1:1"
[api.costs.tokens]
lifetime = { default = "30d", max = "90d" }
[api.costs.scopes]
read = "Read costs"
write = "Change costs"
[api.costs.roles]
viewer = ["read"]
editor = ["read", "write"]
"#;

/// Plays a scene twice, each time in an installation of its own: where no server
/// runs, so that each command opens the data directory itself, and beside one.
fn both_ways(scene: impl Fn(&Installation)) {
    scene(&Installation::new(APIS).set_up());
    scene(&Installation::new(APIS).set_up().start());
}

/// The keys of an object, in order.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The lines of a table or list of facts, each with its white space made one.
fn rows(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}
