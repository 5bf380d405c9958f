//! `POST /v1/tokenreviews`: Kubernetes asks who a token is.

use queue_sidecar::settings::IssuerSettings;
use queue_verifier::{KeySource, Profile};
use serde_json::{Value, json};

use crate::support::{
    AUDIENCE, Issuer, NOW, Response, TestApp, claims, forge, jwk_set, other_forge, settings,
};

fn review(app: &TestApp, spec: &Value) -> Response {
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "metadata": {"creationTimestamp": null}, "spec": spec, "ofTomorrow": [1],
    });
    app.connect().post_to("/v1/tokenreviews", &body.to_string())
}

fn good() -> String {
    forge().sign(&claims(json!({})))
}

fn error(response: &Response) -> Value {
    assert_eq!(response.status, 200);
    let status = response.json()["status"].clone();
    assert_eq!(status["authenticated"], false);
    assert_eq!(status["user"], Value::Null);
    assert_eq!(status["audiences"], Value::Null);
    status["error"].clone()
}

#[test]
fn a_good_token_is_a_user() {
    let app = TestApp::start();
    let response = review(
        &app,
        &json!({"token": good(), "audiences": ["other", AUDIENCE]}),
    );
    let expected = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "metadata": {"creationTimestamp": null},
        "spec": {"audiences": ["other", AUDIENCE]},
        "status": {
            "authenticated": true,
            "user": {
                "username": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e55",
                "uid": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e55",
                "groups": ["antlers-user", "billing"],
                "extra": {
                    "queue/issuer": ["https://auth.example.com"],
                    "queue/session": ["0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e57"],
                    "queue/tenant": ["00000000-0000-7000-8000-000000000001"],
                    "queue/client": ["antlers"],
                    "queue/acr": ["urn:queue:acr:passkey-uv"],
                    "queue/scope": ["openid", "profile"],
                },
            },
            "audiences": [AUDIENCE],
        },
    });
    assert_eq!(response.json(), expected);
}

#[test]
fn without_audiences_those_of_the_sidecar_are_meant() {
    let app = TestApp::start();
    let token = forge().sign(&claims(json!({"aud": [AUDIENCE, "other"]})));
    for audiences in [json!(null), json!([])] {
        let response = review(&app, &json!({"token": token, "audiences": audiences}));
        assert_eq!(response.json()["status"]["audiences"], json!([AUDIENCE]));
    }
    let both = review(
        &app,
        &json!({"token": token, "audiences": ["other", AUDIENCE, "third"]}),
    );
    assert_eq!(
        both.json()["status"]["audiences"],
        json!(["other", AUDIENCE])
    );
}

#[test]
fn a_token_for_none_of_the_audiences_is_nobody() {
    let app = TestApp::start();
    let response = review(&app, &json!({"token": good(), "audiences": ["other", ""]}));
    assert_eq!(error(&response), "claims_aud_mismatch");
}

#[test]
fn a_bad_token_is_nobody() {
    let app = TestApp::start();
    let expired = forge().sign(&claims(json!({"exp": NOW - 31})));
    for (token, code) in [
        (json!(expired), "claims_expired"),
        (json!("x"), "token_malformed"),
        (json!(""), "bearer_missing"),
        (json!(null), "bearer_missing"),
    ] {
        assert_eq!(error(&review(&app, &json!({ "token": token }))), code);
    }
    assert_eq!(error(&review(&app, &json!({}))), "bearer_missing");
}

#[test]
fn nobody_becomes_kubernetes_itself() {
    let app = TestApp::start();
    for changes in [
        json!({"sub": "system:admin"}),
        json!({"sub": "System:Admin"}),
        json!({"roles": ["billing", "system:masters"]}),
    ] {
        let token = forge().sign(&claims(changes));
        assert_eq!(
            error(&review(&app, &json!({ "token": token }))),
            "subject_reserved"
        );
    }
    let mut foreign = settings();
    foreign.issuer.profile = Profile::Jwt;
    let app = TestApp::with(&foreign);
    let nameless = json!({"iss": crate::support::ISSUER, "aud": AUDIENCE, "exp": NOW + 1});
    let token = forge().sign_as(&json!({"alg": "RS256", "kid": "key-1"}), &nameless);
    assert_eq!(
        error(&review(&app, &json!({ "token": token }))),
        "subject_reserved"
    );
}

#[test]
fn users_of_further_issuers_say_whose_they_are() {
    let mut two = settings();
    let other = "https://login.example.net";
    let keys = KeySource::jwk_set(jwk_set(&[other_forge()]));
    two.also.push(IssuerSettings::new(other, ["cluster"], keys));
    let app = TestApp::with(&two);
    let token = other_forge().sign(&claims(json!({
        "iss": other, "aud": "cluster", "sub": "root", "roles": ["system:masters"],
    })));
    let status = review(&app, &json!({ "token": token })).json()["status"].clone();
    assert_eq!(status["user"]["username"], "https://login.example.net#root");
    assert_eq!(
        status["user"]["groups"],
        json!(["https://login.example.net#system:masters"])
    );
    assert_eq!(status["audiences"], json!(["cluster"]));
}

#[test]
fn what_cannot_be_decided_is_no_review() {
    let issuer = Issuer::failing();
    let mut fetching = settings();
    fetching.issuer.keys = issuer.keys();
    let app = TestApp::with(&fetching);
    review(&app, &json!({ "token": good() })).problem(503, "key_set_unavailable");
}

#[test]
fn request_malformed() {
    let app = TestApp::start();
    let spec = json!({ "token": good() });
    for body in [
        json!({}),
        json!([]),
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}),
        json!({"apiVersion": "authentication.k8s.io/v1beta1", "kind": "TokenReview", "spec": spec}),
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "Pod", "spec": spec}),
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": 1}}),
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"audiences": "a"}}),
    ] {
        let response = app.connect().post_to("/v1/tokenreviews", &body.to_string());
        response.problem(400, "request_malformed");
    }
}
