-- Refusals are not changes: they are kept beside the ledger, for a while.

CREATE TABLE refusal (
    request_id        BLOB NOT NULL PRIMARY KEY,
    at                INTEGER NOT NULL,
    door              TEXT NOT NULL,
    api               TEXT NOT NULL,
    code              TEXT NOT NULL,
    about             TEXT NOT NULL,
    method            TEXT NOT NULL,
    path              TEXT NOT NULL,
    client            TEXT,
    client_request_id TEXT,
    token             BLOB,
    organization      BLOB
) STRICT, WITHOUT ROWID;

CREATE INDEX refusal_by_time ON refusal (at);
