-- The schema, the same on SQLite and PostgreSQL. JSON and ids are TEXT, times are BIGINT milliseconds since 1970 in UTC,
-- flags are BIGINT 0 or 1. The texts of each CHECK are those of a Rust enum; a test compares them. Every foreign key refers
-- to the lead, and its column is indexed, since a database searches it when a lead is deleted.

-- Leads: the present state of each. Their history is in delivery, analysis and audit_event.
CREATE TABLE lead (
    lead_id       TEXT   NOT NULL PRIMARY KEY,
    email         TEXT   NOT NULL,
    campaign_id   TEXT   NOT NULL,
    content       TEXT   NOT NULL,            -- of the newest delivery, JSON
    status        TEXT   NOT NULL CHECK (status IN (
        'queued', 'processing', 'retrying', 'synced', 'held', 'dismissed',
        'suppressed', 'planned', 'worked_elsewhere', 'synthetic', 'permanently_failed')),
    revision      BIGINT NOT NULL,            -- the number of different contents so far, from 1
    delivery_id   TEXT   NOT NULL,            -- the newest delivery
    received_at   BIGINT NOT NULL,            -- of the newest delivery
    analysis_id   TEXT,                       -- the analysis in force
    fit_score     BIGINT CHECK (fit_score BETWEEN 0 AND 100),
    fit           TEXT   CHECK (fit IN ('LOW', 'MEDIUM', 'HIGH')),
    intent        TEXT   CHECK (intent IN ('LOW', 'MEDIUM', 'HIGH')),
    decision      TEXT   CHECK (decision IN ('IGNORE', 'NURTURE', 'MANUAL_REVIEW', 'ROUTE_TO_SDR')),
    grounding     TEXT   CHECK (grounding IN ('VALID', 'DOWNGRADED', 'REJECTED')),
    fallback      BIGINT NOT NULL DEFAULT 0,  -- 1: judged without an AI, and due for rescoring
    awaits_enrichment BIGINT NOT NULL DEFAULT 0, -- 1: the newest delivery has enrich_again_at
    crm_provider  TEXT,
    crm_record_id TEXT,
    failure       TEXT,                       -- the reason of a retry or of the dead-lettering, JSON
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    -- An audit event of the lead, its newest one except while the lead is worked on: the end of the chain is known
    -- without it.
    audit_seq     BIGINT NOT NULL DEFAULT 0,
    audit_hash    TEXT   NOT NULL DEFAULT ''
);
-- Of all leads. The condition is always true: it keeps PostgreSQL from reading this index for a list with a filter, which
-- would search all leads if few match.
CREATE INDEX lead_newest ON lead (created_at, lead_id) WHERE revision > 0;
CREATE INDEX lead_by_email ON lead (email);
-- Lists of leads by each filter, newest first.
CREATE INDEX lead_by_status ON lead (status, created_at, lead_id);
CREATE INDEX lead_by_campaign ON lead (campaign_id, created_at, lead_id);
CREATE INDEX lead_by_decision ON lead (decision, created_at, lead_id);
CREATE INDEX lead_by_fit ON lead (fit, created_at, lead_id);
-- SQLite prefers an index whose columns are compared with a value, so the flag is the first column.
CREATE INDEX lead_awaiting_enrichment ON lead (awaits_enrichment, created_at, lead_id) WHERE awaits_enrichment = 1;
CREATE INDEX lead_awaiting_ai ON lead (fallback, created_at, lead_id) WHERE fallback = 1;
CREATE INDEX lead_fallback ON lead (fallback, updated_at) WHERE fallback = 1;

-- Accepted contents of leads.
CREATE TABLE delivery (
    delivery_id  TEXT   NOT NULL PRIMARY KEY,
    lead_id      TEXT   NOT NULL REFERENCES lead (lead_id),
    revision     BIGINT NOT NULL,
    content_hash TEXT   NOT NULL,
    content      TEXT,                         -- JSON; NULL: removed by retention, never of the newest delivery
    arrival      TEXT,                         -- `time`, or `webhook:` and the hash of a signed webhook's id; NULL: its content
    sender       TEXT,                         -- the source that sent it, JSON; NULL: the unnamed one
    received_at  BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    enrichment   TEXT,                         -- the result of enrichment, JSON
    crm_facts    TEXT,                         -- the reading of the CRM before the judgement of a round, JSON
    -- The columns that change when the delivery ends are the last: an update logs the bytes from the first to the last
    -- change.
    enrichment_retry TEXT NOT NULL DEFAULT 'none' CHECK (enrichment_retry IN ('none', 'missing', 'requested')),
    enrich_tries BIGINT NOT NULL DEFAULT 0,    -- repeated requests of enrichment so far
    enrich_again_at BIGINT,                    -- the next repeated request; only of a delivery that is done
    duplicates   BIGINT NOT NULL DEFAULT 0,    -- how often the same content was received again
    round        BIGINT NOT NULL DEFAULT 1,    -- the number of the present judgement, from 1
    state        TEXT   NOT NULL CHECK (state IN ('open', 'done', 'superseded', 'failed')),
    turn_at      BIGINT,                       -- when the limits of its source permit the work on it; NULL: not asked yet
    over_limit   TEXT   CHECK (over_limit IN ('source_day', 'source_ai_share')), -- why the rules judge it
    promoted_at  BIGINT,                       -- when an operator promoted it, for one plan
    crm_failed_at BIGINT,                      -- the last failure of the CRM itself, since the delivery was opened
    limit_audited_at BIGINT,                   -- the last audit event of a full limit, since another failure
    limit_scope  TEXT   CHECK (limit_scope IN ('lead', 'all')), -- the leads that this limit concerned
    -- Failed attempts by stage, since the delivery was opened.
    crm_read_attempts  BIGINT NOT NULL DEFAULT 0,
    analysis_attempts  BIGINT NOT NULL DEFAULT 0,
    crm_write_attempts BIGINT NOT NULL DEFAULT 0,
    storage_attempts   BIGINT NOT NULL DEFAULT 0,
    other_attempts     BIGINT NOT NULL DEFAULT 0,
    finished_at  BIGINT
);
CREATE INDEX delivery_of_lead ON delivery (lead_id, revision);
CREATE INDEX delivery_open ON delivery (received_at) WHERE state = 'open';
CREATE INDEX delivery_unenriched ON delivery (enrich_again_at) WHERE enrich_again_at IS NOT NULL;

-- Signed webhooks that repeated a known delivery, so that retries of them are recognised.
CREATE TABLE webhook_receipt (
    receipt_id  TEXT NOT NULL PRIMARY KEY,
    lead_id     TEXT NOT NULL REFERENCES lead (lead_id),
    delivery_id TEXT NOT NULL                  -- the repeated delivery
);
CREATE INDEX webhook_receipt_of_lead ON webhook_receipt (lead_id);

-- Judgements: the question, the raw answer and the verdict of the grounding contract.
CREATE TABLE analysis (
    analysis_id   TEXT   NOT NULL PRIMARY KEY, -- delivery id and round
    lead_id       TEXT   NOT NULL REFERENCES lead (lead_id),
    delivery_id   TEXT   NOT NULL,
    round         BIGINT NOT NULL,
    facts         TEXT   NOT NULL,             -- JSON
    contract      TEXT   NOT NULL,             -- JSON, with its version
    icp_version   TEXT   NOT NULL,
    provider      TEXT   NOT NULL,
    model         TEXT   NOT NULL,
    prompt_version TEXT,                       -- NULL: the rules judged
    raw_answer    TEXT   NOT NULL,             -- empty after its removal
    answer_removed_at BIGINT,                  -- when retention removed the raw answer
    answer_sha256 TEXT,                        -- of the removed answer
    verdict       TEXT   NOT NULL,             -- JSON
    fallback      BIGINT NOT NULL,             -- 1: the neutral verdict, because no AI answered
    fallback_reason TEXT,
    input_tokens  BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cost_microusd BIGINT NOT NULL,
    latency_ms    BIGINT NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE INDEX analysis_of_lead ON analysis (lead_id, created_at);

-- The ledger: a row for each effect on the CRM, written before and after it. It outlives its lead: after an erasure the
-- ids remain.
CREATE TABLE crm_action (
    action_id   TEXT   NOT NULL PRIMARY KEY,   -- also the external id of the record that it creates, if any
    lead_id     TEXT   NOT NULL,
    delivery_id TEXT   NOT NULL,
    position    BIGINT NOT NULL,               -- in the plan, from 0
    provider    TEXT   NOT NULL,
    kind        TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    parameters  TEXT   NOT NULL,               -- JSON, personal data
    changes     TEXT,                          -- the field changes with the values before, by record, JSON, personal data
    changes_removed_at BIGINT,                 -- when retention removed the changes
    -- The columns of the outcome are the last: an update logs the bytes from the first to the last change.
    state       TEXT   NOT NULL CHECK (state IN (
        'pending', 'done', 'failed', 'skipped', 'refused', 'restored', 'erased')),
    record_id   TEXT,
    created     BIGINT,                        -- 1: the record was new
    left_out    TEXT,                          -- the fields that did not reach the record, with reasons, JSON
    failure     TEXT,                          -- JSON
    attempts    BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX crm_action_of_lead ON crm_action (lead_id, created_at, position);
-- Its column is never updated, so that PostgreSQL can update rows without touching the indexes.
CREATE INDEX crm_action_left_out ON crm_action (created_at) WHERE left_out IS NOT NULL;

-- CRMs that an operator holds: plans are stored instead of executed.
CREATE TABLE crm_hold (
    provider TEXT   NOT NULL PRIMARY KEY,
    reason   TEXT   NOT NULL,
    since    BIGINT NOT NULL
);

-- The actions sent lately, for the limits per lead, per account and in all.
CREATE TABLE crm_limit (
    scope      TEXT   NOT NULL PRIMARY KEY,
    sent       TEXT   NOT NULL,                -- `second:actions` for each second, oldest first
    touched_at BIGINT NOT NULL
);
CREATE INDEX crm_limit_idle ON crm_limit (touched_at);

-- The audit trail. Only appended to; an erasure replaces the detail with a hash. It outlives an erased lead.
CREATE TABLE audit_event (
    lead_id     TEXT   NOT NULL,
    seq         BIGINT NOT NULL,               -- per lead, from 1, without gaps
    at          BIGINT NOT NULL,
    kind        TEXT   NOT NULL,
    actor       TEXT,                          -- NULL: the pipeline
    delivery_id TEXT,
    detail      TEXT   NOT NULL,               -- JSON
    redacted    BIGINT NOT NULL DEFAULT 0,     -- 1: the detail is the hash of the detail
    hash        TEXT   NOT NULL,               -- of this event and of the hash before it
    PRIMARY KEY (lead_id, seq)
);

-- The audit trail of acts that concern no lead, or more than one. Only appended to.
CREATE TABLE audit_act (
    seq    BIGINT NOT NULL PRIMARY KEY,        -- from 1, without gaps
    at     BIGINT NOT NULL,
    kind   TEXT   NOT NULL,
    actor  TEXT   NOT NULL,
    detail TEXT   NOT NULL,                    -- JSON
    hash   TEXT   NOT NULL                     -- of this act and of the hash before it
);

-- The newest act. Its one row is the lock of the chain.
CREATE TABLE audit_act_head (
    seq  BIGINT NOT NULL,
    hash TEXT   NOT NULL
);
INSERT INTO audit_act_head (seq, hash) VALUES (0, '');

-- The owner of each lead: written when the lead is routed, kept through revisions and replays.
CREATE TABLE lead_assignment (
    lead_id       TEXT   NOT NULL PRIMARY KEY REFERENCES lead (lead_id),
    delivery_id   TEXT   NOT NULL,            -- the delivery and round that were routed last
    round         BIGINT NOT NULL,
    owner         TEXT,                       -- the CRM's id; NULL: the CRM decides
    routed        TEXT   NOT NULL,            -- the decision and its reasons, JSON
    had_it        TEXT   NOT NULL,            -- every owner so far, JSON
    assigned_at   BIGINT NOT NULL,            -- to the present owner
    due_at        BIGINT,                     -- the response deadline; NULL: none, or its timer is stopped
    responded_at  BIGINT,
    responded_by  TEXT,
    breached_at   BIGINT,                     -- the last missed deadline
    reassignments BIGINT NOT NULL DEFAULT 0,
    crm_sync      TEXT   NOT NULL DEFAULT 'yes' CHECK (crm_sync IN ('yes', 'not_yet', 'refused')),
    parked        BIGINT NOT NULL DEFAULT 0   -- 1: the lead is not in the CRM as it stands, so its timer is stopped
);
CREATE INDEX lead_assignment_due ON lead_assignment (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX lead_assignment_unsynced ON lead_assignment (breached_at) WHERE crm_sync = 'not_yet';
CREATE INDEX lead_assignment_open ON lead_assignment (owner) WHERE responded_at IS NULL AND parked = 0;

-- The credit of each pool member for turns. The row without an owner is the lock of a pool.
CREATE TABLE routing_turn (
    pool   TEXT   NOT NULL,
    owner  TEXT   NOT NULL,
    credit BIGINT NOT NULL,
    PRIMARY KEY (pool, owner)
);

-- The number of leads of each owner.
CREATE TABLE owner_load (
    owner TEXT   NOT NULL PRIMARY KEY,
    day   BIGINT NOT NULL,                    -- days since 1970 in UTC
    today BIGINT NOT NULL,                    -- assigned on that day
    open  BIGINT NOT NULL,                    -- assigned and without a response
    counted_at BIGINT NOT NULL DEFAULT 0      -- when `open` was last counted from the assignments
);

-- Decisions of people about held leads, one for each delivery and round.
CREATE TABLE review_decision (
    delivery_id TEXT   NOT NULL,
    round       BIGINT NOT NULL,
    lead_id     TEXT   NOT NULL REFERENCES lead (lead_id),
    decision    TEXT   NOT NULL CHECK (decision IN ('approved', 'rejudged', 'dismissed')),
    decided_by  TEXT   NOT NULL,
    reason      TEXT,
    decided_at  BIGINT NOT NULL,
    PRIMARY KEY (delivery_id, round)
);
CREATE INDEX review_decision_of_lead ON review_decision (lead_id);

-- Persons and companies that are never enriched, judged by an AI or written to the CRM.
CREATE TABLE suppression (
    entry    TEXT   NOT NULL PRIMARY KEY,     -- a domain, or the SHA-256 of an address
    kind     TEXT   NOT NULL CHECK (kind IN ('address', 'domain')),
    reason   TEXT   NOT NULL,
    added_by TEXT   NOT NULL,
    added_at BIGINT NOT NULL
);
CREATE INDEX suppression_newest ON suppression (added_at, entry);

-- Entries that were removed from the suppression list, with the reason.
CREATE TABLE suppression_removal (
    entry      TEXT   NOT NULL,
    kind       TEXT   NOT NULL CHECK (kind IN ('address', 'domain')),
    reason     TEXT   NOT NULL,               -- of the entry
    added_by   TEXT   NOT NULL,
    added_at   BIGINT NOT NULL,
    removed_by TEXT   NOT NULL,
    removal    TEXT   NOT NULL,               -- the reason of the removal
    removed_at BIGINT NOT NULL,
    PRIMARY KEY (entry, added_at, removed_at)
);
CREATE INDEX suppression_removal_newest ON suppression_removal (removed_at, entry);

-- Tombstones of erased persons, by the SHA-256 of the address: deliveries received before the erasure are dropped.
CREATE TABLE erased_person (
    email_hash TEXT   NOT NULL PRIMARY KEY,
    erased_at  BIGINT NOT NULL
);

-- Their leads, so that a certificate can be made again.
CREATE TABLE erased_lead (
    lead_id    TEXT   NOT NULL PRIMARY KEY,
    email_hash TEXT   NOT NULL,
    erased_at  BIGINT NOT NULL,
    audit_seq  BIGINT NOT NULL,                -- the audit event of the erasure
    audit_hash TEXT   NOT NULL
);
CREATE INDEX erased_lead_of_person ON erased_lead (email_hash);

-- Tombstones of leads that retention has removed, for some months. A copy of a delivery that is not newer than the lead's
-- last one is dropped: it would be a duplicate or superseded if the lead were still there.
CREATE TABLE expired_lead (
    lead_id     TEXT   NOT NULL PRIMARY KEY,
    received_at BIGINT NOT NULL,               -- of the newest delivery
    expired_at  BIGINT NOT NULL
);
CREATE INDEX expired_lead_oldest ON expired_lead (expired_at);

-- The progress of retention through the leads, oldest first. One row.
CREATE TABLE retention_pass (
    pass       TEXT   NOT NULL PRIMARY KEY CHECK (pass = 'leads'),
    started_at BIGINT NOT NULL,
    ended_at   BIGINT,                         -- NULL: the pass is under way
    created_at BIGINT,                         -- of the lead that was looked at last; NULL: none yet
    lead_id    TEXT
);

-- Dead letters of every queue: the reason, and the message to send again.
CREATE TABLE dead_letter (
    message_id TEXT   NOT NULL PRIMARY KEY,    -- the delivery id, if the message is readable
    lead_id    TEXT,
    body       TEXT   NOT NULL,
    failure    TEXT   NOT NULL,                -- JSON
    attempts   BIGINT NOT NULL,
    failed_at  BIGINT NOT NULL
);
CREATE INDEX dead_letter_newest ON dead_letter (failed_at, message_id);
CREATE INDEX dead_letter_of_lead ON dead_letter (lead_id);

-- Bodies that could not be accepted. The same body again only increases `times`.
CREATE TABLE quarantine (
    quarantine_id TEXT   NOT NULL PRIMARY KEY,
    sender        TEXT   NOT NULL,             -- the name of the source
    error         TEXT   NOT NULL,
    field         TEXT,
    message       TEXT   NOT NULL,
    content_type  TEXT,
    body          TEXT   NOT NULL,             -- base64, since it may be any bytes
    times         BIGINT NOT NULL,
    first_at      BIGINT NOT NULL,
    last_at       BIGINT NOT NULL
);
CREATE INDEX quarantine_newest ON quarantine (last_at, quarantine_id);

-- The circuit breakers of outside systems.
CREATE TABLE dependency_health (
    dependency    TEXT   NOT NULL PRIMARY KEY,
    state         TEXT   NOT NULL CHECK (state IN ('closed', 'open', 'half_open')),
    failures      BIGINT NOT NULL,             -- consecutive
    failed_caller TEXT,                        -- the lead whose call failed last: it leaves the probe to others
    reason        TEXT,                        -- the code of the failure that opened it
    cause         TEXT   CHECK (cause IN ('failures', 'wait', 'operator')), -- the class of that failure
    opened_at     BIGINT,
    retry_at      BIGINT,
    recovered_at  BIGINT,                      -- the last success that followed a failure
    updated_at    BIGINT NOT NULL
);

-- The cost of outside systems by day, in the unit of each budget, such as millionths of a US dollar.
CREATE TABLE spending (
    dependency TEXT   NOT NULL,
    day        BIGINT NOT NULL,                -- days since 1970 in UTC
    held       BIGINT NOT NULL,                -- the most that running calls may cost
    spent      BIGINT NOT NULL,
    PRIMARY KEY (dependency, day)
);

-- The leads of each source with limits, and their cost.
CREATE TABLE source_usage (
    source  TEXT   NOT NULL PRIMARY KEY,
    day     BIGINT NOT NULL,                   -- days since 1970 in UTC
    leads   BIGINT NOT NULL,                   -- on that day
    ai_microusd BIGINT NOT NULL,               -- on that day
    next_at BIGINT NOT NULL                    -- the next free turn
);

-- Cached answers of enrichment providers by the company's domain. No personal data.
CREATE TABLE enrichment_answer (
    provider      TEXT   NOT NULL,
    domain        TEXT   NOT NULL,
    answer        TEXT,                        -- JSON; NULL before the first answer
    fetched_at    BIGINT,
    expires_at    BIGINT NOT NULL,             -- before the first answer, the end of the claim
    claimed_until BIGINT NOT NULL DEFAULT 0,   -- a process queries the provider until then
    PRIMARY KEY (provider, domain)
);
CREATE INDEX enrichment_answer_expired ON enrichment_answer (expires_at);

-- The database queue. A group is scheduled as a whole: the messages of one lead, in order, one at a time.
CREATE TABLE queue_group (
    group_id   TEXT   NOT NULL PRIMARY KEY,
    first_seq  BIGINT NOT NULL,                -- its first message; the others follow without gaps
    next_seq   BIGINT NOT NULL,                -- of the next message that is sent
    attempts   BIGINT NOT NULL DEFAULT 0,      -- failed attempts at the first message
    losses     BIGINT NOT NULL DEFAULT 0,      -- leases of the first message that expired in a row
    visible_at BIGINT NOT NULL,                -- when the first message may be received, or its lease expires
    lease      TEXT                            -- the holder of the first message
);
CREATE INDEX queue_group_ready ON queue_group (visible_at);

-- Messages are written once and deleted once. Their changing state is in their group.
CREATE TABLE queue_message (
    group_id   TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    message_id TEXT   NOT NULL UNIQUE,
    body       TEXT   NOT NULL,
    sent_at    BIGINT NOT NULL,
    PRIMARY KEY (group_id, seq)
);
CREATE INDEX queue_message_oldest ON queue_message (sent_at);

-- Pauses of consumption, of every queue.
CREATE TABLE queue_pause (
    dependency TEXT   NOT NULL PRIMARY KEY,
    reason     TEXT   NOT NULL,
    paused_at  BIGINT NOT NULL,
    until      BIGINT NOT NULL                 -- when to probe
);

-- Attempts at messages in SQS, which does not count them itself. Deleted when the message is settled.
CREATE TABLE sqs_try (
    message_key TEXT   NOT NULL PRIMARY KEY,   -- the delivery id, if the message is ours
    attempts    BIGINT NOT NULL DEFAULT 0,     -- failed attempts
    losses      BIGINT NOT NULL DEFAULT 0,     -- attempts in a row whose process died
    lease       TEXT,                          -- of the present attempt; remains after a death
    touched_at  BIGINT NOT NULL
);
CREATE INDEX sqs_try_oldest ON sqs_try (touched_at);

-- The records of the mock CRM.
CREATE TABLE mock_crm_record (
    object      TEXT   NOT NULL,
    external_id TEXT   NOT NULL,
    record_id   TEXT   NOT NULL UNIQUE,
    fields      TEXT   NOT NULL,               -- JSON
    writes      BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (object, external_id)
);
