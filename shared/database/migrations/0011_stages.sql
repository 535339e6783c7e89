-- How often work on an open delivery has failed, by the stage at which it failed. Back to 0 when the delivery ends.
ALTER TABLE delivery ADD COLUMN crm_read_attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN analysis_attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN crm_write_attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN storage_attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN other_attempts BIGINT NOT NULL DEFAULT 0;

-- The lead whose call failed last: the half-open probe prefers another one.
ALTER TABLE dependency_health ADD COLUMN failed_lead TEXT;

-- 1: the stored enrichment says `unavailable`; 2: and it is asked for again with the next judgement.
ALTER TABLE delivery ADD COLUMN unenriched BIGINT NOT NULL DEFAULT 0;
-- How often it was asked for again, and when to ask next: only while the delivery is done.
ALTER TABLE delivery ADD COLUMN enrich_tries BIGINT NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN enrich_again_at BIGINT;
CREATE INDEX delivery_unenriched ON delivery (enrich_again_at) WHERE enrich_again_at IS NOT NULL;

-- 1: the lead is not in the CRM as it stands (dead-lettered, held, planned): its timer rests, and it is not among the open
-- leads of its owner.
ALTER TABLE lead_assignment ADD COLUMN parked BIGINT NOT NULL DEFAULT 0;
-- Rows that were walked by every look for overdue leads.
UPDATE lead_assignment SET due_at = NULL WHERE due_at IS NOT NULL AND lead_id IN (
    SELECT lead_id FROM lead WHERE status IN ('held', 'dismissed', 'suppressed', 'planned', 'permanently_failed'));
