//! Under a service manager: listeners it opened, and what it is told.

use std::net::TcpListener;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{
    Client, Issuer, Sidecar, directory, file, forge, good_today, jwk_set, wait_until,
};

const READY: &str = "GET /readyz HTTP/1.1\r\nHost: {HOST}\r\n\r\n";

/// Flags of a sidecar with keys at hand.
fn with_keys() -> Vec<String> {
    let keys = jwk_set(&[forge()]);
    let issuer = "--issuer=https://auth.example.com".to_owned();
    vec![
        issuer,
        "--audience=raptor".to_owned(),
        format!("--jwks={keys}"),
    ]
}

fn activated(listener: impl Into<std::os::fd::OwnedFd>, pid: &str, more: &[&str]) -> Sidecar {
    let flags = with_keys();
    let flags: Vec<_> = flags
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect();
    Sidecar::activated(listener, pid, &flags, &[])
}

#[test]
fn an_inherited_tcp_listener_is_served() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    // A client may come before the sidecar does.
    let mut early = Client::connect(port);
    early.write(READY);
    let sidecar = activated(listener, "$$", &["--listen=127.0.0.1:1"]);
    assert_eq!(early.read().expect("it is answered").status, 200);
    let ask = format!(
        "POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {}\r\n\r\n",
        good_today()
    );
    assert_eq!(early.send(ask).status, 200);
    early
        .send("GET /livez HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        .problem(421, "host_not_allowed");
    sidecar.signal("TERM");
    assert_eq!(sidecar.wait().0, Some(0));
}

#[test]
fn an_inherited_socket_is_served_and_stays() {
    let path = directory("inherited").join("s");
    let listener = UnixListener::bind(&path).expect("a socket can be made");
    let sidecar = activated(listener, "$$", &[]);
    assert_eq!(Client::connect_unix(&path).send(READY).status, 200);
    sidecar.signal("TERM");
    assert_eq!(sidecar.wait().0, Some(0));
    assert!(path.exists(), "it belongs to the service manager");
}

#[test]
fn an_inherited_listener_that_others_reach_is_refused() {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port is free");
    let mut sidecar = activated(listener, "$$", &[]);
    assert_eq!(sidecar.end(), Some(1));
    wait_until("it says why", || {
        sidecar
            .log()
            .contains("expected inherited listeners on loopback")
    });
    let (other, _) = UnixDatagram::pair().expect("a pair can be made");
    let mut sidecar = activated(other, "$$", &[]);
    assert_eq!(sidecar.end(), Some(1));
    wait_until("it says why", || {
        sidecar
            .log()
            .contains("expected a stream socket as inherited descriptor 3")
    });
}

#[test]
fn what_another_process_shall_inherit_is_left_alone() {
    let path = directory("not_ours").join("s");
    // Another's number, and none.
    for pid in ["1", ""] {
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("a socket can be made");
        let sidecar = activated(listener, pid, &["--listen=127.0.0.1:0"]);
        wait_until("it listens", || {
            sidecar.log().contains("address=127.0.0.1:")
        });
        assert!(!sidecar.log().contains("not_ours"));
    }
}

/// The service manager's end of `NOTIFY_SOCKET`.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn at(directory: &Path) -> Self {
        let path = directory.join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket can be made");
        let patience = Some(Duration::from_secs(20));
        socket.set_read_timeout(patience).expect("it can be set");
        Self { socket, path }
    }

    /// The next message that is no sign of life.
    fn hear(&self) -> String {
        loop {
            let mut message = [0; 1024];
            let length = self.socket.recv(&mut message).expect("a message comes");
            let message = String::from_utf8_lossy(&message[..length]).into_owned();
            if message.trim() != "WATCHDOG=1" {
                return message;
            }
        }
    }

    /// Whether nothing was said until now.
    fn is_silent(&self) -> bool {
        let nonblocking = |on| self.socket.set_nonblocking(on).expect("it can be set");
        nonblocking(true);
        let heard = self.socket.recv(&mut [0; 1024]);
        nonblocking(false);
        heard.is_err()
    }
}

#[test]
fn ready_is_said_once_there_are_keys() {
    let directory = directory("ready");
    let manager = Manager::at(&directory);
    let issuer = Issuer::failing();
    let config = format!(
        "issuer = 'https://auth.example.com'\naudience = 'raptor'\njwks = '{}'\n",
        issuer.uri()
    );
    let config = file("ready_is_said.toml", &config);
    let notify = manager.path.to_str().expect("it is UTF-8").to_owned();
    let arguments = ["--config", config.as_str()];
    let sidecar = Sidecar::start(&arguments, &[("NOTIFY_SOCKET", &notify)]);
    assert_eq!(manager.hear().trim(), "STATUS=waiting for keys");
    wait_until("it asks for keys", || issuer.fetches() > 0);
    assert_eq!(sidecar.connect().send(READY).status, 503);
    assert!(manager.is_silent());
    issuer.publish(jwk_set(&[forge()]));
    assert_eq!(manager.hear(), "READY=1\nSTATUS=judging tokens\n");
    assert_eq!(sidecar.connect().send(READY).status, 200);
    sidecar.signal("HUP");
    let reloading = manager.hear();
    let moment = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
    let moment = moment.unwrap_or_else(|| panic!("no moment in {reloading}"));
    assert!(moment.trim().parse::<u64>().is_ok(), "{reloading}");
    assert_eq!(manager.hear(), "READY=1\nSTATUS=judging tokens\n");
    // A reload that is refused ends all the same.
    file("ready_is_said.toml", "issuer = 1.5");
    sidecar.signal("HUP");
    assert!(manager.hear().starts_with("RELOADING=1\n"));
    assert!(manager.hear().starts_with("READY=1\n"));
    sidecar.signal("TERM");
    assert_eq!(manager.hear(), "STOPPING=1\nSTATUS=draining\n");
    assert_eq!(sidecar.wait().0, Some(0));
}

#[test]
fn the_watchdog_is_fed() {
    let manager = Manager::at(&directory("watchdog"));
    let notify = manager.path.to_str().expect("it is UTF-8").to_owned();
    let flags = with_keys();
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let environment = [
        ("NOTIFY_SOCKET", notify.as_str()),
        ("WATCHDOG_USEC", "20000"),
    ];
    let _sidecar = Sidecar::start(&flags, &environment);
    let mut fed = 0;
    while fed < 5 {
        let mut message = [0; 1024];
        let length = manager.socket.recv(&mut message).expect("a message comes");
        fed += usize::from(message[..length].starts_with(b"WATCHDOG=1"));
    }
}
