-- What the CRM knew of a person before this delivery was judged: {"round", "known"} or {"round", "unreadable"}, JSON.
ALTER TABLE delivery ADD COLUMN crm_facts TEXT;
-- 1: an operator has promoted it, so that it is written to the CRM also while the CRM is only shadowed.
ALTER TABLE delivery ADD COLUMN released BIGINT NOT NULL DEFAULT 0;

-- What an effect changed, field by field with the values before it, JSON. Personal data, like the parameters.
ALTER TABLE crm_action ADD COLUMN changes TEXT;

-- The newest plan of a lead that was made and not carried out, with what it would have written then. Personal data.
CREATE TABLE crm_preview (
    lead_id         TEXT   NOT NULL PRIMARY KEY,
    delivery_id     TEXT   NOT NULL,
    round           BIGINT NOT NULL,
    provider        TEXT   NOT NULL,
    mapping_version TEXT   NOT NULL,
    preview         TEXT   NOT NULL,           -- reviews and changes, JSON
    created_at      BIGINT NOT NULL
);

-- Present while a CRM is only shadowed, whatever CRM_MODE says: a rollback.
CREATE TABLE crm_hold (
    provider TEXT   NOT NULL PRIMARY KEY,
    reason   TEXT   NOT NULL,
    since    BIGINT NOT NULL
);

-- How many actions were sent lately, for the limits per lead, per account and in all.
CREATE TABLE crm_limit (
    scope      TEXT   NOT NULL PRIMARY KEY,
    sent       TEXT   NOT NULL,                -- second:actions, oldest first
    touched_at BIGINT NOT NULL
);
CREATE INDEX crm_limit_idle ON crm_limit (touched_at);
