//! How it is called: help, completions, exit codes.

use super::APIS;
use crate::{
    installation::{ADA, Installation},
    process::run,
};
use std::process::{Command, Stdio};

#[test]
fn help_is_there_for_everything() {
    let installation = Installation::without_configuration();
    let help = installation.cli(["--help"]).done();
    assert_eq!(help.err, "");
    assert!(help.out.contains("Exit codes: 0 done; 1 it could not be done; 2 the command line"));
    for command in
        ["serve", "init", "config", "token", "account", "organization", "ledger", "completions"]
    {
        assert!(help.out.contains(&format!("\n  {command} ")), "{command}");
        let own = installation.cli([command, "--help"]).done();
        assert!(own.out.contains(&format!("Usage: counterfoil {command}")), "{}", own.out);
    }
    let version = installation.cli(["--version"]).done();
    assert_eq!(version.out, format!("counterfoil {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_command_line_is_exit_code_two() {
    let installation = Installation::new(APIS).set_up();
    for arguments in [
        &[][..],
        &["toke"],
        &["token"],
        &["token", "creat"],
        &["token", "list", "--limit", "many"],
        &["token", "list", "--state", "dead"],
        &["token", "list", "--unknown"],
        &["token", "list", "--json", "--quiet"],
        &["token", "create", "--api", "orders"],
        &["token", "create", "--owner", ADA],
        &[
            "token", "create", "--api", "costs", "--owner", ADA, "--role", "viewer", "--scope",
            "read",
        ],
        &[
            "token",
            "create",
            "--api",
            "orders",
            "--owner",
            ADA,
            "--expires-in",
            "1d",
            "--expires-at",
            "2100-01-01T00:00:00Z",
        ],
        &["serve", "--demo", "--config", "counterfoil.toml"],
        &["completions", "cmd"],
        &["ledger"],
    ] {
        let error = installation.cli(arguments).failed(2);
        assert!(error.contains("Usage: ") || error.contains("--help"), "{error}");
    }
    assert_eq!(installation.cli(["token", "list", "--quiet"]).done().out, "");
}

#[test]
fn completions_for_every_shell() {
    let installation = Installation::without_configuration();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = installation.cli(["completions", shell]).done();
        for word in ["set-password", "remove-member", "overlap", "allowed-network"] {
            assert!(script.out.contains(word), "{shell}: {word}");
        }
        if shell == "bash" {
            let checked = run(Command::new("bash").arg("-n"), script.out.as_bytes()).done();
            assert_eq!(checked.err, "");
        }
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let installation = Installation::without_configuration();
    let mut command = installation.command(["config", "reference"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn the_flag_wins_over_the_variable() {
    let installation = Installation::new(APIS).set_up();
    let elsewhere = installation.home().join("elsewhere");
    let error =
        installation.cli(["--data", elsewhere.to_str().unwrap(), "token", "list"]).failed(1);
    assert!(error.contains("elsewhere"), "{error}");
    installation.cli(["token", "list"]).done();
}
