-- Core tables of Queue: tenants, customers, credentials, sessions, signing keys, audit.
-- Additive: creates queue_* objects and customer_audit_events, touches nothing else.
-- Ids are UUIDv7 made by the application, as text; times are UTC, in microseconds since 1970.
-- Foreign keys bind only on connections that say PRAGMA foreign_keys = ON, as the issuer does.

CREATE TABLE queue_schema_migrations (
    version    INTEGER PRIMARY KEY,
    name       TEXT        NOT NULL,
    applied_at INTEGER     NOT NULL DEFAULT (unixepoch() * 1000000)
) STRICT;

CREATE TABLE queue_tenants (
    id         TEXT        PRIMARY KEY CHECK (length(id) = 36),
    slug       TEXT        NOT NULL UNIQUE CHECK (slug GLOB '[a-z0-9]*' AND slug NOT GLOB '*[^a-z0-9-]*' AND length(slug) <= 63),
    name       TEXT        NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    state      TEXT        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended')),
    created_at INTEGER     NOT NULL,
    updated_at INTEGER     NOT NULL
) STRICT;

INSERT INTO queue_tenants (id, slug, name, created_at, updated_at)
VALUES ('00000000-0000-7000-8000-000000000001', 'default', 'Default tenant', unixepoch() * 1000000, unixepoch() * 1000000);

CREATE TABLE queue_customers (
    id           TEXT        PRIMARY KEY CHECK (length(id) = 36),
    tenant_id    TEXT        NOT NULL REFERENCES queue_tenants (id),
    display_name TEXT        CHECK (length(display_name) BETWEEN 1 AND 200),
    state        TEXT        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended', 'erased')),
    -- Grows when what the customer may do changes; carried in tokens as authz_ver.
    authz_ver    INTEGER     NOT NULL DEFAULT 1 CHECK (authz_ver >= 1),
    created_at   INTEGER     NOT NULL,
    updated_at   INTEGER     NOT NULL,
    suspended_at INTEGER,
    erased_at    INTEGER,
    UNIQUE (tenant_id, id),
    CHECK (state <> 'suspended' OR suspended_at IS NOT NULL),
    CHECK ((state = 'erased') = (erased_at IS NOT NULL)),
    CHECK (state <> 'erased' OR display_name IS NULL)
) STRICT;

CREATE TRIGGER queue_customers_erased_is_final
    BEFORE UPDATE ON queue_customers FOR EACH ROW
    WHEN OLD.state = 'erased'
BEGIN
    SELECT RAISE(ABORT, 'queue_customers: an erased customer is final');
END;

CREATE TRIGGER queue_customers_erased_is_kept
    BEFORE DELETE ON queue_customers FOR EACH ROW
    WHEN OLD.state = 'erased'
BEGIN
    SELECT RAISE(ABORT, 'queue_customers: an erased customer is final');
END;

CREATE TABLE queue_customer_emails (
    id               TEXT        PRIMARY KEY CHECK (length(id) = 36),
    tenant_id        TEXT        NOT NULL,
    customer_id      TEXT        NOT NULL,
    email            TEXT        NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    -- Trimmed and lower-cased by the application: the identity of an address in its tenant.
    email_normalised TEXT        NOT NULL CHECK (length(email_normalised) BETWEEN 3 AND 254),
    is_primary       INTEGER     NOT NULL DEFAULT 1 CHECK (is_primary IN (0, 1)),
    verified_at      INTEGER,
    created_at       INTEGER     NOT NULL,
    updated_at       INTEGER     NOT NULL,
    FOREIGN KEY (tenant_id, customer_id) REFERENCES queue_customers (tenant_id, id),
    CHECK (email_normalised = lower(email_normalised) AND email_normalised = trim(email_normalised)),
    CHECK (instr(email_normalised, '@') > 1)
) STRICT;

CREATE UNIQUE INDEX queue_customer_emails_one_owner ON queue_customer_emails (tenant_id, email_normalised);
CREATE UNIQUE INDEX queue_customer_emails_one_primary ON queue_customer_emails (tenant_id, customer_id) WHERE is_primary;

CREATE TABLE queue_webauthn_credentials (
    id              TEXT        PRIMARY KEY CHECK (length(id) = 36),
    tenant_id       TEXT        NOT NULL,
    customer_id     TEXT        NOT NULL,
    -- The authenticator's raw credential id; bound to one customer for good.
    credential_id   BLOB        NOT NULL CHECK (length(credential_id) BETWEEN 16 AND 1023),
    name            TEXT        NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    -- The passkey as the ceremony library serialises it (public key and policy, JSON).
    passkey         TEXT        NOT NULL,
    aaguid          TEXT,
    transports      TEXT        NOT NULL DEFAULT '',
    sign_count      INTEGER     NOT NULL DEFAULT 0 CHECK (sign_count BETWEEN 0 AND 4294967295),
    backup_eligible INTEGER     NOT NULL CHECK (backup_eligible IN (0, 1)),
    backup_state    INTEGER     NOT NULL CHECK (backup_state IN (0, 1)),
    -- 1 to 20: the slot makes "at most 20 a customer" a constraint.
    slot            INTEGER     NOT NULL CHECK (slot BETWEEN 1 AND 20),
    created_at      INTEGER     NOT NULL,
    updated_at      INTEGER     NOT NULL,
    last_used_at    INTEGER,
    FOREIGN KEY (tenant_id, customer_id) REFERENCES queue_customers (tenant_id, id),
    UNIQUE (tenant_id, credential_id),
    UNIQUE (tenant_id, customer_id, slot),
    CHECK (backup_eligible OR NOT backup_state)
) STRICT;

CREATE TRIGGER queue_webauthn_credentials_owner_is_final
    BEFORE UPDATE ON queue_webauthn_credentials FOR EACH ROW
    WHEN OLD.customer_id <> NEW.customer_id OR OLD.credential_id <> NEW.credential_id
         OR OLD.backup_eligible <> NEW.backup_eligible
BEGIN
    SELECT RAISE(ABORT, 'queue_webauthn_credentials: owner, credential id and backup eligibility are final');
END;

CREATE TABLE queue_webauthn_challenges (
    id              TEXT        PRIMARY KEY CHECK (length(id) = 36),
    tenant_id       TEXT        NOT NULL REFERENCES queue_tenants (id),
    ceremony        TEXT        NOT NULL CHECK (ceremony IN ('register', 'add', 'login', 'step_up')),
    -- The customer, or for 'register' the id the new customer will get: hence no foreign key.
    customer_id     TEXT,
    -- SHA-256 of the login transaction cookie: a challenge works in the browser that asked.
    session_binding BLOB        NOT NULL CHECK (length(session_binding) = 32),
    state           TEXT        NOT NULL,
    created_at      INTEGER     NOT NULL,
    expires_at      INTEGER     NOT NULL,
    consumed_at     INTEGER,
    CHECK (expires_at > created_at),
    CHECK (ceremony = 'login' OR customer_id IS NOT NULL)
) STRICT;

CREATE INDEX queue_webauthn_challenges_expiry ON queue_webauthn_challenges (expires_at);

CREATE TRIGGER queue_webauthn_challenges_consumed_once
    BEFORE UPDATE ON queue_webauthn_challenges FOR EACH ROW
    WHEN OLD.consumed_at IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'queue_webauthn_challenges: a consumed challenge is final');
END;

CREATE TABLE queue_email_verifications (
    id               TEXT        PRIMARY KEY CHECK (length(id) = 36),
    tenant_id        TEXT        NOT NULL REFERENCES queue_tenants (id),
    -- NULL for an address nobody owns: the answer is the same, no mail leaves.
    customer_id      TEXT,
    email_normalised TEXT        NOT NULL CHECK (length(email_normalised) BETWEEN 3 AND 254),
    purpose          TEXT        NOT NULL CHECK (purpose IN ('verify', 'change', 'recover')),
    -- HMAC of the code under a pepper that is not in the database.
    code_hash        BLOB        NOT NULL CHECK (length(code_hash) = 32),
    session_binding  BLOB        NOT NULL CHECK (length(session_binding) = 32),
    attempts         INTEGER     NOT NULL DEFAULT 0 CHECK (attempts BETWEEN 0 AND 5),
    created_at       INTEGER     NOT NULL,
    expires_at       INTEGER     NOT NULL,
    consumed_at      INTEGER,
    voided_at        INTEGER,
    FOREIGN KEY (tenant_id, customer_id) REFERENCES queue_customers (tenant_id, id),
    CHECK (expires_at > created_at),
    CHECK (consumed_at IS NULL OR voided_at IS NULL)
) STRICT;

CREATE UNIQUE INDEX queue_email_verifications_one_live
    ON queue_email_verifications (tenant_id, email_normalised, purpose, session_binding)
    WHERE consumed_at IS NULL AND voided_at IS NULL;
CREATE INDEX queue_email_verifications_expiry ON queue_email_verifications (expires_at);

CREATE TRIGGER queue_email_verifications_spent_once
    BEFORE UPDATE ON queue_email_verifications FOR EACH ROW
    WHEN OLD.consumed_at IS NOT NULL OR OLD.voided_at IS NOT NULL OR NEW.attempts < OLD.attempts
         OR NEW.customer_id IS NOT OLD.customer_id OR NEW.email_normalised <> OLD.email_normalised
         OR NEW.purpose <> OLD.purpose OR NEW.session_binding <> OLD.session_binding
BEGIN
    SELECT RAISE(ABORT, 'queue_email_verifications: a proof is bound for good and spent once');
END;

CREATE TABLE queue_backup_codes (
    id          TEXT        PRIMARY KEY CHECK (length(id) = 36),
    tenant_id   TEXT        NOT NULL,
    customer_id TEXT        NOT NULL,
    -- The codes shown together; a new set voids the old one.
    set_id      TEXT        NOT NULL,
    slot        INTEGER     NOT NULL CHECK (slot BETWEEN 1 AND 10),
    code_hash   BLOB        NOT NULL CHECK (length(code_hash) = 32),
    created_at  INTEGER     NOT NULL,
    spent_at    INTEGER,
    voided_at   INTEGER,
    FOREIGN KEY (tenant_id, customer_id) REFERENCES queue_customers (tenant_id, id),
    UNIQUE (tenant_id, customer_id, code_hash),
    UNIQUE (tenant_id, set_id, slot)
) STRICT;

CREATE TRIGGER queue_backup_codes_spent_once
    BEFORE UPDATE ON queue_backup_codes FOR EACH ROW
    WHEN OLD.spent_at IS NOT NULL OR OLD.voided_at IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'queue_backup_codes: a spent or voided code is final');
END;

CREATE TABLE queue_sessions (
    id            TEXT        PRIMARY KEY CHECK (length(id) = 36),
    tenant_id     TEXT        NOT NULL,
    customer_id   TEXT        NOT NULL,
    audience      TEXT        NOT NULL,
    -- The caller that minted the session.
    client_id     TEXT        NOT NULL,
    acr           TEXT        NOT NULL,
    -- Authentication methods, space-separated (RFC 8176 names); empty when unknown.
    amr           TEXT        NOT NULL DEFAULT '',
    auth_time     INTEGER     NOT NULL,
    created_at    INTEGER     NOT NULL,
    expires_at    INTEGER     NOT NULL,
    revoked_at    INTEGER,
    revoked_by    TEXT,
    revoke_reason TEXT,
    FOREIGN KEY (tenant_id, customer_id) REFERENCES queue_customers (tenant_id, id),
    CHECK (expires_at > created_at),
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL)),
    CHECK ((revoked_at IS NULL) = (revoke_reason IS NULL))
) STRICT;

CREATE INDEX queue_sessions_of_customer ON queue_sessions (tenant_id, customer_id) WHERE revoked_at IS NULL;
CREATE INDEX queue_sessions_expiry ON queue_sessions (expires_at);

CREATE TRIGGER queue_sessions_revoked_is_final
    BEFORE UPDATE ON queue_sessions FOR EACH ROW
    WHEN OLD.customer_id <> NEW.customer_id
         OR (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NOT OLD.revoked_at)
BEGIN
    SELECT RAISE(ABORT, 'queue_sessions: owner and revocation are final');
END;

-- One row a tenant; the generation names the published key set (its ETag).
CREATE TABLE queue_key_sets (
    tenant_id  TEXT   PRIMARY KEY REFERENCES queue_tenants (id),
    generation INTEGER NOT NULL DEFAULT 0 CHECK (generation >= 0)
) STRICT;

INSERT INTO queue_key_sets (tenant_id) VALUES ('00000000-0000-7000-8000-000000000001');

CREATE TABLE queue_signing_keys (
    tenant_id      TEXT        NOT NULL REFERENCES queue_tenants (id),
    -- RFC 7638 SHA-256 thumbprint of the public key.
    kid            TEXT        NOT NULL CHECK (length(kid) = 43),
    alg            TEXT        NOT NULL CHECK (alg IN ('RS256')),
    public_jwk     TEXT        NOT NULL,
    -- 'configured' keys live in the environment or a file; only their public half is here.
    source         TEXT        NOT NULL CHECK (source IN ('generated', 'configured')),
    -- AES-256-GCM: nonce, ciphertext, tag. Sealed for this tenant and kid.
    sealed_private BLOB ,
    -- Names the key-encryption key, without telling it.
    kek_id         TEXT,
    state          TEXT        NOT NULL
        CHECK (state IN ('pending', 'published', 'active', 'retired', 'revoked', 'destroyed')),
    created_at     INTEGER     NOT NULL,
    published_at   INTEGER,
    activated_at   INTEGER,
    retired_at     INTEGER,
    -- A retired key stays published until here: its last token is dead then.
    needed_until   INTEGER,
    revoked_at     INTEGER,
    destroyed_at   INTEGER,
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
) STRICT;

CREATE UNIQUE INDEX queue_signing_keys_one_active ON queue_signing_keys (tenant_id) WHERE state = 'active';

CREATE TRIGGER queue_signing_keys_walk_forward
    BEFORE UPDATE OF state ON queue_signing_keys FOR EACH ROW
    WHEN OLD.state <> NEW.state AND (OLD.state || ' ' || NEW.state) NOT IN (
        'pending published', 'published active', 'active retired', 'retired destroyed',
        'pending revoked', 'published revoked', 'active revoked', 'retired revoked',
        'revoked destroyed')
BEGIN
    SELECT RAISE(ABORT, 'queue_signing_keys: this state does not follow');
END;

CREATE TRIGGER queue_signing_keys_material_is_final
    BEFORE UPDATE ON queue_signing_keys FOR EACH ROW
    WHEN OLD.kid <> NEW.kid OR OLD.public_jwk <> NEW.public_jwk OR OLD.source <> NEW.source
BEGIN
    SELECT RAISE(ABORT, 'queue_signing_keys: key material is final');
END;

CREATE TRIGGER queue_signing_keys_are_kept
    BEFORE DELETE ON queue_signing_keys FOR EACH ROW
BEGIN
    SELECT RAISE(ABORT, 'queue_signing_keys: rows are kept; destroy the key instead');
END;

CREATE TRIGGER queue_signing_keys_next_generation_insert
    AFTER INSERT ON queue_signing_keys FOR EACH ROW
BEGIN
    UPDATE queue_key_sets SET generation = generation + 1 WHERE tenant_id = NEW.tenant_id;
END;

CREATE TRIGGER queue_signing_keys_next_generation_update
    AFTER UPDATE ON queue_signing_keys FOR EACH ROW
BEGIN
    UPDATE queue_key_sets SET generation = generation + 1 WHERE tenant_id = NEW.tenant_id;
END;

-- What an Idempotency-Key has made: hashes and the id of the resource, never the answer itself,
-- so that no token and no personal datum waits here.
CREATE TABLE queue_idempotency_keys (
    tenant_id    TEXT        NOT NULL REFERENCES queue_tenants (id),
    client_id    TEXT        NOT NULL,
    route        TEXT        NOT NULL,
    key_hash     BLOB        NOT NULL CHECK (length(key_hash) = 32),
    request_hash BLOB        NOT NULL CHECK (length(request_hash) = 32),
    resource_id  TEXT        NOT NULL,
    created_at   INTEGER     NOT NULL,
    expires_at   INTEGER     NOT NULL,
    PRIMARY KEY (tenant_id, client_id, route, key_hash),
    CHECK (expires_at > created_at)
) STRICT;

CREATE INDEX queue_idempotency_keys_expiry ON queue_idempotency_keys (expires_at);

CREATE TABLE customer_audit_events (
    id          TEXT        PRIMARY KEY CHECK (length(id) = 36),
    tenant_id   TEXT        NOT NULL REFERENCES queue_tenants (id),
    occurred_at INTEGER     NOT NULL,
    actor_kind  TEXT        NOT NULL CHECK (actor_kind IN ('service', 'customer', 'operator', 'system')),
    actor_id    TEXT        NOT NULL,
    action      TEXT        NOT NULL,
    -- The customer it is about: an opaque id and no foreign key, so that the row outlives erasure.
    customer_id TEXT,
    target_kind TEXT        NOT NULL,
    target_id   TEXT        NOT NULL,
    request_id  TEXT,
    -- Canonical JSON without personal data, text so that the hashed bytes are the stored bytes.
    details     TEXT        NOT NULL DEFAULT '{}',
    -- Position and links of the hash chain; given once, when the event joins the chain.
    chain_seq   INTEGER,
    prev_hash   BLOB ,
    hash        BLOB ,
    UNIQUE (tenant_id, chain_seq),
    CHECK ((chain_seq IS NULL) = (hash IS NULL) AND (hash IS NULL) = (prev_hash IS NULL))
) STRICT;

CREATE INDEX customer_audit_events_of_customer ON customer_audit_events (tenant_id, customer_id, occurred_at);
CREATE INDEX customer_audit_events_in_time ON customer_audit_events (tenant_id, occurred_at, id);

CREATE TRIGGER customer_audit_events_append_only
    BEFORE UPDATE ON customer_audit_events FOR EACH ROW
    WHEN NOT (OLD.hash IS NULL AND NEW.hash IS NOT NULL
              AND NEW.id IS OLD.id
              AND NEW.tenant_id IS OLD.tenant_id
              AND NEW.occurred_at IS OLD.occurred_at
              AND NEW.actor_kind IS OLD.actor_kind
              AND NEW.actor_id IS OLD.actor_id
              AND NEW.action IS OLD.action
              AND NEW.customer_id IS OLD.customer_id
              AND NEW.target_kind IS OLD.target_kind
              AND NEW.target_id IS OLD.target_id
              AND NEW.request_id IS OLD.request_id
              AND NEW.details IS OLD.details)
BEGIN
    SELECT RAISE(ABORT, 'customer_audit_events: append-only');
END;

CREATE TRIGGER customer_audit_events_are_kept
    BEFORE DELETE ON customer_audit_events FOR EACH ROW
BEGIN
    SELECT RAISE(ABORT, 'customer_audit_events: append-only');
END;

INSERT INTO queue_schema_migrations (version, name) VALUES (1, 'queue_core_tables');
