-- Times are milliseconds since the Unix epoch, ids the 16 bytes of a UUID. Every text compares
-- by its bytes, whatever the database's own order is, and lower() then is ASCII's.

CREATE TABLE ledger (
    number       bigint NOT NULL PRIMARY KEY,
    entry        bytea NOT NULL,
    hash         bytea NOT NULL,
    -- Whose part of the ledger the entry is in, what it is about, and with which token it was
    -- asked for: read from the entry, and held against it by `counterfoil ledger verify`.
    organization bytea,
    subject      bytea,
    actor        bytea
);

CREATE INDEX ledger_by_organization ON ledger (organization, number)
    WHERE organization IS NOT NULL;
CREATE INDEX ledger_by_subject ON ledger (subject, number);
CREATE INDEX ledger_by_actor ON ledger (actor, number) WHERE actor IS NOT NULL;

-- Beside the chain, so that personal data can be erased without breaking it.
CREATE TABLE ledger_detail (
    number bigint NOT NULL PRIMARY KEY, -- an entry's: both are written by one statement
    salt   bytea NOT NULL,
    detail bytea NOT NULL
);

-- The last entry: one row. Whoever appends locks it, last of all locks.
CREATE TABLE head (
    id     smallint NOT NULL PRIMARY KEY CHECK (id = 1),
    number bigint NOT NULL,
    hash   bytea NOT NULL
) WITH (fillfactor = 10);

INSERT INTO head (id, number, hash) VALUES (1, 0, decode(repeat('00', 32), 'hex'));

-- L, and how often the database has been put back: one row.
CREATE TABLE cluster (
    id            smallint NOT NULL PRIMARY KEY CHECK (id = 1),
    lease_seconds bigint NOT NULL, -- of leases that begin now
    wait_seconds  bigint NOT NULL, -- until the end of any
    epoch         bigint NOT NULL
);

INSERT INTO cluster (id, lease_seconds, wait_seconds, epoch) VALUES (1, 30, 30, 0);

-- Running servers, and how far the index of each has come.
CREATE TABLE node (
    node         bytea NOT NULL PRIMARY KEY,
    joined       bigint NOT NULL,
    renewals     bigint NOT NULL,
    acknowledged bigint NOT NULL,
    knows        bigint NOT NULL,
    name         text COLLATE "C" -- for people
) WITH (fillfactor = 10);

CREATE TABLE organization (
    id          bytea NOT NULL PRIMARY KEY,
    name        text COLLATE "C" NOT NULL,
    created_at  bigint NOT NULL,
    closed_at   bigint,
    external_id text COLLATE "C",
    revision    bigint NOT NULL DEFAULT 0
);

CREATE INDEX organization_by_external_id ON organization (external_id)
    WHERE external_id IS NOT NULL;
CREATE INDEX organization_by_name ON organization (name, id);

CREATE TABLE account (
    id               bytea NOT NULL PRIMARY KEY,
    kind             text COLLATE "C" NOT NULL,
    email            text COLLATE "C" UNIQUE,
    name             text COLLATE "C" NOT NULL,
    password_hash    text COLLATE "C",
    created_at       bigint NOT NULL,
    disabled_at      bigint,
    external_id      text COLLATE "C",
    revision         bigint NOT NULL DEFAULT 0,
    second_factor_at bigint,
    address_proven   boolean NOT NULL DEFAULT false
);

CREATE INDEX account_by_external_id ON account (external_id) WHERE external_id IS NOT NULL;

CREATE TABLE membership (
    organization bytea NOT NULL REFERENCES organization (id),
    account      bytea NOT NULL REFERENCES account (id),
    rank         text COLLATE "C" NOT NULL,
    joined_at    bigint NOT NULL,
    ended_at     bigint,
    PRIMARY KEY (organization, account)
);

CREATE INDEX membership_by_account ON membership (account);

CREATE TABLE invitation (
    id           bytea NOT NULL PRIMARY KEY,
    organization bytea NOT NULL REFERENCES organization (id),
    email        text COLLATE "C",
    rank         text COLLATE "C" NOT NULL,
    digest       bytea NOT NULL UNIQUE,
    created_at   bigint NOT NULL,
    expires_at   bigint NOT NULL,
    accepted_at  bigint,
    accepted_by  bytea REFERENCES account (id),
    withdrawn_at bigint
);

CREATE INDEX invitation_by_organization ON invitation (organization, id);
CREATE INDEX invitation_open ON invitation (organization, id)
    WHERE accepted_at IS NULL AND withdrawn_at IS NULL;

CREATE TABLE token (
    id               bytea NOT NULL PRIMARY KEY,
    api              text COLLATE "C" NOT NULL,
    organization     bytea NOT NULL, -- with the owner, a membership: whoever issues has locked it
    owner            bytea NOT NULL,
    name             text COLLATE "C" NOT NULL,
    note             text COLLATE "C" NOT NULL,
    granted          text COLLATE "C" NOT NULL, -- the grant, as JSON
    allowed_networks text COLLATE "C" NOT NULL, -- as JSON
    external_id      text COLLATE "C",
    metadata         text COLLATE "C", -- as JSON, to the letter
    prefix           text COLLATE "C" NOT NULL,
    last_four        text COLLATE "C" NOT NULL,
    digest           bytea NOT NULL UNIQUE,
    previous_digest  bytea,
    previous_until   bigint,
    created_at       bigint NOT NULL,
    expires_at       bigint,
    paused_at        bigint,
    revoked_at       bigint,
    revoke_reason    text COLLATE "C" NOT NULL DEFAULT '',
    revision         bigint NOT NULL DEFAULT 0
);

CREATE INDEX token_by_organization ON token (organization, id);
CREATE INDEX token_by_owner ON token (owner, id);
CREATE INDEX token_by_external_id ON token (external_id) WHERE external_id IS NOT NULL;
-- So that what is asked for of many tokens is found in the order of their ids, and those
-- that end before some moment without looking at all others.
CREATE INDEX token_by_api ON token (api, id);
CREATE INDEX token_by_end ON token (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX token_paused ON token (id) WHERE paused_at IS NOT NULL;
CREATE INDEX token_revoked ON token (id) WHERE revoked_at IS NOT NULL;
-- So that an organization's tokens are found in whatever order and by whatever the console
-- asks for, however many others there are.
CREATE INDEX token_by_name ON token (organization, lower(name), id);
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

-- Every digest that a rotation has replaced, and whose it was: an import must not
-- bring one back, and whoever finds an old secret must learn what it was.
CREATE TABLE replaced_digest (
    digest bytea NOT NULL PRIMARY KEY,
    token  bytea NOT NULL
);

-- Refusals are not changes: they are kept beside the ledger, for a while.
CREATE TABLE refusal (
    request_id        bytea NOT NULL PRIMARY KEY,
    at                bigint NOT NULL,
    door              text COLLATE "C" NOT NULL,
    api               text COLLATE "C" NOT NULL,
    code              text COLLATE "C" NOT NULL,
    about             text COLLATE "C" NOT NULL,
    method            text COLLATE "C" NOT NULL,
    path              text COLLATE "C" NOT NULL,
    client            text COLLATE "C",
    client_request_id text COLLATE "C",
    token             bytea,
    organization      bytea
);

CREATE INDEX refusal_by_time ON refusal (at);

-- What tokens did is not a change: it is kept beside the ledger, for a while.
CREATE TABLE usage (
    token   bytea NOT NULL,
    hour    bigint NOT NULL,           -- when it began
    outcome text COLLATE "C" NOT NULL, -- admitted, or a refusal's code
    count   bigint NOT NULL,
    PRIMARY KEY (token, hour, outcome)
);

CREATE INDEX usage_by_hour ON usage (hour);

-- From which addresses and with which user agents, so many of each a day.
CREATE TABLE usage_origin (
    token    bytea NOT NULL,
    kind     text COLLATE "C" NOT NULL,
    day      bigint NOT NULL,           -- when it began
    value    text COLLATE "C" NOT NULL, -- empty: not known, or one too many
    admitted bigint NOT NULL,
    refused  bigint NOT NULL,
    first_at bigint NOT NULL,
    last_at  bigint NOT NULL,
    PRIMARY KEY (token, kind, day, value)
);

CREATE INDEX usage_origin_by_day ON usage_origin (day);

-- The last use with the secret that was the present one; its time stays, however long ago, the
-- rest is forgotten.
CREATE TABLE last_use (
    token      bytea NOT NULL PRIMARY KEY,
    at         bigint NOT NULL,
    door       text COLLATE "C" NOT NULL,
    address    text COLLATE "C",
    user_agent text COLLATE "C",
    route      text COLLATE "C",
    home       bytea,  -- the token's organization
    latest     bigint, -- with whichever secret
    secret     bytea   -- the mark of its digest
);

CREATE INDEX last_use_by_time ON last_use (at)
    WHERE coalesce(address, user_agent, route) IS NOT NULL;
CREATE INDEX last_use_by_home ON last_use (home, latest, token);

-- The last use with a secret that a rotation has replaced since.
CREATE TABLE previous_use (
    token      bytea NOT NULL PRIMARY KEY,
    at         bigint NOT NULL,
    door       text COLLATE "C" NOT NULL,
    address    text COLLATE "C",
    user_agent text COLLATE "C",
    route      text COLLATE "C",
    secret     bytea
);

CREATE INDEX previous_use_by_time ON previous_use (at)
    WHERE coalesce(address, user_agent, route) IS NOT NULL;

-- What was asked for under a key of idempotency; beside the ledger, for a while.
CREATE TABLE once (
    key     bytea NOT NULL PRIMARY KEY,
    request bytea NOT NULL,
    token   bytea NOT NULL,
    at      bigint NOT NULL
);

CREATE INDEX once_by_time ON once (at);

-- Beside the ledger: what signing in needs, none of it for longer than it lasts.

CREATE TABLE session (
    digest       bytea NOT NULL PRIMARY KEY, -- of its secret
    id           bytea NOT NULL UNIQUE,
    account      bytea NOT NULL,
    organization bytea, -- the one that is looked at
    created_at   bigint NOT NULL,
    last_seen_at bigint NOT NULL,
    expires_at   bigint NOT NULL,
    address      text COLLATE "C",
    user_agent   text COLLATE "C",
    is_complete  boolean NOT NULL -- where not, the second factor is still to come
);

CREATE INDEX session_by_account ON session (account, id);
CREATE INDEX session_by_end ON session (expires_at);

CREATE TABLE link (
    digest     bytea NOT NULL PRIMARY KEY, -- of its secret
    kind       text COLLATE "C" NOT NULL,  -- set_up, reset
    account    bytea,                      -- whose password it resets
    expires_at bigint NOT NULL
);

-- One for each purpose.
CREATE UNIQUE INDEX link_by_purpose ON link (kind, coalesce(account, ''));
CREATE INDEX link_by_account ON link (account) WHERE account IS NOT NULL;
CREATE INDEX link_by_end ON link (expires_at);

CREATE TABLE second_factor (
    account      bytea NOT NULL PRIMARY KEY,
    secret       bytea NOT NULL,
    is_confirmed boolean NOT NULL,
    last_step    bigint NOT NULL -- of whatever code was used last
);

CREATE TABLE recovery_code (
    account bytea NOT NULL,
    digest  bytea NOT NULL,
    PRIMARY KEY (account, digest)
);
