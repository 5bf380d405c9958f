//! The drain.

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use serde_json::json;

use crate::support::{
    Client, Sidecar, TestApp, claims, directory, forge, good_today, jwk_set, settings, wait_until,
};

const READY: &str = "GET /readyz HTTP/1.1\r\nHost: {HOST}\r\n\r\n";

fn is_refused(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_err()
}

#[test]
fn requests_under_way_are_finished() {
    let mut app = TestApp::start();
    let mut client = app.connect();
    let body = json!({"token": forge().sign(&claims(json!({})))}).to_string();
    client.write(format!(
        "POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    ));
    wait_until("the request is under way", || {
        app.metric("queue_sidecar_in_flight") == 1
    });
    app.tell_to_stop();
    wait_until("nobody is accepted any more", || is_refused(app.port));
    client.write(&body);
    let response = client.read().expect("the request is answered");
    assert_eq!(response.status, 200);
    assert_eq!(response.header("connection"), Some("close"));
    assert!(client.is_closed());
    app.join();
}

#[test]
fn not_ready_while_draining() {
    let mut app = TestApp::start();
    let mut client = app.connect();
    client.write(&READY[..10]);
    wait_until("it is accepted", || {
        app.metric("queue_sidecar_connections") == 2
    });
    app.tell_to_stop();
    wait_until("nobody is accepted any more", || is_refused(app.port));
    let response = client.send(&READY[10..]).problem(503, "draining");
    assert_eq!(response.header("connection"), Some("close"));
    assert!(client.is_closed());
    app.join();
}

#[test]
fn a_connection_at_rest_does_not_hold_the_drain() {
    let mut patient = settings();
    patient.drain_timeout = Duration::from_secs(300);
    let mut app = TestApp::with(&patient);
    let mut rested = app.connect();
    assert_eq!(rested.send(READY).status, 200);
    let mut unused = app.connect();
    app.tell_to_stop();
    wait_until("it has stopped", || app.has_stopped());
    assert!(rested.is_closed() && unused.is_closed());
    app.join();
}

#[test]
fn a_connection_that_waits_to_be_accepted_is_answered() {
    let mut narrow = settings();
    narrow.max_connections = 1;
    let mut app = TestApp::with(&narrow);
    let mut first = app.connect();
    assert_eq!(first.send(READY).status, 200);
    let mut waiting = app.connect();
    waiting.write(READY);
    app.tell_to_stop();
    let response = waiting.read().expect("it is answered, not reset");
    response.problem(503, "draining");
    app.join();
}

#[test]
fn the_drain_is_bounded() {
    let mut hasty = settings();
    hasty.drain_timeout = Duration::from_millis(300);
    let app = TestApp::with(&hasty);
    let mut stuck = app.connect();
    stuck.write(
        "POST /v1/validate HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n",
    );
    wait_until("the request is under way", || {
        app.metric("queue_sidecar_in_flight") == 1
    });
    app.join();
    assert!(stuck.is_closed());
}

#[test]
fn a_signal_drains_and_exits_0() {
    for signal in ["TERM", "INT"] {
        let keys = jwk_set(&[forge()]);
        let sidecar = Sidecar::start(
            &[
                "--issuer=https://auth.example.com",
                "--audience=raptor",
                "--jwks",
                &keys,
            ],
            &[],
        );
        assert_eq!(sidecar.connect().send(READY).status, 200);
        let mut client = sidecar.connect();
        client.write(&READY[..10]);
        // Accepted in the order of their coming, so the first is by now.
        assert_eq!(sidecar.connect().send(READY).status, 200);
        sidecar.signal(signal);
        wait_until("nobody is accepted any more", || is_refused(sidecar.port));
        client.send(&READY[10..]).problem(503, "draining");
        let (code, log) = sidecar.wait();
        assert_eq!(code, Some(0), "{log}");
    }
}

#[test]
fn a_drain_drops_no_request_of_many_clients() {
    let keys = jwk_set(&[forge()]);
    let path = directory("many").join("s");
    let socket = format!("--socket={}", path.display());
    let sidecar = Sidecar::start(
        &[
            "--issuer=https://auth.example.com",
            "--audience=raptor",
            "--jwks",
            &keys,
            &socket,
        ],
        &[],
    );
    let ask = format!(
        "POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {}\r\n\r\n",
        good_today()
    );
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 0..16 {
            let (ask, answered, path, port) = (&ask, &answered, &path, sidecar.port);
            scope.spawn(move || {
                let mut client = match number % 2 {
                    0 => Client::connect(port),
                    _ => Client::connect_unix(path),
                };
                // Until it is told to go; no request before that is left without its answer.
                loop {
                    let response = client.send(ask);
                    assert_eq!(response.status, 200);
                    answered.fetch_add(1, Relaxed);
                    if response.header("connection") == Some("close") {
                        assert!(client.is_closed());
                        return;
                    }
                }
            });
        }
        wait_until("all are at it", || answered.load(Relaxed) > 200);
        sidecar.signal("TERM");
    });
    let (code, log) = sidecar.wait();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("drain_cut_short"), "{log}");
}
