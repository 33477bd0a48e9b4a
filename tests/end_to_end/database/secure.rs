//! A database that speaks TLS: who it has to be is up to `sslmode`.

use super::installation;
use crate::{
    certificates::{Authority, Good},
    installation::ADA,
    postgres::Postgres,
    upstream::Upstream,
};
use std::path::Path;

#[test]
fn the_server_that_is_meant_and_no_other() {
    let upstream = Upstream::start();
    let postgres = Postgres::with(&["listen_addresses = '127.0.0.1, 127.0.0.2'", "fsync = off"]);
    let [ours, others] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [authority, other] = [&ours, &others].map(|directory| Authority::new(directory.path()));
    let database = postgres.create_database();
    let url = |host: &str, mode: &str| {
        format!("postgres://counterfoil@{host}:{}/{database}?sslmode={mode}", postgres.port())
    };
    let reached = |url: &str, trusted: Option<&Path>| {
        let mut installation = installation(&upstream, url);
        if let Some(file) = trusted {
            installation.set("COUNTERFOIL_DATABASE_CA_FILE", file.to_str().unwrap());
        }
        installation
    };
    let refused = |url: &str, trusted: Option<&Path>| {
        reached(url, trusted).cli(["init", "--email", ADA]).failed(1)
    };
    let (trusted, foreign) = (authority.trusted(), other.trusted());

    let without = refused(&url("127.0.0.1", "require"), None);
    assert!(without.contains("server does not support TLS"), "{without}");
    postgres.show(&authority.issue("database", Good::Days(20)));
    let server = reached(&url("127.0.0.1", "verify-full"), Some(&trusted)).set_up().start();
    let spoken = "SELECT count(*), bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE application_name = 'counterfoil'";
    let is_protected = |spoken: String| {
        let (connections, all) = spoken.split_once('|').unwrap();
        assert_ne!(connections, "0");
        assert_eq!(all, "t", "{connections} connections");
    };
    is_protected(postgres.run(&database, spoken));
    server.stop();

    let not_accepted = "counterfoil: the database shows a certificate that is not accepted: ";
    for (host, trusted) in [
        // Another authority's, the system's, and a host that it does not name.
        ("127.0.0.1", Some(&*foreign)),
        ("127.0.0.1", None),
        ("127.0.0.2", Some(&*trusted)),
    ] {
        let said = refused(&url(host, "verify-full"), trusted);
        assert!(said.starts_with(not_accepted), "{host} {said}");
        assert!(said.contains("look whether database.ca_file"), "{said}");
    }
    // Whoever it is, but never in the clear.
    for host in ["127.0.0.1", "127.0.0.2"] {
        let server = reached(&url(host, "require"), None).start();
        is_protected(postgres.run(&database, spoken));
        server.stop();
    }
    postgres.show(&authority.issue("ended", Good::Before));
    let ended = refused(&url("127.0.0.1", "verify-full"), Some(&trusted));
    assert!(ended.starts_with(not_accepted) && ended.contains("xpired"), "{ended}");
}
