-- Service clients and their stored tokens: who may call beside those the environment names.
-- Additive.

CREATE TABLE queue_service_clients (
    id         TEXT    PRIMARY KEY CHECK (length(id) = 36),
    tenant_id  TEXT    NOT NULL REFERENCES queue_tenants (id),
    -- The name in tokens and audit events; never shaped like a customer's id.
    client_id  TEXT    NOT NULL CHECK (length(client_id) BETWEEN 1 AND 32 AND client_id GLOB '[a-z]*'
                                       AND client_id NOT GLOB '*[^a-z0-9_]*'),
    -- Names separated by spaces.
    scopes     TEXT    NOT NULL CHECK (length(scopes) BETWEEN 1 AND 1000),
    state      TEXT    NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (tenant_id, id),
    UNIQUE (tenant_id, client_id)
) STRICT;

CREATE TRIGGER queue_service_clients_name_is_final
    BEFORE UPDATE ON queue_service_clients FOR EACH ROW
    WHEN OLD.tenant_id <> NEW.tenant_id OR OLD.client_id <> NEW.client_id
BEGIN
    SELECT RAISE(ABORT, 'queue_service_clients: a name is final');
END;

CREATE TABLE queue_service_tokens (
    id                TEXT    PRIMARY KEY CHECK (length(id) = 36),
    tenant_id         TEXT    NOT NULL,
    service_client_id TEXT    NOT NULL,
    -- The part of the token that may be shown; it finds the row.
    token_prefix      TEXT    NOT NULL CHECK (length(token_prefix) = 12),
    -- SHA-256 of the whole token, whose secret part has 256 random bits.
    token_hash        BLOB    NOT NULL CHECK (length(token_hash) = 32),
    -- 1 or 2: the slot makes "at most 2 live a client" a constraint. A token without one is dead.
    slot              INTEGER CHECK (slot BETWEEN 1 AND 2),
    created_at        INTEGER NOT NULL,
    created_by        TEXT    NOT NULL,
    expires_at        INTEGER NOT NULL,
    last_used_at      INTEGER,
    revoked_at        INTEGER,
    revoked_by        TEXT,
    FOREIGN KEY (tenant_id, service_client_id) REFERENCES queue_service_clients (tenant_id, id),
    UNIQUE (tenant_id, token_prefix),
    UNIQUE (tenant_id, service_client_id, slot),
    CHECK (expires_at > created_at),
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL)),
    CHECK (revoked_at IS NULL OR slot IS NULL)
) STRICT;

CREATE TRIGGER queue_service_tokens_death_is_final
    BEFORE UPDATE ON queue_service_tokens FOR EACH ROW
    WHEN OLD.tenant_id <> NEW.tenant_id OR OLD.service_client_id <> NEW.service_client_id
         OR OLD.token_prefix <> NEW.token_prefix OR OLD.token_hash <> NEW.token_hash
         OR NEW.expires_at > OLD.expires_at
         OR (OLD.slot IS NULL AND NEW.slot IS NOT NULL)
         OR (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NOT OLD.revoked_at)
BEGIN
    SELECT RAISE(ABORT, 'queue_service_tokens: owner, secret and death are final');
END;

CREATE TRIGGER queue_service_tokens_are_kept
    BEFORE DELETE ON queue_service_tokens FOR EACH ROW
BEGIN
    SELECT RAISE(ABORT, 'queue_service_tokens: rows are kept; revoke the token instead');
END;

INSERT INTO queue_schema_migrations (version, name) VALUES (8, 'queue_service_clients');
