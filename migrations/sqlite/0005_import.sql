-- Every digest that a rotation has replaced, and whose it was: an import must not
-- bring one back, and whoever finds an old secret must learn what it was.
-- A replay fills it from the rotations; so does this, for those made before.

CREATE TABLE replaced_digest (
    digest BLOB NOT NULL PRIMARY KEY,
    token  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO replaced_digest (digest, token)
SELECT unhex(json_extract(CAST(detail AS TEXT), '$.replaces')),
    unhex(replace(json_extract(CAST(detail AS TEXT), '$.token'), '-', '')) FROM ledger_detail
WHERE json_extract(CAST(detail AS TEXT), '$.kind') = 'token_rotated';
