-- Who has each lead: one row a lead, written when it is routed, kept through revisions and replays.
CREATE TABLE lead_assignment (
    lead_id       TEXT   NOT NULL PRIMARY KEY,
    delivery_id   TEXT   NOT NULL,            -- the delivery and round that were routed last
    round         BIGINT NOT NULL,
    owner         TEXT,                       -- the CRM's id; none: left to the CRM
    routed        TEXT   NOT NULL,            -- the decision and its reasons, JSON
    had_it        TEXT   NOT NULL,            -- everybody it was given to, JSON
    assigned_at   BIGINT NOT NULL,            -- when its owner was given it
    due_at        BIGINT,                     -- when somebody is to have responded; none where nobody is waited for
    responded_at  BIGINT,
    responded_by  TEXT,
    breached_at   BIGINT,                     -- when nobody had responded in time, the last time
    reassignments BIGINT NOT NULL DEFAULT 0,
    unwritten     BIGINT NOT NULL DEFAULT 0   -- 1: given to somebody else, and the CRM does not know yet
);
CREATE INDEX lead_assignment_due ON lead_assignment (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX lead_assignment_unwritten ON lead_assignment (breached_at) WHERE unwritten = 1;

-- What is due to the members of pools. The row without a name is locked by whoever gives a lead.
CREATE TABLE routing_turn (
    pool   TEXT   NOT NULL,
    owner  TEXT   NOT NULL,
    credit BIGINT NOT NULL,
    PRIMARY KEY (pool, owner)
);

-- How many leads each owner has.
CREATE TABLE owner_load (
    owner TEXT   NOT NULL PRIMARY KEY,
    day   BIGINT NOT NULL,                    -- days since 1970, UTC
    today BIGINT NOT NULL,                    -- given on that day
    open  BIGINT NOT NULL                     -- given and not responded to
);
