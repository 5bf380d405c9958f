//! The SQL of roles, permissions and assignments.

use std::collections::BTreeSet;

use super::page::Page;
use super::{Assignment, Assignments, Effective, Permission, Role};
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, Db, DbError, Id, Row, Sql, Tx};

/// The roles of a page and one more, each with its permissions, from one snapshot.
pub(super) async fn roles(db: &Db, page: &Page) -> Result<Vec<Role>, DbError> {
    let rows = db
        .fetch_all(
            ROLES,
            &[
                DEFAULT_TENANT.into(),
                (&page.after).into(),
                (page.size + 1).into(),
            ],
        )
        .await?;
    read_roles(&rows)
}

/// The role `name`.
pub(super) async fn role(tx: &mut Tx, name: &str) -> Result<Option<Role>, DbError> {
    let rows = tx
        .fetch_all(ROLE, &[DEFAULT_TENANT.into(), name.into()])
        .await?;
    Ok(read_roles(&rows)?.pop())
}

/// The permissions of a page and one more.
pub(super) async fn permissions(db: &Db, page: &Page) -> Result<Vec<Permission>, DbError> {
    let rows = db
        .fetch_all(
            "SELECT name, description FROM queue_permissions
             WHERE tenant_id = $1 AND name > $2 ORDER BY name LIMIT $3",
            &[
                DEFAULT_TENANT.into(),
                (&page.after).into(),
                (page.size + 1).into(),
            ],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Permission {
                name: row.get("name")?,
                description: row.get("description")?,
            })
        })
        .collect()
}

/// The roles the customer holds.
pub(super) async fn assignments(db: &Db, customer: Id) -> Result<Option<Assignments>, DbError> {
    let rows = db
        .fetch_all(ASSIGNMENTS, &[DEFAULT_TENANT.into(), customer.into()])
        .await?;
    read_assignments(customer, &rows)
}

/// The roles the customer holds, as this transaction sees it.
pub(super) async fn assignments_in(
    tx: &mut Tx,
    customer: Id,
) -> Result<Option<Assignments>, DbError> {
    let rows = tx
        .fetch_all(ASSIGNMENTS, &[DEFAULT_TENANT.into(), customer.into()])
        .await?;
    read_assignments(customer, &rows)
}

/// What the customer may do.
pub(super) async fn effective(db: &Db, customer: Id) -> Result<Option<Effective>, DbError> {
    let rows = db
        .fetch_all(EFFECTIVE, &[DEFAULT_TENANT.into(), customer.into()])
        .await?;
    read_effective(customer, &rows)
}

/// What the customer may do, as this transaction sees it.
pub(super) async fn effective_in(tx: &mut Tx, customer: Id) -> Result<Option<Effective>, DbError> {
    let rows = tx
        .fetch_all(EFFECTIVE, &[DEFAULT_TENANT.into(), customer.into()])
        .await?;
    read_effective(customer, &rows)
}

/// For each pair of `checks`, a JSON array of `{customer_id, permission}`, in its order: whether the
/// customer may do it, and the `authz_ver` that says so; from one snapshot.
pub(super) async fn check(db: &Db, checks: &str) -> Result<Vec<(bool, Option<i64>)>, DbError> {
    let rows = db
        .fetch_all(CHECK, &[DEFAULT_TENANT.into(), checks.into()])
        .await?;
    rows.iter()
        .map(|row| Ok((row.get("allowed")?, row.get("authz_ver")?)))
        .collect()
}

/// Holds both customers still until the transaction ends. Everyone locks in the order of the ids, so two
/// who act on each other wait, and do not block each other for good.
pub(super) async fn hold(tx: &mut Tx, one: Id, other: Id) -> Result<(), DbError> {
    tx.fetch_all(HOLD, &[DEFAULT_TENANT.into(), one.into(), other.into()])
        .await?;
    Ok(())
}

/// Whether the customer is the only active admin. Whoever asks next waits until this transaction ends.
pub(super) async fn is_last_admin(tx: &mut Tx, customer: Id) -> Result<bool, DbError> {
    tx.fetch_all(HOLD_ADMIN_ROLE, &[DEFAULT_TENANT.into()])
        .await?;
    let rows = tx.fetch_all(ADMINS, &[DEFAULT_TENANT.into()]).await?;
    match rows.as_slice() {
        [only] => Ok(only.get::<Id>("id")? == customer),
        _ => Ok(false),
    }
}

/// Grants the role; false when the customer holds it already.
pub(super) async fn insert(
    tx: &mut Tx,
    customer: Id,
    role: &str,
    by: &str,
    now: Timestamp,
) -> Result<bool, DbError> {
    let changed = tx
        .execute(
            "INSERT INTO queue_customer_roles (tenant_id, customer_id, role_id, granted_at, granted_by)
             SELECT r.tenant_id, $2, r.id, $4, $5 FROM queue_roles r WHERE r.tenant_id = $1 AND r.name = $3
             ON CONFLICT (tenant_id, customer_id, role_id) DO NOTHING",
            &[
                DEFAULT_TENANT.into(),
                customer.into(),
                role.into(),
                now.into(),
                by.into(),
            ],
        )
        .await?;
    Ok(changed == 1)
}

/// Revokes the role; false when the customer does not hold it.
pub(super) async fn remove(tx: &mut Tx, customer: Id, role: &str) -> Result<bool, DbError> {
    let changed = tx
        .execute(
            "DELETE FROM queue_customer_roles
             WHERE tenant_id = $1 AND customer_id = $2
               AND role_id = (SELECT id FROM queue_roles WHERE tenant_id = $1 AND name = $3)",
            &[DEFAULT_TENANT.into(), customer.into(), role.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// One row a permission; a role without permissions has one row with none.
fn read_roles(rows: &[Row]) -> Result<Vec<Role>, DbError> {
    let mut roles = Vec::<Role>::new();
    for row in rows {
        let name: String = row.get("name")?;
        if roles.last().is_none_or(|last| last.name != name) {
            roles.push(Role {
                name,
                description: row.get("description")?,
                is_default: row.get("is_default")?,
                is_admin: row.get("is_admin")?,
                permissions: Vec::new(),
            });
        }
        if let Some(role) = roles.last_mut() {
            role.permissions
                .extend(row.get::<Option<String>>("permission")?);
        }
    }
    Ok(roles)
}

/// One row a role; a customer without roles has one row with none.
fn read_assignments(customer: Id, rows: &[Row]) -> Result<Option<Assignments>, DbError> {
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let mut assignments = Vec::new();
    for row in rows {
        if let Some(role) = row.get::<Option<String>>("role")? {
            assignments.push(Assignment {
                role,
                granted_at: row.get::<Timestamp>("granted_at")?.unix_seconds(),
                granted_by: row.get("granted_by")?,
            });
        }
    }
    Ok(Some(Assignments {
        customer_id: customer,
        state: first.get("state")?,
        authz_ver: first.get("authz_ver")?,
        assignments,
    }))
}

/// One row a permission of a role; a customer with nothing in force has one row with none.
fn read_effective(customer: Id, rows: &[Row]) -> Result<Option<Effective>, DbError> {
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let (mut roles, mut permissions) = (Vec::<String>::new(), BTreeSet::new());
    for row in rows {
        roles.extend(row.get::<Option<String>>("role")?);
        permissions.extend(row.get::<Option<String>>("permission")?);
    }
    roles.dedup();
    Ok(Some(Effective {
        customer_id: customer,
        state: first.get("state")?,
        authz_ver: first.get("authz_ver")?,
        roles,
        permissions: permissions.into_iter().collect(),
    }))
}

const ROLES: &str = "
    SELECT r.name, r.description, r.is_default, r.is_admin, p.name AS permission
    FROM (SELECT tenant_id, id, name, description, is_default, is_admin FROM queue_roles
          WHERE tenant_id = $1 AND name > $2 ORDER BY name LIMIT $3) r
    LEFT JOIN queue_role_permissions rp ON rp.tenant_id = r.tenant_id AND rp.role_id = r.id
    LEFT JOIN queue_permissions p ON p.tenant_id = rp.tenant_id AND p.id = rp.permission_id
    ORDER BY r.name, p.name";

const ROLE: &str = "
    SELECT r.name, r.description, r.is_default, r.is_admin, p.name AS permission
    FROM queue_roles r
    LEFT JOIN queue_role_permissions rp ON rp.tenant_id = r.tenant_id AND rp.role_id = r.id
    LEFT JOIN queue_permissions p ON p.tenant_id = rp.tenant_id AND p.id = rp.permission_id
    WHERE r.tenant_id = $1 AND r.name = $2
    ORDER BY p.name";

const ASSIGNMENTS: &str = "
    SELECT c.state, c.authz_ver, r.name AS role, a.granted_at, a.granted_by
    FROM queue_customers c
    LEFT JOIN queue_customer_roles a ON a.tenant_id = c.tenant_id AND a.customer_id = c.id
    LEFT JOIN queue_roles r ON r.tenant_id = a.tenant_id AND r.id = a.role_id
    WHERE c.tenant_id = $1 AND c.id = $2
    ORDER BY r.name";

const EFFECTIVE: &str = "
    SELECT c.state, c.authz_ver, r.name AS role, p.name AS permission
    FROM queue_customers c
    LEFT JOIN queue_customer_roles a ON a.tenant_id = c.tenant_id AND a.customer_id = c.id AND c.state = 'active'
    LEFT JOIN queue_roles r ON r.tenant_id = a.tenant_id AND r.id = a.role_id
    LEFT JOIN queue_role_permissions rp ON rp.tenant_id = r.tenant_id AND rp.role_id = r.id
    LEFT JOIN queue_permissions p ON p.tenant_id = rp.tenant_id AND p.id = rp.permission_id
    WHERE c.tenant_id = $1 AND c.id = $2
    ORDER BY r.name";

const CHECK: Sql = Sql::each(
    "SELECT c.authz_ver, COALESCE(c.state = 'active', FALSE) AND EXISTS (
         SELECT 1 FROM queue_customer_roles a
         JOIN queue_role_permissions rp ON rp.tenant_id = a.tenant_id AND rp.role_id = a.role_id
         JOIN queue_permissions p ON p.tenant_id = rp.tenant_id AND p.id = rp.permission_id
         WHERE a.tenant_id = c.tenant_id AND a.customer_id = c.id AND p.name = asked.item ->> 'permission') AS allowed
     FROM jsonb_array_elements(CAST($2 AS jsonb)) WITH ORDINALITY AS asked (item, place)
     LEFT JOIN queue_customers c ON c.tenant_id = $1 AND c.id = CAST(asked.item ->> 'customer_id' AS uuid)
     ORDER BY asked.place",
    "SELECT c.authz_ver, COALESCE(c.state = 'active', 0) AND EXISTS (
         SELECT 1 FROM queue_customer_roles a
         JOIN queue_role_permissions rp ON rp.tenant_id = a.tenant_id AND rp.role_id = a.role_id
         JOIN queue_permissions p ON p.tenant_id = rp.tenant_id AND p.id = rp.permission_id
         WHERE a.tenant_id = c.tenant_id AND a.customer_id = c.id AND p.name = asked.value ->> 'permission') AS allowed
     FROM json_each($2) AS asked
     LEFT JOIN queue_customers c ON c.tenant_id = $1 AND c.id = asked.value ->> 'customer_id'
     ORDER BY asked.key",
);

/// SQLite's write transaction is the lock already.
const HOLD: Sql = Sql::each(
    "SELECT id FROM queue_customers WHERE tenant_id = $1 AND id IN ($2, $3) ORDER BY id FOR NO KEY UPDATE",
    "SELECT id FROM queue_customers WHERE tenant_id = $1 AND id IN ($2, $3)",
);

const HOLD_ADMIN_ROLE: Sql = Sql::each(
    "SELECT id FROM queue_roles WHERE tenant_id = $1 AND is_admin FOR NO KEY UPDATE",
    "SELECT id FROM queue_roles WHERE tenant_id = $1 AND is_admin",
);

const ADMINS: &str = "
    SELECT c.id FROM queue_customer_roles a
    JOIN queue_roles r ON r.tenant_id = a.tenant_id AND r.id = a.role_id AND r.is_admin
    JOIN queue_customers c ON c.tenant_id = a.tenant_id AND c.id = a.customer_id AND c.state = 'active'
    WHERE a.tenant_id = $1 LIMIT 2";
