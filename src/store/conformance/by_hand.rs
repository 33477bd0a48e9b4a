//! What somebody changes past the ledger is found out.

use super::*;

#[tokio::test]
async fn whoever_changes_the_database_by_hand_is_found_out() {
    for (sql, found) in [
        ("UPDATE token SET revoked_at = NULL", "revoked_at is not what the ledger says"),
        ("UPDATE token SET expires_at = 1 WHERE name = 't2'", "expires_at is not what"),
        ("DELETE FROM token WHERE name = 't1'", "in the ledger but not in the database"),
        ("UPDATE invitation SET expires_at = 9", "expires_at is not what the ledger says"),
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
        ("DELETE FROM ledger_detail WHERE number = 2", "entry 2:"),
        ("UPDATE ledger SET subject = zeroblob(16) WHERE number = 4", "entry 4: it is not filed"),
        ("UPDATE ledger SET organization = NULL WHERE number = 4", "entry 4: it is not filed"),
        ("UPDATE ledger SET actor = zeroblob(16) WHERE number = 4", "entry 4: it is not filed"),
        (
            "CREATE TRIGGER t AFTER INSERT ON token BEGIN UPDATE token SET revoked_at = NULL; END",
            "trigger t: its definition",
        ),
        ("DROP INDEX token_by_owner", "index token_by_owner: its definition"),
        (
            "DELETE FROM ledger_detail WHERE number = 3; DELETE FROM ledger WHERE number = 3",
            "entry 3 is missing",
        ),
    ] {
        let house = House::with_member().await;
        house.made(issue(1, 1, 1)).await;
        house.made(issue(2, 1, 1)).await;
        let (token, organization) = (token_id(1), organization(1));
        house.made(Change::TokenRevoked { token, organization, reason: String::new() }).await;
        house.made(invitations::invite(1, 1)).await;
        house.is_sound().await;
        let by_hand = rusqlite::Connection::open(house.directory.path().join("test.db")).unwrap();
        by_hand.execute_batch(sql).unwrap();
        let inspection = house.store.inspect_ledger(Box::new(|_, _| {})).await.unwrap();
        let findings = inspection.findings.join("\n");
        assert!(findings.contains(found), "{sql}: {findings:?}");
    }
}
