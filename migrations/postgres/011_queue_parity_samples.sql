-- Comparisons of the legacy auth's answers and Queue's while both run, written by the application that
-- is cut over. Additive; empty and unused after the cutover.

CREATE TABLE queue_parity_samples (
    id           UUID        PRIMARY KEY,
    tenant_id    UUID        NOT NULL REFERENCES queue_tenants (id),
    -- Of a row that counts many: the minute they are of.
    observed_at  TIMESTAMPTZ NOT NULL,
    route        TEXT        NOT NULL CHECK (route ~ '^[a-z][a-z0-9_.]{0,63}$'),
    class        TEXT        NOT NULL CHECK (class IN (
        'agree_valid', 'agree_invalid',
        'legacy_only_valid', 'queue_only_valid', 'different_subject', 'different_session_end',
        'queue_unavailable', 'queue_failed', 'shed', 'queue_late', 'not_compared')),
    -- A code, or empty.
    reason       TEXT        NOT NULL DEFAULT '' CHECK (reason ~ '^[a-z0-9_.]{0,64}$'),
    -- How many comparisons the row stands for.
    weight       BIGINT      NOT NULL CHECK (weight >= 1),
    -- Keyed hashes, the key being the application's: they join rows, and tell nothing else.
    subject_hash BYTEA       CHECK (octet_length(subject_hash) = 16),
    session_hash BYTEA       CHECK (octet_length(session_hash) = 16),
    CHECK (weight = 1 OR (subject_hash IS NULL AND session_hash IS NULL))
);

CREATE INDEX queue_parity_samples_in_time ON queue_parity_samples (tenant_id, observed_at);

INSERT INTO queue_schema_migrations (version, name) VALUES (11, 'queue_parity_samples');
