-- Permissions, which roles hold them, and the role of those who administer: console-admin.
-- Additive, apart from one more column on queue_roles and triggers on the tables of roles and customers.

CREATE TABLE queue_permissions (
    id          UUID        PRIMARY KEY,
    tenant_id   UUID        NOT NULL REFERENCES queue_tenants (id),
    name        TEXT        NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._:-]{0,62}$'),
    description TEXT        NOT NULL DEFAULT '',
    created_at  TIMESTAMPTZ NOT NULL,
    UNIQUE (tenant_id, id),
    UNIQUE (tenant_id, name)
);

CREATE TABLE queue_role_permissions (
    tenant_id     UUID        NOT NULL,
    role_id       UUID        NOT NULL,
    permission_id UUID        NOT NULL,
    granted_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (tenant_id, role_id, permission_id),
    FOREIGN KEY (tenant_id, role_id) REFERENCES queue_roles (tenant_id, id),
    FOREIGN KEY (tenant_id, permission_id) REFERENCES queue_permissions (tenant_id, id)
);

CREATE INDEX queue_role_permissions_of_permission ON queue_role_permissions (tenant_id, permission_id);

-- The role of which an active holder stays.
ALTER TABLE queue_roles ADD COLUMN is_admin BOOLEAN NOT NULL DEFAULT FALSE;

CREATE UNIQUE INDEX queue_roles_one_admin ON queue_roles (tenant_id) WHERE is_admin;

-- Tokens and other services' code carry the names.
CREATE TRIGGER queue_roles_name_is_final
    BEFORE UPDATE ON queue_roles FOR EACH ROW
    WHEN (OLD.tenant_id <> NEW.tenant_id OR OLD.id <> NEW.id OR OLD.name <> NEW.name OR OLD.is_admin <> NEW.is_admin)
    EXECUTE FUNCTION queue_refuse('queue_roles: name and rank are final');

CREATE TRIGGER queue_permissions_name_is_final
    BEFORE UPDATE ON queue_permissions FOR EACH ROW
    WHEN (OLD.tenant_id <> NEW.tenant_id OR OLD.id <> NEW.id OR OLD.name <> NEW.name)
    EXECUTE FUNCTION queue_refuse('queue_permissions: a name is final');

-- A move would pass the triggers below by.
CREATE TRIGGER queue_customer_roles_never_move
    BEFORE UPDATE ON queue_customer_roles FOR EACH ROW
    WHEN (OLD.tenant_id <> NEW.tenant_id OR OLD.customer_id <> NEW.customer_id OR OLD.role_id <> NEW.role_id)
    EXECUTE FUNCTION queue_refuse('queue_customer_roles: granted and revoked, never moved');

CREATE TRIGGER queue_role_permissions_never_move
    BEFORE UPDATE ON queue_role_permissions FOR EACH ROW
    WHEN (OLD.tenant_id <> NEW.tenant_id OR OLD.role_id <> NEW.role_id OR OLD.permission_id <> NEW.permission_id)
    EXECUTE FUNCTION queue_refuse('queue_role_permissions: granted and revoked, never moved');

CREATE TRIGGER queue_customers_authz_ver_grows
    BEFORE UPDATE OF authz_ver ON queue_customers FOR EACH ROW
    WHEN (NEW.authz_ver < OLD.authz_ver)
    EXECUTE FUNCTION queue_refuse('queue_customers: authz_ver only grows');

CREATE FUNCTION queue_refuse_role_of_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM queue_customers
               WHERE tenant_id = NEW.tenant_id AND id = NEW.customer_id AND state = 'erased') THEN
        RAISE EXCEPTION 'queue_customer_roles: an erased customer gets no role' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER queue_customer_roles_none_for_erased
    BEFORE INSERT ON queue_customer_roles FOR EACH ROW
    EXECUTE FUNCTION queue_refuse_role_of_erased();

-- Whatever changes what a customer may do, and whoever changes it, authz_ver grows in the same transaction.
CREATE FUNCTION queue_customer_role_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed queue_customer_roles;
BEGIN
    changed := COALESCE(NEW, OLD);
    UPDATE queue_customers SET authz_ver = authz_ver + 1
        WHERE tenant_id = changed.tenant_id AND id = changed.customer_id AND state <> 'erased';
    RETURN NULL;
END $$;

CREATE TRIGGER queue_customer_roles_grow_authz_ver
    AFTER INSERT OR DELETE ON queue_customer_roles FOR EACH ROW
    EXECUTE FUNCTION queue_customer_role_changed();

CREATE FUNCTION queue_role_permission_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed queue_role_permissions;
BEGIN
    changed := COALESCE(NEW, OLD);
    UPDATE queue_customers SET authz_ver = authz_ver + 1
        WHERE tenant_id = changed.tenant_id AND state <> 'erased'
          AND id IN (SELECT customer_id FROM queue_customer_roles
                     WHERE tenant_id = changed.tenant_id AND role_id = changed.role_id);
    RETURN NULL;
END $$;

CREATE TRIGGER queue_role_permissions_grow_authz_ver
    AFTER INSERT OR DELETE ON queue_role_permissions FOR EACH ROW
    EXECUTE FUNCTION queue_role_permission_changed();

CREATE FUNCTION queue_customer_state_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE queue_customers SET authz_ver = authz_ver + 1 WHERE id = NEW.id;
    RETURN NULL;
END $$;

CREATE TRIGGER queue_customers_state_grows_authz_ver
    AFTER UPDATE OF state ON queue_customers FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND NEW.state <> 'erased')
    EXECUTE FUNCTION queue_customer_state_changed();

-- Of those who stop administering at the same time each waits for the one before, and counts again after it.
CREATE FUNCTION queue_check_admin_stays(of_tenant UUID, leaving UUID) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM queue_roles WHERE tenant_id = of_tenant AND is_admin FOR NO KEY UPDATE;
    IF NOT EXISTS (
        SELECT 1 FROM queue_customer_roles a
        JOIN queue_roles r ON r.tenant_id = a.tenant_id AND r.id = a.role_id AND r.is_admin
        JOIN queue_customers c ON c.tenant_id = a.tenant_id AND c.id = a.customer_id AND c.state = 'active'
        WHERE a.tenant_id = of_tenant AND a.customer_id <> leaving
    ) THEN
        RAISE EXCEPTION 'queue_customer_roles: the last active admin stays' USING ERRCODE = 'check_violation';
    END IF;
END $$;

CREATE FUNCTION queue_admin_role_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM queue_roles r
        JOIN queue_customers c ON c.tenant_id = r.tenant_id AND c.id = OLD.customer_id AND c.state = 'active'
        WHERE r.tenant_id = OLD.tenant_id AND r.id = OLD.role_id AND r.is_admin
    ) THEN
        PERFORM queue_check_admin_stays(OLD.tenant_id, OLD.customer_id);
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER queue_customer_roles_last_admin_stays
    BEFORE DELETE ON queue_customer_roles FOR EACH ROW
    EXECUTE FUNCTION queue_admin_role_revoked();

CREATE FUNCTION queue_admin_deactivated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM queue_customer_roles a
        JOIN queue_roles r ON r.tenant_id = a.tenant_id AND r.id = a.role_id AND r.is_admin
        WHERE a.tenant_id = OLD.tenant_id AND a.customer_id = OLD.id
    ) THEN
        PERFORM queue_check_admin_stays(OLD.tenant_id, OLD.id);
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER queue_customers_last_admin_stays
    BEFORE UPDATE OF state ON queue_customers FOR EACH ROW
    WHEN (OLD.state = 'active' AND NEW.state <> 'active')
    EXECUTE FUNCTION queue_admin_deactivated();

INSERT INTO queue_permissions (id, tenant_id, name, description, created_at)
VALUES ('00000000-0000-7000-8000-000000000201', '00000000-0000-7000-8000-000000000001',
        'rbac.read', 'Sees roles, permissions and who holds them', now()),
       ('00000000-0000-7000-8000-000000000202', '00000000-0000-7000-8000-000000000001',
        'rbac.write', 'Grants and revokes roles', now());

INSERT INTO queue_roles (id, tenant_id, name, description, is_default, is_admin, created_at, updated_at)
VALUES ('00000000-0000-7000-8000-000000000102', '00000000-0000-7000-8000-000000000001',
        'console-admin', 'Administers customers and their roles in Console', FALSE, TRUE, now(), now());

INSERT INTO queue_role_permissions (tenant_id, role_id, permission_id, granted_at)
SELECT r.tenant_id, r.id, p.id, now()
FROM queue_roles r
JOIN queue_permissions p ON p.tenant_id = r.tenant_id
WHERE r.is_admin;

INSERT INTO queue_schema_migrations (version, name) VALUES (6, 'queue_rbac');
