-- What a node says of itself for people. One of a release before this says nothing of it.
ALTER TABLE node
    ADD COLUMN configuration bytea, -- the digest of what its configuration says of APIs
    ADD COLUMN joined_at     bigint, -- by its own clock, which nothing is compared with
    ADD COLUMN version       text COLLATE "C";
