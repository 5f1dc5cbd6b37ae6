-- What is due is found at the same cost in a backlog of any size, and before the tables were ever
-- analyzed; and who has to do it hears of it at once.

-- An effect is open while it is not settled: the same rows as before, by a column that a claim
-- leaves alone. With ``state`` in these conditions each claim made an entry in every index of the
-- table, and left a dead one where the next claim began to look.
DROP INDEX effect_open, effect_lane_open, effect_kind_open;
CREATE INDEX effect_open ON effect (due_at, id) WHERE settled_at IS NULL;
CREATE INDEX effect_lane_open ON effect (lane, lane_seq) WHERE settled_at IS NULL;
CREATE INDEX effect_kind_open ON effect (kind, due_at, id) WHERE settled_at IS NULL;
-- Room in each page for the claimed version of a row.
ALTER TABLE effect SET (fillfactor = 60);

-- In the order in which they are asked for: many sessions end at one time, and are not all read and
-- sorted to bill the first few.
DROP INDEX session_due, session_adjust_due;
CREATE INDEX session_due ON session (bill_due_at, id) WHERE state = 'ended';
CREATE INDEX session_adjust_due ON session (adjust_due_at, id) WHERE adjust_due_at IS NOT NULL;

-- The parts that wait for a payment, by the payment.
CREATE INDEX collection_pending ON collection (payment_id) WHERE state = 'pending';
-- A connection keeps the plans of its first calls, which may be those for empty tables.
ALTER FUNCTION check_parts(text) SET enable_seqscan = off;

-- Queues: a fifth of a table is too much to be dead in it.
ALTER TABLE effect SET (autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_threshold = 500, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE session SET (autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_threshold = 500, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE payment SET (autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_threshold = 500, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE collection SET (autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_threshold = 500, autovacuum_analyze_scale_factor = 0.02);

-- Of effects that are due at once their kinds are told, so that nobody looks for others. What was put
-- off is found when its time has come.
DROP TRIGGER effect_added ON effect;
CREATE OR REPLACE FUNCTION notify_effect() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('wattledger_effect', due.kind)
       FROM (SELECT DISTINCT kind FROM added WHERE due_at <= caused_at) AS due;
    RETURN NULL;
END $$;
CREATE TRIGGER effect_added AFTER INSERT ON effect REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION notify_effect();

-- A session is to be billed, or its bill looked at again: when, in business time.
CREATE FUNCTION notify_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('wattledger_effect', 'session '
        || to_char(CASE WHEN NEW.state = 'ended' THEN NEW.bill_due_at ELSE NEW.adjust_due_at END
                   AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'));
    RETURN NULL;
END $$;
CREATE TRIGGER session_bill_due AFTER UPDATE OF state, bill_due_at ON session FOR EACH ROW
    WHEN (NEW.state = 'ended' AND (OLD.state, OLD.bill_due_at) IS DISTINCT FROM
          (NEW.state, NEW.bill_due_at))
    EXECUTE FUNCTION notify_session();
CREATE TRIGGER session_adjust_due AFTER UPDATE OF adjust_due_at ON session FOR EACH ROW
    WHEN (NEW.adjust_due_at IS NOT NULL AND NEW.state IN ('billed', 'free', 'adjusted')
          AND OLD.adjust_due_at IS DISTINCT FROM NEW.adjust_due_at)
    EXECUTE FUNCTION notify_session();

-- What guards a row is asked when one of its columns is about to change: to write both versions of a
-- row as JSON with each update took longer than the update. Which columns, says the trigger as before.
DO $$
DECLARE
    guard record;
    changes text;
BEGIN
    FOR guard IN
        SELECT t.tgname, t.tgrelid::regclass AS guarded, pg_get_triggerdef(t.oid) AS definition,
               f.proname = 'set_once' AS once,
               string_to_array(rtrim(encode(t.tgargs, 'escape'), '\000'), '\000') AS columns
          FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid
         WHERE f.proname IN ('never_changed', 'set_once') AND t.tgqual IS NULL
           AND f.pronamespace = 'wattledger'::regnamespace
    LOOP
        SELECT string_agg(
            CASE WHEN guard.once
                 THEN format('OLD.%1$I IS NOT NULL AND NEW.%1$I IS DISTINCT FROM OLD.%1$I', name)
                 ELSE format('NEW.%1$I IS DISTINCT FROM OLD.%1$I', name) END, ' OR ')
          INTO STRICT changes FROM unnest(guard.columns) AS name;
        EXECUTE format('DROP TRIGGER %I ON %s', guard.tgname, guard.guarded);
        EXECUTE replace(guard.definition, ' EXECUTE FUNCTION ',
                        format(' WHEN (%s) EXECUTE FUNCTION ', changes));
    END LOOP;
END $$;
DROP TRIGGER session_set_once ON session;
CREATE TRIGGER session_set_once BEFORE UPDATE ON session FOR EACH ROW
    WHEN (NOT OLD.stop_provisional
          AND ((OLD.stopped_at IS NOT NULL AND NEW.stopped_at IS DISTINCT FROM OLD.stopped_at)
               OR (OLD.meter_stop_wh IS NOT NULL
                   AND NEW.meter_stop_wh IS DISTINCT FROM OLD.meter_stop_wh)))
    EXECUTE FUNCTION set_once('stopped_at', 'meter_stop_wh');
DROP TRIGGER session_connector_stays ON session;
CREATE TRIGGER session_connector_stays BEFORE UPDATE ON session FOR EACH ROW
    WHEN (OLD.connector_id <> 0 AND NEW.connector_id IS DISTINCT FROM OLD.connector_id)
    EXECUTE FUNCTION never_changed('connector_id');
