//! The binary, as a user runs it: with no environment but the one given.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};

use super::{Client, wait_until};

/// What a finished run left.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_queue-sidecar"));
    command
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it to its end, or kills it where it does not come to one.
pub(crate) fn run(arguments: &[&str], environment: &[(&str, &str)], stdin: &[u8]) -> Output {
    let mut child = command(arguments, environment)
        .spawn()
        .expect("the binary starts");
    let mut input = child.stdin.take().expect("standard input is a pipe");
    let stdin = stdin.to_vec();
    // Beside the reader: a tool that answers line by line would block on a full pipe.
    let writer = std::thread::spawn(move || {
        let _ = input.write_all(&stdin);
    });
    let id = child.id().to_string();
    let (done, is_done) = mpsc::channel::<()>();
    let killer = std::thread::spawn(move || {
        let patience = std::time::Duration::from_secs(30);
        if is_done.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-s", "KILL", &id]).status();
        }
    });
    let output = child.wait_with_output().expect("the binary ends");
    drop(done);
    killer.join().expect("the killer ends");
    writer.join().expect("the writer ends");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    Output {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Writes a file for the binary to read.
pub(crate) fn file(name: &str, content: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).expect("the directory of the tests can be written");
    path.to_str().expect("the path is UTF-8").to_owned()
}

/// A running `queue-sidecar serve`.
pub(crate) struct Sidecar {
    child: Child,
    log: Arc<Mutex<String>>,
    pub(crate) port: u16,
}

impl Sidecar {
    /// Starts it on a free port and waits until it listens; its log has to be text.
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = command(arguments, environment);
        command.arg("--listen=127.0.0.1:0");
        let mut sidecar = Self::spawn(command);
        wait_until("it listens", || {
            let log = sidecar.log();
            let port = log.split_once("127.0.0.1:").map(|(_, rest)| {
                rest.chars()
                    .take_while(char::is_ascii_digit)
                    .collect::<String>()
            });
            sidecar.port = port.and_then(|port| port.parse().ok()).unwrap_or(0);
            sidecar.port != 0
        });
        sidecar
    }

    /// Starts it as a service manager does, with `listener` as descriptor 3 and `LISTEN_PID` as
    /// `pid` says in the words of a shell (`$$` is its own).
    pub(crate) fn activated(
        listener: impl Into<OwnedFd>,
        pid: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let script =
            format!("export LISTEN_FDS=1 LISTEN_PID={pid}; exec \"$0\" \"$@\" 3<&0 </dev/null");
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", &script, env!("CARGO_BIN_EXE_queue-sidecar")])
            .args(arguments)
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::from(listener.into()))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Self::spawn(shell)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the binary starts");
        let stderr = child.stderr.take().expect("standard error is a pipe");
        let log = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = written.lock().expect("no reader panics");
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self {
            child,
            log,
            port: 0,
        }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.port)
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("the reader does not panic").clone()
    }

    /// Sends a signal by name and does not wait.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.expect("`kill` runs").success());
    }

    /// Waits for its end, whatever it said before.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let mut status = None;
        wait_until("it ends", || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// Waits for its end: the exit code and the log.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().expect("the binary ends").code();
        wait_until("the log is read", || self.log().contains("stopped"));
        (code, self.log())
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
