-- What each connection that writes to the ledger has tried last. Whoever is not told what became
-- of a commit asks here: the row is locked until that is decided.
CREATE TABLE attempt (
    writer bytea NOT NULL PRIMARY KEY,
    number bigint NOT NULL,
    at     bigint NOT NULL
) WITH (fillfactor = 10);

-- Counts what was committed of the row.
ALTER TABLE cluster ADD COLUMN revision bigint NOT NULL DEFAULT 0;
