-- Audit checkpoints: signed words on how far the chain of audit events had come. Additive; to `customer_audit_events`
-- it adds an index and a trigger.

CREATE TABLE queue_audit_checkpoints (
    tenant_id   UUID        NOT NULL REFERENCES queue_tenants (id),
    -- The last event of the chain when the checkpoint was made, and its hash.
    chain_seq   BIGINT      NOT NULL CHECK (chain_seq >= 1),
    hash        BYTEA       NOT NULL CHECK (octet_length(hash) = 32),
    -- Events in the chain by then.
    event_count BIGINT      NOT NULL CHECK (event_count >= 1),
    created_at  TIMESTAMPTZ NOT NULL,
    -- The same, signed by the key that was active: a compact JWS.
    jws         TEXT        NOT NULL CHECK (length(jws) BETWEEN 1 AND 4096),
    PRIMARY KEY (tenant_id, chain_seq)
);

CREATE FUNCTION queue_audit_checkpoints_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'queue_audit_checkpoints: append-only' USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER queue_audit_checkpoints_append_only
    BEFORE UPDATE OR DELETE ON queue_audit_checkpoints FOR EACH ROW
    EXECUTE FUNCTION queue_audit_checkpoints_append_only();

CREATE TRIGGER queue_audit_checkpoints_are_kept
    BEFORE TRUNCATE ON queue_audit_checkpoints FOR EACH STATEMENT
    EXECUTE FUNCTION queue_audit_checkpoints_append_only();

CREATE TRIGGER customer_audit_events_are_kept
    BEFORE TRUNCATE ON customer_audit_events FOR EACH STATEMENT
    EXECUTE FUNCTION queue_audit_append_only();

-- What has not joined the chain yet: few rows, found without reading the others.
CREATE INDEX customer_audit_events_unchained ON customer_audit_events (tenant_id, occurred_at, id)
    WHERE chain_seq IS NULL;

INSERT INTO queue_schema_migrations (version, name) VALUES (7, 'queue_audit_checkpoints');
