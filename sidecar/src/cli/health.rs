//! `queue-sidecar health`: an exec probe for images without curl.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::Failure;
use crate::LoopbackAddr;

pub(super) fn run(
    listeners: &(Option<LoopbackAddr>, Option<PathBuf>),
) -> Result<ExitCode, Failure> {
    let is_ready = ask(listeners).unwrap_or(false);
    let answer = if is_ready { "ready" } else { "not ready" };
    writeln!(std::io::stdout(), "{answer}")?;
    Ok(ExitCode::from(u8::from(!is_ready)))
}

fn ask(listeners: &(Option<LoopbackAddr>, Option<PathBuf>)) -> std::io::Result<bool> {
    match listeners {
        (Some(listen), _) => {
            let stream = TcpStream::connect_timeout(&listen.address(), PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            is_ready(stream, &listen.to_string())
        }
        (None, Some(path)) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            is_ready(stream, "localhost")
        }
        (None, None) => Ok(false),
    }
}

fn is_ready(mut stream: impl Read + Write, host: &str) -> std::io::Result<bool> {
    write!(
        stream,
        "GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(&status == b"HTTP/1.1 200")
}

const PATIENCE: Duration = Duration::from_secs(2);
