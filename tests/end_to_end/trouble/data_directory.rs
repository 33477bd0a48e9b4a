//! A data directory that cannot be used: why not, and nothing in it is touched.

use super::{ORDERS, small_disk::SmallDisk};
use crate::installation::{ADA, Installation};
use rusqlite::Connection;
use std::{
    fs::Permissions,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o777
}

/// What a server and the first set-up say to the data directory.
#[track_caller]
fn refused(installation: &Installation) -> String {
    let error = installation.cli(["serve"]).failed(1);
    assert_eq!(installation.cli(["init", "--email", ADA]).failed(1), error);
    error
}

#[test]
fn it_is_made_for_its_owner_alone() {
    let server = Installation::new(ORDERS).set_up().start();
    server.issue("orders", &[]);
    assert_eq!(mode(&server.data()), 0o700);
    for entry in server.data().read_dir().unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
}

#[test]
fn an_empty_one_that_others_can_read_is_taken_from_them() {
    let installation = Installation::new(ORDERS);
    std::fs::create_dir(installation.data()).unwrap();
    std::fs::set_permissions(installation.data(), Permissions::from_mode(0o755)).unwrap();
    let installation = installation.set_up();
    assert_eq!(mode(&installation.data()), 0o700);
}

#[test]
fn one_that_belongs_to_others_too_is_left_alone() {
    let installation = Installation::new(ORDERS);
    std::fs::create_dir(installation.data()).unwrap();
    std::fs::write(installation.data().join("somebody's"), "x").unwrap();
    std::fs::set_permissions(installation.data(), Permissions::from_mode(0o755)).unwrap();
    let expected = format!(
        "counterfoil: the data directory {} belongs to other users too and holds other files; \
         give Counterfoil a directory of its own\n",
        installation.data().display()
    );
    assert_eq!(refused(&installation), expected);
    assert_eq!(mode(&installation.data()), 0o755);
    let names: Vec<_> =
        installation.data().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["somebody's"]);
}

#[test]
fn one_that_is_a_file() {
    let installation = Installation::new(ORDERS);
    std::fs::write(installation.data(), "precious").unwrap();
    let error = installation.cli(["serve"]).failed(1);
    assert!(error.contains(installation.data().to_str().unwrap()), "{error}");
    assert_eq!(std::fs::read(installation.data()).unwrap(), b"precious");
}

#[test]
fn one_that_cannot_be_written() {
    let mut installation = Installation::new(ORDERS);
    let disk = SmallDisk::mount(&installation.data(), "size=1m,mode=700,ro");
    disk.contains(&mut installation);
    let error = refused(&installation);
    let expected = format!(
        "counterfoil: the data directory {} cannot be used: Read-only file system",
        installation.data().display()
    );
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn one_that_lies_deeper_than_a_sockets_address_is_long() {
    let mut installation = Installation::new(ORDERS);
    let deep = installation.home().join("deeper/".repeat(20));
    installation.set_data(&deep);
    let server = installation.set_up().start();
    let token = server.issue("orders", &[]);
    assert_eq!(server.cli(["token", "list", "--quiet"]).done().out.trim(), token.id);
    let installation = server.kill();
    let server = installation.start();
    assert_eq!(server.cli(["token", "list", "--quiet"]).done().out.trim(), token.id);
}

#[test]
fn one_behind_a_symbolic_link() {
    let installation = Installation::new(ORDERS);
    let real = installation.home().join("real");
    std::fs::create_dir(&real).unwrap();
    symlink(&real, installation.data()).unwrap();
    let server = installation.set_up().start();
    server.issue("orders", &[]);
    assert_eq!(mode(&real), 0o700);
    assert!(real.join("counterfoil.db").exists());
}

#[test]
fn a_database_of_a_newer_program_is_left_alone() {
    let installation = Installation::new(ORDERS).set_up();
    let database = installation.data().join("counterfoil.db");
    let version = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)).unwrap()
    };
    let connection = Connection::open(&database).unwrap();
    let known = version(&connection);
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let expected = format!(
        "counterfoil: the database {} was made by a newer version of Counterfoil (schema 99; this \
         one knows {known})\n",
        database.display()
    );
    assert_eq!(refused(&installation), expected);
    assert_eq!(installation.cli(["token", "list"]).failed(1), expected);
    let connection = Connection::open(&database).unwrap();
    assert_eq!(version(&connection), 99);
    connection.pragma_update(None, "user_version", known).unwrap();
    drop(connection);
    installation.cli(["ledger", "verify"]).done();
}

#[test]
fn a_database_that_is_none() {
    let installation = Installation::new(ORDERS).set_up();
    let database = installation.data().join("counterfoil.db");
    let nonsense = b"nonsense".repeat(1000);
    std::fs::write(&database, &nonsense).unwrap();
    let error = refused(&installation);
    let expected = format!("counterfoil: the database {} cannot be opened: ", database.display());
    assert!(error.starts_with(&expected), "{error}");
    assert_eq!(std::fs::read(&database).unwrap(), nonsense);
}
