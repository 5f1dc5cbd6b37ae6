-- One number per worker process; the advisory lock on it is held while the process lives.
CREATE SEQUENCE worker_number AS integer MINVALUE 1 CYCLE;

-- Effects out: every call to the world outside, written in the transaction that caused it.

CREATE TABLE effect (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind          text NOT NULL,             -- 'stripe.hold', 'webhook.deliver', 'ocpp.remote_stop'
    subject       text NOT NULL,             -- the payment, session or target it is about
    lane          text NOT NULL,             -- one payment, one charge point, one endpoint and session
    lane_seq      bigint NOT NULL,           -- the order within the lane; only the head may be claimed
    attempt       integer NOT NULL DEFAULT 1 CHECK (attempt >= 1),
    key           text NOT NULL UNIQUE,      -- idempotency key; a new attempt has a new one
    request       jsonb NOT NULL,            -- the same key always goes with the same request
    state         text NOT NULL DEFAULT 'pending'
                  CHECK (state IN ('pending', 'claimed', 'unknown', 'done', 'rejected')),
    due_at        timestamptz NOT NULL,      -- business time
    not_before    timestamptz,               -- machine time: backoff
    tries         integer NOT NULL DEFAULT 0,
    claimed_by    integer,                   -- the worker's advisory lock: free means dead
    claimed_until timestamptz,               -- machine time
    claim_token   text,                      -- a result is taken only under the claim it was made for
    first_sent_at timestamptz,               -- machine time: the other side keeps the key from here
    response      jsonb,
    caused_at     timestamptz NOT NULL,      -- business time
    settled_at    timestamptz,               -- business time
    UNIQUE (lane, lane_seq),
    CHECK ((state = 'claimed') = (claim_token IS NOT NULL)),
    CHECK ((state IN ('done', 'rejected')) = (settled_at IS NOT NULL))
);
CREATE INDEX effect_open ON effect (due_at, id) WHERE state NOT IN ('done', 'rejected');
CREATE INDEX effect_lane_open ON effect (lane, lane_seq) WHERE state NOT IN ('done', 'rejected');
CREATE INDEX effect_subject ON effect (subject);

-- What was decided to be sent is never changed afterwards, and what is settled stays settled.
CREATE FUNCTION effect_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state IN ('done', 'rejected') THEN
        RAISE EXCEPTION 'effect % is settled as %', OLD.id, OLD.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF (NEW.id, NEW.kind, NEW.subject, NEW.lane, NEW.lane_seq, NEW.attempt, NEW.key, NEW.request,
        NEW.due_at, NEW.caused_at)
       IS DISTINCT FROM
       (OLD.id, OLD.kind, OLD.subject, OLD.lane, OLD.lane_seq, OLD.attempt, OLD.key, OLD.request,
        OLD.due_at, OLD.caused_at) THEN
        RAISE EXCEPTION 'effect %: what is to be sent can not be changed', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER effect_guarded BEFORE UPDATE ON effect FOR EACH ROW EXECUTE FUNCTION effect_guard();
-- What may have had its effect (unknown) never goes back to what certainly had none (pending).
CREATE TRIGGER effect_moves BEFORE UPDATE ON effect
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'pending>claimed', 'claimed>pending', 'claimed>unknown', 'claimed>done',
        'claimed>rejected', 'unknown>claimed', 'unknown>done', 'unknown>rejected');
-- The other side keeps a key from its first sending: a later time would pass for a fresh key.
CREATE TRIGGER effect_set_once BEFORE UPDATE ON effect
    FOR EACH ROW EXECUTE FUNCTION set_once('first_sent_at');

CREATE FUNCTION notify_effect() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('wattledger_effect', '');
    RETURN NULL;
END $$;
CREATE TRIGGER effect_added AFTER INSERT ON effect
    FOR EACH STATEMENT EXECUTE FUNCTION notify_effect();

GRANT USAGE ON SEQUENCE worker_number TO wattledger_app;
GRANT SELECT, INSERT ON effect TO wattledger_app;
GRANT UPDATE (state, not_before, tries, claimed_by, claimed_until, claim_token, first_sent_at,
              response, settled_at) ON effect TO wattledger_app;
GRANT SELECT ON effect TO wattledger_reader;
