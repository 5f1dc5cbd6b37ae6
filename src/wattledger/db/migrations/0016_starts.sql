-- Starts that are paid for first, and payments at terminals with the sessions they are for.

-- A driver who wants to start by app, by the page behind a QR code, or at a terminal: the hold
-- first, then the remote start, then the session.
CREATE TABLE start_request (
    id              text PRIMARY KEY,
    reference       text NOT NULL,         -- the asker's own name for it: it counts once
    route           text NOT NULL CHECK (route IN ('app', 'checkout', 'terminal')),
    entity_id       text NOT NULL,
    site_id         text NOT NULL,
    charge_point_id text NOT NULL,
    connector_id    integer,
    token           text NOT NULL UNIQUE,  -- what the charge point is told, and says at the start
    account_id      text,
    plan_id         text NOT NULL,
    driver          text,                  -- account, or a guest's card: whose retry reuses a hold
    email           text,                  -- for the receipt
    reader_id       text,
    payment_id      text REFERENCES payment,  -- none where nobody needs a hold
    state           text NOT NULL CHECK (state IN
                      ('paying', 'starting', 'started', 'failed', 'declined', 'expired')),
    why             text,
    command_key     text,
    session_id      text UNIQUE REFERENCES session,
    asked_at        timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    UNIQUE (charge_point_id, reference),
    CHECK ((state = 'started') = (session_id IS NOT NULL))
);
CREATE INDEX start_request_live ON start_request (expires_at) WHERE state IN ('paying', 'starting');
CREATE INDEX start_request_payment ON start_request (payment_id);
CREATE INDEX start_request_driver ON start_request (driver, asked_at);
CREATE TRIGGER start_request_never_changed BEFORE UPDATE ON start_request
    FOR EACH ROW EXECUTE FUNCTION never_changed(
        'id', 'reference', 'route', 'entity_id', 'site_id', 'charge_point_id', 'connector_id',
        'token', 'account_id', 'plan_id', 'asked_at');
CREATE TRIGGER start_request_set_once BEFORE UPDATE ON start_request
    FOR EACH ROW EXECUTE FUNCTION set_once('payment_id', 'session_id');
-- A session may come although we gave up on it: what it delivered is paid for all the same.
CREATE TRIGGER start_request_moves BEFORE UPDATE ON start_request
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'paying>starting', 'paying>failed', 'paying>declined', 'paying>expired', 'paying>started',
        'starting>started', 'starting>failed', 'starting>expired',
        'failed>started', 'expired>started');

-- A payment at a terminal, whoever acquires it: with the session it is for, or in suspense.
CREATE TABLE terminal_payment (
    id               text PRIMARY KEY,
    entity_id        text NOT NULL,
    provider         text NOT NULL,        -- 'stripe', or the [[terminal_vendor]]
    terminal_id      text NOT NULL,        -- the [[terminal]]
    reference        text NOT NULL,        -- the provider's name for it
    mode             text NOT NULL CHECK (mode IN ('we_capture', 'we_send', 'vendor_captures')),
    charge_point_id  text,                 -- what the driver chose at the terminal, where it asks
    connector_id     integer,
    currency         text NOT NULL,
    authorized_at    timestamptz NOT NULL,
    authorized_minor bigint NOT NULL CHECK (authorized_minor >= 0),
    settled_at       timestamptz,
    settled_minor    bigint CHECK (settled_minor >= 0),
    brand            text,
    last4            text CHECK (last4 IS NULL OR length(last4) <= 4),
    state            text NOT NULL DEFAULT 'open' CHECK (state IN
                       ('open', 'matched', 'suspense', 'returned', 'kept')),
    session_id       text UNIQUE REFERENCES session,
    payment_id       text UNIQUE REFERENCES payment,
    matched_by       text,                 -- 'reference', 'connector', 'amount', 'window', 'person'
    why              text,                 -- of suspense: 'tie', 'no_session', 'late', …
    candidates       jsonb NOT NULL DEFAULT '[]',
    received_at      timestamptz NOT NULL,
    UNIQUE (provider, entity_id, reference),
    CHECK ((state = 'matched') = (session_id IS NOT NULL))
);
CREATE INDEX terminal_payment_open ON terminal_payment (terminal_id, authorized_at)
    WHERE state IN ('open', 'suspense');
CREATE TRIGGER terminal_payment_never_changed BEFORE UPDATE ON terminal_payment
    FOR EACH ROW EXECUTE FUNCTION never_changed(
        'id', 'entity_id', 'provider', 'terminal_id', 'reference', 'mode', 'currency',
        'authorized_at', 'received_at');
CREATE TRIGGER terminal_payment_set_once BEFORE UPDATE ON terminal_payment
    FOR EACH ROW EXECUTE FUNCTION set_once('session_id', 'payment_id', 'settled_minor', 'settled_at');
CREATE TRIGGER terminal_payment_moves BEFORE UPDATE ON terminal_payment
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'open>matched', 'open>suspense', 'suspense>matched', 'suspense>open', 'suspense>returned',
        'suspense>kept');
CREATE FUNCTION terminal_payment_entity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM session s WHERE s.id = NEW.session_id AND s.entity_id <> NEW.entity_id;
    IF FOUND THEN
        RAISE EXCEPTION 'terminal payment % is of entity %, its session is another''s',
            NEW.id, NEW.entity_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER terminal_payment_entity BEFORE INSERT OR UPDATE ON terminal_payment
    FOR EACH ROW WHEN (NEW.session_id IS NOT NULL) EXECUTE FUNCTION terminal_payment_entity();

GRANT SELECT, INSERT ON start_request, terminal_payment TO wattledger_app;
GRANT UPDATE (driver, email, reader_id, payment_id, state, why, command_key, session_id, expires_at)
    ON start_request TO wattledger_app;
GRANT UPDATE (charge_point_id, connector_id, authorized_minor, settled_at, settled_minor, brand,
              last4, state, session_id, payment_id, matched_by, why, candidates)
    ON terminal_payment TO wattledger_app;
GRANT SELECT ON start_request, terminal_payment TO wattledger_reader;
