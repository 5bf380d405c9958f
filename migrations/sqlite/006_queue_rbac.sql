-- Permissions, which roles hold them, and the role of those who administer: console-admin.
-- Additive, apart from one more column on queue_roles and triggers on the tables of roles and customers.

CREATE TABLE queue_permissions (
    id          TEXT    PRIMARY KEY CHECK (length(id) = 36),
    tenant_id   TEXT    NOT NULL REFERENCES queue_tenants (id),
    name        TEXT    NOT NULL CHECK (name GLOB '[a-z0-9]*' AND name NOT GLOB '*[^a-z0-9._:-]*' AND length(name) <= 63),
    description TEXT    NOT NULL DEFAULT '',
    created_at  INTEGER NOT NULL,
    UNIQUE (tenant_id, id),
    UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE queue_role_permissions (
    tenant_id     TEXT    NOT NULL,
    role_id       TEXT    NOT NULL,
    permission_id TEXT    NOT NULL,
    granted_at    INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, role_id, permission_id),
    FOREIGN KEY (tenant_id, role_id) REFERENCES queue_roles (tenant_id, id),
    FOREIGN KEY (tenant_id, permission_id) REFERENCES queue_permissions (tenant_id, id)
) STRICT;

CREATE INDEX queue_role_permissions_of_permission ON queue_role_permissions (tenant_id, permission_id);

-- The role of which an active holder stays.
ALTER TABLE queue_roles ADD COLUMN is_admin INTEGER NOT NULL DEFAULT 0 CHECK (is_admin IN (0, 1));

CREATE UNIQUE INDEX queue_roles_one_admin ON queue_roles (tenant_id) WHERE is_admin;

-- Tokens and other services' code carry the names.
CREATE TRIGGER queue_roles_name_is_final
    BEFORE UPDATE ON queue_roles FOR EACH ROW
    WHEN OLD.tenant_id <> NEW.tenant_id OR OLD.id <> NEW.id OR OLD.name <> NEW.name OR OLD.is_admin <> NEW.is_admin
BEGIN
    SELECT RAISE(ABORT, 'queue_roles: name and rank are final');
END;

CREATE TRIGGER queue_permissions_name_is_final
    BEFORE UPDATE ON queue_permissions FOR EACH ROW
    WHEN OLD.tenant_id <> NEW.tenant_id OR OLD.id <> NEW.id OR OLD.name <> NEW.name
BEGIN
    SELECT RAISE(ABORT, 'queue_permissions: a name is final');
END;

-- A move would pass the triggers below by.
CREATE TRIGGER queue_customer_roles_never_move
    BEFORE UPDATE ON queue_customer_roles FOR EACH ROW
    WHEN OLD.tenant_id <> NEW.tenant_id OR OLD.customer_id <> NEW.customer_id OR OLD.role_id <> NEW.role_id
BEGIN
    SELECT RAISE(ABORT, 'queue_customer_roles: granted and revoked, never moved');
END;

CREATE TRIGGER queue_role_permissions_never_move
    BEFORE UPDATE ON queue_role_permissions FOR EACH ROW
    WHEN OLD.tenant_id <> NEW.tenant_id OR OLD.role_id <> NEW.role_id OR OLD.permission_id <> NEW.permission_id
BEGIN
    SELECT RAISE(ABORT, 'queue_role_permissions: granted and revoked, never moved');
END;

CREATE TRIGGER queue_customers_authz_ver_grows
    BEFORE UPDATE OF authz_ver ON queue_customers FOR EACH ROW
    WHEN NEW.authz_ver < OLD.authz_ver
BEGIN
    SELECT RAISE(ABORT, 'queue_customers: authz_ver only grows');
END;

CREATE TRIGGER queue_customer_roles_none_for_erased
    BEFORE INSERT ON queue_customer_roles FOR EACH ROW
    WHEN EXISTS (SELECT 1 FROM queue_customers
                 WHERE tenant_id = NEW.tenant_id AND id = NEW.customer_id AND state = 'erased')
BEGIN
    SELECT RAISE(ABORT, 'queue_customer_roles: an erased customer gets no role');
END;

-- Whatever changes what a customer may do, and whoever changes it, authz_ver grows in the same transaction.
CREATE TRIGGER queue_customer_roles_grant_grows_authz_ver
    AFTER INSERT ON queue_customer_roles FOR EACH ROW
BEGIN
    UPDATE queue_customers SET authz_ver = authz_ver + 1
    WHERE tenant_id = NEW.tenant_id AND id = NEW.customer_id AND state <> 'erased';
END;

CREATE TRIGGER queue_customer_roles_revocation_grows_authz_ver
    AFTER DELETE ON queue_customer_roles FOR EACH ROW
BEGIN
    UPDATE queue_customers SET authz_ver = authz_ver + 1
    WHERE tenant_id = OLD.tenant_id AND id = OLD.customer_id AND state <> 'erased';
END;

CREATE TRIGGER queue_role_permissions_grant_grows_authz_ver
    AFTER INSERT ON queue_role_permissions FOR EACH ROW
BEGIN
    UPDATE queue_customers SET authz_ver = authz_ver + 1
    WHERE tenant_id = NEW.tenant_id AND state <> 'erased'
      AND id IN (SELECT customer_id FROM queue_customer_roles
                 WHERE tenant_id = NEW.tenant_id AND role_id = NEW.role_id);
END;

CREATE TRIGGER queue_role_permissions_revocation_grows_authz_ver
    AFTER DELETE ON queue_role_permissions FOR EACH ROW
BEGIN
    UPDATE queue_customers SET authz_ver = authz_ver + 1
    WHERE tenant_id = OLD.tenant_id AND state <> 'erased'
      AND id IN (SELECT customer_id FROM queue_customer_roles
                 WHERE tenant_id = OLD.tenant_id AND role_id = OLD.role_id);
END;

CREATE TRIGGER queue_customers_state_grows_authz_ver
    AFTER UPDATE OF state ON queue_customers FOR EACH ROW
    WHEN OLD.state <> NEW.state AND NEW.state <> 'erased'
BEGIN
    UPDATE queue_customers SET authz_ver = authz_ver + 1 WHERE id = NEW.id;
END;

-- Writers come one after the other here: each counts what the one before left.
CREATE TRIGGER queue_customer_roles_last_admin_stays
    BEFORE DELETE ON queue_customer_roles FOR EACH ROW
    WHEN EXISTS (
        SELECT 1 FROM queue_roles r
        JOIN queue_customers c ON c.tenant_id = r.tenant_id AND c.id = OLD.customer_id AND c.state = 'active'
        WHERE r.tenant_id = OLD.tenant_id AND r.id = OLD.role_id AND r.is_admin
    ) AND NOT EXISTS (
        SELECT 1 FROM queue_customer_roles a
        JOIN queue_customers c ON c.tenant_id = a.tenant_id AND c.id = a.customer_id AND c.state = 'active'
        WHERE a.tenant_id = OLD.tenant_id AND a.role_id = OLD.role_id AND a.customer_id <> OLD.customer_id
    )
BEGIN
    SELECT RAISE(ABORT, 'queue_customer_roles: the last active admin stays');
END;

CREATE TRIGGER queue_customers_last_admin_stays
    BEFORE UPDATE OF state ON queue_customers FOR EACH ROW
    WHEN OLD.state = 'active' AND NEW.state <> 'active' AND EXISTS (
        SELECT 1 FROM queue_customer_roles a
        JOIN queue_roles r ON r.tenant_id = a.tenant_id AND r.id = a.role_id AND r.is_admin
        WHERE a.tenant_id = OLD.tenant_id AND a.customer_id = OLD.id
    ) AND NOT EXISTS (
        SELECT 1 FROM queue_customer_roles a
        JOIN queue_roles r ON r.tenant_id = a.tenant_id AND r.id = a.role_id AND r.is_admin
        JOIN queue_customers c ON c.tenant_id = a.tenant_id AND c.id = a.customer_id AND c.state = 'active'
        WHERE a.tenant_id = OLD.tenant_id AND a.customer_id <> OLD.id
    )
BEGIN
    SELECT RAISE(ABORT, 'queue_customer_roles: the last active admin stays');
END;

INSERT INTO queue_permissions (id, tenant_id, name, description, created_at)
VALUES ('00000000-0000-7000-8000-000000000201', '00000000-0000-7000-8000-000000000001',
        'rbac.read', 'Sees roles, permissions and who holds them', unixepoch() * 1000000),
       ('00000000-0000-7000-8000-000000000202', '00000000-0000-7000-8000-000000000001',
        'rbac.write', 'Grants and revokes roles', unixepoch() * 1000000);

INSERT INTO queue_roles (id, tenant_id, name, description, is_default, is_admin, created_at, updated_at)
VALUES ('00000000-0000-7000-8000-000000000102', '00000000-0000-7000-8000-000000000001',
        'console-admin', 'Administers customers and their roles in Console', 0, 1,
        unixepoch() * 1000000, unixepoch() * 1000000);

INSERT INTO queue_role_permissions (tenant_id, role_id, permission_id, granted_at)
SELECT r.tenant_id, r.id, p.id, unixepoch() * 1000000
FROM queue_roles r
JOIN queue_permissions p ON p.tenant_id = r.tenant_id
WHERE r.is_admin;

INSERT INTO queue_schema_migrations (version, name) VALUES (6, 'queue_rbac');
