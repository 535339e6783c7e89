-- When the CRM last failed for this delivery's lead, since the delivery was opened. State that decides whose failure the next
-- one is.
ALTER TABLE delivery ADD COLUMN crm_failed_at BIGINT;
-- When a full limit was last noted in the audit trail: once an hour is enough.
ALTER TABLE delivery ADD COLUMN limit_audited_at BIGINT;
-- And the leads that it concerned: lead, all.
ALTER TABLE delivery ADD COLUMN limit_scope TEXT;
-- The class of the failure that opened a breaker: failures, wait, operator.
ALTER TABLE dependency_health ADD COLUMN cause TEXT;
