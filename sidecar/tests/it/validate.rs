//! `POST /v1/validate`.

use serde_json::json;

use crate::support::{TestApp, claims, forge};

#[test]
fn a_token_in_the_header_gets_its_session() {
    let app = TestApp::start();
    let response = app.validate(&forge().sign(&claims(json!({}))));
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.json()["subject"], "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e55");
    app.join();
}
