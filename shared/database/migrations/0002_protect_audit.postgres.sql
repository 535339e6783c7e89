-- The audit trail is only appended to. An erasure may replace a detail by its hash, once; the events of a
-- lead may be deleted once the lead itself is, at the end of its retention. Those of erased leads stay, and
-- the synthetic lead has no history. A role that does not own the tables, such as that of the functions,
-- cannot remove the triggers; where the application owns them, the chain of hashes shows changes.
--
-- The functions look nothing up by the search path of their caller.
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is only appended to' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION audit_event_update() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF OLD.redacted = 0 AND NEW.redacted = 1
        AND NEW.detail = format('{"sha256":"%s"}', encode(sha256(convert_to(OLD.detail, 'UTF8')), 'hex'))
        AND (NEW.lead_id, NEW.seq, NEW.at, NEW.kind, NEW.hash) = (OLD.lead_id, OLD.seq, OLD.at, OLD.kind, OLD.hash)
        AND NEW.actor IS NOT DISTINCT FROM OLD.actor AND NEW.delivery_id IS NOT DISTINCT FROM OLD.delivery_id
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the audit trail is only appended to' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION audit_event_delete() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    is_kept BOOLEAN;
BEGIN
    EXECUTE format(
        'SELECT EXISTS (SELECT 1 FROM %1$I.lead WHERE lead_id = $1) '
        'OR EXISTS (SELECT 1 FROM %1$I.erased_lead WHERE lead_id = $1)', TG_TABLE_SCHEMA)
        INTO is_kept USING OLD.lead_id;
    IF is_kept AND OLD.lead_id <> 'd73443ea420d178028e43ad667f9a7cbafe358f1712f834858a62e34cf152378' THEN
        RAISE EXCEPTION 'the audit trail is only appended to' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER audit_event_update BEFORE UPDATE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION audit_event_update();
CREATE TRIGGER audit_event_delete BEFORE DELETE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION audit_event_delete();
CREATE TRIGGER audit_event_truncate BEFORE TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_act_change BEFORE UPDATE OR DELETE ON audit_act
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_act_truncate BEFORE TRUNCATE ON audit_act
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

-- The role of the functions on AWS (infra/lib/roles.sql) does not even have the rights.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'revenueflow_app') THEN
        REVOKE UPDATE, DELETE ON audit_act FROM revenueflow_app;
        REVOKE UPDATE ON audit_event FROM revenueflow_app;
        GRANT UPDATE (detail, redacted) ON audit_event TO revenueflow_app;
    END IF;
END $$;
