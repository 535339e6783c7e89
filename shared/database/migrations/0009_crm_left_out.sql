-- The fields of an effect that did not reach the record, with the reasons, JSON. Names only, no values. NULL: all did.
ALTER TABLE crm_action ADD COLUMN left_out TEXT;
CREATE INDEX crm_action_left_out ON crm_action (updated_at) WHERE left_out IS NOT NULL;
