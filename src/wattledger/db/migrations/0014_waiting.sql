-- Transactions (OCPP 2.x) of which events came, and not what opens a session: the start, or who
-- charges. Each waits for the rest until a time, and is opened then with what there is.
CREATE TABLE transaction_wait (
    session_id      text PRIMARY KEY,      -- which its session will have
    charge_point_id text NOT NULL,
    transaction_ref text NOT NULL,
    generation      integer NOT NULL,
    version         text NOT NULL,         -- of OCPP
    due_at          timestamptz NOT NULL   -- business time
);
CREATE INDEX transaction_wait_due ON transaction_wait (due_at);

GRANT SELECT, INSERT, UPDATE (due_at), DELETE ON transaction_wait TO wattledger_app;
GRANT SELECT ON transaction_wait TO wattledger_reader;
