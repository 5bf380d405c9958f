//! Callers: known by one bearer token, allowed what their scopes say.

use ::http::Method;
use serde_json::json;

use crate::harness::{Database, Issuer, OPS, RAPTOR, VELVET, bearer};
use crate::http::{request, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bearer_missing_malformed_and_unknown() {
    let database = Database::sqlite();
    let issuer = Issuer::start(&database).await;
    let path = "/api/v1/customers?email=a@b.cc";
    let nobody = issuer.call(Method::GET, path, &[], None).await;
    nobody.expect_problem(401, "bearer_missing");
    assert_eq!(nobody.header("www-authenticate"), "Bearer");
    let good = bearer(RAPTOR);
    let long = bearer(&"x".repeat(8_000));
    let longer = bearer(&format!("{RAPTOR}x"));
    for (value, status, code) in [
        ("Basic cmFwdG9yOng=", 401, "bearer_missing"),
        ("Bearer", 400, "bearer_malformed"),
        ("Bearer ", 400, "bearer_malformed"),
        ("Bearer a b", 400, "bearer_malformed"),
        ("Bearer a,b", 400, "bearer_malformed"),
        ("Bearer unknown", 401, "service_token_invalid"),
        (long.as_str(), 401, "service_token_invalid"),
        (longer.as_str(), 401, "service_token_invalid"),
        (&good[..good.len() - 1], 401, "service_token_invalid"),
    ] {
        let refused = issuer
            .call(Method::GET, path, &[("authorization", value)], None)
            .await;
        refused.expect_problem(status, code);
        assert!(
            refused.header("www-authenticate").starts_with("Bearer"),
            "{value}"
        );
    }
    let twice = issuer
        .call(
            Method::GET,
            path,
            &[("authorization", &good), ("authorization", &good)],
            None,
        )
        .await;
    twice.expect_problem(400, "bearer_malformed");
    let lower = good.replace("Bearer", "bearer");
    let found = issuer
        .call(Method::GET, path, &[("authorization", &lower)], None)
        .await;
    found.expect_problem(404, "customer_not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn insufficient_scope() {
    let database = Database::sqlite();
    let issuer = Issuer::start(&database).await;
    let some = "01a20b00-94db-741f-9219-ec14c43ddf3b";
    let velvet = bearer(VELVET);
    for (path, body, scope) in [
        (
            "/api/v1/customers".to_owned(),
            json!({ "email": "a@b.cc" }),
            "customers:write",
        ),
        (
            "/api/v1/service/sessions".to_owned(),
            json!({ "customer_id": some }),
            "sessions:mint",
        ),
        (
            format!("/api/v1/service/sessions/{some}/revoke"),
            json!({}),
            "sessions:revoke",
        ),
    ] {
        let refused = issuer
            .call(
                Method::POST,
                &path,
                &[("authorization", &velvet)],
                Some(body),
            )
            .await;
        refused.expect_problem(403, "insufficient_scope");
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
        assert_eq!(refused.header("www-authenticate"), challenge);
    }
    let ops = bearer(OPS);
    issuer
        .call(
            Method::GET,
            &format!("/api/v1/customers/{some}"),
            &[("authorization", &ops)],
            None,
        )
        .await
        .expect_problem(403, "insufficient_scope");
    for (method, path) in [
        (Method::GET, "/api/v1/keys"),
        (Method::POST, "/api/v1/keys"),
        (Method::POST, "/api/v1/keys/x/revoke"),
        (Method::POST, "/api/v1/keys/x/activate"),
    ] {
        let raptor = bearer(RAPTOR);
        let body = (method == Method::POST).then(|| "{}".to_owned());
        let refused = send(
            issuer.ops,
            request(
                method.clone(),
                path,
                &[("authorization", &raptor)],
                body.clone(),
            ),
        )
        .await;
        refused.expect_problem(403, "insufficient_scope");
        send(issuer.ops, request(method, path, &[], body))
            .await
            .expect_problem(401, "bearer_missing");
    }
}
