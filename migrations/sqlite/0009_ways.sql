-- So that what is asked for of many tokens is found in the order of their ids, and those
-- that end before some moment without looking at all others.

CREATE INDEX token_by_api ON token (api, id);
CREATE INDEX token_by_end ON token (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX token_paused ON token (id) WHERE paused_at IS NOT NULL;
CREATE INDEX token_revoked ON token (id) WHERE revoked_at IS NOT NULL;
CREATE INDEX organization_by_name ON organization (name, id);
