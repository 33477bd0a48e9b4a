//! A database that cannot be used: the program says why and what to do, and exits.

use super::installation;
use crate::{
    installation::{ADA, Installation},
    postgres::Postgres,
    upstream::{NOBODY, Upstream},
};

/// What a server and the first set-up say to a database.
#[track_caller]
fn said(installation: &Installation) -> String {
    let said = installation.cli(["serve"]).failed(1);
    assert_eq!(installation.cli(["init", "--email", ADA]).failed(1), said);
    assert!(said.starts_with("counterfoil: "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn what_is_wrong_with_a_database_is_said_in_one_sentence() {
    // As it is installed: one that may forget is warned of beforehand.
    let (postgres, upstream) = (Postgres::with(&[]), Upstream::start());
    let database = postgres.create_database();
    let run = |sql: &str| drop(postgres.run(&database, sql));
    let at = |url: &str| said(&installation(&upstream, url));
    let port = postgres.port();
    let of =
        |user: &str, database: &str| at(&format!("postgres://{user}@127.0.0.1:{port}/{database}"));
    let says = |said: &str, parts: &[&str]| {
        for part in parts {
            assert!(said.contains(part), "{part:?} is not said: {said}");
        }
    };
    let reached = "counterfoil: the database cannot be reached: ";
    let look = "; look whether it runs, and at database.url in the configuration\n";
    says(&at("postgres://counterfoil@nowhere.invalid/counterfoil"), &[reached, "lookup", look]);
    says(&at(&format!("postgres://counterfoil@{NOBODY}/counterfoil")), &[reached, "refused", look]);

    let user = "; look at user and password in database.url\n";
    let there = |what: &str| format!("counterfoil: the database refuses this user: {what}{user}");
    assert_eq!(of("counterfoil", "nothing"), there("database \"nothing\" does not exist (3D000)"));
    assert_eq!(of("nobody", &database), there("role \"nobody\" does not exist (28000)"));

    run("CREATE ROLE weak LOGIN");
    says(
        &of("weak", &database),
        &["the user weak may not make tables", "GRANT CREATE ON SCHEMA public TO weak\n"],
    );
    drop(installation(&upstream, &postgres.url_of(&database)).set_up());
    says(
        &of("weak", &database),
        &["the user weak may not write to the table ", "GRANT SELECT, INSERT, UPDATE, DELETE ON"],
    );

    run("CREATE ROLE hasty LOGIN SUPERUSER; ALTER ROLE hasty SET synchronous_commit = off");
    says(
        &of("hasty", &database),
        &["synchronous_commit = off", "a token would be live again that was revoked; set it to on"],
    );
    run("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0");
    says(&of("counterfoil", "ascii"), &["is written in SQL_ASCII", "ENCODING 'UTF8'"]);
}

#[test]
fn a_wrong_password_is_refused_and_not_repeated() {
    let (postgres, upstream) = (Postgres::start(), Upstream::start());
    let database = postgres.create_database();
    let grant = format!("GRANT ALL ON DATABASE {database} TO named");
    postgres.run("postgres", &format!("CREATE ROLE named LOGIN PASSWORD 'right'; {grant}"));
    postgres.run(&database, "GRANT ALL ON SCHEMA public TO named");
    postgres.ask_for_passwords();
    let url = |password: &str| {
        format!("postgres://named{password}@127.0.0.1:{}/{database}", postgres.port())
    };
    let wrong = said(&installation(&upstream, &url(":opensesame")));
    assert_eq!(
        wrong,
        "counterfoil: the database refuses this user: password authentication failed for user \
         \"named\" (28P01); look at user and password in database.url\n"
    );
    let none = said(&installation(&upstream, &url("")));
    assert!(none.contains("password missing"), "{none}");
    // In the URL, and in a file.
    let installation = installation(&upstream, &url(":right")).set_up();
    let mut installation = installation.start().stop();
    let file = installation.home().join("password");
    std::fs::write(&file, "right\n").unwrap();
    installation.set("COUNTERFOIL_DATABASE_URL", &url(""));
    installation.set("COUNTERFOIL_DATABASE_PASSWORD_FILE", file.to_str().unwrap());
    installation.start().stop();
}

#[test]
fn a_copy_takes_no_server_until_it_is_the_primary() {
    let (postgres, upstream) = (Postgres::start(), Upstream::start());
    let database = postgres.create_database();
    drop(installation(&upstream, &postgres.url_of(&database)).set_up());
    let standby = postgres.standby("copy");
    let installation = installation(&upstream, &standby.url_of(&database));
    assert_eq!(
        said(&installation),
        "counterfoil: the database only lets itself be read: it is a replica, or \
         default_transaction_read_only is on; name the primary in database.url\n"
    );
    standby.promote();
    installation.cli(["ledger", "verify"]).done();
}
