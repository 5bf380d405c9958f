//! The listener of the probes: two words for anybody, and nothing else.

use serde_json::json;

use crate::support::{Client, Issuer, TestApp, claims, forge, settings, wait_until};

fn ask(app: &TestApp, path: &str, headers: &str) -> crate::support::Response {
    let port = app.probe_port.expect("probes have a listener");
    // A kubelet names the address of the pod.
    Client::connect(port).send(format!(
        "GET {path} HTTP/1.1\r\nHost: 10.1.2.3:4141\r\n{headers}\r\n"
    ))
}

fn probed() -> queue_sidecar::Settings {
    let mut settings = settings();
    settings.probe_listen = Some("127.0.0.1:0".parse().expect("an address"));
    settings
}

#[test]
fn probes_have_two_routes() {
    let app = TestApp::with(&probed());
    assert_eq!(ask(&app, "/livez", "").text(), "ok\n");
    assert_eq!(ask(&app, "/readyz", "").text(), "ok\n");
    let token = forge().sign(&claims(json!({})));
    let bearer = format!("Authorization: Bearer {token}\r\n");
    for path in [
        "/v1/auth",
        "/v1/validate",
        "/v1/status",
        "/metrics",
        "/startupz",
        "/",
    ] {
        let response = ask(&app, path, &bearer).problem(404, "route_not_found");
        assert!(!response.text().contains("0190c8a4"));
    }
    ask(&app, "/livez", "Origin: https://evil.example\r\n").problem(403, "origin_not_allowed");
    // The routes of the others have nobody's name on them here either.
    assert_eq!(app.get("/v1/auth", &bearer).status, 200);
}

#[test]
fn probes_say_that_there_are_no_keys_and_no_more() {
    let issuer = Issuer::failing();
    let mut fetching = probed();
    fetching.issuer.keys = issuer.keys();
    let app = TestApp::with(&fetching);
    let response = ask(&app, "/readyz", "").problem(503, "not_ready");
    assert!(!response.text().contains("auth.example.com"));
    assert_eq!(ask(&app, "/livez", "").status, 200);
}

#[test]
fn nobody_crowds_the_probes_out() {
    let mut narrow = probed();
    narrow.max_connections = 1;
    let app = TestApp::with(&narrow);
    let mut only = app.connect();
    let request = "GET /livez HTTP/1.1\r\nHost: {HOST}\r\n\r\n";
    assert_eq!(only.send(request).status, 200);
    assert_eq!(ask(&app, "/readyz", "").status, 200);
}

#[test]
fn probes_see_the_drain() {
    let mut app = TestApp::with(&probed());
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
    wait_until("the drain has begun", || {
        ask(&app, "/readyz", "").status == 503
    });
    ask(&app, "/readyz", "").problem(503, "draining");
    assert_eq!(client.send(&body).status, 200);
    app.join();
}
