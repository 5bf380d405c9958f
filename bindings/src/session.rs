//! Session → `queue_verifier.Session`: a member becomes a Python object when it is looked at.
//!
//! **Invariant:** frozen; what a member says is fixed when the session is made. The fields, their
//! meaning and what makes the class a dataclass are declared in `queue_verifier.session`.

use pyo3::IntoPyObjectExt as _;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyNone, PyString, PyTuple, PyType};
use queue_verifier::report::{Freshness, KeySetState, StatusState};

static CLAIMS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static FRESHNESS: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// Who called, for whom, with what rights, and how sure we are.
#[pyclass(frozen, module = "queue_verifier.session")]
pub(crate) struct Session {
    source: Source,
    claims: PyOnceLock<Py<PyAny>>,
    freshness: PyOnceLock<Py<PyAny>>,
}

enum Source {
    /// What the walk made.
    Walk(queue_verifier::Session),
    /// What Python was told, in the order of [`FIELDS`].
    Values(Py<PyTuple>),
}

impl From<queue_verifier::Session> for Session {
    fn from(session: queue_verifier::Session) -> Self {
        Source::Walk(session).into()
    }
}

impl From<Source> for Session {
    fn from(source: Source) -> Self {
        Self {
            source,
            claims: PyOnceLock::new(),
            freshness: PyOnceLock::new(),
        }
    }
}

#[pymethods]
impl Session {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "a session has so many fields")]
    fn new(
        py: Python<'_>,
        issuer: Py<PyAny>,
        subject: Py<PyAny>,
        audience: Py<PyAny>,
        client_id: Py<PyAny>,
        session_id: Py<PyAny>,
        token_id: Py<PyAny>,
        tenant_id: Py<PyAny>,
        roles: Py<PyAny>,
        scope: Py<PyAny>,
        acr: Py<PyAny>,
        amr: Py<PyAny>,
        auth_time: Py<PyAny>,
        issued_at: Py<PyAny>,
        expires_at: Py<PyAny>,
        authz_ver: Py<PyAny>,
        claims: Py<PyAny>,
        freshness: Py<PyAny>,
    ) -> PyResult<Self> {
        let values = [
            issuer, subject, audience, client_id, session_id, token_id, tenant_id, roles, scope,
            acr, amr, auth_time, issued_at, expires_at, authz_ver, claims, freshness,
        ];
        Ok(Source::Values(PyTuple::new(py, values)?.unbind()).into())
    }

    #[getter]
    fn issuer<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.look(py, Field::Issuer)
    }

    #[getter]
    fn subject<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.look(py, Field::Subject)
    }

    #[getter]
    fn audience<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.look(py, Field::Audience)
    }

    #[getter]
    fn client_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.look(py, Field::ClientId)
    }

    #[getter]
    fn session_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.look(py, Field::SessionId)
    }

    #[getter]
    fn token_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.look(py, Field::TokenId)
    }

    #[getter]
    fn tenant_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.look(py, Field::TenantId)
    }

    #[getter]
    fn roles<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.look(py, Field::Roles)
    }

    #[getter]
    fn scope<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.look(py, Field::Scope)
    }

    #[getter]
    fn acr<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.look(py, Field::Acr)
    }

    #[getter]
    fn amr<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.look(py, Field::Amr)
    }

    #[getter]
    fn auth_time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.look(py, Field::AuthTime)
    }

    #[getter]
    fn issued_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.look(py, Field::IssuedAt)
    }

    #[getter]
    fn expires_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.look(py, Field::ExpiresAt)
    }

    #[getter]
    fn authz_ver<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.look(py, Field::AuthzVer)
    }

    #[getter]
    fn claims<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.look(py, Field::Claims)
    }

    #[getter]
    fn freshness<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.look(py, Field::Freshness)
    }

    fn __eq__<'py>(
        &self,
        py: Python<'py>,
        other: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Ok(other) = other.cast::<Self>() else {
            return Ok(py.NotImplemented().into_bound(py));
        };
        let is_equal = self.values(py)?.eq(other.get().values(py)?)?;
        is_equal.into_bound_py_any(py)
    }

    /// Of everything but the claims, whose values may have no hash.
    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        let hashed = FIELDS
            .iter()
            .filter(|(field, _)| !matches!(field, Field::Claims));
        let values = hashed.map(|(field, _)| self.look(py, *field));
        PyTuple::new(py, values.collect::<PyResult<Vec<_>>>()?)?.hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let members = FIELDS.iter().map(|(field, name)| {
            let value = self.look(py, *field)?.repr()?;
            Ok(format!("{name}={}", value.to_str()?))
        });
        let members = members.collect::<PyResult<Vec<_>>>()?;
        Ok(format!("Session({})", members.join(", ")))
    }

    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyType>, Bound<'py, PyTuple>)> {
        Ok((py.get_type::<Self>(), self.values(py)?))
    }
}

impl Session {
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        match &self.source {
            Source::Values(values) => Ok(values.bind(py).clone()),
            Source::Walk(_) => {
                let values = FIELDS.iter().map(|(field, _)| self.look(py, *field));
                PyTuple::new(py, values.collect::<PyResult<Vec<_>>>()?)
            }
        }
    }

    fn look<'py>(&self, py: Python<'py>, field: Field) -> PyResult<Bound<'py, PyAny>> {
        let session = match &self.source {
            Source::Values(values) => return values.bind(py).get_item(field as usize),
            Source::Walk(session) => session,
        };
        Ok(match field {
            Field::Issuer => PyString::new(py, session.issuer()).into_any(),
            Field::Subject => text(py, session.subject()),
            Field::Audience => texts(py, session.audience())?,
            Field::ClientId => text(py, session.client_id()),
            Field::SessionId => text(py, session.session_id()),
            Field::TokenId => text(py, session.token_id()),
            Field::TenantId => text(py, session.tenant_id()),
            Field::Roles => texts(py, session.roles())?,
            Field::Scope => texts(py, session.scope())?,
            Field::Acr => text(py, session.acr()),
            Field::Amr => texts(py, session.amr())?,
            Field::AuthTime => number(py, session.auth_time()),
            Field::IssuedAt => number(py, session.issued_at()),
            Field::ExpiresAt => PyInt::new(py, session.expires_at()).into_any(),
            Field::AuthzVer => number(py, session.authz_ver()),
            Field::Claims => {
                let claims = self.claims.get_or_try_init(py, || {
                    let class = CLAIMS.import(py, "queue_verifier.session", "Claims")?;
                    class.call1((session.claims_json(),)).map(Bound::unbind)
                })?;
                claims.bind(py).clone()
            }
            Field::Freshness => {
                let freshness = self
                    .freshness
                    .get_or_try_init(py, || knowledge(py, session.freshness()))?;
                freshness.bind(py).clone()
            }
        })
    }
}

fn knowledge(py: Python<'_>, freshness: Freshness) -> PyResult<Py<PyAny>> {
    let key_set = match freshness.key_set {
        KeySetState::Stale => "stale",
        _ => "fresh",
    };
    let status = match freshness.status {
        StatusState::Fresh => "fresh",
        StatusState::Absent => "absent",
        _ => "stale",
    };
    let values = (
        key_set,
        freshness.key_set_age,
        status,
        freshness.status_age,
        freshness.cached,
    );
    let class = FRESHNESS.import(py, "queue_verifier.session", "Freshness")?;
    class.call1(values).map(Bound::unbind)
}

fn text<'py>(py: Python<'py>, text: Option<&str>) -> Bound<'py, PyAny> {
    match text {
        Some(text) => PyString::new(py, text).into_any(),
        None => PyNone::get(py).to_owned().into_any(),
    }
}

fn texts<'a, 'py>(
    py: Python<'py>,
    texts: impl ExactSizeIterator<Item = &'a str>,
) -> PyResult<Bound<'py, PyAny>> {
    let texts = texts.map(|text| PyString::new(py, text));
    PyTuple::new(py, texts).map(Bound::into_any)
}

fn number(py: Python<'_>, number: Option<u64>) -> Bound<'_, PyAny> {
    match number {
        Some(number) => PyInt::new(py, number).into_any(),
        None => PyNone::get(py).to_owned().into_any(),
    }
}

#[derive(Debug, Clone, Copy)]
enum Field {
    Issuer,
    Subject,
    Audience,
    ClientId,
    SessionId,
    TokenId,
    TenantId,
    Roles,
    Scope,
    Acr,
    Amr,
    AuthTime,
    IssuedAt,
    ExpiresAt,
    AuthzVer,
    Claims,
    Freshness,
}

const FIELDS: [(Field, &str); 17] = [
    (Field::Issuer, "issuer"),
    (Field::Subject, "subject"),
    (Field::Audience, "audience"),
    (Field::ClientId, "client_id"),
    (Field::SessionId, "session_id"),
    (Field::TokenId, "token_id"),
    (Field::TenantId, "tenant_id"),
    (Field::Roles, "roles"),
    (Field::Scope, "scope"),
    (Field::Acr, "acr"),
    (Field::Amr, "amr"),
    (Field::AuthTime, "auth_time"),
    (Field::IssuedAt, "issued_at"),
    (Field::ExpiresAt, "expires_at"),
    (Field::AuthzVer, "authz_ver"),
    (Field::Claims, "claims"),
    (Field::Freshness, "freshness"),
];
