-- Payments as drivers really make them: before the session or for it, more than one to a session,
-- authorized for less or more than was asked; debts, wallets, and who may not charge for now.

ALTER TABLE session DROP CONSTRAINT session_route_check;
ALTER TABLE session ADD CONSTRAINT session_route_check CHECK (route IN
    ('card', 'app', 'checkout', 'terminal', 'invoice', 'external', 'wallet', 'roaming', 'free',
     'none'));

-- A payment may come before its session (app, checkout, terminal) and then gets it once; a session
-- may have several: the hold, a second charge for what was above it, what late data added, a debt
-- tried again. A wallet's top-up has no session at all.
ALTER TABLE payment ALTER COLUMN session_id DROP NOT NULL;
ALTER TABLE payment DROP CONSTRAINT payment_session_id_key;
ALTER TABLE payment
    ADD COLUMN leg text NOT NULL DEFAULT 'hold'
        CHECK (leg IN ('hold', 'second', 'more', 'debt', 'topup')),
    ADD COLUMN number integer NOT NULL DEFAULT 1 CHECK (number > 0),  -- which of its leg
    ADD COLUMN route text,
    ADD COLUMN account_id text,
    ADD COLUMN driver text,                -- account, or a guest's card as the processor names it
    ADD COLUMN method text NOT NULL DEFAULT 'card' CHECK (method IN ('card', 'card_present')),
    ADD COLUMN reader_id text,
    ADD COLUMN authorized_minor bigint CHECK (authorized_minor >= 0), -- less or more than was asked
    ADD COLUMN capturable_minor bigint CHECK (capturable_minor >= 0), -- with overcapture
    ADD COLUMN can_increment boolean NOT NULL DEFAULT false,
    ADD COLUMN increments integer NOT NULL DEFAULT 0 CHECK (increments BETWEEN 0 AND 10),
    ADD COLUMN customer text,
    ADD COLUMN reusable_method text,       -- what may be charged off-session; never a phone's wallet
    ADD COLUMN consent boolean NOT NULL DEFAULT false,
    ADD COLUMN provisional boolean NOT NULL DEFAULT false, -- captured before the data was complete
    ADD COLUMN brand text,
    ADD COLUMN last4 text CHECK (last4 IS NULL OR length(last4) <= 4),
    ADD COLUMN wallet text,
    ADD COLUMN gone_why text,              -- why a hold is no more: expired, canceled, automatic
    ADD COLUMN parked_why text,            -- which bound it is above: a person decides
    ADD COLUMN created_at timestamptz;
ALTER TABLE payment ADD CONSTRAINT payment_numbered UNIQUE (session_id, leg, number);
CREATE INDEX payment_driver ON payment (driver, created_at) WHERE driver IS NOT NULL;
CREATE INDEX payment_lapse ON payment (capture_before) WHERE state = 'held';
CREATE INDEX payment_unfinished ON payment (state)
    WHERE state NOT IN ('captured', 'released', 'declined');

-- waiting: the intent is there, its card is not (a page, a reader). charging: taken at once, without
-- a hold. parked: above a bound, until a person decides.
ALTER TABLE payment DROP CONSTRAINT payment_state_check;
ALTER TABLE payment ADD CONSTRAINT payment_state_check CHECK (state IN
    ('waiting', 'holding', 'held', 'declined', 'charging', 'capturing', 'captured', 'releasing',
     'released', 'parked'));
ALTER TABLE payment DROP CONSTRAINT payment_check;
ALTER TABLE payment ADD CONSTRAINT payment_taken CHECK (captured_minor BETWEEN 0
    AND GREATEST(hold_minor, COALESCE(authorized_minor, 0), COALESCE(capturable_minor, 0)));
DROP TRIGGER payment_never_changed ON payment;
CREATE TRIGGER payment_never_changed BEFORE UPDATE ON payment
    FOR EACH ROW EXECUTE FUNCTION never_changed(
        'id', 'entity_id', 'processor_id', 'currency', 'hold_minor', 'leg', 'number', 'created_at');
DROP TRIGGER payment_set_once ON payment;
CREATE TRIGGER payment_set_once BEFORE UPDATE ON payment
    FOR EACH ROW EXECUTE FUNCTION set_once('session_id', 'intent_id', 'external_charge_id');
DROP TRIGGER payment_moves ON payment;
CREATE TRIGGER payment_moves BEFORE UPDATE ON payment
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'waiting>holding', 'waiting>held', 'waiting>declined', 'waiting>releasing',
        'waiting>released',
        'holding>held', 'holding>declined', 'holding>waiting',
        'held>capturing', 'held>releasing', 'held>released', 'held>parked',
        'capturing>captured', 'capturing>released', 'capturing>releasing',
        'releasing>released', 'releasing>captured',
        'charging>captured', 'charging>declined',
        'parked>holding', 'parked>charging', 'parked>capturing', 'parked>releasing',
        'parked>released', 'parked>declined');
CREATE OR REPLACE FUNCTION payment_captured() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.captured_minor <> OLD.captured_minor
       AND NOT (OLD.state IN ('capturing', 'charging', 'releasing') AND NEW.state = 'captured') THEN
        RAISE EXCEPTION 'payment %: captured_minor is set by its capture', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
-- A session's payments are of the session's legal entity: two entities never share one.
CREATE FUNCTION payment_entity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM session s WHERE s.id = NEW.session_id AND s.entity_id <> NEW.entity_id;
    IF FOUND THEN
        RAISE EXCEPTION 'payment % is of entity %, its session is another''s', NEW.id, NEW.entity_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payment_entity BEFORE INSERT OR UPDATE OF session_id ON payment
    FOR EACH ROW WHEN (NEW.session_id IS NOT NULL) EXECUTE FUNCTION payment_entity();

-- A debt may be paid later, or written off: then its part says so.
DROP TRIGGER collection_never_changed ON collection;
CREATE TRIGGER collection_never_changed BEFORE UPDATE ON collection
    FOR EACH ROW EXECUTE FUNCTION never_changed('charge_id', 'part', 'entity_id');
CREATE TRIGGER collection_set_once BEFORE UPDATE ON collection
    FOR EACH ROW EXECUTE FUNCTION set_once('payment_id');
DROP TRIGGER collection_moves ON collection;
CREATE TRIGGER collection_moves BEFORE UPDATE ON collection
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'pending>captured', 'pending>waived', 'pending>debt', 'pending>external',
        'debt>captured', 'debt>waived');
CREATE OR REPLACE FUNCTION collection_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.state = 'debt' AND NEW.amount_minor = OLD.amount_minor
       AND NEW.state IN ('captured', 'waived') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'part % of charge % is %, and that is final', OLD.part, OLD.charge_id, OLD.state
        USING ERRCODE = 'restrict_violation';
END $$;
GRANT UPDATE (payment_id) ON collection TO wattledger_app;

-- A debt: a part of a charge that nobody has paid, to a named driver, with its dunning.
CREATE TABLE debt (
    charge_id    text NOT NULL,
    part         integer NOT NULL,
    session_id   text NOT NULL REFERENCES session,
    entity_id    text NOT NULL,
    account_id   text,
    token        text NOT NULL,
    currency     text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    why          text NOT NULL,
    carried      boolean NOT NULL DEFAULT false,  -- below what the processor takes: with the next one
    state        text NOT NULL DEFAULT 'open'
                 CHECK (state IN ('open', 'collecting', 'paid', 'written_off', 'credited')),
    tries        integer NOT NULL DEFAULT 0,
    next_try_at  timestamptz,
    payment_id   text REFERENCES payment,   -- what it is being, or was, collected by
    opened_at    timestamptz NOT NULL,
    closed_at    timestamptz,
    PRIMARY KEY (charge_id, part),
    FOREIGN KEY (charge_id, part) REFERENCES collection (charge_id, part),
    CHECK ((state IN ('paid', 'written_off', 'credited')) = (closed_at IS NOT NULL)),
    CHECK (state <> 'collecting' OR payment_id IS NOT NULL)
);
CREATE INDEX debt_open ON debt (next_try_at) WHERE state IN ('open', 'collecting');
CREATE INDEX debt_account ON debt (account_id) WHERE state IN ('open', 'collecting');
CREATE INDEX debt_token ON debt (lower(token)) WHERE state IN ('open', 'collecting');
CREATE INDEX debt_payment ON debt (payment_id);
CREATE TRIGGER debt_never_changed BEFORE UPDATE ON debt
    FOR EACH ROW EXECUTE FUNCTION never_changed(
        'charge_id', 'part', 'session_id', 'entity_id', 'account_id', 'token', 'currency',
        'amount_minor', 'why', 'opened_at');
CREATE TRIGGER debt_moves BEFORE UPDATE ON debt
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'open>collecting', 'collecting>open', 'collecting>paid', 'open>paid', 'open>written_off',
        'open>credited');

-- Who may not charge for now, beside what the configuration says. Lifted by a row of its own.
CREATE TABLE token_block (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text,
    token      text,                       -- without an account; as it was said
    blocked    boolean NOT NULL,
    why        text NOT NULL,
    cause      text NOT NULL,              -- the debt, or who lifted it
    at         timestamptz NOT NULL,
    CHECK ((account_id IS NULL) <> (token IS NULL))
);
CREATE INDEX token_block_account ON token_block (account_id, id);
CREATE INDEX token_block_token ON token_block (lower(token), id);
CREATE TRIGGER token_block_append_only BEFORE UPDATE OR DELETE ON token_block
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE FUNCTION notify_block() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('wattledger_config', '');
    RETURN NULL;
END $$;
CREATE TRIGGER token_block_added AFTER INSERT ON token_block
    FOR EACH STATEMENT EXECUTE FUNCTION notify_block();

-- A prepaid balance of an account with a legal entity: never below zero.
CREATE TABLE wallet_move (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entity_id    text NOT NULL,
    account_id   text NOT NULL,
    currency     text NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('topup', 'draw', 'back', 'paid_out')),
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),  -- above zero: the wallet has more
    cause_id     text NOT NULL,            -- the payment, or the part of a charge
    detail       jsonb NOT NULL DEFAULT '{}',
    at           timestamptz NOT NULL,
    UNIQUE (kind, cause_id),
    CHECK ((kind IN ('topup', 'back')) = (amount_minor > 0))
);
CREATE INDEX wallet_move_account ON wallet_move (entity_id, account_id, currency);
CREATE TRIGGER wallet_move_append_only BEFORE UPDATE OR DELETE ON wallet_move
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE FUNCTION wallet_covers() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    balance bigint;
BEGIN
    -- Two draws of one wallet take turns, else both would see the balance before either.
    PERFORM pg_advisory_xact_lock(hashtextextended(
        NEW.entity_id || '/' || NEW.account_id || '/' || NEW.currency, 5));
    SELECT COALESCE(sum(amount_minor), 0) INTO balance FROM wallet_move
     WHERE (entity_id, account_id, currency) = (NEW.entity_id, NEW.account_id, NEW.currency);
    IF balance + NEW.amount_minor < 0 THEN
        RAISE EXCEPTION 'the wallet of % has %, not %', NEW.account_id, balance, -NEW.amount_minor
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER wallet_covers BEFORE INSERT ON wallet_move
    FOR EACH ROW EXECUTE FUNCTION wallet_covers();

-- Whoever moved money by hand, or let it move: who, with what right, and what was asked.
CREATE TABLE money_act (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL,          -- business time
    actor   text NOT NULL CHECK (btrim(actor) <> ''),   -- 'page:Ann', 'cli:ann', 'key:support'
    act     text NOT NULL,                 -- 'refund.ask', 'refund.approve', 'payment.release', …
    subject text NOT NULL,
    reason  text NOT NULL DEFAULT '',
    detail  jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX money_act_subject ON money_act (subject);
CREATE TRIGGER money_act_append_only BEFORE UPDATE OR DELETE ON money_act
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER money_act_no_truncate BEFORE TRUNCATE ON money_act
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();

GRANT UPDATE (session_id, route, account_id, driver, authorized_minor, capturable_minor,
              can_increment, increments, customer, reusable_method, consent, provisional, brand,
              last4, wallet, gone_why, parked_why, reader_id) ON payment TO wattledger_app;
GRANT SELECT, INSERT ON debt, token_block, wallet_move, money_act TO wattledger_app;
GRANT UPDATE (state, tries, next_try_at, payment_id, closed_at, carried) ON debt TO wattledger_app;
GRANT SELECT ON debt, token_block, wallet_move, money_act TO wattledger_reader;
