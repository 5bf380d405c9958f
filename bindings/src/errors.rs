//! Errors → the exceptions that Python owns (`queue_verifier.errors`).

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use queue_verifier::{ConfigError, Error, ErrorCode, ErrorKind};

static INVALID_TOKEN: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static KEYS_UNAVAILABLE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static CONFIG_ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// The exception for `error`: `InvalidToken` for a verdict, `KeysUnavailable` for a fault.
pub(crate) fn refused(py: Python<'_>, error: &Error) -> PyErr {
    let class = match error.kind() {
        ErrorKind::Verdict => (&INVALID_TOKEN, "InvalidToken"),
        ErrorKind::Fault => (&KEYS_UNAVAILABLE, "KeysUnavailable"),
    };
    raise(py, class, error.code().as_str(), error.to_string())
}

/// `KeysUnavailable`, when `reason` kept the keys from being fetched.
pub(crate) fn not_refreshed(py: Python<'_>, reason: String) -> PyErr {
    let code = ErrorCode::KeySetUnavailable.as_str();
    raise(py, (&KEYS_UNAVAILABLE, "KeysUnavailable"), code, reason)
}

/// `ConfigError`, for what the builder refuses.
pub(crate) fn refused_setting(py: Python<'_>, error: &ConfigError) -> PyErr {
    unknown_setting(py, error.code(), error.to_string())
}

/// `ConfigError`, for a name that no setting knows.
pub(crate) fn unknown_setting(py: Python<'_>, code: &'static str, message: String) -> PyErr {
    raise(py, (&CONFIG_ERROR, "ConfigError"), code, message)
}

fn raise(
    py: Python<'_>,
    (class, name): (&PyOnceLock<Py<PyType>>, &str),
    code: &'static str,
    message: String,
) -> PyErr {
    match class.import(py, "queue_verifier.errors", name) {
        Ok(class) => PyErr::from_type(class.clone(), (code, message)),
        Err(error) => error,
    }
}
