//! Whether the memory of a sidecar stays flat: `queue-test-soak SIDECAR REQUESTS [STEP]`.
//!
//! Starts the binary `SIDECAR`, sends `REQUESTS` requests over kept connections, and after each
//! `STEP` (a million) writes a line of JSON: requests so far, resident KiB, requests a second. In
//! turn a token met before, one of more good tokens than are remembered, one with a broken
//! signature, and one that is none.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use queue_tests::Forge;
use queue_tests::forge::{jwk_set, session_claims};
use queue_verifier::{Clock as _, SystemClock};
use serde_json::json;

type Failure = Box<dyn Error + Send + Sync>;

const CLIENTS: usize = 4;
const ISSUER: &str = "https://auth.example.com";
/// Twice as many as are remembered by default.
const TOKENS: usize = 20_000;

#[expect(
    clippy::disallowed_methods,
    reason = "a driver of load reads the clock"
)]
fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let binary = arguments.next().ok_or("expected the sidecar's binary")?;
    let requests: usize = arguments.next().ok_or("expected a number")?.parse()?;
    let step: usize = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let key = Forge::new("k1");
    let tokens = Arc::new(sign(&key));
    let sidecar = Sidecar::start(&binary, &jwk_set(&[&key]))?;
    let mut done = 0;
    report(0, sidecar.resident()?, 0.0)?;
    while done < requests {
        let count = step.min(requests - done);
        let began = Instant::now();
        drive(sidecar.port, &tokens, done, count)?;
        done += count;
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = count as f64 / began.elapsed().as_secs_f64();
        report(done, sidecar.resident()?, rate)?;
    }
    Ok(())
}

fn report(requests: usize, resident: u64, rate: f64) -> Result<(), Failure> {
    let line = json!({
        "requests": requests, "resident_kib": resident, "per_second": rate.round(),
    });
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// Good tokens, no two of them alike.
fn sign(key: &Forge) -> Vec<String> {
    let now = SystemClock.now();
    let token = |number: usize| {
        let mut claims = session_claims(ISSUER, "raptor", now);
        claims.insert("exp".to_owned(), json!(now + 86_400));
        claims.insert("jti".to_owned(), json!(format!("{number:032}")));
        key.sign(&claims)
    };
    (0..TOKENS).map(token).collect()
}

/// `count` requests, the first of which has the number `from`.
fn drive(port: u16, tokens: &Arc<Vec<String>>, from: usize, count: usize) -> Result<(), Failure> {
    let clients = (0..CLIENTS).map(|client| {
        let tokens = Arc::clone(tokens);
        std::thread::spawn(move || {
            let mut connection = BufReader::new(TcpStream::connect(("127.0.0.1", port))?);
            connection.get_ref().set_nodelay(true)?;
            for number in (from..from + count).skip(client).step_by(CLIENTS) {
                let (token, expected) = token(&tokens, number / CLIENTS);
                let status = ask(&mut connection, port, &token)?;
                if status != expected {
                    return Err(format!("request {number}: {status}, not {expected}").into());
                }
            }
            Ok::<_, Failure>(())
        })
    });
    let clients: Vec<_> = clients.collect();
    for client in clients {
        client.join().map_err(|_| "a client panicked")??;
    }
    Ok(())
}

/// The token of a request, and the status it is answered with.
fn token(tokens: &[String], number: usize) -> (String, u16) {
    let round = number / 4;
    let good = &tokens[round % tokens.len()];
    match number % 4 {
        0 => (tokens[0].clone(), 200),
        1 => (good.clone(), 200),
        2 => {
            let (signed, _) = good.rsplit_once('.').unwrap_or((good, ""));
            (format!("{signed}.{round:0>342}"), 401)
        }
        _ => (format!("{round}.not.a-token"), 401),
    }
}

fn ask(connection: &mut BufReader<TcpStream>, port: u16, token: &str) -> Result<u16, Failure> {
    let request = format!(
        "POST /v1/validate HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    connection.get_mut().write_all(request.as_bytes())?;
    let (mut line, mut status, mut length) = (String::new(), 0, 0);
    loop {
        line.clear();
        if connection.read_line(&mut line)? == 0 {
            return Err("the sidecar closed a connection".into());
        }
        let text = line.trim_end().to_ascii_lowercase();
        if let Some(rest) = text.strip_prefix("http/1.1 ") {
            status = rest.get(..3).unwrap_or_default().parse()?;
        } else if let Some(rest) = text.strip_prefix("content-length:") {
            length = rest.trim().parse()?;
        } else if text.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    Ok(status)
}

/// A running sidecar, ended with this.
struct Sidecar {
    child: Child,
    port: u16,
}

impl Sidecar {
    fn start(binary: &str, keys: &str) -> Result<Self, Failure> {
        let mut child = Command::new(binary)
            .args(["--listen=127.0.0.1:0", "--audience=raptor"])
            .args(["--issuer", ISSUER, "--jwks", keys])
            .env_clear()
            .stderr(Stdio::piped())
            .spawn()?;
        let log = child.stderr.take().ok_or("standard error is a pipe")?;
        let mut lines = BufReader::new(log).lines();
        let port = loop {
            let line = lines.next().ok_or("the sidecar did not start")??;
            if let Some((_, port)) = line.split_once("127.0.0.1:") {
                break port.trim().parse()?;
            }
        };
        // A pipe nobody reads would block whoever logs.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, port })
    }

    /// Resident memory, in KiB.
    fn resident(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(number.ok_or("no VmRSS")?.parse()?)
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
