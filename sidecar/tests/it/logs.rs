//! What the log holds, and what it never does.

use std::io::Write as _;

use base64_simd::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{Sidecar, claims, forge, jwk_set, other_forge};

const BASE: [&str; 4] = [
    "--issuer=https://auth.example.com",
    "--audience=raptor",
    "--log=trace",
    "--workers=1",
];

/// Tokens of every fate; the clock is the machine's, so none is valid, but each is looked at.
fn tokens() -> Vec<String> {
    let good = forge().sign(&claims(
        json!({"exp": 4_000_000_000_u64, "iat": 1_600_000_000, "auth_time": 1_600_000_000}),
    ));
    let (signed, signature) = good.rsplit_once('.').expect("a token has dots");
    vec![
        forge().sign(&claims(json!({}))),
        other_forge().sign(&claims(
            json!({"exp": 4_000_000_000_u64, "iat": 1_600_000_000}),
        )),
        format!("{signed}.{}", signature.chars().rev().collect::<String>()),
        URL_SAFE_NO_PAD.encode_to_string("a token that is none, long enough to be looked for"),
        good,
    ]
}

#[test]
fn no_token_at_trace() {
    no_token_in("--log-format=text");
}

#[test]
fn no_token_at_trace_in_json() {
    no_token_in("--log-format=json");
}

fn no_token_in(format: &str) {
    let keys = jwk_set(&[forge()]);
    let sidecar = Sidecar::start(
        &[&BASE[..], &["--jwks", &keys, "--cookie=at", format]].concat(),
        &[],
    );
    let tokens = tokens();
    for token in &tokens {
        for request in [
            format!(
                "POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {token}\r\n\r\n"
            ),
            format!(
                "GET /v1/auth HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {token}\r\n\r\n"
            ),
            format!("GET /v1/auth HTTP/1.1\r\nHost: {{HOST}}\r\nCookie: at={token}\r\n\r\n"),
            format!("GET /v1/auth?access_token={token} HTTP/1.1\r\nHost: {{HOST}}\r\n\r\n"),
            format!("GET /{token} HTTP/1.1\r\nHost: {{HOST}}\r\nX-Token: {token}\r\n\r\n"),
            format!("GET /livez HTTP/1.1\r\nHost: {token}\r\n\r\n"),
            format!("GET /?{token} HTTP/1.1\r\nHost: {{HOST}}\r\n\r\n"),
            format!(
                "GET /v1/status HTTP/1.1\r\nHost: {{HOST}}\r\ntraceparent: {token}\r\n\
                 X-Request-Id: {token}\r\n\r\n"
            ),
            format!(
                "GET /livez HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {token}\x00\r\n\r\n"
            ),
            format!("{token} /livez HTTP/1.1\r\nHost: {{HOST}}\r\n\r\n"),
        ] {
            let response = sidecar.connect().send(request);
            assert!(!String::from_utf8_lossy(&response.body).contains(token.as_str()));
        }
        let body = json!({ "token": token }).to_string();
        sidecar.connect().post(body.as_bytes());
        sidecar.connect().post(body.replace('}', ",").as_bytes());
    }
    http2(sidecar.port, &tokens);
    sidecar.signal("TERM");
    let (_, log) = sidecar.wait();
    assert!(log.contains("token_judged"), "the log is at trace: {log}");
    for token in &tokens {
        for part in token.split('.').filter(|part| part.len() > 20) {
            // Half of a segment is as bad as all of it.
            let middle = part.len() / 2;
            for half in [
                &part[..middle.min(40)],
                &part[part.len() - middle.min(40)..],
            ] {
                assert!(!log.contains(half), "{half} in\n{log}");
            }
        }
    }
    for word in ["0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e55", "antlers-user"] {
        assert!(!log.contains(word), "{word} in\n{log}");
    }
}

/// Sends each token over HTTP/2 with prior knowledge, by hand: preface, SETTINGS, HEADERS of plain
/// literals.
fn http2(port: u16, tokens: &[String]) {
    for token in tokens {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("it accepts");
        let host = format!("127.0.0.1:{port}");
        let value = format!("Bearer {token}");
        let mut block = Vec::new();
        for (name, value) in [
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/v1/auth"),
            (":authority", host.as_str()),
            ("authorization", value.as_str()),
        ] {
            block.push(0);
            literal(&mut block, name);
            literal(&mut block, value);
        }
        let length = u32::try_from(block.len())
            .expect("it is short")
            .to_be_bytes();
        let frames = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(),
            &[0, 0, 0, 4, 0, 0, 0, 0, 0],
            &length[1..],
            // HEADERS, END_STREAM and END_HEADERS, stream 1.
            &[1, 5, 0, 0, 0, 1],
            &block,
        ];
        stream.write_all(&frames.concat()).expect("it is sent");
        let answered = read_until_headers(&mut stream);
        assert!(answered, "HTTP/2 is answered");
    }
}

/// A string literal of HPACK without Huffman coding (RFC 7541 §5.2).
fn literal(block: &mut Vec<u8>, text: &str) {
    let mut length = text.len();
    if length < 127 {
        block.push(u8::try_from(length).expect("it is below 127"));
    } else {
        block.push(127);
        length -= 127;
        while length >= 128 {
            block.push(u8::try_from(length % 128 + 128).expect("it is below 256"));
            length /= 128;
        }
        block.push(u8::try_from(length).expect("it is below 128"));
    }
    block.extend_from_slice(text.as_bytes());
}

/// Reads frames until one is HEADERS of stream 1.
fn read_until_headers(stream: &mut std::net::TcpStream) -> bool {
    use std::io::Read as _;
    let mut head = [0; 9];
    while stream.read_exact(&mut head).is_ok() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        if stream.read_exact(&mut vec![0; length]).is_err() {
            return false;
        }
        if head[3] == 1 && head[8] == 1 {
            return true;
        }
    }
    false
}

#[test]
fn json_is_one_object_a_line() {
    let keys = jwk_set(&[forge()]);
    let json = ["--jwks", &keys, "--log-format=json"];
    let sidecar = Sidecar::start(
        &[&BASE[..], &json].concat(),
        &[("QUEUE_SIDECAR_ISUER", "x")],
    );
    assert_eq!(
        sidecar
            .connect()
            .send("GET /livez HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
            .status,
        200
    );
    sidecar.signal("TERM");
    let (code, log) = sidecar.wait();
    assert_eq!(code, Some(0));
    let events: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    let has = |message: &str| events.iter().any(|event| event["message"] == message);
    assert!(
        has("listening") && has("draining") && has("stopped"),
        "{log}"
    );
    for event in &events {
        for field in ["timestamp", "level", "target", "message"] {
            assert!(event[field].is_string(), "{field} in {event}");
        }
    }
    let answered = events.iter().find(|event| event["message"] == "answered");
    let answered = answered.expect("an answer is logged at debug");
    assert_eq!(answered["status"], 200);
    assert_eq!(answered["span"]["route"], "probe");
    let request_id = answered["span"]["request_id"].as_str().expect("a text");
    assert!(request_id.ends_with("-1"), "{request_id}");
    let unknown = events
        .iter()
        .find(|event| event["message"] == "setting_unknown");
    assert_eq!(
        unknown.expect("a misspelt variable is told")["name"],
        "QUEUE_SIDECAR_ISUER"
    );
}

#[test]
fn the_default_log_is_quiet() {
    let keys = jwk_set(&[forge()]);
    let arguments = [
        "--issuer=https://auth.example.com",
        "--audience=raptor",
        "--jwks",
        &keys,
    ];
    let sidecar = Sidecar::start(&arguments, &[]);
    for token in tokens() {
        sidecar
            .connect()
            .post(json!({ "token": token }).to_string().as_bytes());
    }
    sidecar.signal("TERM");
    let (_, log) = sidecar.wait();
    assert_eq!(
        log.lines().count(),
        4,
        "listening, ready, draining, stopped: {log}"
    );
}
