-- The ledger. A posting names its debit and its credit account, so an unbalanced one can't be
-- written. An entry and its postings are sealed by the transaction that wrote them.

CREATE TABLE account (
    entity_id text NOT NULL,
    code      text NOT NULL,               -- 'receivable.driver', 'revenue.energy', 'clearing.stripe'
    currency  text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    kind      text NOT NULL CHECK (kind IN ('asset', 'liability', 'revenue', 'expense')),
    PRIMARY KEY (entity_id, code, currency)
);

CREATE TABLE entry (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entity_id     text NOT NULL,
    cause         text NOT NULL,           -- 'charge', 'processor_item', 'payout', 'debt', 'waiver'
    cause_id      text NOT NULL,
    effective_on  date NOT NULL,           -- the entity's day: its period
    booked_at     timestamptz NOT NULL,    -- business time
    posting_count integer NOT NULL CHECK (posting_count > 0),
    xid           xid8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (cause, cause_id),              -- the last line against booking twice
    UNIQUE (id, entity_id)
);

CREATE TABLE posting (
    entry_id     bigint NOT NULL,
    posting_no   integer NOT NULL CHECK (posting_no > 0),
    entity_id    text NOT NULL,
    debit        text NOT NULL,
    credit       text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency     text NOT NULL,
    xid          xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (entry_id, posting_no),
    CHECK (debit <> credit),
    -- Entry, both accounts and the posting belong to one legal entity and one currency.
    FOREIGN KEY (entry_id, entity_id) REFERENCES entry (id, entity_id),
    FOREIGN KEY (entity_id, debit, currency) REFERENCES account (entity_id, code, currency),
    FOREIGN KEY (entity_id, credit, currency) REFERENCES account (entity_id, code, currency)
);
CREATE INDEX posting_debit ON posting (entity_id, debit, currency);
CREATE INDEX posting_credit ON posting (entity_id, credit, currency);
CREATE INDEX entry_cause_id ON entry (cause_id);

-- The seal: nobody chooses the transaction id, and postings join only the entry written beside them.
CREATE FUNCTION ledger_seal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.xid := pg_current_xact_id();
    IF TG_TABLE_NAME = 'posting' THEN
        PERFORM FROM entry WHERE id = NEW.entry_id AND xid = NEW.xid;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'entry % is sealed: postings come in the transaction of their entry',
                NEW.entry_id USING ERRCODE = 'restrict_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER entry_seal BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION ledger_seal();
CREATE TRIGGER posting_seal BEFORE INSERT ON posting FOR EACH ROW EXECUTE FUNCTION ledger_seal();

-- Checked on both tables: on the entry alone, a posting added after SET CONSTRAINTS ALL IMMEDIATE
-- would slip in; on the posting alone, an entry without postings would.
CREATE FUNCTION ledger_count() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of_entry bigint;
    promised integer;
    found_count integer;
BEGIN
    IF TG_TABLE_NAME = 'entry' THEN of_entry := NEW.id; ELSE of_entry := NEW.entry_id; END IF;
    SELECT posting_count INTO promised FROM entry WHERE id = of_entry;
    SELECT count(*) INTO found_count FROM posting WHERE entry_id = of_entry;
    IF found_count <> promised THEN
        RAISE EXCEPTION 'entry % has % postings, its header says %', of_entry, found_count, promised
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER entry_count AFTER INSERT ON entry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_count();
CREATE CONSTRAINT TRIGGER posting_count AFTER INSERT ON posting
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_count();

CREATE TRIGGER entry_append_only BEFORE UPDATE OR DELETE ON entry
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER entry_no_truncate BEFORE TRUNCATE ON entry
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER posting_append_only BEFORE UPDATE OR DELETE ON posting
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER posting_no_truncate BEFORE TRUNCATE ON posting
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER account_append_only BEFORE UPDATE OR DELETE ON account
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER account_no_truncate BEFORE TRUNCATE ON account
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- For accountants: the journal, a line for each side.
CREATE VIEW journal_line AS
    SELECT e.id AS entry_id, e.entity_id, e.cause, e.cause_id, e.effective_on, p.posting_no,
           p.debit AS account, p.currency, p.amount_minor AS debit_minor, 0::bigint AS credit_minor
      FROM entry e JOIN posting p ON p.entry_id = e.id
    UNION ALL
    SELECT e.id, e.entity_id, e.cause, e.cause_id, e.effective_on, p.posting_no,
           p.credit, p.currency, 0, p.amount_minor
      FROM entry e JOIN posting p ON p.entry_id = e.id;

GRANT SELECT, INSERT ON account, entry, posting TO wattledger_app;
GRANT SELECT ON account, entry, posting, journal_line TO wattledger_app, wattledger_reader;
