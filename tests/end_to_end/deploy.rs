//! What `deploy/` shows: each file is held against the program that reads it, and against the
//! others.

mod balancer;
mod compose;
mod kubernetes;
mod together;
mod unit;

use crate::{
    installation::{Installation, built},
    process::run,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};
use toml::Table;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The documents of a file in YAML, as Python's library reads them.
fn documents(name: &str) -> Vec<Value> {
    const READ: &str =
        "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))";
    let mut command = python("python");
    let read = run(command.args(["-c", READ]), text(name).as_bytes()).done();
    serde_json::from_str(&read.out).unwrap()
}

/// A program of the Python environment that `cargo xtask test` makes.
fn python(name: &str) -> Command {
    Command::new(built(&format!("tools/python/bin/{name}")))
}

/// Checks that the program takes a configuration; `elsewhere` says which paths of the
/// configuration are where, here.
#[track_caller]
fn is_sound(configuration: &str, elsewhere: &[(&str, &Path)]) {
    let mut text = configuration.to_owned();
    for (there, here) in elsewhere {
        assert!(text.contains(there), "{there} is not in\n{text}");
        text = text.replace(there, here.to_str().unwrap());
    }
    let mut installation = Installation::new(&text);
    // Its own listeners are to be judged, too.
    for listener in ["SERVER", "GATEWAY", "FORWARD_AUTH", "METRICS"] {
        installation.unset(&format!("COUNTERFOIL_{listener}_LISTEN"));
    }
    let said = installation.cli(["config", "check"]).done().err;
    assert!(said.contains("sound") && !said.contains("warning"), "{said}");
}

/// By how many nodes limits are shared, as a configuration has it.
fn sharing(configuration: &Table) -> usize {
    configuration["limiter"]["nodes"].as_integer().unwrap().try_into().unwrap()
}

/// The port of one of our listeners.
fn port(configuration: &Table, listener: &str) -> u64 {
    let address = configuration[listener]["listen"].as_str().unwrap();
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// What follows `prefix` in a text, wherever that stands: the names of files in a directory.
fn names_after(text: &str, prefix: &str) -> BTreeSet<String> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let rests = text.split(prefix).skip(1);
    let names = rests.map(|rest| rest.split(|c| !is_of_name(c)).next().unwrap_or_default());
    names.map(str::to_owned).collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

/// The keys of a mapping.
fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

/// The texts of a list.
fn texts(value: &Value) -> Vec<&str> {
    let list = value.as_array().unwrap_or_else(|| panic!("not a list: {value}"));
    list.iter().map(|item| item.as_str().unwrap()).collect()
}
