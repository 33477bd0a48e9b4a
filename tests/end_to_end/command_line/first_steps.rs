//! First steps: what the server prints for somebody to paste works when pasted.

use crate::{
    installation::Installation,
    process::{Outcome, Running, run},
};
use std::process::Command;

/// Pastes a line into a shell.
fn paste(installation: &Installation, line: &str) -> Outcome {
    run(Command::new("sh").args(["-c", line]).current_dir(installation.home()), &[])
}

#[test]
fn with_no_configuration_there_is_an_api_to_try() {
    let installation = Installation::without_configuration();
    let server = Running::start(&mut installation.command(["serve"]));
    let lines = server.wait_for_output(3);
    let (_, link) = lines[0].split_once("/set-up/").unwrap_or_else(|| panic!("{lines:?}"));
    assert_eq!(link.len(), 64);
    assert!(lines[1].ends_with(" init --email you@example.com"), "{lines:?}");
    paste(&installation, &lines[1]).done();
    let answer = paste(&installation, &lines[2]).done();
    assert!(answer.out.starts_with("HTTP/1.1 200 "), "{}", answer.out);
    assert!(answer.out.contains("This is what reached the upstream."), "{}", answer.out);
    server.terminate();
    server.wait_for_message("stopped");
}

#[test]
fn the_demonstration_shows_each_contract_and_leaves_nothing() {
    let installation = Installation::without_configuration();
    let mut command = installation.command(["serve", "--demo"]);
    // Its throw-away data goes where temporary files go.
    command.env_remove("COUNTERFOIL_DATA").env("TMPDIR", installation.home());
    let mut demo = Running::start(&mut command);
    let lines = demo.wait_for_output(24);
    let curls: Vec<&str> =
        lines.iter().map(String::as_str).filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(curls.len(), 10, "{lines:?}");
    for pair in curls.chunks(2) {
        let [works, refused] = pair else { panic!("{curls:?}") };
        let answer = paste(&installation, works).done();
        assert!(answer.out.starts_with("HTTP/1.1 200 "), "{works}\n{}", answer.out);
        let answer = paste(&installation, refused).done();
        assert!(answer.out.starts_with("HTTP/1.1 40"), "{refused}\n{}", answer.out);
    }
    demo.terminate();
    assert!(demo.wait().success());
    let left: Vec<_> = installation.home().read_dir().unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_demonstration_does_not_touch_data_that_is_there() {
    let installation = Installation::without_configuration();
    std::fs::create_dir(installation.data()).unwrap();
    std::fs::write(installation.data().join("precious"), "x").unwrap();
    let error = installation.cli(["serve", "--demo"]).failed(2);
    assert!(error.contains("the demonstration wants an empty directory"), "{error}");
    std::fs::remove_file(installation.data().join("precious")).unwrap();
    let demo = Running::start(&mut installation.command(["serve", "--demo"]));
    demo.wait_for_output(24);
    drop(demo);
    assert!(installation.data().join("counterfoil.db").exists());
}

#[test]
fn the_demonstration_is_for_this_machine_alone() {
    let mut installation = Installation::without_configuration();
    installation.set("COUNTERFOIL_GATEWAY_LISTEN", "0.0.0.0:0");
    let error = installation.cli(["serve", "--demo"]).failed(2);
    assert!(error.contains("listens on loopback addresses only"), "{error}");
}
