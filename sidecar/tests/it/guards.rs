//! Who may talk to the listener: names, web pages, methods, slow and greedy clients.

use std::time::Duration;

use serde_json::json;

use crate::support::{FakeClock, NOW, TestApp, claims, forge, settings, wait_until};

fn good() -> String {
    forge().sign(&claims(json!({})))
}

#[test]
fn loopback_names_are_answered() {
    let app = TestApp::start();
    let port = app.port;
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("LocalHost:{port}"),
        format!("[::1]:{port}"),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "[::1]".to_owned(),
    ] {
        let response = app.send(format!("GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(response.status, 200, "{host}");
    }
    let absolute = format!("GET http://localhost:{port}/livez HTTP/1.1\r\nHost: {{HOST}}\r\n\r\n");
    assert_eq!(app.send(absolute).status, 200);
}

#[test]
fn host_not_allowed() {
    let app = TestApp::start();
    let port = app.port;
    for host in [
        "evil.example.com".to_owned(),
        format!("evil.example.com:{port}"),
        format!("localhost.:{port}"),
        format!("localhost.evil.example:{port}"),
        format!("x@127.0.0.1:{port}"),
        format!("127.0.0.1:{}", port ^ 1),
        format!("127.0.0.2:{port}"),
        format!("0.0.0.0:{port}"),
        format!("2130706433:{port}"),
        String::new(),
    ] {
        let response = app.send(format!("GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        response.problem(421, "host_not_allowed");
    }
    for head in [
        "GET /livez HTTP/1.1\r\n\r\n",
        "GET /livez HTTP/1.0\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: {HOST}\r\nHost: {HOST}\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: {HOST}\r\nHost: evil.example\r\n\r\n",
        "GET http://evil.example/livez HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
        "GET http://evil.example/livez HTTP/1.1\r\n\r\n",
    ] {
        app.send(head).problem(421, "host_not_allowed");
    }
    assert_eq!(
        app.metric("queue_sidecar_refusals_total{code=\"host_not_allowed\"}"),
        16
    );
}

#[test]
fn further_hosts_can_be_set() {
    let mut more = settings();
    more.hosts = vec!["sidecar:4140".to_owned()];
    let app = TestApp::with(&more);
    let ask = |host| app.send(format!("GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(ask("sidecar:4140").status, 200);
    ask("sidecar:4141").problem(421, "host_not_allowed");
}

#[test]
fn origin_not_allowed() {
    let app = TestApp::start();
    for path in ["/livez", "/v1/auth", "/v1/status", "/nothing"] {
        for header in [
            "Origin: https://evil.example\r\n".to_owned(),
            "Origin: null\r\n".to_owned(),
            format!("Origin: http://127.0.0.1:{}\r\n", app.port),
            "Sec-Fetch-Site: cross-site\r\n".to_owned(),
            "Sec-Fetch-Site: same-site\r\n".to_owned(),
            "Sec-Fetch-Site: None\r\n".to_owned(),
            "Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n".to_owned(),
        ] {
            let header = format!("Authorization: Bearer {}\r\n{header}", good());
            app.get(path, &header).problem(403, "origin_not_allowed");
        }
    }
    let preflight = "OPTIONS /v1/validate HTTP/1.1\r\nHost: {HOST}\r\nOrigin: https://evil.example\r\n\
        Access-Control-Request-Method: POST\r\n\r\n";
    app.send(preflight).problem(403, "origin_not_allowed");
}

#[test]
fn a_page_opened_by_hand_is_answered() {
    let app = TestApp::start();
    assert_eq!(
        app.get("/v1/status", "Sec-Fetch-Site: none\r\n").status,
        200
    );
    assert_eq!(
        app.get("/v1/status", "Sec-Fetch-Site: same-origin\r\n")
            .status,
        200
    );
}

#[test]
fn trace_echoes_nothing() {
    let app = TestApp::start();
    let token = good();
    let response = app.send(format!(
        "TRACE /v1/auth HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {token}\r\n\r\n"
    ));
    let response = response.problem(405, "method_not_allowed");
    assert!(!response.text().contains(&token));
    let allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
    assert_eq!(response.header("allow"), Some(allowed));
    let request = "TRACE /v1/validate HTTP/1.1\r\nHost: {HOST}\r\n\r\n";
    let response = app.send(request).problem(405, "method_not_allowed");
    assert_eq!(response.header("allow"), Some("POST"));
    let response = app.send("CONNECT {HOST} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    assert_eq!(response.status, 405);
}

#[test]
fn overloaded() {
    let mut narrow = settings();
    narrow.max_in_flight = 1;
    let app = TestApp::with(&narrow);
    let mut slow = app.connect();
    let body = json!({ "token": good() }).to_string();
    slow.write(format!(
        "POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    ));
    wait_until("the place is taken", || {
        app.metric("queue_sidecar_in_flight") == 1
    });
    let response = app.validate(&good()).problem(503, "overloaded");
    assert_eq!(response.header("retry-after"), Some("1"));
    let header = format!("Authorization: Bearer {}\r\n", good());
    let response = app.get("/v1/auth", &header).problem(503, "overloaded");
    assert_eq!(response.header("x-queue-subject"), Some(""));
    assert_eq!(app.get("/livez", "").status, 200);
    slow.write(&body);
    assert_eq!(slow.read().expect("the first is answered").status, 200);
    assert_eq!(app.validate(&good()).status, 200);
}

#[test]
fn a_client_that_goes_away_gives_its_place_back() {
    let mut narrow = settings();
    narrow.max_in_flight = 1;
    let app = TestApp::with(&narrow);
    let mut gone = app.connect();
    gone.write(
        "POST /v1/validate HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n",
    );
    wait_until("the place is taken", || {
        app.metric("queue_sidecar_in_flight") == 1
    });
    drop(gone);
    wait_until("the place is free", || {
        app.metric("queue_sidecar_in_flight") == 0
    });
    assert_eq!(app.validate(&good()).status, 200);
}

#[test]
fn connections_beyond_the_bound_wait() {
    let mut narrow = settings();
    narrow.max_connections = 1;
    let app = TestApp::with(&narrow);
    let mut first = app.connect();
    assert_eq!(
        first
            .send("GET /livez HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
            .status,
        200
    );
    let mut second = app.connect();
    second.write("GET /livez HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    assert_eq!(
        first
            .send("GET /livez HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
            .status,
        200
    );
    drop(first);
    assert_eq!(second.read().expect("its turn comes").status, 200);
}

#[test]
fn a_slow_head_is_cut_off() {
    let clock = FakeClock::at(NOW);
    let app = TestApp::at(&settings(), clock.clone());
    for beginning in [
        "",
        "P",
        "PRI * HT",
        "GET /livez HT",
        "GET /livez HTTP/1.1\r\nHost: {HOST}\r\n",
    ] {
        let mut slow = app.connect();
        slow.write(beginning);
        wait_until("it is accepted", || {
            app.metric("queue_sidecar_connections") == 2
        });
        let reader = std::thread::spawn(move || slow.is_closed());
        wait_until("it is cut off", || {
            clock.advance(Duration::from_secs(5));
            reader.is_finished()
        });
        assert!(reader.join().expect("the reader ends"), "{beginning:?}");
    }
}

#[test]
fn a_connection_may_rest_longer_than_a_head_may_take() {
    let clock = FakeClock::at(NOW);
    let app = TestApp::at(&settings(), clock.clone());
    let mut client = app.connect();
    let request = "GET /livez HTTP/1.1\r\nHost: {HOST}\r\n\r\n";
    for _ in 0..7 {
        assert_eq!(client.send(request).status, 200);
        clock.advance(Duration::from_secs(10));
    }
    assert_eq!(client.send(request).status, 200);
    let reader = std::thread::spawn(move || client.is_closed());
    wait_until("the rest is over", || {
        clock.advance(Duration::from_secs(75));
        reader.is_finished()
    });
    assert!(reader.join().expect("the reader ends"));
}

#[test]
fn a_slow_head_after_a_rest_is_cut_off() {
    let clock = FakeClock::at(NOW);
    let app = TestApp::at(&settings(), clock.clone());
    let mut client = app.connect();
    assert_eq!(
        client
            .send("GET /livez HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
            .status,
        200
    );
    client.write("GET /livez HT");
    let reader = std::thread::spawn(move || client.is_closed());
    let mut passed = 0;
    wait_until("it is cut off", || {
        // Far less than a rest may take, once the bytes have arrived.
        clock.advance(Duration::from_millis(10));
        passed += 10;
        reader.is_finished()
    });
    assert!(
        passed < 70_000,
        "cut off after {passed} ms, as if it rested"
    );
}
