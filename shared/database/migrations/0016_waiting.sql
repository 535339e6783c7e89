-- 1: enrichment is asked again about the newest delivery, as that delivery's `enrich_again_at` says.
ALTER TABLE lead ADD COLUMN awaits_enrichment BIGINT NOT NULL DEFAULT 0;
UPDATE lead SET awaits_enrichment = 1
WHERE lead_id IN (SELECT lead_id FROM delivery WHERE enrich_again_at IS NOT NULL)
  AND delivery_id IN (SELECT delivery_id FROM delivery WHERE enrich_again_at IS NOT NULL);

-- Lists of leads that wait for a second look, newest first. The first column is there for SQLite, which prefers an index
-- whose columns are compared with a value.
CREATE INDEX lead_awaiting_enrichment ON lead (awaits_enrichment, created_at, lead_id) WHERE awaits_enrichment = 1;
CREATE INDEX lead_awaiting_ai ON lead (fallback, created_at, lead_id) WHERE fallback = 1;
-- The order of second looks, in the same form: SQLite would prefer the list's index otherwise.
DROP INDEX lead_fallback;
CREATE INDEX lead_fallback ON lead (fallback, updated_at) WHERE fallback = 1;

-- When `open` was last counted from the assignments.
ALTER TABLE owner_load ADD COLUMN counted_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX lead_assignment_open ON lead_assignment (owner) WHERE responded_at IS NULL AND parked = 0;
-- Leads that were kept from the CRM before there was a column for it.
UPDATE lead_assignment SET parked = 1, due_at = NULL WHERE parked = 0 AND responded_at IS NULL AND lead_id IN (
    SELECT lead_id FROM lead WHERE status IN ('held', 'dismissed', 'suppressed', 'planned', 'permanently_failed'));
