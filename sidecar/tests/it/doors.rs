//! One token, every door: each says the same of it.

use queue_verifier::{ErrorCode, ErrorKind};
use serde_json::{Value, json};

use crate::support::{
    Field, GrpcClient, Issuer, NOW, TestApp, claims, fields, forge, message, other_forge, settings,
};

/// What every door says of `token`, by door; `valid` or the code. A door that says less than the
/// code says whether it is valid.
fn outcomes(app: &TestApp, token: &str) -> Vec<(&'static str, String)> {
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let code = |status: u16, body: &Value| match status {
        200 => "valid".to_owned(),
        _ => body["code"].as_str().expect("a code").to_owned(),
    };
    let plain = |response: crate::support::Response| match response.status {
        200 => "valid".to_owned(),
        status => code(status, &response.json()),
    };
    let batch = json!({ "tokens": [token] }).to_string();
    let batch = app.connect().post_to("/v1/validate/batch", &batch).json();
    let problem = &batch["results"][0]["problem"];
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token},
    });
    let review = app
        .connect()
        .post_to("/v1/tokenreviews", &review.to_string());
    let reviewed = match &review.json()["status"]["error"] {
        Value::Null => code(review.status, &review.json()),
        error => error.as_str().expect("a code").to_owned(),
    };
    vec![
        ("validate", plain(app.validate(token))),
        (
            "body",
            plain(app.post(json!({ "token": token }).to_string())),
        ),
        (
            "batch",
            code(if problem.is_null() { 200 } else { 401 }, problem),
        ),
        ("auth", plain(app.get("/v1/auth", &bearer))),
        ("envoy", plain(app.get("/envoy/", &bearer))),
        ("tokenreviews", reviewed),
        ("grpc", by_grpc(app, token)),
    ]
}

fn by_grpc(app: &TestApp, token: &str) -> String {
    let bytes = |number, inner: Vec<u8>| message(&[Field::Bytes(number, inner)]);
    let header = message(&[
        Field::Bytes(1, b"authorization".to_vec()),
        Field::Bytes(2, format!("Bearer {token}").into_bytes()),
    ]);
    let request = bytes(1, bytes(4, bytes(2, bytes(3, header))));
    let client = GrpcClient { port: app.port };
    let answer = client.call("/envoy.service.auth.v3.Authorization/Check", &request);
    let said = fields(answer.message())
        .into_iter()
        .find_map(|field| match field {
            Field::Bytes(2 | 5, refusal) => Some(refusal),
            _ => None,
        });
    let Some(refusal) = said else {
        return "valid".to_owned();
    };
    let body = fields(&refusal).into_iter().find_map(|field| match field {
        Field::Bytes(3, body) => Some(body),
        _ => None,
    });
    let body: Value = serde_json::from_slice(&body.expect("a body")).expect("a problem");
    body["code"].as_str().expect("a code").to_owned()
}

fn introspected(app: &TestApp, token: &str) -> (u16, Value) {
    let form = format!("token={token}");
    let response = app.send(format!(
        "POST /v1/introspect HTTP/1.1\r\nHost: {{HOST}}\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    ));
    let body = response.json();
    (response.status, body["active"].clone())
}

#[test]
fn every_door_says_the_same() {
    let app = TestApp::start();
    let sign = |changes| forge().sign(&claims(changes));
    let good = sign(json!({}));
    let (signed, _) = good.rsplit_once('.').expect("a token has dots");
    let tokens = [
        (good.clone(), "valid"),
        (sign(json!({"exp": NOW - 31})), "claims_expired"),
        (
            sign(json!({"iss": "https://other.example"})),
            "claims_iss_mismatch",
        ),
        (sign(json!({"aud": "other"})), "claims_aud_mismatch"),
        (sign(json!({"sid": null, "jti": null})), "claims_missing"),
        (
            sign(json!({"cnf": {"jkt": "x"}})),
            "claims_sender_constrained",
        ),
        (format!("{signed}.{}", "A".repeat(342)), "signature_invalid"),
        (other_forge().sign(&claims(json!({}))), "key_not_found"),
        ("x".to_owned(), "token_malformed"),
        ("A".repeat(17 * 1024), "token_too_large"),
        (format!("{good}."), "token_malformed"),
    ];
    for (token, expected) in tokens {
        for (door, outcome) in outcomes(&app, &token) {
            assert_eq!(outcome, expected, "{door}");
        }
        let active = json!(expected == "valid");
        assert_eq!(introspected(&app, &token), (200, active), "{expected}");
    }
}

#[test]
fn no_door_decides_without_keys() {
    let issuer = Issuer::failing();
    let mut fetching = settings();
    fetching.issuer.keys = issuer.keys();
    let app = TestApp::with(&fetching);
    assert_eq!(ErrorCode::KeySetUnavailable.kind(), ErrorKind::Fault);
    let good = forge().sign(&claims(json!({})));
    for (door, outcome) in outcomes(&app, &good) {
        assert_eq!(outcome, "key_set_unavailable", "{door}");
    }
    assert_eq!(introspected(&app, &good), (503, Value::Null));
}
