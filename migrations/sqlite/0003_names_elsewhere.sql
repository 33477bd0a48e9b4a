-- What somebody else's system calls an organization or an account; told by the
-- ledger's changes that make or change them, and absent in all from before.

ALTER TABLE organization ADD COLUMN external_id TEXT;
ALTER TABLE account ADD COLUMN external_id TEXT;

CREATE INDEX organization_by_external_id ON organization (external_id)
    WHERE external_id IS NOT NULL;
CREATE INDEX account_by_external_id ON account (external_id) WHERE external_id IS NOT NULL;
