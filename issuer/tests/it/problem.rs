//! Every refusal is a problem document with a stable code.

use ::http::Method;
use queue_issuer::ProblemCode;
use serde_json::json;

use crate::harness::{Database, Issuer, RAPTOR, bearer};
use crate::http::{request, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_malformed() {
    let database = Database::sqlite();
    let issuer = Issuer::start(&database).await;
    let bearer = bearer(RAPTOR);
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        r#"{"email":1}"#,
        r#"{"email":"a@b.cc","unknown":1}"#,
        r#"{"email":"a@b.cc","email":"c@d.ee"}"#,
        r#"{"email":"a@b.cc"} trailing"#,
        "{\"email\":\"a@b.cc\u{0}\"}",
    ] {
        let headers = [("authorization", bearer.as_str())];
        let request = request(
            Method::POST,
            "/api/v1/customers",
            &headers,
            Some(body.to_owned()),
        );
        send(issuer.public, request)
            .await
            .expect_problem(400, "request_malformed");
    }
    assert_eq!(
        database
            .number("SELECT COUNT(*) FROM queue_customers")
            .await,
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rejection_of_the_framework_is_a_problem() {
    let database = Database::sqlite();
    let issuer = Issuer::start(&database).await;
    let bearer = bearer(RAPTOR);
    let auth = ("authorization", bearer.as_str());
    let body = r#"{"email":"a@b.cc"}"#;
    for media in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "application/problem+json",
    ] {
        let request = request(
            Method::POST,
            "/api/v1/customers",
            &[auth, ("content-type", media)],
            Some(body.to_owned()),
        );
        send(issuer.public, request)
            .await
            .expect_problem(415, "request_media_type_unsupported");
    }
    let bare = request(Method::POST, "/api/v1/customers", &[auth], None);
    send(issuer.public, bare)
        .await
        .expect_problem(415, "request_media_type_unsupported");
    let padding = format!(r#"{{"email":"{}"}}"#, "a".repeat(64 * 1024));
    let large = request(Method::POST, "/api/v1/customers", &[auth], Some(padding));
    send(issuer.public, large)
        .await
        .expect_problem(413, "request_too_large");
    for path in [
        "/api/v1/customers/1",
        "/api/v1/customers/%00",
        "/api/v1/customers/%ff",
        "/api/v1/customers/..%2f",
    ] {
        issuer
            .raptor(Method::GET, path, None)
            .await
            .expect_problem(400, "request_path_malformed");
    }
    for path in [
        "/api/v1/customers",
        "/api/v1/customers?email=a@b.cc&x=1",
        "/api/v1/customers?email=a@b.cc&email=c@d.ee",
    ] {
        issuer
            .raptor(Method::GET, path, None)
            .await
            .expect_problem(400, "request_query_malformed");
    }
    for path in [
        "/nothing",
        "/api/v1",
        "/api/v1/",
        "/api/v1/nothing",
        "/api/v1/keys",
        "//",
        "/api/v1//customers",
    ] {
        issuer
            .raptor(Method::GET, path, None)
            .await
            .expect_problem(404, "route_not_found");
    }
    for (method, path) in [
        (Method::DELETE, "/api/v1/customers"),
        (Method::POST, "/livez"),
        (Method::PUT, "/.well-known/jwks.json"),
    ] {
        let refused = issuer.raptor(method, path, Some(json!({}))).await;
        refused.expect_problem(405, "route_method_not_allowed");
        assert!(
            refused.header("allow").contains("GET"),
            "{path}: {:?}",
            refused.headers
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_id_is_the_callers_when_it_is_harmless() {
    let database = Database::sqlite();
    let issuer = Issuer::start(&database).await;
    let ask = async |id: &str| {
        issuer
            .call(Method::GET, "/nothing", &[("x-request-id", id)], None)
            .await
    };
    assert_eq!(
        ask("trace-0123456789").await.header("x-request-id"),
        "trace-0123456789"
    );
    for id in [
        "short",
        "with space here",
        "<script>alert(1)</script>",
        &"x".repeat(65),
    ] {
        let answer = ask(id).await;
        assert_ne!(answer.header("x-request-id"), id);
        answer.expect_problem(404, "route_not_found");
    }
}

#[test]
fn codes_are_unique_and_well_formed() {
    let mut codes: Vec<&str> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
    for code in &codes {
        assert!(
            code.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{code}"
        );
    }
    let count = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), count);
}
