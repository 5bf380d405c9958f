-- Refresh tokens of a browser's session: how far they have come, and on which device.
-- Additive.

CREATE TABLE queue_session_refreshes (
    tenant_id    TEXT    NOT NULL,
    session_id   TEXT    NOT NULL,
    -- Goes into the key of this session's tokens, with one that is not in the database.
    salt         BLOB    NOT NULL CHECK (length(salt) = 32),
    -- The newest generation given out.
    generation   INTEGER NOT NULL DEFAULT 1 CHECK (generation >= 1),
    rotated_at   INTEGER NOT NULL,
    -- How often, and when last, the generation before was presented again.
    replays      INTEGER NOT NULL DEFAULT 0 CHECK (replays BETWEEN 0 AND 5),
    replayed_at  INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    -- What a person would call the browser ("Firefox on Linux").
    device       TEXT    NOT NULL CHECK (length(device) BETWEEN 1 AND 100),
    PRIMARY KEY (tenant_id, session_id),
    FOREIGN KEY (tenant_id, session_id) REFERENCES queue_sessions (tenant_id, id)
) STRICT;

CREATE TRIGGER queue_session_refreshes_walk_forward
    BEFORE UPDATE ON queue_session_refreshes FOR EACH ROW
    WHEN NEW.session_id <> OLD.session_id OR NEW.salt <> OLD.salt OR NEW.generation < OLD.generation
         OR NEW.generation > OLD.generation + 1
         OR (NEW.generation = OLD.generation AND NEW.replays < OLD.replays)
BEGIN
    SELECT RAISE(ABORT, 'queue_session_refreshes: a generation follows the one before');
END;

INSERT INTO queue_schema_migrations (version, name) VALUES (10, 'queue_session_refreshes');
