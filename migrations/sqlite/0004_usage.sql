-- What tokens did is not a change: it is kept beside the ledger, for a while.

CREATE TABLE usage (
    token   BLOB NOT NULL,
    hour    INTEGER NOT NULL, -- when it began
    outcome TEXT NOT NULL,    -- admitted, or a refusal's code
    count   INTEGER NOT NULL,
    PRIMARY KEY (token, hour, outcome)
) STRICT, WITHOUT ROWID;

CREATE INDEX usage_by_hour ON usage (hour);

-- From which addresses and with which user agents, so many of each a day.
CREATE TABLE usage_origin (
    token    BLOB NOT NULL,
    kind     TEXT NOT NULL,
    day      INTEGER NOT NULL, -- when it began
    value    TEXT NOT NULL,    -- empty: not known, or one too many
    admitted INTEGER NOT NULL,
    refused  INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (token, kind, day, value)
) STRICT, WITHOUT ROWID;

CREATE INDEX usage_origin_by_day ON usage_origin (day);

-- The time of the last use stays, however long ago; the rest is forgotten.
CREATE TABLE last_use (
    token      BLOB NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    door       TEXT NOT NULL,
    address    TEXT,
    user_agent TEXT,
    route      TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX last_use_by_time ON last_use (at)
    WHERE coalesce(address, user_agent, route) IS NOT NULL;
