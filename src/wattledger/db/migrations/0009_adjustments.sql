-- Late data on an issued bill make a credit and a new charge. Nothing issued is ever edited.

-- A session's documents take turns: charge, credit, charge, … With one document for each revision
-- no session ever has two charges in force, whoever writes at the same time.
ALTER TABLE charge ADD COLUMN kind text NOT NULL DEFAULT 'charge';
ALTER TABLE charge ADD COLUMN reverses text UNIQUE REFERENCES charge;  -- a charge is credited once
ALTER TABLE charge ADD COLUMN reason text;
ALTER TABLE charge ADD CONSTRAINT charge_kind CHECK (kind IN ('charge', 'credit'));
ALTER TABLE charge ADD CONSTRAINT charge_turns
    CHECK (revision > 0 AND (kind = 'credit') = (revision % 2 = 0));
ALTER TABLE charge ADD CONSTRAINT charge_credit_says CHECK (
    (kind = 'credit') = (reverses IS NOT NULL)
    AND (kind = 'charge' OR COALESCE(btrim(reason), '') <> ''));

-- A credit takes back all of the charge before it; a further charge follows a credit.
CREATE FUNCTION charge_follows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last charge;
BEGIN
    IF NEW.revision = 1 THEN
        RETURN NEW;
    END IF;
    SELECT * INTO last FROM charge
     WHERE session_id = NEW.session_id AND revision = NEW.revision - 1;
    IF NOT FOUND OR (last.entity_id, last.currency) <> (NEW.entity_id, NEW.currency) THEN
        RAISE EXCEPTION '% follows no document of its session, entity and currency', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.kind = 'credit'
       AND (NEW.reverses, NEW.net_minor, NEW.tax_minor, NEW.total_minor, NEW.energy_wh)
           IS DISTINCT FROM
           (last.id, -last.net_minor, -last.tax_minor, -last.total_minor, -last.energy_wh) THEN
        RAISE EXCEPTION 'credit % is not what charge % was, negated', NEW.id, last.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER charge_follows BEFORE INSERT ON charge
    FOR EACH ROW EXECUTE FUNCTION charge_follows();

-- The charges in force: at most one of each session.
CREATE VIEW standing_charge AS
    SELECT c.* FROM charge c
     WHERE c.kind = 'charge' AND NOT EXISTS (SELECT FROM charge r WHERE r.reverses = c.id);

-- Sessions: adjusted, as often as it takes.
ALTER TABLE session DROP CONSTRAINT session_state_check;
ALTER TABLE session ADD CONSTRAINT session_state_check
    CHECK (state IN ('open', 'ended', 'billed', 'free', 'held', 'adjusted'));
DROP TRIGGER session_moves ON session;
CREATE TRIGGER session_moves BEFORE UPDATE ON session
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'open>ended', 'open>held', 'ended>billed', 'ended>free', 'ended>held', 'held>ended',
        'held>open', 'billed>adjusted', 'free>adjusted');
-- What is billed, free or adjusted may be asked to be looked at again (adjust_due_at). Only the
-- change that answers this may move its state, its end, what is explained of its registers, and a
-- stop that nobody had told (session_set_once keeps one that was).
CREATE OR REPLACE FUNCTION session_final() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    free_to_change text[] := '{adjust_due_at}';
BEGIN
    IF OLD.adjust_due_at IS NOT NULL AND NEW.adjust_due_at IS NULL THEN
        free_to_change := free_to_change ||
            '{state,ended_at,explained_wh,stopped_at,meter_stop_wh,stop_provisional}'::text[];
    END IF;
    IF to_jsonb(NEW) - free_to_change IS DISTINCT FROM to_jsonb(OLD) - free_to_change THEN
        RAISE EXCEPTION 'session % is %, and that is final but for an adjustment', OLD.id, OLD.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER session_final ON session;
CREATE TRIGGER session_final BEFORE UPDATE ON session
    FOR EACH ROW WHEN (OLD.state IN ('billed', 'free', 'adjusted'))
    EXECUTE FUNCTION session_final();

-- How an adjustment is collected: each document by parts of its own that sum to it. What was
-- captured stays captured: the credit makes it due back to the driver (refund_due, below zero), and
-- the new charge is paid out of that first.
ALTER TABLE collection DROP CONSTRAINT collection_state_check;
ALTER TABLE collection ADD CONSTRAINT collection_state_check CHECK (state IN
    ('pending', 'captured', 'invoiced', 'external', 'wallet', 'roaming', 'waived', 'debt',
     'refund_due'));
ALTER TABLE collection DROP CONSTRAINT collection_amount_minor_check;
ALTER TABLE collection ADD CONSTRAINT collection_amount_minor_check CHECK (amount_minor <> 0);
ALTER TABLE collection ADD CONSTRAINT collection_refund_of
    CHECK (state <> 'refund_due' OR payment_id IS NOT NULL);

CREATE OR REPLACE FUNCTION collection_sums() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM check_parts(OLD.charge_id);
    ELSE
        PERFORM check_parts(NEW.charge_id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION check_parts(of_charge text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    doc charge;
    parts bigint;
BEGIN
    SELECT * INTO doc FROM charge WHERE id = of_charge;
    SELECT COALESCE(sum(amount_minor), 0) INTO parts FROM collection WHERE charge_id = of_charge;
    IF parts <> doc.total_minor THEN
        RAISE EXCEPTION 'the parts of charge % sum to %, the charge is %',
            of_charge, parts, doc.total_minor USING ERRCODE = 'check_violation';
    END IF;
    PERFORM FROM collection c LEFT JOIN payment p ON p.id = c.payment_id
      WHERE c.charge_id = of_charge
        AND (c.entity_id <> doc.entity_id OR p.entity_id <> doc.entity_id);
    IF FOUND THEN
        RAISE EXCEPTION 'charge % is collected by another legal entity', of_charge
            USING ERRCODE = 'check_violation';
    END IF;
    PERFORM FROM collection c LEFT JOIN payment p ON p.id = c.payment_id
      WHERE c.charge_id = of_charge AND c.state = 'captured'
        AND p.state IS DISTINCT FROM 'captured';
    IF FOUND THEN
        RAISE EXCEPTION 'a part of charge % is captured, its payment is not', of_charge
            USING ERRCODE = 'check_violation';
    END IF;
    PERFORM FROM collection
      WHERE charge_id = of_charge AND (amount_minor > 0) <> (doc.kind = 'charge');
    IF FOUND THEN
        RAISE EXCEPTION 'a part of % has the sign of another kind of document', of_charge
            USING ERRCODE = 'check_violation';
    END IF;
    -- A credit takes back the parts of its charge one by one, but what was captured.
    PERFORM FROM (
        SELECT CASE WHEN c.state = 'captured' THEN 'refund_due' ELSE c.state END AS state,
               c.payment_id, c.amount_minor
          FROM collection c WHERE c.charge_id = doc.reverses
        UNION ALL
        SELECT CASE WHEN c.state IN ('captured', 'pending') THEN 'none' ELSE c.state END,
               c.payment_id, c.amount_minor
          FROM collection c WHERE c.charge_id = of_charge AND doc.kind = 'credit') pair
     GROUP BY pair.state, pair.payment_id HAVING sum(pair.amount_minor) <> 0;
    IF FOUND THEN
        RAISE EXCEPTION 'credit % does not take back what charge % is collected by',
            of_charge, doc.reverses USING ERRCODE = 'check_violation';
    END IF;
    -- No payment gives back more than it took, and none pays for more than it is to give back.
    PERFORM FROM payment p JOIN collection c ON c.payment_id = p.id AND c.state = 'refund_due'
      WHERE p.id IN (SELECT payment_id FROM collection WHERE charge_id = of_charge)
      GROUP BY p.id HAVING sum(c.amount_minor) NOT BETWEEN -p.captured_minor AND 0;
    IF FOUND THEN
        RAISE EXCEPTION 'what % makes due back is not what its payment captured', of_charge
            USING ERRCODE = 'check_violation';
    END IF;
END $$;

-- A credit without parts would escape the check of the parts.
CREATE FUNCTION credit_parts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM check_parts(NEW.id);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER credit_parts AFTER INSERT ON charge
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.kind = 'credit')
    EXECUTE FUNCTION credit_parts();

GRANT SELECT ON standing_charge TO wattledger_app, wattledger_reader;
