-- What the console needs. An invitation is told by the ledger's changes, and there was none
-- before; so is when an account got its second factor.

CREATE TABLE invitation (
    id           BLOB NOT NULL PRIMARY KEY,
    organization BLOB NOT NULL REFERENCES organization (id),
    email        TEXT,
    rank         TEXT NOT NULL,
    digest       BLOB NOT NULL UNIQUE,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    accepted_at  INTEGER,
    accepted_by  BLOB REFERENCES account (id),
    withdrawn_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX invitation_by_organization ON invitation (organization, id);
CREATE INDEX invitation_open ON invitation (organization, id)
    WHERE accepted_at IS NULL AND withdrawn_at IS NULL;

ALTER TABLE account ADD COLUMN second_factor_at INTEGER;

-- Beside the ledger: what signing in needs, none of it for longer than it lasts.

CREATE TABLE session (
    digest       BLOB NOT NULL PRIMARY KEY, -- of its secret
    id           BLOB NOT NULL UNIQUE,
    account      BLOB NOT NULL,
    organization BLOB, -- the one that is looked at
    created_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    address      TEXT,
    user_agent   TEXT,
    is_complete  INTEGER NOT NULL -- 0: the second factor is still to come
) STRICT, WITHOUT ROWID;

CREATE INDEX session_by_account ON session (account, id);
CREATE INDEX session_by_end ON session (expires_at);

CREATE TABLE link (
    digest     BLOB NOT NULL PRIMARY KEY, -- of its secret
    kind       TEXT NOT NULL, -- set_up, reset
    account    BLOB, -- whose password it resets
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX link_by_account ON link (kind, account);
CREATE INDEX link_by_end ON link (expires_at);

CREATE TABLE second_factor (
    account      BLOB NOT NULL PRIMARY KEY,
    secret       BLOB NOT NULL,
    is_confirmed INTEGER NOT NULL,
    last_step    INTEGER NOT NULL -- of whatever code was used last
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery_code (
    account BLOB NOT NULL,
    digest  BLOB NOT NULL,
    PRIMARY KEY (account, digest)
) STRICT, WITHOUT ROWID;

-- So that an organization's tokens are found in whatever order and by whatever the console
-- asks for, however many others there are.

CREATE INDEX token_by_name ON token (organization, name COLLATE NOCASE, id);
-- What never ends comes last.
CREATE INDEX token_by_end_here
    ON token (organization, coalesce(expires_at, 9223372036854775807), id);
CREATE INDEX token_by_last_four ON token (organization, last_four);
CREATE INDEX token_by_grant ON token (organization, api, granted);
CREATE INDEX token_live_here ON token (organization, id) WHERE revoked_at IS NULL;
CREATE INDEX token_paused_here ON token (organization, id) WHERE paused_at IS NOT NULL;
CREATE INDEX token_revoked_here ON token (organization, id) WHERE revoked_at IS NOT NULL;
CREATE INDEX token_leaked_here ON token (organization, id)
    WHERE revoke_reason IN ('leaked', 'reported as leaked');

ALTER TABLE last_use ADD COLUMN home BLOB; -- the token's organization
ALTER TABLE last_use ADD COLUMN latest INTEGER; -- with whichever secret
UPDATE last_use SET latest = at, home = (SELECT organization FROM token WHERE id = last_use.token);
CREATE INDEX last_use_by_home ON last_use (home, latest, token);
