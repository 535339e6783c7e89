-- Runs unchanged on SQLite and PostgreSQL. JSON is TEXT, times are BIGINT milliseconds since 1970 UTC, flags are BIGINT 0/1.

-- One row a lead: where it stands now. History is in delivery, analysis and audit_event.
CREATE TABLE lead (
    lead_id       TEXT   NOT NULL PRIMARY KEY,
    email         TEXT   NOT NULL,
    campaign_id   TEXT   NOT NULL,
    content       TEXT   NOT NULL,            -- the newest delivery's content, JSON
    status        TEXT   NOT NULL,
    revision      BIGINT NOT NULL,            -- deliveries with other content, counted from 1
    delivery_id   TEXT   NOT NULL,            -- the newest delivery
    received_at   BIGINT NOT NULL,            -- of the newest delivery
    analysis_id   TEXT,                       -- the analysis in force
    fit_score     BIGINT,
    fit           TEXT,
    intent        TEXT,
    decision      TEXT,
    grounding     TEXT,
    fallback      BIGINT NOT NULL DEFAULT 0,  -- judged without an AI: to be judged again
    crm_provider  TEXT,
    crm_record_id TEXT,
    failure       TEXT,                       -- why it waits or was parked, JSON
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);
CREATE INDEX lead_newest ON lead (created_at, lead_id);
CREATE INDEX lead_by_status ON lead (status, created_at, lead_id);
CREATE INDEX lead_by_email ON lead (email);
CREATE INDEX lead_fallback ON lead (updated_at) WHERE fallback = 1;

-- One row an accepted content. Its primary key is what makes a second delivery of the same content a duplicate.
CREATE TABLE delivery (
    delivery_id  TEXT   NOT NULL PRIMARY KEY,
    lead_id      TEXT   NOT NULL,
    revision     BIGINT NOT NULL,
    content_hash TEXT   NOT NULL,
    content      TEXT   NOT NULL,
    received_at  BIGINT NOT NULL,
    state        TEXT   NOT NULL,             -- open, done, superseded, failed
    round        BIGINT NOT NULL DEFAULT 1,   -- how often it has been put up for judgement
    enrichment   TEXT,                        -- what enrichment found, JSON, once it has run
    duplicates   BIGINT NOT NULL DEFAULT 0,   -- how often the same content came again
    created_at   BIGINT NOT NULL,
    finished_at  BIGINT
);
CREATE INDEX delivery_of_lead ON delivery (lead_id, revision);
CREATE INDEX delivery_open ON delivery (received_at) WHERE state = 'open';

-- What was asked, what was answered, and what the grounding contract made of it.
CREATE TABLE analysis (
    analysis_id   TEXT   NOT NULL PRIMARY KEY, -- delivery id and round
    lead_id       TEXT   NOT NULL,
    delivery_id   TEXT   NOT NULL,
    round         BIGINT NOT NULL,             -- 1 is the first judgement of a delivery
    facts         TEXT   NOT NULL,
    contract      TEXT   NOT NULL,
    icp_version   TEXT   NOT NULL,
    provider      TEXT   NOT NULL,
    model         TEXT   NOT NULL,
    raw_answer    TEXT   NOT NULL,
    verdict       TEXT   NOT NULL,
    fallback      BIGINT NOT NULL,
    input_tokens  BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cost_microusd BIGINT NOT NULL,
    latency_ms    BIGINT NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE INDEX analysis_of_lead ON analysis (lead_id, created_at);

-- The ledger: one row an effect on the CRM, written before and after it.
CREATE TABLE crm_action (
    action_id   TEXT   NOT NULL PRIMARY KEY,   -- also the external id of what it creates, where it creates something
    lead_id     TEXT   NOT NULL,
    delivery_id TEXT   NOT NULL,
    position    BIGINT NOT NULL,               -- its place in the plan
    provider    TEXT   NOT NULL,
    kind        TEXT   NOT NULL,
    parameters  TEXT   NOT NULL,
    state       TEXT   NOT NULL,               -- pending, done, refused, failed
    record_id   TEXT,
    created     BIGINT,                        -- 1: the record was new
    failure     TEXT,
    attempts    BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX crm_action_of_lead ON crm_action (lead_id, created_at, position);

-- Append-only.
CREATE TABLE audit_event (
    lead_id     TEXT   NOT NULL,
    seq         BIGINT NOT NULL,               -- per lead, from 1, without gaps
    at          BIGINT NOT NULL,
    kind        TEXT   NOT NULL,
    delivery_id TEXT,
    detail      TEXT   NOT NULL,
    PRIMARY KEY (lead_id, seq)
);

-- Messages given up, on whatever queue: enough to say why and to send them again.
CREATE TABLE dead_letter (
    message_id TEXT   NOT NULL PRIMARY KEY,    -- the delivery id, where the message could be read
    lead_id    TEXT,
    body       TEXT   NOT NULL,
    failure    TEXT   NOT NULL,
    attempts   BIGINT NOT NULL,
    failed_at  BIGINT NOT NULL
);
CREATE INDEX dead_letter_newest ON dead_letter (failed_at, message_id);
CREATE INDEX dead_letter_of_lead ON dead_letter (lead_id);

-- Bodies that could not be accepted; the same body again only counts up.
CREATE TABLE quarantine (
    quarantine_id TEXT   NOT NULL PRIMARY KEY,
    error         TEXT   NOT NULL,
    field         TEXT,
    message       TEXT   NOT NULL,
    content_type  TEXT,
    body          TEXT   NOT NULL,             -- base64: it may be anything
    times         BIGINT NOT NULL,
    first_at      BIGINT NOT NULL,
    last_at       BIGINT NOT NULL
);
CREATE INDEX quarantine_newest ON quarantine (last_at, quarantine_id);

CREATE TABLE dependency_health (
    dependency TEXT   NOT NULL PRIMARY KEY,
    state      TEXT   NOT NULL,                -- closed, open
    failures   BIGINT NOT NULL,                -- in a row
    reason     TEXT,
    opened_at  BIGINT,
    retry_at   BIGINT,
    updated_at BIGINT NOT NULL
);

-- The database queue. A group is what is scheduled: one lead's messages, in order, one at a time.
CREATE TABLE queue_group (
    group_id   TEXT   NOT NULL PRIMARY KEY,
    first_seq  BIGINT NOT NULL,                -- its first message; the others follow without gaps
    next_seq   BIGINT NOT NULL,                -- the next message sent
    attempts   BIGINT NOT NULL DEFAULT 0,      -- of the first message: failed so far
    losses     BIGINT NOT NULL DEFAULT 0,      -- of the first message: leases that ended without a word
    visible_at BIGINT NOT NULL,                -- when the first message may be received; while leased, when the lease ends
    lease      TEXT                            -- who holds the first message
);
CREATE INDEX queue_group_ready ON queue_group (visible_at);

-- Written once, deleted once: what changes about a message changes in its group.
CREATE TABLE queue_message (
    group_id   TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    message_id TEXT   NOT NULL UNIQUE,
    body       TEXT   NOT NULL,
    sent_at    BIGINT NOT NULL,
    PRIMARY KEY (group_id, seq)
);
CREATE INDEX queue_message_oldest ON queue_message (sent_at);

-- Present while consumption is paused.
CREATE TABLE queue_pause (
    dependency TEXT   NOT NULL PRIMARY KEY,
    reason     TEXT   NOT NULL,
    paused_at  BIGINT NOT NULL,
    until      BIGINT NOT NULL                 -- when to probe
);

-- The mock CRM.
CREATE TABLE mock_crm_record (
    object      TEXT   NOT NULL,
    external_id TEXT   NOT NULL,
    record_id   TEXT   NOT NULL UNIQUE,
    fields      TEXT   NOT NULL,
    writes      BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (object, external_id)
);
