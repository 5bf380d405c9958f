//! `queue-sidecar health`: an exec probe for images without curl.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

use super::Failure;
use crate::LoopbackAddr;

pub(super) fn run(listen: LoopbackAddr) -> Result<ExitCode, Failure> {
    let is_ready = ask(listen).unwrap_or(false);
    let answer = if is_ready { "ready" } else { "not ready" };
    writeln!(std::io::stdout(), "{answer}")?;
    Ok(ExitCode::from(u8::from(!is_ready)))
}

fn ask(listen: LoopbackAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&listen.address(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET /readyz HTTP/1.1\r\nHost: {listen}\r\nConnection: close\r\n\r\n"
    )?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(&status == b"HTTP/1.1 200")
}

const PATIENCE: Duration = Duration::from_secs(2);
