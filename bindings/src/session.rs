//! Session → `queue_verifier.Session`, built field by field without a dict between.

use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3::types::{PyInt, PyNone, PyString, PyTuple, PyType};
use queue_verifier::Session;
use queue_verifier::report::{Freshness, KeySetState, StatusState};

/// Makes Python sessions of one verifier; remembers what they share.
#[derive(Debug)]
pub(crate) struct SessionClass {
    assemble: Py<PyAny>,
    claims: Py<PyType>,
    freshness: Py<PyType>,
    /// `iss` of every token that passes.
    issuer: Py<PyString>,
    /// Most sessions of one second share it.
    last_freshness: Mutex<Option<(Freshness, Py<PyAny>)>>,
}

impl SessionClass {
    pub(crate) fn new(py: Python<'_>, issuer: &str) -> PyResult<Self> {
        let module = py.import("queue_verifier.session")?;
        let class = |name| PyResult::Ok(module.getattr(name)?.cast_into::<PyType>()?.unbind());
        Ok(Self {
            assemble: module.getattr("assemble")?.unbind(),
            claims: class("Claims")?,
            freshness: class("Freshness")?,
            issuer: PyString::new(py, issuer).unbind(),
            last_freshness: Mutex::new(None),
        })
    }

    /// The Python object for `session`.
    pub(crate) fn make<'py>(
        &self,
        py: Python<'py>,
        session: &Session,
    ) -> PyResult<Bound<'py, PyAny>> {
        let claims = PyString::new(py, session.claims_json());
        let fields = [
            self.issuer(py, session.issuer()),
            text(py, session.subject()),
            texts(py, session.audience())?,
            text(py, session.client_id()),
            text(py, session.session_id()),
            text(py, session.token_id()),
            text(py, session.tenant_id()),
            texts(py, session.roles())?,
            texts(py, session.scope())?,
            text(py, session.acr()),
            texts(py, session.amr())?,
            number(py, session.auth_time()),
            number(py, session.issued_at()),
            PyInt::new(py, session.expires_at()).into_any(),
            number(py, session.authz_ver()),
            self.claims.bind(py).call1((claims,))?,
            self.freshness(py, session.freshness())?,
        ];
        self.assemble.bind(py).call1(PyTuple::new(py, fields)?)
    }

    fn issuer<'py>(&self, py: Python<'py>, issuer: &str) -> Bound<'py, PyAny> {
        let known = self.issuer.bind(py);
        if known.to_str().is_ok_and(|known| known == issuer) {
            known.clone().into_any()
        } else {
            PyString::new(py, issuer).into_any()
        }
    }

    fn freshness<'py>(&self, py: Python<'py>, freshness: Freshness) -> PyResult<Bound<'py, PyAny>> {
        // Never locked while Python runs, so no thread that holds the lock waits for the GIL.
        let remembered = self.last_freshness.lock().ok().and_then(|last| {
            last.as_ref()
                .filter(|(of, _)| *of == freshness)
                .map(|(_, object)| object.bind(py).clone())
        });
        if let Some(object) = remembered {
            return Ok(object);
        }
        let key_set = match freshness.key_set {
            KeySetState::Stale => "stale",
            _ => "fresh",
        };
        let status = match freshness.status {
            StatusState::Fresh => "fresh",
            StatusState::Absent => "absent",
            _ => "stale",
        };
        let object = self.freshness.bind(py).call1((
            key_set,
            freshness.key_set_age,
            status,
            freshness.status_age,
            freshness.cached,
        ))?;
        let replaced = match self.last_freshness.lock() {
            Ok(mut last) => last.replace((freshness, object.clone().unbind())),
            Err(_) => None,
        };
        drop(replaced);
        Ok(object)
    }
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
