-- Raptor's own auth, as it was before Queue: all that the example assumes of it.
-- Idempotent, so that every start may run it.

CREATE TABLE IF NOT EXISTS customers (
    id                UUID        PRIMARY KEY DEFAULT gen_random_uuid(),
    email             TEXT        NOT NULL CHECK (email = lower(btrim(email))),
    email_verified_at TIMESTAMPTZ,
    name              TEXT,
    disabled_at       TIMESTAMPTZ,
    created_at        TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at        TIMESTAMPTZ NOT NULL DEFAULT now(),
    UNIQUE (email)
);

-- Passkeys registered by an older page. Signing in goes by e-mail now; Queue takes them over.
CREATE TABLE IF NOT EXISTS webauthn_credentials (
    id              BIGINT      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id     UUID        NOT NULL REFERENCES customers (id),
    credential_id   BYTEA       NOT NULL UNIQUE,
    -- COSE_Key (RFC 9052 §7).
    public_key      BYTEA       NOT NULL,
    sign_count      BIGINT      NOT NULL DEFAULT 0,
    aaguid          UUID,
    transports      TEXT[]      NOT NULL DEFAULT '{}',
    backup_eligible BOOLEAN     NOT NULL DEFAULT FALSE,
    backed_up       BOOLEAN     NOT NULL DEFAULT FALSE,
    label           TEXT        NOT NULL DEFAULT 'Passkey',
    created_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_used_at    TIMESTAMPTZ
);

CREATE TABLE IF NOT EXISTS customer_sessions (
    id          UUID        PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id UUID        NOT NULL REFERENCES customers (id),
    -- SHA-256 of the cookie, which has 256 random bits.
    token_hash  BYTEA       NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    user_agent  TEXT        NOT NULL DEFAULT '',
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at  TIMESTAMPTZ NOT NULL,
    revoked_at  TIMESTAMPTZ
);

CREATE INDEX IF NOT EXISTS customer_sessions_of_customer ON customer_sessions (customer_id)
    WHERE revoked_at IS NULL;

-- One code a customer at a time; a new one takes its place.
CREATE TABLE IF NOT EXISTS login_codes (
    customer_id UUID        PRIMARY KEY REFERENCES customers (id),
    -- HMAC of the code under the application's secret.
    code_hash   BYTEA       NOT NULL CHECK (octet_length(code_hash) = 32),
    attempts    INTEGER     NOT NULL DEFAULT 0,
    expires_at  TIMESTAMPTZ NOT NULL
);
