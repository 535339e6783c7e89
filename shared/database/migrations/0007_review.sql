-- What people decided about held leads: once for each delivery and round.
CREATE TABLE review_decision (
    delivery_id TEXT   NOT NULL,
    round       BIGINT NOT NULL,
    lead_id     TEXT   NOT NULL,
    decision    TEXT   NOT NULL,              -- approved, rejudged, dismissed
    decided_by  TEXT   NOT NULL,
    reason      TEXT,
    decided_at  BIGINT NOT NULL,
    PRIMARY KEY (delivery_id, round)
);
CREATE INDEX review_decision_of_lead ON review_decision (lead_id);

-- Who is never written to the CRM.
CREATE TABLE suppression (
    entry    TEXT   NOT NULL PRIMARY KEY,     -- a domain, or the SHA-256 of an address
    kind     TEXT   NOT NULL,                 -- domain, address
    reason   TEXT   NOT NULL,
    added_by TEXT   NOT NULL,
    added_at BIGINT NOT NULL
);
CREATE INDEX suppression_newest ON suppression (added_at, entry);

-- Persons who were erased, by the SHA-256 of their address: what was received before then is dropped wherever it turns up.
CREATE TABLE erased_person (
    email_hash TEXT   NOT NULL PRIMARY KEY,
    erased_at  BIGINT NOT NULL
);

-- Their leads, so that a certificate can be made again.
CREATE TABLE erased_lead (
    lead_id    TEXT   NOT NULL PRIMARY KEY,
    email_hash TEXT   NOT NULL,
    erased_at  BIGINT NOT NULL
);
CREATE INDEX erased_lead_of_person ON erased_lead (email_hash);
