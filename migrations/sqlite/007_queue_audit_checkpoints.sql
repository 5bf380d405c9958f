-- Audit checkpoints: signed words on how far the chain of audit events had come. Additive; to `customer_audit_events`
-- it adds an index.

CREATE TABLE queue_audit_checkpoints (
    tenant_id   TEXT    NOT NULL REFERENCES queue_tenants (id),
    -- The last event of the chain when the checkpoint was made, and its hash.
    chain_seq   INTEGER NOT NULL CHECK (chain_seq >= 1),
    hash        BLOB    NOT NULL CHECK (length(hash) = 32),
    -- Events in the chain by then.
    event_count INTEGER NOT NULL CHECK (event_count >= 1),
    created_at  INTEGER NOT NULL,
    -- The same, signed by the key that was active: a compact JWS.
    jws         TEXT    NOT NULL CHECK (length(jws) BETWEEN 1 AND 4096),
    PRIMARY KEY (tenant_id, chain_seq)
) STRICT;

CREATE TRIGGER queue_audit_checkpoints_append_only
    BEFORE UPDATE ON queue_audit_checkpoints FOR EACH ROW
BEGIN
    SELECT RAISE(ABORT, 'queue_audit_checkpoints: append-only');
END;

CREATE TRIGGER queue_audit_checkpoints_are_kept
    BEFORE DELETE ON queue_audit_checkpoints FOR EACH ROW
BEGIN
    SELECT RAISE(ABORT, 'queue_audit_checkpoints: append-only');
END;

-- What has not joined the chain yet: few rows, found without reading the others.
CREATE INDEX customer_audit_events_unchained ON customer_audit_events (tenant_id, occurred_at, id)
    WHERE chain_seq IS NULL;

INSERT INTO queue_schema_migrations (version, name) VALUES (7, 'queue_audit_checkpoints');
