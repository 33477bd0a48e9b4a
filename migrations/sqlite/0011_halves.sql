-- Which secret a use was with: the mark of its digest, absent in what is from before. In
-- last_use stands the last use with the secret that was the present one, beside it the last
-- with one that a rotation has replaced since. Neither is the ledger's.

ALTER TABLE last_use ADD COLUMN secret BLOB;

CREATE TABLE previous_use (
    token      BLOB NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    door       TEXT NOT NULL,
    address    TEXT,
    user_agent TEXT,
    route      TEXT,
    secret     BLOB
) STRICT, WITHOUT ROWID;

CREATE INDEX previous_use_by_time ON previous_use (at)
    WHERE coalesce(address, user_agent, route) IS NOT NULL;
