-- What was promised, in immutable versions. The running system reads only this, never the file.

CREATE TABLE config_version (
    digest text PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{64}$'),  -- SHA-256 of kind, key and canonical body
    kind   text NOT NULL,
    key    text NOT NULL,
    body   jsonb NOT NULL
);

-- From valid_from on, (kind, key) means this version. A null digest ends it. Rows are only added,
-- so what was in force at any time can be asked for ever.
CREATE TABLE config_activation (
    seq        bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    kind       text NOT NULL,
    key        text NOT NULL,
    valid_from timestamptz NOT NULL,
    digest     text REFERENCES config_version,
    PRIMARY KEY (kind, key, valid_from, seq)
);

CREATE FUNCTION notify_config() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('wattledger_config', '');
    RETURN NULL;
END $$;
CREATE TRIGGER config_changed AFTER INSERT ON config_activation
    FOR EACH STATEMENT EXECUTE FUNCTION notify_config();

-- Business time where it is driven (demo, simulations): kept, so that a restart goes on from it.
CREATE TABLE driven_clock (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    now       timestamptz NOT NULL
);

-- Refuses what an append-only table may not have done to it, whoever asks.
CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % refused: rows of this table are only ever added', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER config_version_append_only BEFORE UPDATE OR DELETE ON config_version
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER config_version_no_truncate BEFORE TRUNCATE ON config_version
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER config_activation_append_only BEFORE UPDATE OR DELETE ON config_activation
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER config_activation_no_truncate BEFORE TRUNCATE ON config_activation
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- Columns of a row that never change, whoever asks: their names are the trigger's arguments.
CREATE FUNCTION never_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was jsonb := to_jsonb(OLD);
    will jsonb := to_jsonb(NEW);
BEGIN
    FOR n IN 0 .. TG_NARGS - 1 LOOP
        IF was -> TG_ARGV[n] IS DISTINCT FROM will -> TG_ARGV[n] THEN
            RAISE EXCEPTION '%.% never changes', TG_TABLE_NAME, TG_ARGV[n]
                USING ERRCODE = 'restrict_violation';
        END IF;
    END LOOP;
    RETURN NEW;
END $$;

-- Columns that are empty until they are known, and from then on never change.
CREATE FUNCTION set_once() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was jsonb := to_jsonb(OLD);
    will jsonb := to_jsonb(NEW);
BEGIN
    FOR n IN 0 .. TG_NARGS - 1 LOOP
        IF was -> TG_ARGV[n] <> 'null' AND was -> TG_ARGV[n] IS DISTINCT FROM will -> TG_ARGV[n]
        THEN
            RAISE EXCEPTION '%.% is set once', TG_TABLE_NAME, TG_ARGV[n]
                USING ERRCODE = 'restrict_violation';
        END IF;
    END LOOP;
    RETURN NEW;
END $$;

-- The ways of a state: each argument is 'from>to'. To stay is always possible.
CREATE FUNCTION state_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state AND NOT (OLD.state || '>' || NEW.state) = ANY (TG_ARGV) THEN
        RAISE EXCEPTION 'a % never goes from % to %', TG_TABLE_NAME, OLD.state, NEW.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

GRANT USAGE ON SCHEMA wattledger TO wattledger_app, wattledger_reader;
GRANT SELECT, INSERT ON config_version, config_activation TO wattledger_app;
GRANT SELECT, INSERT, UPDATE (now) ON driven_clock TO wattledger_app;
GRANT SELECT ON config_version, config_activation, driven_clock TO wattledger_reader;
