-- How a delivery arrived, and so what its id is made of: `time`, or `webhook:` and the hash of a signed webhook's id. None:
-- its content alone, as in versions before this column and for jobs of other producers.
ALTER TABLE delivery ADD COLUMN arrival TEXT;

-- Signed webhooks that repeated what was known when they were first seen: a retry of them is known as well.
CREATE TABLE webhook_receipt (
    receipt_id  TEXT NOT NULL PRIMARY KEY,
    lead_id     TEXT NOT NULL,
    delivery_id TEXT NOT NULL                  -- the delivery that it repeated
);
CREATE INDEX webhook_receipt_of_lead ON webhook_receipt (lead_id);

-- Lists of leads by each filter, newest first.
CREATE INDEX lead_by_campaign ON lead (campaign_id, created_at, lead_id);
CREATE INDEX lead_by_decision ON lead (decision, created_at, lead_id);
CREATE INDEX lead_by_fit ON lead (fit, created_at, lead_id);
