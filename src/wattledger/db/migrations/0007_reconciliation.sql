-- Whether all agree: matches, and what does not match.

-- An item stands in at most one match per leg and side: a double match can't be written.
CREATE TABLE match (
    leg        text NOT NULL,
    side       text NOT NULL CHECK (side IN ('ours', 'theirs')),
    item_id    text NOT NULL,
    match_key  text NOT NULL,              -- what the two sides have in common
    entity_id  text NOT NULL,
    matched_at timestamptz NOT NULL,
    PRIMARY KEY (leg, side, item_id)
);
CREATE INDEX match_by_key ON match (leg, match_key);

CREATE TABLE break (
    id           text PRIMARY KEY,         -- derived from leg, code and item: met again, it is the same
    leg          text NOT NULL,
    code         text NOT NULL,
    entity_id    text NOT NULL,
    item_id      text NOT NULL,
    currency     text,
    amount_minor bigint,
    energy_wh    bigint,
    cause        text NOT NULL,            -- a sentence for a person
    proposal     text NOT NULL,
    owner        text,
    first_seen_at timestamptz NOT NULL,
    resolved_at  timestamptz
);
CREATE INDEX break_open ON break (leg) WHERE resolved_at IS NULL;

CREATE TABLE reconciliation (
    id        text PRIMARY KEY,
    entity_id text NOT NULL,
    cutoff_at timestamptz NOT NULL,
    legs      jsonb NOT NULL,              -- totals of both sides, leg by leg
    breaks    integer NOT NULL
);

GRANT SELECT, INSERT ON match TO wattledger_app;
GRANT SELECT, INSERT ON break, reconciliation TO wattledger_app;
GRANT UPDATE (amount_minor, energy_wh, cause, resolved_at) ON break TO wattledger_app;
GRANT UPDATE (legs, breaks) ON reconciliation TO wattledger_app;
GRANT SELECT ON match, break, reconciliation TO wattledger_reader;
