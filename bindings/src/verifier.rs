//! `_native.Verifier`: settings → the verifier, tokens → sessions.
//!
//! A walk releases the GIL; a token that is remembered is answered faster than that takes.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use queue_verifier::{Builder, Error};

use crate::clock::PythonClock;
use crate::errors;
use crate::issuer::IssuerSettings;
use crate::require::Require;
use crate::session::Session;
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
            clock,
        })
    }

    /// Return the session of `token`; wait for one bounded refresh when its key is not at hand.
    #[pyo3(signature = (token, require=None))]
    fn validate_session<'py>(
        slf: &Bound<'py, Self>,
        token: &Bound<'py, PyAny>,
        require: Option<&Bound<'py, Require>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        let require = require.map_or(&this.nothing, |require| &require.get().inner);
        let token = Token::of(token)?;
        let token = token.as_bytes();
        if let Some(verdict) = this.inner.validate_remembered(token, require) {
            return this.conclude(py, verdict);
        }
        let mut walk = pin!(this.inner.validate_session_with_refresh(token, require));
        if let Some(verdict) = wait::at_once(py, walk.as_mut()) {
            return this.conclude(py, verdict);
        }
        let greenlets = py.import("queue_verifier.greenlets")?;
        if greenlets.call_method0("is_patched")?.extract()? {
            let started = Self::walk(slf, token.to_vec(), require.clone())?;
            return if started.is_instance_of::<Pending>() {
                greenlets.call_method1("wait", (started,))
            } else {
                Ok(started)
            };
        }
        match wait::wait(py, walk, None)? {
            Some(verdict) => this.conclude(py, verdict),
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
        let this = slf.get();
        let require = require.map_or(&this.nothing, |require| &require.get().inner);
        let token = Token::of(token)?;
        let token = token.as_bytes();
        match this.inner.validate_remembered(token, require) {
            Some(verdict) => this.conclude(slf.py(), verdict),
            None => Self::walk(slf, token.to_vec(), require.clone()),
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

    /// Return every check of `token` in order, as JSON; fetches what it names beforehand.
    fn doctor(&self, py: Python<'_>, token: &Bound<'_, PyAny>) -> PyResult<String> {
        let token = Token::of(token)?;
        let token = token.as_bytes();
        // The report has the verdict.
        let settled = self
            .inner
            .validate_session_with_refresh(token, &self.nothing);
        wait::wait(py, settled, None)?;
        let report = py.detach(|| self.inner.doctor(token));
        if let Some(raised) = self.clock.as_ref().and_then(|clock| clock.take_raised()) {
            return Err(raised);
        }
        // Strings and booleans only: there is nothing that cannot be written as JSON.
        Ok(serde_json::to_string(&report).unwrap_or_default())
    }

    /// Never free this object: in a forked child its key thread is gone, perhaps with a lock held.
    fn abandon(slf: Py<Self>) {
        std::mem::forget(slf);
    }
}

impl Verifier {
    /// The session, or a [`Pending`].
    fn walk<'py>(
        slf: &Bound<'py, Self>,
        token: Vec<u8>,
        require: queue_verifier::Require,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let verifier = slf.get().inner.clone();
        let walk = async move {
            verifier
                .validate_session_with_refresh(token, &require)
                .await
        };
        match Pending::start(py, slf.clone().unbind(), Box::pin(walk)) {
            Ok(verdict) => slf.get().conclude(py, verdict),
            Err(pending) => Ok(Bound::new(py, pending)?.into_any()),
        }
    }

    /// The session as Python has it, or the exception.
    pub(crate) fn conclude<'py>(
        &self,
        py: Python<'py>,
        verdict: Result<queue_verifier::Session, Error>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some(raised) = self.clock.as_ref().and_then(|clock| clock.take_raised()) {
            return Err(raised);
        }
        match verdict {
            Ok(session) => Ok(Bound::new(py, Session::from(session))?.into_any()),
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

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes.as_bytes(),
            Self::Encoded(bytes) => bytes.as_bytes(),
        }
    }
}
