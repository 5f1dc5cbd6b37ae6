-- Facts as they arrived, kept raw before they count.

-- Webhooks and API calls. The unique key is the one that makes a repeated delivery harmless.
CREATE TABLE inbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      text NOT NULL,            -- 'stripe:<processor>', 'api:sessions'
    external_id text NOT NULL,            -- the sender's id of the fact
    received_at timestamptz NOT NULL,     -- business time
    body        bytea NOT NULL,
    digest      text NOT NULL,            -- same id, other digest: a conflict, never overwritten
    handled_at  timestamptz,              -- set in the transaction that did the work
    answer      jsonb,                    -- what was answered, to answer a repetition the same
    error       text,
    UNIQUE (source, external_id)
);
CREATE TRIGGER inbox_never_changed
    BEFORE UPDATE OF id, source, external_id, received_at, body, digest ON inbox
    FOR EACH ROW EXECUTE FUNCTION
    never_changed('id', 'source', 'external_id', 'received_at', 'body', 'digest');
CREATE TRIGGER inbox_set_once BEFORE UPDATE OF handled_at ON inbox
    FOR EACH ROW EXECUTE FUNCTION set_once('handled_at');
-- From a session back to the sender's id of it.
CREATE INDEX inbox_session ON inbox ((answer->>'session_id')) WHERE answer IS NOT NULL;
CREATE INDEX inbox_unhandled ON inbox (id) WHERE handled_at IS NULL;

-- OCPP frames in daily partitions with a retention; normalized facts are for ever, frames are not.
CREATE TABLE frame (
    charge_point_id text NOT NULL,
    connection_id   text NOT NULL,
    received_at     timestamptz NOT NULL, -- business time
    direction       text NOT NULL CHECK (direction IN ('in', 'out')),
    raw             text NOT NULL         -- as it was on the wire, malformed ones too
) PARTITION BY RANGE (received_at);
CREATE INDEX frame_charge_point ON frame (charge_point_id, received_at);

-- The application may not create tables; this one, with this shape, it may.
CREATE FUNCTION ensure_frame_day(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = wattledger, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('wattledger.ensure_frame_day'));
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF frame FOR VALUES FROM (%L) TO (%L)',
        'frame_' || to_char(day, 'YYYYMMDD'),
        day::text || ' 00:00:00+00', (day + 1)::text || ' 00:00:00+00');
    EXECUTE format('GRANT SELECT, INSERT ON %I TO wattledger_app', 'frame_' || to_char(day, 'YYYYMMDD'));
    EXECUTE format('GRANT SELECT ON %I TO wattledger_reader', 'frame_' || to_char(day, 'YYYYMMDD'));
END $$;

-- Whatever day is asked for, the 30 days before the newest partition stay.
CREATE FUNCTION drop_frames_before(day date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = wattledger, pg_temp AS $$
DECLARE
    part text;
    newest date;
    dropped integer := 0;
BEGIN
    SELECT max(to_date(right(c.relname, 8), 'YYYYMMDD')) INTO newest
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'frame'::regclass;
    day := LEAST(day, newest - 30);
    FOR part IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'frame'::regclass
                  AND c.relname < 'frame_' || to_char(day, 'YYYYMMDD') LOOP
        EXECUTE format('DROP TABLE %I', part);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

-- Every authorization decision with what it was taken from.
CREATE TABLE decision (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    decided_at      timestamptz NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('authorize', 'start', 'api')),
    charge_point_id text,
    token           text NOT NULL,
    accepted        boolean NOT NULL,
    reason          text NOT NULL,
    inputs          jsonb NOT NULL
);

-- What a person should look at. Open until somebody says what was done.
CREATE TABLE anomaly (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL,
    code        text NOT NULL,             -- 'frame.malformed', 'register.fell', 'transaction.unknown'
    subject     text NOT NULL,             -- session, charge point or payment id
    detail      jsonb NOT NULL,
    resolved_at timestamptz,
    resolution  text,
    dedupe      text NOT NULL UNIQUE       -- one row per cause, however often it is met
);

-- Commands and connection of a charge point, as last heard.
CREATE TABLE charge_point_state (
    charge_point_id text PRIMARY KEY,
    connected       boolean NOT NULL,
    vendor          text,
    model           text,
    heard_at        timestamptz NOT NULL,
    connectors      jsonb NOT NULL DEFAULT '{}'   -- connector -> {status, at}
);

-- UPDATE column by column: what a row says happened is not among them.
GRANT SELECT, INSERT ON inbox, charge_point_state, anomaly TO wattledger_app;
GRANT UPDATE (handled_at, answer, error) ON inbox TO wattledger_app;
GRANT UPDATE (connected, vendor, model, heard_at, connectors) ON charge_point_state
    TO wattledger_app;
GRANT SELECT, INSERT ON frame, decision TO wattledger_app;
GRANT SELECT ON inbox, frame, decision, anomaly, charge_point_state TO wattledger_reader;
REVOKE EXECUTE ON FUNCTION ensure_frame_day(date), drop_frames_before(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_frame_day(date), drop_frames_before(date) TO wattledger_app;
