//! What somebody changes past the ledger is found out.

use super::*;

/// What is done, and what is found then, in every store.
const EVERYWHERE: [(&str, &str); 8] = [
    ("UPDATE token SET revoked_at = NULL", "revoked_at is not what the ledger says"),
    ("UPDATE token SET expires_at = 1 WHERE name = 't2'", "expires_at is not what"),
    ("DELETE FROM token WHERE name = 't1'", "in the ledger but not in the database"),
    ("UPDATE invitation SET expires_at = 9", "expires_at is not what the ledger says"),
    ("DELETE FROM ledger_detail WHERE number = 2", "entry 2:"),
    ("UPDATE ledger SET organization = NULL WHERE number = 4", "entry 4: it is not filed"),
    ("DROP INDEX token_by_owner", "index token_by_owner: its definition"),
    (
        "DELETE FROM ledger_detail WHERE number = 3; DELETE FROM ledger WHERE number = 3",
        "entry 3 is missing",
    ),
];

const ON_SQLITE: [(&str, &str); 6] = [
    ("UPDATE account SET address_proven = 0", "address_proven is not what the ledger says"),
    (
        "INSERT INTO account VALUES (zeroblob(16), 'person', NULL, 'x', NULL, 1, NULL, NULL, 0, NULL, 0)",
        "in the database but not in the ledger",
    ),
    (
        "UPDATE ledger SET entry = CAST(replace(entry, '1000', '1001') AS BLOB) WHERE number = 4",
        "entry 4:",
    ),
    ("UPDATE ledger_detail SET salt = zeroblob(16) WHERE number = 5", "entry 5:"),
    ("UPDATE ledger SET actor = zeroblob(16) WHERE number = 4", "entry 4: it is not filed"),
    (
        "CREATE TRIGGER t AFTER INSERT ON token BEGIN UPDATE token SET revoked_at = NULL; END",
        "trigger t: its definition",
    ),
];

const ON_POSTGRES: [(&str, &str); 11] = [
    ("UPDATE account SET address_proven = false", "address_proven is not what the ledger says"),
    (
        "INSERT INTO account (id, kind, name, created_at)
         VALUES (decode(repeat('00', 16), 'hex'), 'person', 'x', 1)",
        "in the database but not in the ledger",
    ),
    (
        "UPDATE ledger SET entry = convert_to(replace(convert_from(entry, 'UTF8'), '1000', '1001'),
            'UTF8') WHERE number = 4",
        "entry 4:",
    ),
    (
        "UPDATE ledger_detail SET salt = decode(repeat('00', 16), 'hex') WHERE number = 5",
        "entry 5:",
    ),
    (
        "UPDATE ledger SET actor = decode(repeat('00', 16), 'hex') WHERE number = 4",
        "entry 4: it is not filed",
    ),
    ("UPDATE head SET number = number + 1", "the head is not that of the chain"),
    (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER t BEFORE INSERT ON token FOR EACH ROW EXECUTE FUNCTION f()",
        "trigger token t: its definition",
    ),
    ("CREATE RULE r AS ON DELETE TO token DO INSTEAD NOTHING", "rule token r: its definition"),
    ("ALTER TABLE token ENABLE ROW LEVEL SECURITY", "table token: its definition"),
    ("ALTER TABLE token ALTER revoked_at SET DEFAULT 1", "column token revoked_at: its definition"),
    ("ALTER TABLE usage SET UNLOGGED", "table usage: its definition"),
];

async fn whoever_changes_the_database_by_hand_is_found_out(kind: Kind) {
    let here = match kind {
        Kind::Sqlite => &ON_SQLITE[..],
        Kind::Postgres | Kind::Lookalike => &ON_POSTGRES,
    };
    for (sql, found) in EVERYWHERE.iter().chain(here) {
        let house = House::with_member(kind).await;
        house.made(issue(1, 1, 1)).await;
        house.made(issue(2, 1, 1)).await;
        let (token, organization) = (token_id(1), organization(1));
        house.made(Change::TokenRevoked { token, organization, reason: String::new() }).await;
        house.made(invitations::invite(1, 1)).await;
        house.is_sound().await;
        house.by_hand(sql);
        let inspection = house.store.inspect_ledger(Box::new(|_, _| {})).await.unwrap();
        let findings = inspection.findings.join("\n");
        assert!(findings.contains(found), "{sql}: {findings:?}");
    }
}

on_every_store!(whoever_changes_the_database_by_hand_is_found_out);
