-- Every digest that a rotation has replaced: an import must not bring one back.
-- A replay fills it from the rotations; so does this, for those made before.

CREATE TABLE replaced_digest (
    digest BLOB NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

INSERT INTO replaced_digest (digest)
SELECT unhex(json_extract(CAST(detail AS TEXT), '$.replaces')) FROM ledger_detail
WHERE json_extract(CAST(detail AS TEXT), '$.kind') = 'token_rotated';
