-- Status lists: which bit of which published list says that a session is revoked.
-- Additive, apart from one more index and one more trigger on queue_sessions.

CREATE TABLE queue_status_lists (
    id           TEXT    PRIMARY KEY CHECK (length(id) = 36),
    tenant_id    TEXT    NOT NULL REFERENCES queue_tenants (id),
    -- How many sessions have a place in it.
    size         INTEGER NOT NULL CHECK (size BETWEEN 8 AND 8388608 AND size % 8 = 0),
    -- Grows with every revocation, in the transaction that revokes.
    version      INTEGER NOT NULL DEFAULT 0 CHECK (version >= 0),
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    -- No session gets a place any more.
    closed_at    INTEGER,
    -- When to look whether its last session is dead.
    retire_after INTEGER,
    -- No longer published.
    retired_at   INTEGER,
    UNIQUE (tenant_id, id),
    CHECK ((closed_at IS NULL) = (retire_after IS NULL)),
    CHECK (retired_at IS NULL OR closed_at IS NOT NULL)
) STRICT;

CREATE UNIQUE INDEX queue_status_lists_one_open ON queue_status_lists (tenant_id) WHERE closed_at IS NULL;

CREATE TRIGGER queue_status_lists_walk_forward
    BEFORE UPDATE ON queue_status_lists FOR EACH ROW
    WHEN OLD.tenant_id <> NEW.tenant_id OR OLD.size <> NEW.size OR NEW.version < OLD.version
         OR (OLD.closed_at IS NOT NULL AND NEW.closed_at IS NOT OLD.closed_at)
         OR (OLD.retired_at IS NOT NULL AND NEW.retired_at IS NOT OLD.retired_at)
BEGIN
    SELECT RAISE(ABORT, 'queue_status_lists: a list only walks forward');
END;

CREATE TRIGGER queue_status_lists_are_kept
    BEFORE DELETE ON queue_status_lists FOR EACH ROW
BEGIN
    SELECT RAISE(ABORT, 'queue_status_lists: rows are kept; retire the list instead');
END;

CREATE UNIQUE INDEX queue_sessions_of_tenant ON queue_sessions (tenant_id, id);

CREATE TABLE queue_session_statuses (
    tenant_id       TEXT    NOT NULL,
    session_id      TEXT    NOT NULL,
    list_id         TEXT    NOT NULL,
    -- Random, so that neighbours in a list say nothing of neighbours in time.
    idx             INTEGER NOT NULL CHECK (idx >= 0),
    -- The version of the list that first said so.
    revoked_version INTEGER,
    PRIMARY KEY (tenant_id, session_id),
    UNIQUE (tenant_id, list_id, idx),
    FOREIGN KEY (tenant_id, session_id) REFERENCES queue_sessions (tenant_id, id),
    FOREIGN KEY (tenant_id, list_id) REFERENCES queue_status_lists (tenant_id, id)
) STRICT;

CREATE INDEX queue_session_statuses_revoked ON queue_session_statuses (tenant_id, list_id, revoked_version)
    WHERE revoked_version IS NOT NULL;

CREATE TRIGGER queue_session_statuses_are_final
    BEFORE UPDATE ON queue_session_statuses FOR EACH ROW
    WHEN OLD.tenant_id <> NEW.tenant_id OR OLD.session_id <> NEW.session_id OR OLD.list_id <> NEW.list_id
         OR OLD.idx <> NEW.idx
         OR (OLD.revoked_version IS NOT NULL AND NEW.revoked_version IS NOT OLD.revoked_version)
BEGIN
    SELECT RAISE(ABORT, 'queue_session_statuses: place and revocation are final');
END;

-- A place given twice would show a new session as the old one's revocation.
CREATE TRIGGER queue_session_statuses_are_kept
    BEFORE DELETE ON queue_session_statuses FOR EACH ROW
    WHEN EXISTS (SELECT 1 FROM queue_status_lists WHERE id = OLD.list_id AND retired_at IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'queue_session_statuses: places are kept until the list is retired');
END;

-- However a session is revoked, its bit is set in the same transaction.
CREATE TRIGGER queue_sessions_revoked_sets_status
    AFTER UPDATE OF revoked_at ON queue_sessions FOR EACH ROW
    WHEN OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL
BEGIN
    UPDATE queue_status_lists SET version = version + 1, updated_at = max(updated_at, NEW.revoked_at)
    WHERE id = (SELECT list_id FROM queue_session_statuses
                WHERE tenant_id = NEW.tenant_id AND session_id = NEW.id);
    UPDATE queue_session_statuses
    SET revoked_version = (SELECT version FROM queue_status_lists WHERE id = list_id)
    WHERE tenant_id = NEW.tenant_id AND session_id = NEW.id;
END;

INSERT INTO queue_schema_migrations (version, name) VALUES (4, 'queue_status_lists');
