//! `queue_verifier._native`: the verifier inside a Python process.
//!
//! **Invariant:** nothing here judges a token; every comparison of a claim is in
//! `queue-verifier`. The GIL is released around every walk and every wait, not around looking up
//! what is remembered; no state is guarded by it, so the module serves free-threaded Python too.

mod clock;
mod errors;
mod issuer;
mod require;
mod session;
mod verifier;
mod wait;

use pyo3::prelude::*;

/// The walk, compiled; use it through `queue_verifier.Verifier`.
#[pymodule(gil_used = false)]
mod _native {
    use pyo3::prelude::*;
    use pyo3::types::{PyDict, PyTuple};
    use queue_verifier::{ErrorCode, ErrorKind};

    #[pymodule_export]
    use crate::require::Require;
    #[pymodule_export]
    use crate::session::Session;
    #[pymodule_export]
    use crate::verifier::Verifier;
    #[pymodule_export]
    use crate::wait::Pending;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        let codes = ErrorCode::ALL.iter().copied();
        let faults = codes.clone().filter(|code| code.kind() == ErrorKind::Fault);
        let meanings = PyDict::new(py);
        for code in codes.clone() {
            meanings.set_item(code.as_str(), code.meaning())?;
        }
        let codes: Vec<_> = codes.map(ErrorCode::as_str).collect();
        let faults: Vec<_> = faults.map(ErrorCode::as_str).collect();
        module.add("ERROR_CODES", PyTuple::new(py, codes)?)?;
        module.add("FAULT_CODES", PyTuple::new(py, faults)?)?;
        module.add("MEANINGS", meanings)
    }
}
