//! Fuzzing: what every parser of outside input keeps to, whatever it is fed.
//!
//! A target takes arbitrary bytes, hands them to one parser and asserts what must
//! hold of the answer. `cargo test` feeds each of them a million mutated seeds,
//! `cargo xtask fuzz` as many as fit into a time, and libFuzzer, where there is a
//! nightly compiler, searches by what the code does (`libfuzzer/`).

#![expect(clippy::unwrap_used, reason = "where a target cannot go on, it says so")]

mod access_tokens;
mod answers;
mod campaign;
mod clients;
mod configuration;
mod credentials;
mod input;
mod ledger;
mod management;
mod mutation;
mod paths;
mod proxies;
mod scene;
mod words;

pub use campaign::{Failure, run};

/// A parser, what must hold of it, and where to begin.
#[derive(Debug)]
pub struct Target {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Panics where the parser breaks its word.
    pub check: fn(&[u8]),
    /// Inputs that the parser understands, or nearly; the others are made from them.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($name:literal: $check:path, $seeds:path;)*) => {
        /// Every target.
        pub const TARGETS: &[Target] =
            &[$(Target { name: $name, check: $check, seeds: $seeds }),*];
    };
}

targets! {
    "access_token": access_tokens::access_token, access_tokens::access_token_seeds;
    "account_name": words::account_name, words::account_name_seeds;
    "answer": answers::answer, answers::answer_seeds;
    "body": management::body, management::body_seeds;
    "change": management::change, management::change_seeds;
    "client": clients::client, clients::client_seeds;
    "client_address": proxies::client_address, proxies::client_address_seeds;
    "configuration": configuration::configuration, configuration::configuration_seeds;
    "credential": credentials::credential, credentials::credential_seeds;
    "email": words::email, words::email_seeds;
    "fields": proxies::fields, proxies::fields_seeds;
    "forward_auth": proxies::forward_auth, proxies::forward_auth_seeds;
    "host": proxies::host, proxies::host_seeds;
    "id": words::id, words::id_seeds;
    "ledger": ledger::ledger, ledger::ledger_seeds;
    "loggable": management::loggable, management::loggable_seeds;
    "moment": words::moment, words::moment_seeds;
    "network": words::network, words::network_seeds;
    "path": paths::path, paths::path_seeds;
    "query": management::query, management::query_seeds;
    "question": management::question, management::question_seeds;
    "route": paths::route, paths::route_seeds;
    "scope": words::scope, words::scope_seeds;
    "span": words::span, words::span_seeds;
    "token": credentials::token, credentials::token_seeds;
    "verify": credentials::verify, credentials::verify_seeds;
}

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
