-- Core tables of Queue: tenants, customers, credentials, sessions, signing keys, audit.
-- Additive: creates queue_* objects and customer_audit_events, touches nothing else.
-- Ids are UUIDv7 made by the application; times are UTC.

CREATE TABLE queue_schema_migrations (
    version    BIGINT      PRIMARY KEY,
    name       TEXT        NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- Refuses the row change that fired it; the message is the trigger's argument.
CREATE FUNCTION queue_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'check_violation';
END $$;

CREATE TABLE queue_tenants (
    id         UUID        PRIMARY KEY,
    slug       TEXT        NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    name       TEXT        NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    state      TEXT        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended')),
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

INSERT INTO queue_tenants (id, slug, name, created_at, updated_at)
VALUES ('00000000-0000-7000-8000-000000000001', 'default', 'Default tenant', now(), now());

CREATE TABLE queue_customers (
    id           UUID        PRIMARY KEY,
    tenant_id    UUID        NOT NULL REFERENCES queue_tenants (id),
    display_name TEXT        CHECK (length(display_name) BETWEEN 1 AND 200),
    state        TEXT        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended', 'erased')),
    -- Grows when what the customer may do changes; carried in tokens as authz_ver.
    authz_ver    BIGINT      NOT NULL DEFAULT 1 CHECK (authz_ver >= 1),
    created_at   TIMESTAMPTZ NOT NULL,
    updated_at   TIMESTAMPTZ NOT NULL,
    suspended_at TIMESTAMPTZ,
    erased_at    TIMESTAMPTZ,
    UNIQUE (tenant_id, id),
    CHECK (state <> 'suspended' OR suspended_at IS NOT NULL),
    CHECK ((state = 'erased') = (erased_at IS NOT NULL)),
    CHECK (state <> 'erased' OR display_name IS NULL)
);

CREATE TRIGGER queue_customers_erased_is_final
    BEFORE UPDATE OR DELETE ON queue_customers FOR EACH ROW
    WHEN (OLD.state = 'erased')
    EXECUTE FUNCTION queue_refuse('queue_customers: an erased customer is final');

CREATE TABLE queue_customer_emails (
    id               UUID        PRIMARY KEY,
    tenant_id        UUID        NOT NULL,
    customer_id      UUID        NOT NULL,
    email            TEXT        NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    -- Trimmed and lower-cased by the application: the identity of an address in its tenant.
    email_normalised TEXT        NOT NULL CHECK (length(email_normalised) BETWEEN 3 AND 254),
    is_primary       BOOLEAN     NOT NULL DEFAULT TRUE,
    verified_at      TIMESTAMPTZ,
    created_at       TIMESTAMPTZ NOT NULL,
    updated_at       TIMESTAMPTZ NOT NULL,
    FOREIGN KEY (tenant_id, customer_id) REFERENCES queue_customers (tenant_id, id),
    CHECK (email_normalised = lower(email_normalised) AND email_normalised = btrim(email_normalised)),
    CHECK (position('@' IN email_normalised) > 1)
);

CREATE UNIQUE INDEX queue_customer_emails_one_owner ON queue_customer_emails (tenant_id, email_normalised);
CREATE UNIQUE INDEX queue_customer_emails_one_primary ON queue_customer_emails (tenant_id, customer_id) WHERE is_primary;

CREATE TABLE queue_webauthn_credentials (
    id              UUID        PRIMARY KEY,
    tenant_id       UUID        NOT NULL,
    customer_id     UUID        NOT NULL,
    -- The authenticator's raw credential id; bound to one customer for good.
    credential_id   BYTEA       NOT NULL CHECK (octet_length(credential_id) BETWEEN 16 AND 1023),
    name            TEXT        NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    -- The passkey as the ceremony library serialises it (public key and policy, JSON).
    passkey         TEXT        NOT NULL,
    aaguid          UUID,
    transports      TEXT        NOT NULL DEFAULT '',
    sign_count      BIGINT      NOT NULL DEFAULT 0 CHECK (sign_count BETWEEN 0 AND 4294967295),
    backup_eligible BOOLEAN     NOT NULL,
    backup_state    BOOLEAN     NOT NULL,
    -- 1 to 20: the slot makes "at most 20 a customer" a constraint.
    slot            BIGINT      NOT NULL CHECK (slot BETWEEN 1 AND 20),
    created_at      TIMESTAMPTZ NOT NULL,
    updated_at      TIMESTAMPTZ NOT NULL,
    last_used_at    TIMESTAMPTZ,
    FOREIGN KEY (tenant_id, customer_id) REFERENCES queue_customers (tenant_id, id),
    UNIQUE (tenant_id, credential_id),
    UNIQUE (tenant_id, customer_id, slot),
    CHECK (backup_eligible OR NOT backup_state)
);

CREATE TRIGGER queue_webauthn_credentials_owner_is_final
    BEFORE UPDATE ON queue_webauthn_credentials FOR EACH ROW
    WHEN (OLD.customer_id <> NEW.customer_id OR OLD.credential_id <> NEW.credential_id
          OR OLD.backup_eligible <> NEW.backup_eligible)
    EXECUTE FUNCTION queue_refuse('queue_webauthn_credentials: owner, credential id and backup eligibility are final');

CREATE TABLE queue_webauthn_challenges (
    id              UUID        PRIMARY KEY,
    tenant_id       UUID        NOT NULL REFERENCES queue_tenants (id),
    ceremony        TEXT        NOT NULL CHECK (ceremony IN ('register', 'add', 'login', 'step_up')),
    -- The customer, or for 'register' the id the new customer will get: hence no foreign key.
    customer_id     UUID,
    -- SHA-256 of the login transaction cookie: a challenge works in the browser that asked.
    session_binding BYTEA       NOT NULL CHECK (octet_length(session_binding) = 32),
    state           TEXT        NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL,
    expires_at      TIMESTAMPTZ NOT NULL,
    consumed_at     TIMESTAMPTZ,
    CHECK (expires_at > created_at),
    CHECK (ceremony = 'login' OR customer_id IS NOT NULL)
);

CREATE INDEX queue_webauthn_challenges_expiry ON queue_webauthn_challenges (expires_at);

CREATE TRIGGER queue_webauthn_challenges_consumed_once
    BEFORE UPDATE ON queue_webauthn_challenges FOR EACH ROW
    WHEN (OLD.consumed_at IS NOT NULL)
    EXECUTE FUNCTION queue_refuse('queue_webauthn_challenges: a consumed challenge is final');

CREATE TABLE queue_email_verifications (
    id               UUID        PRIMARY KEY,
    tenant_id        UUID        NOT NULL REFERENCES queue_tenants (id),
    -- NULL for an address nobody owns: the answer is the same, no mail leaves.
    customer_id      UUID,
    email_normalised TEXT        NOT NULL CHECK (length(email_normalised) BETWEEN 3 AND 254),
    purpose          TEXT        NOT NULL CHECK (purpose IN ('verify', 'change', 'recover')),
    -- HMAC of the code under a pepper that is not in the database.
    code_hash        BYTEA       NOT NULL CHECK (octet_length(code_hash) = 32),
    session_binding  BYTEA       NOT NULL CHECK (octet_length(session_binding) = 32),
    attempts         BIGINT      NOT NULL DEFAULT 0 CHECK (attempts BETWEEN 0 AND 5),
    created_at       TIMESTAMPTZ NOT NULL,
    expires_at       TIMESTAMPTZ NOT NULL,
    consumed_at      TIMESTAMPTZ,
    voided_at        TIMESTAMPTZ,
    FOREIGN KEY (tenant_id, customer_id) REFERENCES queue_customers (tenant_id, id),
    CHECK (expires_at > created_at),
    CHECK (consumed_at IS NULL OR voided_at IS NULL)
);

CREATE UNIQUE INDEX queue_email_verifications_one_live
    ON queue_email_verifications (tenant_id, email_normalised, purpose, session_binding)
    WHERE consumed_at IS NULL AND voided_at IS NULL;
CREATE INDEX queue_email_verifications_expiry ON queue_email_verifications (expires_at);

CREATE TRIGGER queue_email_verifications_spent_once
    BEFORE UPDATE ON queue_email_verifications FOR EACH ROW
    WHEN (OLD.consumed_at IS NOT NULL OR OLD.voided_at IS NOT NULL OR NEW.attempts < OLD.attempts
          OR NEW.customer_id IS DISTINCT FROM OLD.customer_id OR NEW.email_normalised <> OLD.email_normalised
          OR NEW.purpose <> OLD.purpose OR NEW.session_binding <> OLD.session_binding)
    EXECUTE FUNCTION queue_refuse('queue_email_verifications: a proof is bound for good and spent once');

CREATE TABLE queue_backup_codes (
    id          UUID        PRIMARY KEY,
    tenant_id   UUID        NOT NULL,
    customer_id UUID        NOT NULL,
    -- The codes shown together; a new set voids the old one.
    set_id      UUID        NOT NULL,
    slot        BIGINT      NOT NULL CHECK (slot BETWEEN 1 AND 10),
    code_hash   BYTEA       NOT NULL CHECK (octet_length(code_hash) = 32),
    created_at  TIMESTAMPTZ NOT NULL,
    spent_at    TIMESTAMPTZ,
    voided_at   TIMESTAMPTZ,
    FOREIGN KEY (tenant_id, customer_id) REFERENCES queue_customers (tenant_id, id),
    UNIQUE (tenant_id, customer_id, code_hash),
    UNIQUE (tenant_id, set_id, slot)
);

CREATE TRIGGER queue_backup_codes_spent_once
    BEFORE UPDATE ON queue_backup_codes FOR EACH ROW
    WHEN (OLD.spent_at IS NOT NULL OR OLD.voided_at IS NOT NULL)
    EXECUTE FUNCTION queue_refuse('queue_backup_codes: a spent or voided code is final');

CREATE TABLE queue_sessions (
    id            UUID        PRIMARY KEY,
    tenant_id     UUID        NOT NULL,
    customer_id   UUID        NOT NULL,
    audience      TEXT        NOT NULL,
    -- The caller that minted the session.
    client_id     TEXT        NOT NULL,
    acr           TEXT        NOT NULL,
    -- Authentication methods, space-separated (RFC 8176 names); empty when unknown.
    amr           TEXT        NOT NULL DEFAULT '',
    auth_time     TIMESTAMPTZ NOT NULL,
    created_at    TIMESTAMPTZ NOT NULL,
    expires_at    TIMESTAMPTZ NOT NULL,
    revoked_at    TIMESTAMPTZ,
    revoked_by    TEXT,
    revoke_reason TEXT,
    FOREIGN KEY (tenant_id, customer_id) REFERENCES queue_customers (tenant_id, id),
    CHECK (expires_at > created_at),
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL)),
    CHECK ((revoked_at IS NULL) = (revoke_reason IS NULL))
);

CREATE INDEX queue_sessions_of_customer ON queue_sessions (tenant_id, customer_id) WHERE revoked_at IS NULL;
CREATE INDEX queue_sessions_expiry ON queue_sessions (expires_at);

CREATE TRIGGER queue_sessions_revoked_is_final
    BEFORE UPDATE ON queue_sessions FOR EACH ROW
    WHEN (OLD.customer_id <> NEW.customer_id
          OR (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at))
    EXECUTE FUNCTION queue_refuse('queue_sessions: owner and revocation are final');

-- One row a tenant; the generation names the published key set (its ETag).
CREATE TABLE queue_key_sets (
    tenant_id  UUID   PRIMARY KEY REFERENCES queue_tenants (id),
    generation BIGINT NOT NULL DEFAULT 0 CHECK (generation >= 0)
);

INSERT INTO queue_key_sets (tenant_id) VALUES ('00000000-0000-7000-8000-000000000001');

CREATE TABLE queue_signing_keys (
    tenant_id      UUID        NOT NULL REFERENCES queue_tenants (id),
    -- RFC 7638 SHA-256 thumbprint of the public key.
    kid            TEXT        NOT NULL CHECK (length(kid) = 43),
    alg            TEXT        NOT NULL CHECK (alg IN ('RS256')),
    public_jwk     TEXT        NOT NULL,
    -- 'configured' keys live in the environment or a file; only their public half is here.
    source         TEXT        NOT NULL CHECK (source IN ('generated', 'configured')),
    -- AES-256-GCM: nonce, ciphertext, tag. Sealed for this tenant and kid.
    sealed_private BYTEA,
    -- Names the key-encryption key, without telling it.
    kek_id         TEXT,
    state          TEXT        NOT NULL
        CHECK (state IN ('pending', 'published', 'active', 'retired', 'revoked', 'destroyed')),
    created_at     TIMESTAMPTZ NOT NULL,
    published_at   TIMESTAMPTZ,
    activated_at   TIMESTAMPTZ,
    retired_at     TIMESTAMPTZ,
    -- A retired key stays published until here: its last token is dead then.
    needed_until   TIMESTAMPTZ,
    revoked_at     TIMESTAMPTZ,
    destroyed_at   TIMESTAMPTZ,
    PRIMARY KEY (tenant_id, kid),
    CHECK ((sealed_private IS NULL) = (kek_id IS NULL)),
    CHECK (source <> 'configured' OR sealed_private IS NULL),
    CHECK (state = 'destroyed' OR source = 'configured' OR sealed_private IS NOT NULL),
    CHECK (state <> 'destroyed' OR sealed_private IS NULL),
    CHECK (state NOT IN ('published', 'active', 'retired') OR published_at IS NOT NULL),
    CHECK (state NOT IN ('active', 'retired') OR activated_at IS NOT NULL),
    CHECK (state <> 'retired' OR (retired_at IS NOT NULL AND needed_until IS NOT NULL)),
    CHECK (state <> 'revoked' OR revoked_at IS NOT NULL),
    CHECK ((state = 'destroyed') = (destroyed_at IS NOT NULL))
);

CREATE UNIQUE INDEX queue_signing_keys_one_active ON queue_signing_keys (tenant_id) WHERE state = 'active';

CREATE TRIGGER queue_signing_keys_walk_forward
    BEFORE UPDATE OF state ON queue_signing_keys FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (
        ('pending', 'published'), ('published', 'active'), ('active', 'retired'), ('retired', 'destroyed'),
        ('pending', 'revoked'), ('published', 'revoked'), ('active', 'revoked'), ('retired', 'revoked'),
        ('revoked', 'destroyed')))
    EXECUTE FUNCTION queue_refuse('queue_signing_keys: this state does not follow');

CREATE TRIGGER queue_signing_keys_material_is_final
    BEFORE UPDATE ON queue_signing_keys FOR EACH ROW
    WHEN (OLD.kid <> NEW.kid OR OLD.public_jwk <> NEW.public_jwk OR OLD.source <> NEW.source)
    EXECUTE FUNCTION queue_refuse('queue_signing_keys: key material is final');

CREATE TRIGGER queue_signing_keys_are_kept
    BEFORE DELETE ON queue_signing_keys FOR EACH ROW
    EXECUTE FUNCTION queue_refuse('queue_signing_keys: rows are kept; destroy the key instead');

CREATE FUNCTION queue_next_key_set() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE queue_key_sets SET generation = generation + 1 WHERE tenant_id = NEW.tenant_id;
    RETURN NULL;
END $$;

CREATE TRIGGER queue_signing_keys_next_generation
    AFTER INSERT OR UPDATE ON queue_signing_keys FOR EACH ROW
    EXECUTE FUNCTION queue_next_key_set();

-- What an Idempotency-Key has made: hashes and the id of the resource, never the answer itself,
-- so that no token and no personal datum waits here.
CREATE TABLE queue_idempotency_keys (
    tenant_id    UUID        NOT NULL REFERENCES queue_tenants (id),
    client_id    TEXT        NOT NULL,
    route        TEXT        NOT NULL,
    key_hash     BYTEA       NOT NULL CHECK (octet_length(key_hash) = 32),
    request_hash BYTEA       NOT NULL CHECK (octet_length(request_hash) = 32),
    resource_id  TEXT        NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (tenant_id, client_id, route, key_hash),
    CHECK (expires_at > created_at)
);

CREATE INDEX queue_idempotency_keys_expiry ON queue_idempotency_keys (expires_at);

CREATE TABLE customer_audit_events (
    id          UUID        PRIMARY KEY,
    tenant_id   UUID        NOT NULL REFERENCES queue_tenants (id),
    occurred_at TIMESTAMPTZ NOT NULL,
    actor_kind  TEXT        NOT NULL CHECK (actor_kind IN ('service', 'customer', 'operator', 'system')),
    actor_id    TEXT        NOT NULL,
    action      TEXT        NOT NULL,
    -- The customer it is about: an opaque id and no foreign key, so that the row outlives erasure.
    customer_id UUID,
    target_kind TEXT        NOT NULL,
    target_id   TEXT        NOT NULL,
    request_id  TEXT,
    -- Canonical JSON without personal data, text so that the hashed bytes are the stored bytes.
    details     TEXT        NOT NULL DEFAULT '{}',
    -- Position and links of the hash chain; given once, when the event joins the chain.
    chain_seq   BIGINT,
    prev_hash   BYTEA,
    hash        BYTEA,
    UNIQUE (tenant_id, chain_seq),
    CHECK ((chain_seq IS NULL) = (hash IS NULL) AND (hash IS NULL) = (prev_hash IS NULL))
);

CREATE INDEX customer_audit_events_of_customer ON customer_audit_events (tenant_id, customer_id, occurred_at);
CREATE INDEX customer_audit_events_in_time ON customer_audit_events (tenant_id, occurred_at, id);

CREATE FUNCTION queue_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    unchained customer_audit_events;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.hash IS NULL AND NEW.hash IS NOT NULL THEN
        unchained := NEW;
        unchained.chain_seq := NULL;
        unchained.prev_hash := NULL;
        unchained.hash := NULL;
        IF unchained IS NOT DISTINCT FROM OLD THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'customer_audit_events: append-only' USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER customer_audit_events_append_only
    BEFORE UPDATE OR DELETE ON customer_audit_events FOR EACH ROW
    EXECUTE FUNCTION queue_audit_append_only();

INSERT INTO queue_schema_migrations (version, name) VALUES (1, 'queue_core_tables');
