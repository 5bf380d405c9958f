-- Comparisons of the legacy auth's answers and Queue's while both run, written by the application that
-- is cut over. Additive; empty and unused after the cutover.

CREATE TABLE queue_parity_samples (
    id           TEXT    PRIMARY KEY,
    tenant_id    TEXT    NOT NULL REFERENCES queue_tenants (id),
    -- Of a row that counts many: the minute they are of.
    observed_at  INTEGER NOT NULL,
    route        TEXT    NOT NULL CHECK (length(route) BETWEEN 1 AND 64 AND route NOT GLOB '*[^a-z0-9_.]*'
                                         AND route GLOB '[a-z]*'),
    class        TEXT    NOT NULL CHECK (class IN (
        'agree_valid', 'agree_invalid',
        'legacy_only_valid', 'queue_only_valid', 'different_subject', 'different_session_end',
        'queue_unavailable', 'queue_failed', 'shed', 'queue_late', 'not_compared')),
    -- A code, or empty.
    reason       TEXT    NOT NULL DEFAULT '' CHECK (length(reason) <= 64 AND reason NOT GLOB '*[^a-z0-9_.]*'),
    -- How many comparisons the row stands for.
    weight       INTEGER NOT NULL CHECK (weight >= 1),
    -- Keyed hashes, the key being the application's: they join rows, and tell nothing else.
    subject_hash BLOB    CHECK (length(subject_hash) = 16),
    session_hash BLOB    CHECK (length(session_hash) = 16),
    CHECK (weight = 1 OR (subject_hash IS NULL AND session_hash IS NULL))
) STRICT;

CREATE INDEX queue_parity_samples_in_time ON queue_parity_samples (tenant_id, observed_at);

INSERT INTO queue_schema_migrations (version, name) VALUES (11, 'queue_parity_samples');
