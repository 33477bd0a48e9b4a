-- Whose part of the ledger an entry is in, what it is about, and with which token it
-- was asked for: read from the entry, and held against it by `counterfoil ledger verify`.

ALTER TABLE ledger ADD COLUMN organization BLOB;
ALTER TABLE ledger ADD COLUMN subject BLOB;
ALTER TABLE ledger ADD COLUMN actor BLOB;

UPDATE ledger SET
    organization = unhex(replace(text.entry ->> '$.organization', '-', '')),
    subject = unhex(replace(coalesce(text.entry ->> '$.subject.token', text.entry ->> '$.subject.account',
        text.entry ->> '$.subject.organization'), '-', '')),
    actor = unhex(replace(text.entry ->> '$.actor.token.token', '-', ''))
FROM (SELECT number AS n, CAST(entry AS TEXT) AS entry FROM ledger) AS text
WHERE ledger.number = text.n;

CREATE INDEX ledger_by_organization ON ledger (organization, number)
    WHERE organization IS NOT NULL;
CREATE INDEX ledger_by_subject ON ledger (subject, number);
CREATE INDEX ledger_by_actor ON ledger (actor, number) WHERE actor IS NOT NULL;
