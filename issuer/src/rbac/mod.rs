//! RBAC: takes who holds which role, gives what a customer may do, and grants and revokes roles.
//!
//! **Invariant:** nobody grants or revokes above their own: an acting customer holds `rbac.write` and every
//! permission of the role. A service that names none acts by its scope.
//! **Invariant:** a customer who is not active may do nothing, whatever roles it keeps.
//! **Invariant:** whatever changes what a customer may do makes its `authz_ver` grow in the same
//! transaction, and the last active admin of a tenant stays. The database holds both; the rules here give
//! their refusals a name.

mod assignments;
mod page;
pub(crate) mod routes;
mod store;

use serde::Serialize;
use utoipa::ToSchema;

use crate::db::{Id, Tx};
use crate::problem::{Problem, ProblemCode};

/// A role, and what it permits.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Role {
    name: String,
    description: String,
    is_default: bool,
    is_admin: bool,
    permissions: Vec<String>,
}

/// One thing that a role may permit.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Permission {
    name: String,
    description: String,
}

/// What a list goes on by.
trait Named {
    fn name(&self) -> &str;
}

impl Named for Role {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for Permission {
    fn name(&self) -> &str {
        &self.name
    }
}

/// A role in a customer's hands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Assignment {
    role: String,
    granted_at: i64,
    granted_by: String,
}

/// The roles a customer holds, in force or not.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Assignments {
    customer_id: Id,
    state: String,
    authz_ver: i64,
    assignments: Vec<Assignment>,
}

/// What a customer may do now; roles and `authz_ver` are those of a token minted now.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = EffectivePermissions)]
pub(crate) struct Effective {
    customer_id: Id,
    state: String,
    authz_ver: i64,
    roles: Vec<String>,
    permissions: Vec<String>,
}

impl Effective {
    /// Refuses a grant or revocation of `role` by this customer.
    fn check_may_assign(&self, role: &Role) -> Result<(), Problem> {
        let refuse = |what| Problem::new(ProblemCode::RbacGrantExceedsOwn).detail(what);
        let holds = |permission: &str| self.permissions.iter().any(|held| held == permission);
        if !holds(WRITE) {
            return Err(refuse("expected an acting customer who holds rbac.write"));
        }
        if !role.permissions.iter().all(|permission| holds(permission)) {
            return Err(refuse(
                "expected an acting customer who holds every permission of the role",
            ));
        }
        Ok(())
    }

    /// Refuses to give a role to a customer who could not use it.
    fn check_may_receive(&self) -> Result<(), Problem> {
        match self.state.as_str() {
            "active" => Ok(()),
            "suspended" => Err(Problem::new(ProblemCode::CustomerSuspended)),
            _ => Err(Problem::new(ProblemCode::CustomerErased)),
        }
    }
}

/// Refuses to let the customer stop administering, by revocation, suspension or erasure, while nobody else
/// does. Whoever asks next waits until this transaction ends.
pub(crate) async fn check_admin_stays(tx: &mut Tx, customer: Id) -> Result<(), Problem> {
    if store::is_last_admin(tx, customer).await? {
        return Err(Problem::new(ProblemCode::RbacLastAdmin)
            .detail("expected another active holder of the admin role"));
    }
    Ok(())
}

/// Whether `text` can be the name of a role or a permission; the database takes no other.
fn is_name(text: &str) -> bool {
    let is_alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.first().is_some_and(is_alphanumeric)
        && bytes
            .iter()
            .all(|byte| is_alphanumeric(byte) || b"._:-".contains(byte))
}

/// The scope without which nobody reads anything here.
const READ: &str = "rbac:read";
/// The permission without which no customer grants or revokes anything.
const WRITE: &str = "rbac.write";

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn names_are_short_lower_case_and_plain() {
        let longest = "a".repeat(63);
        for name in ["a", "0", "console-admin", "rbac.write", "a_b:c", &longest] {
            assert!(is_name(name), "{name:?}");
        }
        let longer = "a".repeat(64);
        for name in ["", "-a", ".a", "A", "a b", "a\0", "ä", "a/b", "a%", &longer] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
