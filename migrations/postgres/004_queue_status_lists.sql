-- Status lists: which bit of which published list says that a session is revoked.
-- Additive, apart from one more index and one more trigger on queue_sessions.

CREATE TABLE queue_status_lists (
    id           UUID        PRIMARY KEY,
    tenant_id    UUID        NOT NULL REFERENCES queue_tenants (id),
    -- How many sessions have a place in it.
    size         BIGINT      NOT NULL CHECK (size BETWEEN 8 AND 8388608 AND size % 8 = 0),
    -- Grows with every revocation, in the transaction that revokes.
    version      BIGINT      NOT NULL DEFAULT 0 CHECK (version >= 0),
    created_at   TIMESTAMPTZ NOT NULL,
    updated_at   TIMESTAMPTZ NOT NULL,
    -- No session gets a place any more.
    closed_at    TIMESTAMPTZ,
    -- When to look whether its last session is dead.
    retire_after TIMESTAMPTZ,
    -- No longer published.
    retired_at   TIMESTAMPTZ,
    UNIQUE (tenant_id, id),
    CHECK ((closed_at IS NULL) = (retire_after IS NULL)),
    CHECK (retired_at IS NULL OR closed_at IS NOT NULL)
);

CREATE UNIQUE INDEX queue_status_lists_one_open ON queue_status_lists (tenant_id) WHERE closed_at IS NULL;

CREATE TRIGGER queue_status_lists_walk_forward
    BEFORE UPDATE ON queue_status_lists FOR EACH ROW
    WHEN (OLD.tenant_id <> NEW.tenant_id OR OLD.size <> NEW.size OR NEW.version < OLD.version
          OR (OLD.closed_at IS NOT NULL AND NEW.closed_at IS DISTINCT FROM OLD.closed_at)
          OR (OLD.retired_at IS NOT NULL AND NEW.retired_at IS DISTINCT FROM OLD.retired_at))
    EXECUTE FUNCTION queue_refuse('queue_status_lists: a list only walks forward');

CREATE TRIGGER queue_status_lists_are_kept
    BEFORE DELETE ON queue_status_lists FOR EACH ROW
    EXECUTE FUNCTION queue_refuse('queue_status_lists: rows are kept; retire the list instead');

-- Whoever listens publishes at once; whoever does not finds the version at its next poll.
CREATE FUNCTION queue_status_list_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('queue_status_lists', '');
    RETURN NULL;
END $$;

CREATE TRIGGER queue_status_lists_changed
    AFTER INSERT OR UPDATE ON queue_status_lists FOR EACH ROW
    EXECUTE FUNCTION queue_status_list_changed();

CREATE UNIQUE INDEX queue_sessions_of_tenant ON queue_sessions (tenant_id, id);

CREATE TABLE queue_session_statuses (
    tenant_id       UUID   NOT NULL,
    session_id      UUID   NOT NULL,
    list_id         UUID   NOT NULL,
    -- Random, so that neighbours in a list say nothing of neighbours in time.
    idx             BIGINT NOT NULL CHECK (idx >= 0),
    -- The version of the list that first said so.
    revoked_version BIGINT,
    PRIMARY KEY (tenant_id, session_id),
    UNIQUE (tenant_id, list_id, idx),
    FOREIGN KEY (tenant_id, session_id) REFERENCES queue_sessions (tenant_id, id),
    FOREIGN KEY (tenant_id, list_id) REFERENCES queue_status_lists (tenant_id, id)
);

CREATE INDEX queue_session_statuses_revoked ON queue_session_statuses (tenant_id, list_id, revoked_version)
    WHERE revoked_version IS NOT NULL;

CREATE TRIGGER queue_session_statuses_are_final
    BEFORE UPDATE ON queue_session_statuses FOR EACH ROW
    WHEN (OLD.tenant_id <> NEW.tenant_id OR OLD.session_id <> NEW.session_id OR OLD.list_id <> NEW.list_id
          OR OLD.idx <> NEW.idx
          OR (OLD.revoked_version IS NOT NULL AND NEW.revoked_version IS DISTINCT FROM OLD.revoked_version))
    EXECUTE FUNCTION queue_refuse('queue_session_statuses: place and revocation are final');

-- A place given twice would show a new session as the old one's revocation.
CREATE FUNCTION queue_keep_session_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM queue_status_lists WHERE id = OLD.list_id AND retired_at IS NULL) THEN
        RAISE EXCEPTION 'queue_session_statuses: places are kept until the list is retired'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER queue_session_statuses_are_kept
    BEFORE DELETE ON queue_session_statuses FOR EACH ROW
    EXECUTE FUNCTION queue_keep_session_status();

-- However a session is revoked, its bit is set in the same transaction. The list's row stays locked until
-- that commits, so versions become visible in their order.
CREATE FUNCTION queue_set_session_status() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    place queue_session_statuses%ROWTYPE;
    next  BIGINT;
BEGIN
    SELECT * INTO place FROM queue_session_statuses WHERE tenant_id = NEW.tenant_id AND session_id = NEW.id;
    IF FOUND THEN
        UPDATE queue_status_lists SET version = version + 1, updated_at = GREATEST(updated_at, NEW.revoked_at)
            WHERE id = place.list_id RETURNING version INTO next;
        UPDATE queue_session_statuses SET revoked_version = next
            WHERE tenant_id = NEW.tenant_id AND session_id = NEW.id;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER queue_sessions_revoked_sets_status
    AFTER UPDATE OF revoked_at ON queue_sessions FOR EACH ROW
    WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL)
    EXECUTE FUNCTION queue_set_session_status();

INSERT INTO queue_schema_migrations (version, name) VALUES (4, 'queue_status_lists');
