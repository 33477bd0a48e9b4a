-- Whether an account's address is known to be its owner's: the operator made the account, or
-- set its password, or that was set by a link mailed to the address. In a replay it is the
-- entries' actor that says so, and a field that no entry from before this has.

ALTER TABLE account ADD COLUMN address_proven INTEGER NOT NULL DEFAULT 0;

UPDATE account SET address_proven = 1 WHERE email IS NOT NULL AND EXISTS (
    SELECT 1 FROM ledger WHERE subject = account.id
    AND CAST(entry AS TEXT) ->> '$.actor' = 'operator'
    AND CAST(entry AS TEXT) ->> '$.kind' IN ('account_created', 'password_set'));
