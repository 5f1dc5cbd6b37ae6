-- What is uploaded for the evidence of a dispute: kept as it was sent, to the byte.
CREATE TABLE dispute_file (
    dispute_id text NOT NULL REFERENCES dispute,
    field      text NOT NULL CHECK (field IN ('receipt', 'service_documentation')),
    name       text NOT NULL UNIQUE,       -- by which it is found at the processor
    content    bytea NOT NULL CHECK (length(content) BETWEEN 1 AND 2250000),
    made_at    timestamptz NOT NULL,
    file_id    text,                       -- the processor's, once it has it
    why        text,                       -- or why the evidence went without it
    PRIMARY KEY (dispute_id, field),
    CHECK (file_id IS NULL OR why IS NULL)
);
CREATE TRIGGER dispute_file_never_changed BEFORE UPDATE ON dispute_file
    FOR EACH ROW EXECUTE FUNCTION never_changed('dispute_id', 'field', 'name', 'content', 'made_at');
CREATE TRIGGER dispute_file_set_once BEFORE UPDATE ON dispute_file
    FOR EACH ROW EXECUTE FUNCTION set_once('file_id', 'why');
GRANT SELECT, INSERT ON dispute_file TO wattledger_app;
GRANT UPDATE (file_id, why) ON dispute_file TO wattledger_app;
GRANT SELECT ON dispute_file TO wattledger_reader;
