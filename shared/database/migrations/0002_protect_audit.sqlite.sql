-- The audit trail is only appended to. An erasure may replace a detail by its hash, once; the events of a
-- lead may be deleted once the lead itself is, at the end of its retention. Those of erased leads stay, and
-- the synthetic lead has no history. Whoever owns the file can drop the triggers: the chain of hashes then
-- shows changes.
CREATE TRIGGER audit_event_update BEFORE UPDATE ON audit_event
WHEN NOT (OLD.redacted = 0 AND NEW.redacted = 1
    AND length(NEW.detail) = 77 AND NEW.detail GLOB '{"sha256":"*"}' AND json_valid(NEW.detail)
    AND NEW.lead_id IS OLD.lead_id AND NEW.seq IS OLD.seq AND NEW.at IS OLD.at AND NEW.kind IS OLD.kind
    AND NEW.actor IS OLD.actor AND NEW.delivery_id IS OLD.delivery_id AND NEW.hash IS OLD.hash)
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is only appended to');
END;

CREATE TRIGGER audit_event_delete BEFORE DELETE ON audit_event
WHEN OLD.lead_id <> 'd73443ea420d178028e43ad667f9a7cbafe358f1712f834858a62e34cf152378'
    AND (EXISTS (SELECT 1 FROM lead WHERE lead_id = OLD.lead_id)
        OR EXISTS (SELECT 1 FROM erased_lead WHERE lead_id = OLD.lead_id))
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is only appended to');
END;

CREATE TRIGGER audit_act_update BEFORE UPDATE ON audit_act
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is only appended to');
END;

CREATE TRIGGER audit_act_delete BEFORE DELETE ON audit_act
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is only appended to');
END;
