-- Times are milliseconds since the Unix epoch, ids the 16 bytes of a UUID.

CREATE TABLE ledger (
    number INTEGER NOT NULL PRIMARY KEY,
    entry  BLOB NOT NULL,
    hash   BLOB NOT NULL
) STRICT;

-- Beside the chain, so that personal data can be erased without breaking it.
CREATE TABLE ledger_detail (
    number INTEGER NOT NULL PRIMARY KEY REFERENCES ledger (number),
    salt   BLOB NOT NULL,
    detail BLOB NOT NULL
) STRICT;

CREATE TABLE organization (
    id         BLOB NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    closed_at  INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
    id            BLOB NOT NULL PRIMARY KEY,
    kind          TEXT NOT NULL,
    email         TEXT UNIQUE,
    name          TEXT NOT NULL,
    password_hash TEXT,
    created_at    INTEGER NOT NULL,
    disabled_at   INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE membership (
    organization BLOB NOT NULL REFERENCES organization (id),
    account      BLOB NOT NULL REFERENCES account (id),
    rank         TEXT NOT NULL,
    joined_at    INTEGER NOT NULL,
    ended_at     INTEGER,
    PRIMARY KEY (organization, account)
) STRICT, WITHOUT ROWID;

CREATE INDEX membership_by_account ON membership (account);

CREATE TABLE token (
    id               BLOB NOT NULL PRIMARY KEY,
    api              TEXT NOT NULL,
    organization     BLOB NOT NULL,
    owner            BLOB NOT NULL,
    name             TEXT NOT NULL,
    note             TEXT NOT NULL,
    granted          TEXT NOT NULL, -- the grant, as JSON
    allowed_networks TEXT NOT NULL, -- as JSON
    external_id      TEXT,
    metadata         TEXT, -- as JSON
    prefix           TEXT NOT NULL,
    last_four        TEXT NOT NULL,
    digest           BLOB NOT NULL UNIQUE,
    previous_digest  BLOB,
    previous_until   INTEGER,
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER,
    paused_at        INTEGER,
    revoked_at       INTEGER,
    revoke_reason    TEXT NOT NULL DEFAULT '',
    FOREIGN KEY (organization, owner) REFERENCES membership (organization, account)
) STRICT, WITHOUT ROWID;

CREATE INDEX token_by_organization ON token (organization, id);
CREATE INDEX token_by_owner ON token (owner, id);
CREATE INDEX token_by_external_id ON token (external_id) WHERE external_id IS NOT NULL;
