-- What was asked for under a key of idempotency; beside the ledger, for a while.

CREATE TABLE once (
    key     BLOB NOT NULL PRIMARY KEY,
    request BLOB NOT NULL,
    token   BLOB NOT NULL,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX once_by_time ON once (at);
