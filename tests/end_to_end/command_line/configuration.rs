//! `counterfoil config`.

use crate::installation::Installation;

#[test]
fn init_writes_a_file_that_is_sound_and_never_over_another() {
    let installation = Installation::without_configuration();
    let done = installation.cli(["config", "init"]).done();
    let wrote = "wrote counterfoil.toml; change it, then try it with `counterfoil config check`\n";
    assert_eq!((done.out.as_str(), done.err.as_str()), ("", wrote));
    let checked = installation.cli(["config", "check"]).done();
    assert!(checked.err.ends_with("counterfoil.toml: sound, 1 API\n"), "{}", checked.err);

    std::fs::write(installation.configuration(), "# mine").unwrap();
    let error = installation.cli(["config", "init"]).failed(1);
    assert!(error.starts_with("counterfoil: counterfoil.toml cannot be made: "), "{error}");
    assert_eq!(std::fs::read(installation.configuration()).unwrap(), b"# mine");

    installation.cli(["config", "init", "other.toml"]).done();
    let checked = installation.cli(["config", "check", "other.toml"]).done();
    assert_eq!(checked.err, "other.toml: sound, 1 API\n");
}

#[test]
fn check_names_the_file_that_the_server_would_read() {
    let installation = Installation::without_configuration();
    let none = installation.cli(["config", "check"]).done();
    assert_eq!(none.err, "no configuration file: sound, 0 APIs\n");
    std::fs::write(installation.configuration(), "").unwrap();
    let empty = installation.cli(["config", "check"]).done();
    assert!(empty.err.ends_with("counterfoil.toml: sound, 0 APIs\n"), "{}", empty.err);
    let missing = installation.cli(["config", "check", "missing.toml"]).failed(2);
    assert!(missing.starts_with("counterfoil: cannot read the configuration missing.toml: "));
    let missing = installation.cli(["--config", "missing.toml", "token", "list"]).failed(2);
    assert!(missing.starts_with("counterfoil: cannot read the configuration missing.toml: "));
}

#[test]
fn check_tells_every_mistake_with_its_place() {
    let installation = Installation::new(
        "[log]\nformat = \"nowhere\"\n\n[api.orders]\nupstrem = \"http://127.0.0.1:9000\"\n\
         errors = \"loud\"\n",
    );
    let error = installation.cli(["config", "check"]).failed(2);
    for part in ["counterfoil.toml:2:", "counterfoil.toml:5:", "counterfoil.toml:6:"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    for part in
        ["log.format: ", "api.orders.upstrem: ", "did you mean upstream?", "api.orders.errors: "]
    {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_variable_that_sets_nothing_is_reported() {
    let mut installation = Installation::new("[api.orders]\nupstream = \"http://127.0.0.1:1\"\n");
    installation.set("COUNTERFOIL_GATEWAY_LISTEM", "127.0.0.1:0");
    let checked = installation.cli(["config", "check"]).done();
    assert!(
        checked.err.contains(
            "warning: the environment variable COUNTERFOIL_GATEWAY_LISTEM sets nothing; \
             did you mean COUNTERFOIL_GATEWAY_LISTEN?"
        ),
        "{}",
        checked.err
    );
    installation.set("COUNTERFOIL_API_ORDERS_UPSTREAM", "ftp://127.0.0.1:1");
    let error = installation.cli(["config", "check"]).failed(2);
    assert!(error.contains("COUNTERFOIL_API_ORDERS_UPSTREAM"), "{error}");
}

#[test]
fn reference_explains_every_setting() {
    let installation = Installation::without_configuration();
    let reference = installation.cli(["config", "reference"]).done();
    assert_eq!(reference.err, "");
    for setting in [
        "COUNTERFOIL_SERVER_LISTEN",
        "COUNTERFOIL_GATEWAY_LISTEN",
        "COUNTERFOIL_METRICS_LISTEN",
        "COUNTERFOIL_LOG_LEVEL",
        "COUNTERFOIL_API_NAME_UPSTREAM",
        "header_pair",
        "lifetime.default",
    ] {
        assert!(reference.out.contains(setting), "{setting}");
    }
}
