//! Tampering: whoever changes the database behind the ledger's back is found out.

use crate::installation::{ADA, Installation};
use rusqlite::Connection;
use serde_json::{Value, json};

const APIS: &str = "[api.orders]\nupstream = \"http://127.0.0.1:1\"\n";

/// A history with something of everything in it, at rest.
struct History {
    installation: Installation,
    active: String,
    revoked: String,
    account: String,
    organization: String,
    entries: u64,
}

impl History {
    fn make() -> Self {
        let server = Installation::new(APIS).set_up().start();
        server.cli(["account", "create", "--email", "bob@example.com"]).done();
        let active = server.issue("orders", &["--note", "the true note"]);
        let revoked = server.issue("orders", &[]);
        server.cli(["token", "revoke", &revoked.id]).done();
        let installation = server.stop();
        let verified = installation.cli(["ledger", "verify", "--json"]).done().json();
        Self {
            installation,
            active: active.id,
            revoked: revoked.id,
            account: active.owner,
            organization: active.organization,
            entries: verified["entries"].as_u64().unwrap(),
        }
    }

    /// A copy in which somebody has run `sql`.
    fn tampered(&self, sql: &str) -> Installation {
        let copy = Installation::new(APIS).set_up();
        let database = |of: &Installation| of.data().join("counterfoil.db");
        std::fs::copy(database(&self.installation), database(&copy)).unwrap();
        let connection = Connection::open(database(&copy)).unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        let tables = connection.execute_batch(sql);
        tables.unwrap_or_else(|error| panic!("{sql}: {error}"));
        copy
    }

    /// Checks that verification fails and says `finding`, and nothing else.
    #[track_caller]
    fn is_found_out(&self, sql: &str, finding: &str) {
        let copy = self.tampered(sql);
        let said = copy.cli(["ledger", "verify"]).failed(1);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[0], finding, "{sql}\n{said}");
        assert_eq!(lines.len(), 2, "{sql}\n{said}");
        let disagree = "counterfoil: the ledger and the database do not agree";
        assert!(lines[1].starts_with(disagree), "{said}");
        // The same through a server that runs on it.
        let server = copy.start();
        assert_eq!(server.cli(["ledger", "verify"]).failed(1), said);
    }
}

/// An id as the database has it.
fn blob(id: &str) -> String {
    format!("x'{}'", id.replace('-', ""))
}

#[test]
fn a_row_that_was_changed() {
    let history = History::make();
    let History { active, revoked, account, organization, .. } = &history;
    for (sql, finding) in [
        (
            format!("UPDATE token SET note = 'another note' WHERE id = {}", blob(active)),
            format!("token {active}: note is not what the ledger says"),
        ),
        (
            format!("UPDATE token SET revoked_at = NULL WHERE id = {}", blob(revoked)),
            format!("token {revoked}: revoked_at is not what the ledger says"),
        ),
        (
            format!("UPDATE token SET digest = zeroblob(32) WHERE id = {}", blob(active)),
            format!("token {active}: digest is not what the ledger says"),
        ),
        (
            format!("UPDATE token SET paused_at = 1, expires_at = 2 WHERE id = {}", blob(active)),
            format!("token {active}: expires_at, paused_at is not what the ledger says"),
        ),
        (
            format!("UPDATE account SET email = 'e@example.com' WHERE id = {}", blob(account)),
            format!("account {account}: email is not what the ledger says"),
        ),
        (
            format!("UPDATE account SET password_hash = 'x' WHERE id = {}", blob(account)),
            format!("account {account}: password_hash is not what the ledger says"),
        ),
        (
            format!("UPDATE membership SET rank = 'member' WHERE account = {}", blob(account)),
            format!("membership {organization} / {account}: rank is not what the ledger says"),
        ),
        (
            "UPDATE organization SET name = 'Acme'".to_owned(),
            format!("organization {organization}: name is not what the ledger says"),
        ),
    ] {
        history.is_found_out(&sql, &finding);
    }
}

#[test]
fn a_row_that_was_taken_away_or_slipped_in() {
    let history = History::make();
    let History { active, revoked, .. } = &history;
    history.is_found_out(
        &format!("DELETE FROM token WHERE id = {}", blob(revoked)),
        &format!("token {revoked}: it is in the ledger but not in the database"),
    );
    let forged = "01a203dc-52bc-7e6a-a509-9ae8a3975777";
    history.is_found_out(
        &format!(
            "CREATE TEMP TABLE forged AS SELECT * FROM token WHERE id = {};
             UPDATE forged SET id = {}, digest = zeroblob(32);
             INSERT INTO token SELECT * FROM forged;",
            blob(active),
            blob(forged)
        ),
        &format!("token {forged}: it is in the database but not in the ledger"),
    );
}

#[test]
fn an_entry_that_was_changed() {
    let history = History::make();
    let last = history.entries;
    for (sql, finding) in [
        (
            "UPDATE ledger SET hash = zeroblob(32) WHERE number = 3",
            "entry 3: its hash does not follow from the entry before it".to_owned(),
        ),
        (
            "UPDATE ledger SET entry = zeroblob(length(entry)) WHERE number = 4",
            "entry 4: its hash does not follow from the entry before it".to_owned(),
        ),
        (
            "UPDATE ledger_detail SET salt = zeroblob(length(salt)) WHERE number = 5",
            "entry 5: its detail is not the one that the entry commits to".to_owned(),
        ),
        (
            "UPDATE ledger_detail SET detail = (SELECT detail FROM ledger_detail WHERE number = 6)
             WHERE number = 7",
            "entry 7: its detail is not the one that the entry commits to".to_owned(),
        ),
        ("DELETE FROM ledger WHERE number = 2", "entry 2 is missing".to_owned()),
        ("DELETE FROM ledger_detail WHERE number = 2", "entry 2: its detail is missing".to_owned()),
    ] {
        history.is_found_out(sql, &finding);
    }
    // The end of the chain alone cannot tell; the rows can.
    history.is_found_out(
        &format!(
            "DELETE FROM ledger WHERE number = {last}; DELETE FROM ledger_detail WHERE number = {last}"
        ),
        &format!("token {}: revoked_at is not what the ledger says", history.revoked),
    );
}

#[test]
fn programs_are_told_too() {
    let history = History::make();
    let copy = history.tampered("UPDATE token SET note = 'another note'");
    let outcome = copy.cli(["ledger", "verify", "--json"]);
    assert_eq!(outcome.code, Some(1));
    let findings: Vec<Value> = [&history.active, &history.revoked]
        .map(|id| json!(format!("token {id}: note is not what the ledger says")))
        .into();
    let said = outcome.json();
    assert_eq!(said["agrees"], false);
    assert_eq!(said["findings"], json!(findings));
    assert_eq!(said["entries"], history.entries);
    // What is found is no reason to stop verifying tokens or answering.
    let server = copy.start();
    assert_eq!(server.cli(["token", "list", "--quiet"]).done().out.lines().count(), 2);
    server.issue_to(ADA, "orders", &[]);
}
