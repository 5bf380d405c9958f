//! `_native.Verifier`: settings → the verifier, tokens → sessions, with the GIL released.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use queue_verifier::{Builder, Error, Session};

use crate::clock::PythonClock;
use crate::errors;
use crate::issuer::IssuerSettings;
use crate::require::Require;
use crate::session::SessionClass;
use crate::wait::{self, Pending};

/// Longest wait that can be asked for; beyond it a caller means "for ever".
const MAX_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// The verifier; its settings were checked for type by `queue_verifier.Issuer`.
#[pyclass(frozen, module = "queue_verifier._native")]
#[derive(Debug)]
pub(crate) struct Verifier {
    inner: queue_verifier::Verifier,
    /// What a call requires that says nothing.
    nothing: queue_verifier::Require,
    sessions: SessionClass,
    clock: Option<Arc<PythonClock>>,
}

#[pymethods]
impl Verifier {
    #[new]
    #[pyo3(signature = (*, issuers, remember, clock))]
    fn new(
        py: Python<'_>,
        issuers: Vec<IssuerSettings>,
        remember: usize,
        clock: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let Some(first) = issuers.first() else {
            return Err(PyTypeError::new_err("expected an issuer"));
        };
        let sessions = SessionClass::new(py, &first.issuer)?;
        let clock = clock.map(|callable| Arc::new(PythonClock::new(callable)));
        let builders = issuers.into_iter().map(|issuer| issuer.builder(py));
        let builders = builders.collect::<PyResult<Vec<_>>>()?;
        let Some(mut builder) = builders.into_iter().reduce(Builder::also) else {
            return Err(PyTypeError::new_err("expected an issuer"));
        };
        builder = builder.remember(remember);
        if let Some(clock) = &clock {
            builder = builder.clock(Arc::clone(clock) as _);
        }
        let inner = py
            .detach(|| builder.build())
            .map_err(|error| errors::refused_setting(py, &error))?;
        Ok(Self {
            inner,
            nothing: queue_verifier::Require::new(),
            sessions,
            clock,
        })
    }

    /// Return the session of `token`; wait for one bounded refresh when its key is not at hand.
    #[pyo3(signature = (token, require=None))]
    fn validate_session<'py>(
        &self,
        py: Python<'py>,
        token: &Bound<'py, PyAny>,
        require: Option<&Bound<'py, Require>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let require = require.map_or(&self.nothing, |require| &require.get().inner);
        let encoded;
        let token = match Token::of(token)? {
            Token::Text(text) => text.as_bytes(),
            Token::Bytes(bytes) => bytes.as_bytes(),
            Token::Encoded(bytes) => {
                encoded = bytes;
                encoded.as_bytes()
            }
        };
        let walk = self.inner.validate_session_with_refresh(token, require);
        match wait::wait(py, walk, None)? {
            Some(verdict) => self.conclude(py, verdict),
            None => unreachable!("a wait without a timeout ends with the walk"),
        }
    }

    /// Return the session of `token`, or what to await when its key is not at hand.
    #[pyo3(signature = (token, require=None))]
    fn start<'py>(
        slf: &Bound<'py, Self>,
        token: &Bound<'py, PyAny>,
        require: Option<&Bound<'py, Require>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        let require = require.map_or(&this.nothing, |require| &require.get().inner);
        let token = match Token::of(token)? {
            Token::Text(text) => text.as_bytes().to_vec(),
            Token::Bytes(bytes) => bytes.as_bytes().to_vec(),
            Token::Encoded(bytes) => bytes.as_bytes().to_vec(),
        };
        let (verifier, require) = (this.inner.clone(), require.clone());
        let walk = async move {
            verifier
                .validate_session_with_refresh(token, &require)
                .await
        };
        match Pending::start(py, slf.clone().unbind(), Box::pin(walk)) {
            Ok(verdict) => this.conclude(py, verdict),
            Err(pending) => Ok(Bound::new(py, pending)?.into_any()),
        }
    }

    /// Wait at most `timeout` seconds for keys; return whether a token could be judged.
    fn ready(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let timeout = Duration::try_from_secs_f64(timeout.max(0.0)).unwrap_or(MAX_WAIT);
        wait::wait(py, self.inner.ready(), Some(timeout.min(MAX_WAIT)))?;
        Ok(self.inner.is_ready())
    }

    /// Fetch the keys now.
    fn refresh(&self, py: Python<'_>) -> PyResult<()> {
        match wait::wait(py, self.inner.refresh(), None)? {
            Some(Err(error)) => Err(errors::not_refreshed(py, error.to_string())),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Return what the verifier knows about its keys, as JSON.
    fn status(&self) -> String {
        // Strings and numbers only: there is nothing that cannot be written as JSON.
        serde_json::to_string(&self.inner.status()).unwrap_or_default()
    }

    /// Never free this object: in a forked child its key thread is gone, perhaps with a lock held.
    fn abandon(slf: Py<Self>) {
        std::mem::forget(slf);
    }
}

impl Verifier {
    /// The session as Python has it, or the exception.
    pub(crate) fn conclude<'py>(
        &self,
        py: Python<'py>,
        verdict: Result<Session, Error>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some(raised) = self.clock.as_ref().and_then(|clock| clock.take_raised()) {
            return Err(raised);
        }
        match verdict {
            Ok(session) => self.sessions.make(py, &session),
            Err(error) => Err(errors::refused(py, &error)),
        }
    }
}

/// A token as Python hands it over.
enum Token<'a, 'py> {
    Text(&'a str),
    Bytes(&'a Bound<'py, PyBytes>),
    /// Text that has no UTF-8 form (lone surrogates); its bytes are no token either.
    Encoded(Bound<'py, PyBytes>),
}

impl<'a, 'py> Token<'a, 'py> {
    fn of(token: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = token.cast::<PyString>() {
            return match text.to_str() {
                Ok(text) => Ok(Self::Text(text)),
                Err(_) => {
                    let encoded = text.call_method1("encode", ("utf-8", "surrogatepass"))?;
                    Ok(Self::Encoded(encoded.cast_into()?))
                }
            };
        }
        match token.cast::<PyBytes>() {
            Ok(bytes) => Ok(Self::Bytes(bytes)),
            Err(_) => Err(PyTypeError::new_err(
                "expected a token of type str or bytes",
            )),
        }
    }
}
