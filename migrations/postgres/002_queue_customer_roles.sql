-- Roles and who holds them; the seed role antlers-user is granted to every new customer.
-- Additive.

CREATE TABLE queue_roles (
    id          UUID        PRIMARY KEY,
    tenant_id   UUID        NOT NULL REFERENCES queue_tenants (id),
    name        TEXT        NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._:-]{0,62}$'),
    description TEXT        NOT NULL DEFAULT '',
    -- Granted to each customer when it is created.
    is_default  BOOLEAN     NOT NULL DEFAULT FALSE,
    created_at  TIMESTAMPTZ NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL,
    UNIQUE (tenant_id, id),
    UNIQUE (tenant_id, name)
);

CREATE TABLE queue_customer_roles (
    tenant_id   UUID        NOT NULL,
    customer_id UUID        NOT NULL,
    role_id     UUID        NOT NULL,
    granted_at  TIMESTAMPTZ NOT NULL,
    granted_by  TEXT        NOT NULL,
    PRIMARY KEY (tenant_id, customer_id, role_id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES queue_customers (tenant_id, id),
    FOREIGN KEY (tenant_id, role_id) REFERENCES queue_roles (tenant_id, id)
);

CREATE INDEX queue_customer_roles_of_role ON queue_customer_roles (tenant_id, role_id);

INSERT INTO queue_roles (id, tenant_id, name, description, is_default, created_at, updated_at)
VALUES ('00000000-0000-7000-8000-000000000101', '00000000-0000-7000-8000-000000000001',
        'antlers-user', 'Uses Antlers as a customer', TRUE, now(), now());

INSERT INTO queue_customer_roles (tenant_id, customer_id, role_id, granted_at, granted_by)
SELECT c.tenant_id, c.id, r.id, now(), 'migration 002'
FROM queue_customers c
JOIN queue_roles r ON r.tenant_id = c.tenant_id AND r.is_default
WHERE c.state <> 'erased';

INSERT INTO queue_schema_migrations (version, name) VALUES (2, 'queue_customer_roles');
