-- What the support desk finds a session and its payments by: a card's last four, an amount, a token,
-- an account, a charge point, an e-mail address. Each is one look in an index, among a million too.

CREATE INDEX payment_card ON payment (last4, created_at) WHERE last4 IS NOT NULL;
CREATE INDEX payment_taken ON payment (captured_minor) WHERE captured_minor > 0;
CREATE INDEX payment_account ON payment (account_id, created_at) WHERE account_id IS NOT NULL;
-- The list, the newest first, a page at a time.
CREATE INDEX payment_made ON payment (COALESCE(created_at, '-infinity') DESC, id DESC);
CREATE INDEX charge_total ON charge (total_minor);
CREATE INDEX session_by_token ON session (lower(token), started_at);
CREATE INDEX session_by_account ON session (account_id, started_at) WHERE account_id IS NOT NULL;
CREATE INDEX session_by_point ON session (lower(charge_point_id), started_at);
CREATE INDEX session_by_email ON session (lower(contract->>'email'))
    WHERE contract->>'email' IS NOT NULL;
-- An id by how it begins, whatever the database sorts text by.
CREATE INDEX session_by_beginning ON session (id text_pattern_ops);
CREATE INDEX terminal_payment_card ON terminal_payment (last4) WHERE last4 IS NOT NULL;
CREATE INDEX terminal_payment_reference ON terminal_payment (reference);
CREATE INDEX external_payment_reference ON external_payment (reference);
