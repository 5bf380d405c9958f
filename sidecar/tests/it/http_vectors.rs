//! `tests/vectors/shared/http`, byte for byte: each request on a socket of its own.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{TestApp, claims, forge};

const CASES: &str = include_str!("../../../tests/vectors/shared/http/http_cases.jsonl");

fn cases() -> Vec<Value> {
    let mut lines = CASES.lines().map(serde_json::from_str);
    let meta: Value = lines.next().expect("a first line").expect("it is JSON");
    let cases: Vec<Value> = lines.map(|line| line.expect("a case is JSON")).collect();
    assert_eq!(meta["meta"]["count"], cases.len());
    cases
}

fn raw(case: &Value) -> String {
    if let Some(raw) = case["raw"].as_str() {
        return raw.to_owned();
    }
    let parts = case["raw_parts"].as_array().expect("parts").iter();
    parts
        .map(|part| {
            let count = part[1].as_u64().expect("a count");
            let count = usize::try_from(count).expect("a small count");
            part[0].as_str().expect("a text").repeat(count)
        })
        .collect()
}

/// The request of `case` at `route`, its templates filled.
fn request(case: &Value, route: &str, port: u16, tokens: &[String; 2]) -> String {
    let filled = raw(case)
        .replace("{VERIFY}", route)
        .replace("{TOKEN}", &tokens[0])
        .replace("{BADTOK}", &tokens[1])
        .replace("{HOST}", &format!("127.0.0.1:{port}"))
        .replace("{PORT}", &port.to_string());
    let length = filled
        .split_once("\r\n\r\n")
        .map_or(0, |(_, body)| body.len());
    filled.replace("{LEN}", &length.to_string())
}

/// The statuses of all answers on one connection; none where it is closed without.
fn statuses(port: u16, request: &str) -> Vec<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the sidecar accepts");
    let patience = Some(Duration::from_secs(20));
    stream
        .set_read_timeout(patience)
        .expect("a timeout can be set");
    // Refused early, the rest may find nobody who reads it.
    let _ = stream.write_all(request.as_bytes());
    let _ = stream.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(length) => answers.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("no end of the answer: {error}"),
        }
    }
    let answers = String::from_utf8_lossy(&answers);
    let lines = answers.match_indices("HTTP/1.");
    let statuses = lines.map(|(at, line)| {
        let status = answers
            .get(at + line.len() + "1 ".len()..)
            .and_then(|rest| rest.get(..3));
        status.and_then(|text| text.parse().ok()).expect("a status")
    });
    // 100 Continue is none yet.
    statuses.filter(|status| *status >= 200).collect()
}

fn tokens() -> [String; 2] {
    let good = forge().sign(&claims(json!({})));
    let (signed, _) = good.rsplit_once('.').expect("a token has dots");
    let bad = format!("{signed}.{}", "A".repeat(342));
    [good, bad]
}

#[test]
fn each_case_gets_what_it_has_to() {
    let (app, tokens) = (TestApp::start(), tokens());
    for case in cases() {
        let id = case["id"].as_str().expect("a name");
        let is_post = raw(&case).starts_with("POST");
        let route = if is_post { "/v1/validate" } else { "/v1/auth" };
        let statuses = statuses(app.port, &request(&case, route, app.port, &tokens));
        assert!(statuses.len() <= 1, "{id}: {statuses:?}");
        let status = statuses.first().copied();
        match case["expected"].as_str() {
            Some("accept") => assert_eq!(status, Some(200), "{id}"),
            Some("reject" | "4xx") => {
                assert!(
                    status.is_none_or(|status| (400..500).contains(&status)),
                    "{id}: {status:?}"
                );
            }
            Some("policy") => assert!(status.is_none_or(|status| status < 500), "{id}: {status:?}"),
            other => panic!("{id} expects {other:?}"),
        }
    }
}

/// Where the RFCs leave it open, this is what we do.
#[test]
fn what_is_left_open_is_decided() {
    let (app, tokens) = (TestApp::start(), tokens());
    let decided = [
        ("http/auth/two_spaces", 200),
        ("http/auth/two_headers_same", 400),
        ("http/auth/cookie", 401),
        ("http/host/ipv6", 200),
        ("http/host/localhost_dot", 421),
        ("http/origin/evil", 403),
        ("http/origin/null", 403),
        ("http/method/put", 200),
        ("http/method/http10", 421),
        ("http/path/trailing_slash", 404),
        ("http/path/nul", 404),
        ("http/path/bad_pct", 404),
        ("http/path/fragment", 200),
        ("http/path/semicolon", 404),
        ("http/path/long", 404),
        ("http/body/ok", 200),
        ("http/body/dup_token", 400),
        ("http/body/extra", 400),
        ("http/body/bom", 400),
        ("http/body/form", 415),
        ("http/body/no_ct", 415),
        ("http/body/charset16", 415),
        ("http/body/expect100", 200),
        ("http/body/expect_junk", 200),
    ];
    let cases = cases();
    let open = cases.iter().filter(|case| case["expected"] == "policy");
    assert_eq!(open.count(), decided.len());
    for (id, expected) in decided {
        let case = cases.iter().find(|case| case["id"] == id).expect("a case");
        let is_post = raw(case).starts_with("POST");
        let route = if is_post { "/v1/validate" } else { "/v1/auth" };
        let statuses = statuses(app.port, &request(case, route, app.port, &tokens));
        assert_eq!(statuses, [expected], "{id}");
    }
}

#[test]
fn no_case_gets_two_answers_or_a_failure_from_any_route() {
    let (app, tokens) = (TestApp::start(), tokens());
    for route in [
        "/v1/validate/batch",
        "/v1/introspect",
        "/v1/tokenreviews",
        "/envoy/path",
        "/livez",
        "/openapi.json",
    ] {
        for case in cases() {
            let statuses = statuses(app.port, &request(&case, route, app.port, &tokens));
            let is_right = statuses.len() <= 1 && statuses.iter().all(|status| *status < 500);
            assert!(is_right, "{} at {route}: {statuses:?}", case["id"]);
        }
    }
}
