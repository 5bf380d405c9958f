-- Outbox: mails that wait to be sent, written in the transaction that is their reason.
-- Additive.

CREATE TABLE queue_outbox (
    id              TEXT        PRIMARY KEY CHECK (length(id) = 36),
    tenant_id       TEXT        NOT NULL REFERENCES queue_tenants (id),
    kind            TEXT        NOT NULL CHECK (length(kind) BETWEEN 1 AND 64),
    -- The customer it is about, if there is one.
    customer_id     TEXT,
    -- Recipient and words, sealed for this row and tenant; gone once the mail was sent or given up.
    sealed          BLOB        CHECK (length(sealed) BETWEEN 29 AND 16384),
    kek_id          TEXT,
    attempts        INTEGER     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- Also the lease of the process that is sending it: nobody else takes it before.
    next_attempt_at INTEGER     NOT NULL,
    created_at      INTEGER     NOT NULL,
    -- From then on the mail is worth nothing and is not sent.
    expires_at      INTEGER     NOT NULL,
    sent_at         INTEGER,
    dead_at         INTEGER,
    -- A code, never a server's words: those may repeat the address.
    last_error      TEXT        CHECK (length(last_error) BETWEEN 1 AND 64),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES queue_customers (tenant_id, id),
    CHECK (expires_at > created_at),
    CHECK (sent_at IS NULL OR dead_at IS NULL),
    CHECK ((sealed IS NULL) = (sent_at IS NOT NULL OR dead_at IS NOT NULL)),
    CHECK ((sealed IS NULL) = (kek_id IS NULL))
) STRICT;

CREATE INDEX queue_outbox_due ON queue_outbox (tenant_id, next_attempt_at) WHERE sent_at IS NULL AND dead_at IS NULL;
CREATE INDEX queue_outbox_customer ON queue_outbox (tenant_id, customer_id);

CREATE TRIGGER queue_outbox_settled_is_final
    BEFORE UPDATE ON queue_outbox FOR EACH ROW
    WHEN OLD.sealed IS NULL OR (NEW.sealed IS NOT OLD.sealed AND NEW.sealed IS NOT NULL)
BEGIN
    SELECT RAISE(ABORT, 'queue_outbox: a mail is never rewritten, and one that was sent or given up is final');
END;

INSERT INTO queue_schema_migrations (version, name) VALUES (9, 'queue_outbox');
