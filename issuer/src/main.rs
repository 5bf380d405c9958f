//! `queue-issuer`: settings → telemetry → build → serve → drain, or one command and out.

use std::io::Write as _;
use std::process::ExitCode;

use queue_issuer::cli::{self, Outcome};
use queue_issuer::telemetry;

fn main() -> ExitCode {
    let outcome = cli::parse(std::env::args_os(), std::env::vars());
    let invocation = match outcome {
        Outcome::Run(invocation) => invocation,
        Outcome::Print(text, code) => return print(&text, code),
    };
    let settings = invocation.settings();
    if let Err(what) = telemetry::init(settings.log_filter(), settings.log_is_json()) {
        return print(&format!("queue-issuer: {what}\n"), 64);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return print(&format!("queue-issuer: cannot start: {error}\n"), 1),
    };
    let (text, code) = runtime.block_on(invocation.run());
    print(&text, code)
}

/// Success goes to stdout, everything else to stderr; a closed pipe is nobody's error.
fn print(text: &str, code: u8) -> ExitCode {
    let done = if code == 0 {
        std::io::stdout().write_all(text.as_bytes())
    } else {
        std::io::stderr().write_all(text.as_bytes())
    };
    drop(done);
    ExitCode::from(code)
}
