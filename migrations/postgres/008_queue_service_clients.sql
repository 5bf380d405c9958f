-- Service clients and their stored tokens: who may call beside those the environment names.
-- Additive.

CREATE TABLE queue_service_clients (
    id         UUID        PRIMARY KEY,
    tenant_id  UUID        NOT NULL REFERENCES queue_tenants (id),
    -- The name in tokens and audit events; never shaped like a customer's id.
    client_id  TEXT        NOT NULL CHECK (client_id ~ '^[a-z][a-z0-9_]{0,31}$'),
    -- Names separated by spaces.
    scopes     TEXT        NOT NULL CHECK (length(scopes) BETWEEN 1 AND 1000),
    state      TEXT        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended')),
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    UNIQUE (tenant_id, id),
    UNIQUE (tenant_id, client_id)
);

CREATE TRIGGER queue_service_clients_name_is_final
    BEFORE UPDATE ON queue_service_clients FOR EACH ROW
    WHEN (OLD.tenant_id <> NEW.tenant_id OR OLD.client_id <> NEW.client_id)
    EXECUTE FUNCTION queue_refuse('queue_service_clients: a name is final');

CREATE TABLE queue_service_tokens (
    id                UUID        PRIMARY KEY,
    tenant_id         UUID        NOT NULL,
    service_client_id UUID        NOT NULL,
    -- The part of the token that may be shown; it finds the row.
    token_prefix      TEXT        NOT NULL CHECK (length(token_prefix) = 12),
    -- SHA-256 of the whole token, whose secret part has 256 random bits.
    token_hash        BYTEA       NOT NULL CHECK (octet_length(token_hash) = 32),
    -- 1 or 2: the slot makes "at most 2 live a client" a constraint. A token without one is dead.
    slot              BIGINT      CHECK (slot BETWEEN 1 AND 2),
    created_at        TIMESTAMPTZ NOT NULL,
    created_by        TEXT        NOT NULL,
    expires_at        TIMESTAMPTZ NOT NULL,
    last_used_at      TIMESTAMPTZ,
    revoked_at        TIMESTAMPTZ,
    revoked_by        TEXT,
    FOREIGN KEY (tenant_id, service_client_id) REFERENCES queue_service_clients (tenant_id, id),
    UNIQUE (tenant_id, token_prefix),
    UNIQUE (tenant_id, service_client_id, slot),
    CHECK (expires_at > created_at),
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL)),
    CHECK (revoked_at IS NULL OR slot IS NULL)
);

CREATE TRIGGER queue_service_tokens_death_is_final
    BEFORE UPDATE ON queue_service_tokens FOR EACH ROW
    WHEN (OLD.tenant_id <> NEW.tenant_id OR OLD.service_client_id <> NEW.service_client_id
          OR OLD.token_prefix <> NEW.token_prefix OR OLD.token_hash <> NEW.token_hash
          OR NEW.expires_at > OLD.expires_at
          OR (OLD.slot IS NULL AND NEW.slot IS NOT NULL)
          OR (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at))
    EXECUTE FUNCTION queue_refuse('queue_service_tokens: owner, secret and death are final');

CREATE TRIGGER queue_service_tokens_are_kept
    BEFORE DELETE ON queue_service_tokens FOR EACH ROW
    EXECUTE FUNCTION queue_refuse('queue_service_tokens: rows are kept; revoke the token instead');

INSERT INTO queue_schema_migrations (version, name) VALUES (8, 'queue_service_clients');
