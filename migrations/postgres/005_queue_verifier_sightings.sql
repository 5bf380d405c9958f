-- Verifier sightings: which verifiers hold which generation of the key set, and since which one a key is in it.
-- Additive.

CREATE TABLE queue_verifier_sightings (
    tenant_id  UUID        NOT NULL REFERENCES queue_tenants (id),
    -- What the verifier calls itself: 16 random bytes in base64url, made anew by each process.
    instance   TEXT        NOT NULL CHECK (length(instance) = 22),
    -- The generation it proved to hold; 0 before it proved any.
    generation BIGINT      NOT NULL CHECK (generation >= 0),
    first_seen TIMESTAMPTZ NOT NULL,
    last_seen  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (tenant_id, instance),
    CHECK (last_seen >= first_seen)
);

CREATE INDEX queue_verifier_sightings_age ON queue_verifier_sightings (tenant_id, last_seen);

CREATE TABLE queue_key_publications (
    tenant_id  UUID   NOT NULL,
    kid        TEXT   NOT NULL,
    -- The first generation of the set that has the key.
    generation BIGINT NOT NULL CHECK (generation >= 0),
    PRIMARY KEY (tenant_id, kid),
    FOREIGN KEY (tenant_id, kid) REFERENCES queue_signing_keys (tenant_id, kid)
);

-- When the keys of today entered the set is not known; the present generation has them for certain.
INSERT INTO queue_key_publications (tenant_id, kid, generation)
SELECT k.tenant_id, k.kid, s.generation
FROM queue_signing_keys k
JOIN queue_key_sets s ON s.tenant_id = k.tenant_id
WHERE k.published_at IS NOT NULL;

INSERT INTO queue_schema_migrations (version, name) VALUES (5, 'queue_verifier_sightings');
