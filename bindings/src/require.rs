//! Require: what a route asks of a session, converted once and used by every call.

use std::time::Duration;

use pyo3::prelude::*;

/// Requirements of a call, ready for the walk.
#[pyclass(frozen, module = "queue_verifier._native")]
#[derive(Debug)]
pub(crate) struct Require {
    pub(crate) inner: queue_verifier::Require,
}

#[pymethods]
impl Require {
    #[new]
    #[pyo3(signature = (*, scope, roles, tenant, acr, max_auth_age, authorized_parties, fresh))]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "PyO3 hands out owned strings"
    )]
    fn new(
        scope: Vec<String>,
        roles: Vec<String>,
        tenant: Option<String>,
        acr: Vec<String>,
        max_auth_age: Option<u64>,
        authorized_parties: Vec<String>,
        fresh: bool,
    ) -> Self {
        let mut inner = queue_verifier::Require::new().scope(&scope.join(" "));
        for role in roles {
            inner = inner.role(role);
        }
        if let Some(tenant) = tenant {
            inner = inner.tenant(tenant);
        }
        for context in acr {
            inner = inner.acr(context);
        }
        if let Some(age) = max_auth_age {
            inner = inner.max_auth_age(Duration::from_secs(age));
        }
        for client_id in authorized_parties {
            inner = inner.authorized_party(client_id);
        }
        if fresh {
            inner = inner.fresh();
        }
        Self { inner }
    }
}
