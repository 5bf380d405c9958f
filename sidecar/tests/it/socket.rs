//! The unix socket: who may make it, who may take it away, and who may talk to it.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Barrier;

use queue_sidecar::{App, Settings, SocketError, StartError};
use serde_json::json;

use crate::support::{
    Client, FakeClock, NOW, TestApp, claims, directory, forge, run, settings, wait_until,
};

const READY: &str = "GET /readyz HTTP/1.1\r\nHost: {HOST}\r\n\r\n";

fn at(path: &Path) -> Settings {
    let mut settings = settings();
    settings.socket = Some(path.to_owned());
    settings
}

fn validate(path: &Path) -> u16 {
    let token = forge().sign(&claims(json!({})));
    let request = format!(
        "POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    Client::connect_unix(path).send(request).status
}

/// Why there is no sidecar with a socket at `path`.
fn refusal(path: &Path) -> SocketError {
    match App::build(&at(path), FakeClock::at(NOW)) {
        Err(StartError::Socket { source, .. }) => source,
        Err(other) => panic!("refused for another reason: {other}"),
        Ok(_) => panic!("it started"),
    }
}

fn own(path: &Path) -> (u32, u32) {
    let metadata = std::fs::metadata(path).expect("it is there");
    (metadata.uid(), metadata.gid())
}

#[test]
fn both_doors_answer() {
    let path = directory("both").join("s");
    let app = TestApp::with(&at(&path));
    assert_eq!(validate(&path), 200);
    assert_eq!(app.get("/readyz", "").status, 200);
    let mode = std::fs::metadata(&path).expect("it is there").mode();
    assert_eq!(mode & 0o7777, 0o660);
    app.join();
    assert!(!path.exists(), "the file goes with the sidecar");
}

#[test]
fn a_proxy_may_hand_on_what_its_client_sent() {
    let path = directory("hand_on").join("s");
    let app = TestApp::with(&at(&path));
    let token = forge().sign(&claims(json!({})));
    let head = format!(
        "GET /v1/auth HTTP/1.1\r\nHost: {{HOST}}\r\nOrigin: https://shop.example.com\r\n\
         Sec-Fetch-Site: cross-site\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    assert_eq!(Client::connect_unix(&path).send(&head).status, 200);
    // The same through TCP, where a browser could be the client.
    app.send(&head).problem(403, "origin_not_allowed");
}

#[test]
fn tcp_can_be_off() {
    let path = directory("tcp_off").join("s");
    let mut alone = at(&path);
    alone.listen = None;
    let app = TestApp::with(&alone);
    assert_eq!((app.port, validate(&path)), (0, 200));
    let socket = path.to_str().expect("it is UTF-8");
    let health = |arguments: &[&str]| run(arguments, &[], b"").code;
    assert_eq!(
        health(&["health", "--listen=none", "--socket", socket]),
        Some(0)
    );
    assert_eq!(
        health(&["health", "--listen=none", "--socket=/nowhere/s"]),
        Some(1)
    );
}

#[test]
fn the_drain_covers_both_doors() {
    let path = directory("drain").join("s");
    let mut app = TestApp::with(&at(&path));
    let (mut tcp, mut unix) = (app.connect(), Client::connect_unix(&path));
    for client in [&mut tcp, &mut unix] {
        assert_eq!(client.send(READY).status, 200);
        client.write(&READY[..10]);
    }
    app.tell_to_stop();
    wait_until("the file is gone", || !path.exists());
    for client in [&mut tcp, &mut unix] {
        let response = client.send(&READY[10..]).problem(503, "draining");
        assert_eq!(response.header("connection"), Some("close"));
        assert!(client.is_closed());
    }
    app.join();
}

#[test]
fn what_is_no_socket_of_ours_stays() {
    let directory = directory("foreign");
    let (path, target) = (directory.join("s"), directory.join("target"));
    std::fs::write(&path, "precious").expect("it can be written");
    assert!(matches!(refusal(&path), SocketError::NoSocket));
    assert_eq!(std::fs::read(&path).expect("it stays"), b"precious");
    std::fs::rename(&path, &target).expect("it can be moved");
    std::os::unix::fs::symlink(&target, &path).expect("a link can be made");
    assert!(matches!(refusal(&path), SocketError::Symlink));
    assert!(path.is_symlink());
    assert_eq!(std::fs::read(&target).expect("it stays"), b"precious");
    // A link to a stale socket is a link all the same.
    std::fs::remove_file(&target).expect("it can be removed");
    drop(UnixListener::bind(&target).expect("a socket can be made"));
    assert!(matches!(refusal(&path), SocketError::Symlink));
    assert_eq!(
        std::fs::read_dir(&directory).expect("it is there").count(),
        2,
        "a start that fails leaves nothing"
    );
}

#[test]
fn a_socket_of_another_user_stays() {
    let path = directory("other_user").join("s");
    drop(UnixListener::bind(&path).expect("a socket can be made"));
    let (own, _) = own(&path);
    if std::os::unix::fs::chown(&path, Some(own + 4242), None).is_err() {
        // Only root can make one; without it, nobody else's can be there to be tested.
        return;
    }
    assert!(matches!(refusal(&path), SocketError::OtherOwner));
    assert!(path.exists());
}

#[test]
fn a_live_socket_stays() {
    let path = directory("live").join("s");
    let first = TestApp::with(&at(&path));
    assert!(matches!(refusal(&path), SocketError::InUse));
    assert_eq!(validate(&path), 200);
    drop(first);
}

#[test]
fn a_busy_socket_is_a_live_one() {
    let path = directory("busy").join("s");
    let listener = UnixListener::bind(&path).expect("a socket can be made");
    // More than its queue holds; the kernel lets nobody in any more.
    let mut waiting = Vec::new();
    loop {
        let client = queue_of_one(&path);
        match client {
            Some(client) => waiting.push(client),
            None => break,
        }
    }
    assert!(matches!(refusal(&path), SocketError::InUse));
    drop((listener, waiting));
}

/// One more in the queue, or none where it is full.
fn queue_of_one(path: &Path) -> Option<std::os::fd::OwnedFd> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    let socket = socket.expect("a socket can be made");
    let address = SocketAddrUnix::new(path).expect("the path is short");
    rustix::net::connect(&socket, &address).ok()?;
    Some(socket)
}

#[test]
fn a_stale_socket_is_replaced() {
    let path = directory("stale").join("s");
    drop(UnixListener::bind(&path).expect("a socket can be made"));
    let app = TestApp::with(&at(&path));
    assert_eq!(validate(&path), 200);
    app.join();
}

#[test]
fn of_many_that_start_at_once_one_has_the_socket() {
    let path = directory("race").join("s");
    drop(UnixListener::bind(&path).expect("a socket can be made"));
    let start = Barrier::new(8);
    let apps: Vec<_> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    App::build(&at(&path), FakeClock::at(NOW))
                })
            })
            .collect();
        let started = starting.into_iter().map(|thread| thread.join());
        started.map(|app| app.expect("no panic")).collect()
    });
    assert_eq!(apps.iter().filter(|app| app.is_ok()).count(), 1);
    // The one that has it is the one at the path: dropping it is what removes the file.
    drop(apps);
    assert!(!path.exists());
}

#[test]
fn nobody_starts_while_another_does() {
    use rustix::fs::{FlockOperation, flock};
    let directory = directory("lock");
    let other = std::fs::File::open(&directory).expect("it can be opened");
    flock(&other, FlockOperation::LockExclusive).expect("it can be locked");
    let path = directory.join("s");
    assert!(matches!(refusal(&path), SocketError::Locked));
    drop(other);
    TestApp::with(&at(&path)).join();
}

#[test]
fn a_socket_that_took_our_place_stays() {
    let path = directory("replaced").join("s");
    let app = TestApp::with(&at(&path));
    std::fs::remove_file(&path).expect("it can be removed");
    let _other = UnixListener::bind(&path).expect("a socket can be made");
    app.join();
    assert!(path.exists());
}

#[test]
fn a_directory_open_to_all_is_no_place_for_it() {
    let directory = directory("open");
    let mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&directory, permissions).expect("the directory is ours");
    };
    mode(0o777);
    assert!(matches!(
        refusal(&directory.join("s")),
        SocketError::OpenDirectory
    ));
    mode(0o1777);
    TestApp::with(&at(&directory.join("s"))).join();
}

#[test]
fn peer_not_allowed() {
    let path = directory("peer").join("s");
    let mut narrow = at(&path);
    let app = {
        narrow.socket_allow_uid = vec![4_242_424];
        TestApp::with(&narrow)
    };
    let mut client = Client::connect_unix(&path);
    let response = client.read().expect("it is told why");
    response.problem(403, "peer_not_allowed");
    assert!(client.is_closed());
    assert_eq!(
        app.metric("queue_sidecar_refusals_total{code=\"peer_not_allowed\"}"),
        1
    );
    app.join();
    let (uid, gid) = own(Path::new("/proc/self"));
    narrow.socket_allow_uid = vec![4_242_424, uid];
    let app = TestApp::with(&narrow);
    assert_eq!(validate(&path), 200);
    app.join();
    narrow.socket_allow_uid = Vec::new();
    narrow.socket_allow_gid = vec![gid];
    let app = TestApp::with(&narrow);
    assert_eq!(validate(&path), 200);
    app.join();
    narrow.socket_allow_gid = vec![gid + 1];
    let app = TestApp::with(&narrow);
    let refused = Client::connect_unix(&path).read().expect("it is told why");
    refused.problem(403, "peer_not_allowed");
    app.join();
}
