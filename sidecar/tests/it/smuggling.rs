//! Requests that two readers could cut in two places, and heads that never seem to end.

use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::support::{Client, TestApp, claims, forge, settings};

/// Reads to the end: the statuses of all answers.
fn statuses(mut client: Client) -> Vec<u16> {
    client.finish();
    std::iter::from_fn(|| client.read())
        .map(|response| response.status)
        .collect()
}

fn send(app: &TestApp, bytes: impl AsRef<[u8]>) -> Vec<u16> {
    let mut client = app.connect();
    client.write(bytes);
    statuses(client)
}

/// A request that is counted, should it ever be taken for one.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: {HOST}\r\n\r\n";

fn hidden(app: &TestApp) -> u64 {
    app.metric("queue_sidecar_refusals_total{code=\"route_not_found\"}")
}

#[test]
fn two_lengths_end_the_connection() {
    let app = TestApp::start();
    let token = forge().sign(&claims(json!({})));
    let body = json!({ "token": token }).to_string();
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let length = chunked.len() + HIDDEN.len();
    for fields in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n".to_owned(),
    ] {
        let request = format!(
            "POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\nContent-Type: application/json\r\n\
             {fields}\r\n{chunked}{HIDDEN}"
        );
        // Read as chunked (RFC 9112 §6.3), and what comes behind it is never a request.
        assert_eq!(send(&app, request), [200], "{fields}");
    }
    assert_eq!(hidden(&app), 0);
}

#[test]
fn lengths_of_no_one_meaning_are_refused() {
    let app = TestApp::start();
    for fields in [
        "Content-Length: 0\r\nContent-Length: 40",
        "Content-Length: 0, 40",
        "Content-Length: +0",
        "Content-Length: 0x0",
        "Content-Length: -1",
        "Content-Length: 18446744073709551616",
        "Content-Length : 0",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "X: a\r\n Content-Length: 40",
        "X: a\r\n\tfolded",
        " X: a",
        "X\r: a",
        "X: a\rContent-Length: 40",
        "X: a\0b",
        "X y: a",
    ] {
        let request =
            format!("POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\n{fields}\r\n\r\n{HIDDEN}");
        assert_eq!(send(&app, request), [400], "{fields}");
    }
    let old = format!(
        "POST /v1/validate HTTP/1.0\r\nHost: {{HOST}}\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\n{HIDDEN}"
    );
    assert_eq!(send(&app, old), [400]);
    assert_eq!(hidden(&app), 0);
}

#[test]
fn chunks_of_no_one_size_are_refused() {
    let app = TestApp::start();
    for chunks in [
        "0\n\r\n\n",
        "0;a=\nb\r\n\r\n",
        "-0\r\n\r\n",
        "0x0\r\n\r\n",
        "10000000000000000\r\n\r\n",
        "2\r\n{}X\r\n0\r\n\r\n",
    ] {
        let request = format!(
            "POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n{chunks}{HIDDEN}"
        );
        assert_eq!(send(&app, request), [400], "{chunks:?}");
    }
    assert_eq!(hidden(&app), 0);
}

#[test]
fn a_bare_line_feed_cannot_hide_a_second_token() {
    let app = TestApp::start();
    let token = forge().sign(&claims(json!({})));
    let request = format!(
        "GET /v1/auth HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer a.b.c\r\n\
         X: a\nAuthorization: Bearer {token}\r\n\r\n"
    );
    assert_eq!(send(&app, request), [400]);
}

#[test]
fn the_body_of_a_get_is_no_request() {
    let app = TestApp::start();
    let token = forge().sign(&claims(json!({})));
    for path in ["/livez", "/v1/auth"] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: {}\r\n\r\n{HIDDEN}",
            HIDDEN
                .replace("{HOST}", &format!("127.0.0.1:{}", app.port))
                .len()
        );
        assert_eq!(send(&app, &request), [200], "{path}");
        // It is answered before its body came, if that ever does.
        let (head, _) = request.split_once(HIDDEN).expect("it ends so");
        assert_eq!(app.connect().send(head).status, 200, "{path}");
    }
    assert_eq!(hidden(&app), 0);
}

#[test]
fn headers_too_large() {
    let app = TestApp::start();
    let long = "a".repeat(64 * 1024);
    let many = "X: a\r\n".repeat(101);
    for fields in [format!("X: {long}\r\n"), format!("{long}: X\r\n"), many] {
        let head = format!("GET /livez HTTP/1.1\r\nHost: {{HOST}}\r\n{fields}\r\n");
        app.send(head).problem(431, "headers_too_large");
    }
    let head = format!("GET /{long} HTTP/1.1\r\nHost: {{HOST}}\r\n\r\n");
    let status = app.send(head).status;
    assert!(status == 414 || status == 431, "{status}");
}

#[test]
fn ten_thousand_requests_in_one_breath_are_answered() {
    const COUNT: usize = 10_000;
    let app = TestApp::start();
    let request = format!(
        "GET /livez HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n",
        app.port
    );
    let mut client = app.connect();
    // Less than the buffers of both sides hold of answers, so nobody waits for the other.
    let mut answered = 0;
    for _ in 0..COUNT / 500 {
        client.write(request.repeat(500));
        for _ in 0..500 {
            assert_eq!(client.read().expect("an answer comes").status, 200);
            answered += 1;
        }
    }
    assert_eq!(answered, COUNT);
}

#[test]
fn a_client_that_reads_nothing_is_not_read_either() {
    let mut hasty = settings();
    hasty.drain_timeout = Duration::from_millis(100);
    let app = TestApp::with(&hasty);
    let mut greedy = TcpStream::connect(("127.0.0.1", app.port)).expect("it accepts");
    let patience = Some(Duration::from_secs(1));
    greedy.set_write_timeout(patience).expect("it can be set");
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n",
        app.port
    );
    // Far more than the buffers of the kernel hold.
    let requests = request.repeat(500_000);
    let writer = std::thread::spawn(move || greedy.write_all(requests.as_bytes()));
    for _ in 0..50 {
        assert_eq!(app.get("/livez", "").status, 200);
    }
    let written = writer.join().expect("no panic");
    let stopped = written.expect_err("nobody takes so much");
    assert_eq!(stopped.kind(), ErrorKind::WouldBlock);
    app.join();
}
