//! The unit for systemd.

use super::{is_sound, names_after, text};
use crate::{
    certificates::{Authority, Good},
    installation::built,
    process::run,
};
use std::process::Command;

const UNIT: &str = "systemd/counterfoil.service";
const CONFIGURATION: &str = "systemd/counterfoil.toml";
/// Where this unit's credentials are.
const CREDENTIALS: &str = "/run/credentials/counterfoil.service/";

/// The values of a key of the unit's.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    lines.filter(|(name, _)| *name == key).map(|(_, value)| value).collect()
}

#[test]
fn systemd_understands_it_and_finds_little_exposed() {
    let directory = tempfile::tempdir().unwrap();
    let program = built("counterfoil");
    let unit = text(UNIT).replace("/usr/local/bin/counterfoil", program.to_str().unwrap());
    let file = directory.path().join("counterfoil.service");
    std::fs::write(&file, unit).unwrap();
    for arguments in [
        &["verify", "--man=no", "--recursive-errors=no"][..],
        // Of 100. What is left is that it talks over the network.
        &["security", "--offline=true", "--no-pager", "--threshold=20"],
    ] {
        let mut command = Command::new("systemd-analyze");
        run(command.args(arguments).arg(&file), &[]).done();
    }
}

#[test]
fn its_configuration_is_sound_and_names_its_credentials() {
    let (unit, configuration) = (text(UNIT), text(CONFIGURATION));
    let directory = tempfile::tempdir().unwrap();
    let pair = Authority::new(directory.path()).issue("server", Good::Days(60));
    let credentials = directory.path().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    for name in ["database-password", "limiter-password"] {
        std::fs::write(credentials.join(name), "hunter2").unwrap();
    }
    is_sound(
        &configuration,
        &[
            ("/etc/counterfoil/tls/fullchain.pem", &pair.certificate),
            ("/etc/counterfoil/tls/privkey.pem", &pair.key),
            (CREDENTIALS, &credentials.join("")),
        ],
    );

    let loaded = values(&unit, "LoadCredential").into_iter();
    let loaded: Vec<_> = loaded.map(|value| value.split_once(':').unwrap()).collect();
    let names: Vec<_> = loaded.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, names_after(&configuration, CREDENTIALS).into_iter().collect::<Vec<_>>());
    for (name, file) in loaded {
        assert_eq!(file, format!("/etc/counterfoil/credentials/{name}"));
    }
    assert_eq!(
        values(&unit, "Environment"),
        ["COUNTERFOIL_CONFIG=/etc/counterfoil/counterfoil.toml", "COUNTERFOIL_DATA=%S/counterfoil"]
    );
    assert_eq!(values(&unit, "StateDirectory"), ["counterfoil"]);
}
