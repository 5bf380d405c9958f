//! The binary `queue-sidecar`; all of it is [`queue_sidecar::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    queue_sidecar::cli::run()
}
