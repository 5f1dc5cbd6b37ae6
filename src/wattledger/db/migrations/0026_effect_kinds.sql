-- Each desk of the worker asks for its own kinds, whenever anything happens. Without this it reads
-- through whatever else is open: 10,000 captures that wait cost every other desk a millisecond.
CREATE INDEX effect_kind_open ON effect (kind, due_at, id) WHERE state NOT IN ('done', 'rejected');
