-- How often each has been changed: counted by the ledger's changes of that kind. A
-- change that was decided on an older one is not made.

ALTER TABLE organization ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE token ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
