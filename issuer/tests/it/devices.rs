//! What a signed-in customer may do with itself: see its devices, sign them out, change its name.

use std::time::Duration;

use ::http::Method;
use serde_json::{Value, json};

use crate::harness::{Database, Issuer, START, bearer, on_both_engines};
use crate::http::Answer;
use crate::refresh::{CSRF, ORIGIN, Seeded, as_customer};
use crate::status_list::{bits, place};

on_both_engines! {
    devices_are_the_live_sessions_of_the_customer
    a_device_is_signed_out_from_another
    all_others_are_signed_out
    logout_by_cookie_ends_this_session_only
    logout_of_all_by_access_token
    logout_of_nobody_is_done_already
    logout_after_the_access_token_ran_out_ends_the_session
    logout_with_a_copied_token_ends_its_session_and_no_other
    access_token_invalid
    a_customer_sees_and_renames_itself
    neither_address_nor_its_proof_is_changed_here
    pages_read_answers_of_bearer_routes_without_cookies
}

/// Two sessions of Ada and one of Bob; each answer of minting.
async fn minted(issuer: &Issuer) -> [Value; 3] {
    let ada = issuer.customer("ada@example.com").await;
    let bob = issuer.customer("bob@example.com").await;
    let mut minted = Vec::new();
    for customer in [&ada, &ada, &bob] {
        minted.push(issuer.mint(customer).await.expect(201));
        issuer.clock.advance(Duration::from_secs(1));
    }
    minted.try_into().unwrap()
}

fn token(minted: &Value) -> &str {
    minted["access_token"].as_str().unwrap()
}

fn sid(minted: &Value) -> &str {
    minted["session"]["session_id"].as_str().unwrap()
}

async fn is_live(issuer: &Issuer, minted: &Value) -> bool {
    let (path, idx) = place(minted);
    !bits(&issuer.get(&path).await)[idx]
}

async fn devices_are_the_live_sessions_of_the_customer(database: Database) {
    let issuer = Issuer::start(&database).await;
    let seeded = Seeded::new(&issuer, &database, "carol@example.com").await;
    issuer.clock.advance(Duration::from_secs(1));
    let second = issuer.mint(&seeded.customer).await.expect(201);
    minted(&issuer).await;
    let path = "/api/v1/auth/sessions";
    let listed = as_customer(&issuer, token(&second), Method::GET, path, None).await;
    let listed = listed.expect(200);
    let sessions = listed["sessions"].as_array().unwrap();
    let facts: Vec<_> = sessions
        .iter()
        .map(|one| {
            (
                one["session_id"].as_str().unwrap(),
                one["device"].clone(),
                one["is_current"].clone(),
                one["last_used_at"].clone(),
            )
        })
        .collect();
    let expect = [
        (sid(&second), Value::Null, json!(true), json!(START + 1)),
        (
            seeded.session.as_str(),
            json!("Firefox on Linux"),
            json!(false),
            json!(START),
        ),
    ];
    assert_eq!(facts, expect);
}

async fn a_device_is_signed_out_from_another(database: Database) {
    let issuer = Issuer::start(&database).await;
    let [here, there, bob] = minted(&issuer).await;
    let path = format!("/api/v1/auth/sessions/{}", sid(&there));
    let end = |by: &Value| {
        let (issuer, path, token) = (&issuer, path.clone(), token(by).to_owned());
        async move { as_customer(issuer, &token, Method::DELETE, &path, None).await }
    };
    end(&bob).await.expect_problem(404, "session_not_found");
    assert!(is_live(&issuer, &there).await);
    assert_eq!(end(&here).await.status.as_u16(), 204);
    assert!(!is_live(&issuer, &there).await);
    assert!(is_live(&issuer, &here).await && is_live(&issuer, &bob).await);
    end(&here).await.expect_problem(404, "session_not_found");
    end(&there)
        .await
        .expect_problem(401, "access_token_invalid");
    let event = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'session.revoked' AND actor_kind = 'customer'";
    assert_eq!(database.number(event).await, 1);
}

async fn all_others_are_signed_out(database: Database) {
    let issuer = Issuer::start(&database).await;
    let [here, there, bob] = minted(&issuer).await;
    let path = "/api/v1/auth/sessions";
    for query in ["", "?except=others", "?except=current&except=current"] {
        let path = format!("{path}{query}");
        let answer = as_customer(&issuer, token(&here), Method::DELETE, &path, None).await;
        answer.expect_problem(400, "request_query_malformed");
    }
    let path = format!("{path}?except=current");
    let answer = as_customer(&issuer, token(&here), Method::DELETE, &path, None).await;
    assert_eq!(answer.status.as_u16(), 204);
    assert!(!is_live(&issuer, &there).await);
    assert!(is_live(&issuer, &here).await && is_live(&issuer, &bob).await);
}

async fn logout(issuer: &Issuer, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
    let headers = [&[ORIGIN, CSRF], headers].concat();
    issuer
        .call(Method::POST, "/api/v1/auth/logout", &headers, body)
        .await
}

async fn logout_by_cookie_ends_this_session_only(database: Database) {
    let issuer = Issuer::start(&database).await;
    let seeded = Seeded::new(&issuer, &database, "ada@example.com").await;
    let other = issuer.mint(&seeded.customer).await.expect(201);
    let cookie = format!("__Host-queue_rt={}", seeded.token(1));
    let cookie = [("cookie", cookie.as_str())];
    let others = logout(&issuer, &cookie, Some(json!({ "sessions": "others" }))).await;
    assert_eq!(
        (others.status.as_u16(), others.header("set-cookie")),
        (204, "")
    );
    assert!(!is_live(&issuer, &other).await);
    let third = issuer.mint(&seeded.customer).await.expect(201);
    let this = logout(&issuer, &cookie, None).await;
    assert_eq!(this.status.as_u16(), 204);
    assert!(this.header("set-cookie").starts_with("__Host-queue_rt=; "));
    assert!(is_live(&issuer, &third).await);
    let live = "SELECT COUNT(*) FROM queue_sessions WHERE revoked_at IS NULL";
    assert_eq!(database.number(live).await, 1);
}

async fn logout_of_all_by_access_token(database: Database) {
    let issuer = Issuer::start(&database).await;
    let [here, there, bob] = minted(&issuer).await;
    let authorization = bearer(token(&here));
    let headers = [("authorization", authorization.as_str())];
    let foreign = issuer
        .call(Method::POST, "/api/v1/auth/logout", &headers, None)
        .await;
    foreign.expect_problem(403, "origin_refused");
    logout(&issuer, &headers, Some(json!({ "sessions": "some" })))
        .await
        .expect_problem(400, "request_malformed");
    let all = logout(&issuer, &headers, Some(json!({ "sessions": "all" }))).await;
    assert_eq!(all.status.as_u16(), 204);
    assert!(!is_live(&issuer, &here).await && !is_live(&issuer, &there).await);
    assert!(is_live(&issuer, &bob).await);
}

async fn logout_of_nobody_is_done_already(database: Database) {
    let issuer = Issuer::start(&database).await;
    let seeded = Seeded::new(&issuer, &database, "ada@example.com").await;
    let cookie = format!("__Host-queue_rt={}", seeded.token(1));
    for cookie in ["", "__Host-queue_rt=x", &cookie, &cookie] {
        let answer = logout(&issuer, &[("cookie", cookie)], None).await;
        assert_eq!(answer.status.as_u16(), 204, "{}", answer.text());
    }
    let ended = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'session.revoked'";
    assert_eq!(database.number(ended).await, 1);
}

async fn logout_after_the_access_token_ran_out_ends_the_session(database: Database) {
    let issuer = Issuer::start(&database).await;
    let seeded = Seeded::new(&issuer, &database, "ada@example.com").await;
    let stale = issuer.mint(&seeded.customer).await.expect(201);
    issuer.clock.advance(Duration::from_secs(400));
    let cookie = format!("__Host-queue_rt={}", seeded.token(1));
    let authorization = bearer(token(&stale));
    let headers = [
        ("cookie", cookie.as_str()),
        ("authorization", authorization.as_str()),
    ];
    let answer = logout(&issuer, &headers, None).await;
    assert_eq!(answer.status.as_u16(), 204, "{}", answer.text());
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    let ended = format!(
        "SELECT COUNT(*) FROM queue_sessions WHERE id = '{}' AND revoked_at IS NOT NULL",
        seeded.session
    );
    assert_eq!(database.number(&ended).await, 1);
}

async fn logout_with_a_copied_token_ends_its_session_and_no_other(database: Database) {
    let issuer = Issuer::start(&database).await;
    let seeded = Seeded::new(&issuer, &database, "ada@example.com").await;
    let other = issuer.mint(&seeded.customer).await.expect(201);
    for generation in 1..3 {
        let cookie = format!("__Host-queue_rt={}", seeded.token(generation));
        let headers = [ORIGIN, CSRF, ("cookie", cookie.as_str())];
        issuer
            .call(Method::POST, "/api/v1/auth/token/refresh", &headers, None)
            .await
            .expect(200);
    }
    let cookie = format!("__Host-queue_rt={}", seeded.token(1));
    let all = Some(json!({ "sessions": "all" }));
    let answer = logout(&issuer, &[("cookie", cookie.as_str())], all).await;
    assert_eq!(answer.status.as_u16(), 204);
    assert!(is_live(&issuer, &other).await);
    let reused = "SELECT COUNT(*) FROM queue_sessions WHERE revoke_reason = 'refresh_token_reused'";
    assert_eq!(database.number(reused).await, 1);
}

async fn access_token_invalid(database: Database) {
    let issuer = Issuer::start(&database).await;
    let [here, there, bob] = minted(&issuer).await;
    let me = |token: String| {
        let issuer = &issuer;
        async move { as_customer(issuer, &token, Method::GET, "/api/v1/auth/me", None).await }
    };
    let good = token(&here).to_owned();
    me(good.clone()).await.expect(200);
    let mut bent = good.clone();
    bent.pop();
    for text in [
        "x",
        "a.b.c",
        bent.as_str(),
        crate::harness::RAPTOR,
        &good.to_uppercase(),
    ] {
        let answer = me(text.to_owned()).await;
        answer.expect_problem(401, "access_token_invalid");
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer error=\"invalid_token\""
        );
    }
    issuer
        .get("/api/v1/auth/me")
        .await
        .expect_problem(401, "bearer_missing");
    crate::status_list::revoke(&issuer, &there).await;
    me(token(&there).to_owned())
        .await
        .expect_problem(401, "access_token_invalid");
    let suspend =
        "UPDATE queue_customers SET state = 'suspended', suspended_at = created_at WHERE id = ";
    let bob_id = bob["session"]["subject"].as_str().unwrap();
    database
        .execute(&format!("{suspend}'{bob_id}'"))
        .await
        .unwrap();
    me(token(&bob).to_owned())
        .await
        .expect_problem(401, "access_token_invalid");
    issuer.clock.advance(Duration::from_secs(400));
    me(good).await.expect_problem(401, "access_token_invalid");
}

async fn a_customer_sees_and_renames_itself(database: Database) {
    let issuer = Issuer::start(&database).await;
    let [here, ..] = minted(&issuer).await;
    let me = |method: Method, body: Option<Value>| {
        let (issuer, token) = (&issuer, token(&here).to_owned());
        async move { as_customer(issuer, &token, method, "/api/v1/auth/me", body).await }
    };
    let seen = me(Method::GET, None).await.expect(200);
    assert_eq!(seen["email"], "ada@example.com");
    assert_eq!(seen["email_verified"], false);
    assert_eq!(seen["display_name"], Value::Null);
    assert_eq!(seen["roles"], json!(["antlers-user"]));
    let name = json!({ "display_name": "Ada <b>" });
    let changed = me(Method::PATCH, Some(name)).await.expect(200);
    assert_eq!(changed["display_name"], "Ada <b>");
    let same = me(Method::PATCH, Some(json!({}))).await.expect(200);
    assert_eq!(same["display_name"], "Ada <b>");
    me(Method::PATCH, Some(json!({ "display_name": "" })))
        .await
        .expect_problem(422, "customer_display_name_invalid");
    let none = json!({ "display_name": null });
    let removed = me(Method::PATCH, Some(none)).await.expect(200);
    assert_eq!(removed["display_name"], Value::Null);
    let events = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'customer.renamed'";
    assert_eq!(database.number(events).await, 2);
}

async fn neither_address_nor_its_proof_is_changed_here(database: Database) {
    let issuer = Issuer::start(&database).await;
    let [here, ..] = minted(&issuer).await;
    for body in [
        json!({ "email": "eve@example.com" }),
        json!({ "email_verified": true }),
        json!({ "verified_at": 0 }),
        json!({ "roles": ["console-admin"] }),
        json!({ "state": "active", "display_name": "Ada" }),
    ] {
        let path = "/api/v1/auth/me";
        let answer = as_customer(&issuer, token(&here), Method::PATCH, path, Some(body)).await;
        answer.expect_problem(400, "request_malformed");
    }
    let seen = as_customer(&issuer, token(&here), Method::GET, "/api/v1/auth/me", None).await;
    let seen = seen.expect(200);
    assert_eq!(
        (&seen["email_verified"], &seen["display_name"]),
        (&json!(false), &Value::Null)
    );
}

async fn pages_read_answers_of_bearer_routes_without_cookies(database: Database) {
    let issuer = Issuer::start(&database).await;
    let [here, ..] = minted(&issuer).await;
    let authorization = bearer(token(&here));
    let headers = [("authorization", authorization.as_str()), ORIGIN];
    let answer = issuer
        .call(Method::GET, "/api/v1/auth/me", &headers, None)
        .await;
    assert_eq!(answer.header("access-control-allow-origin"), ORIGIN.1);
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    let headers = [
        ("authorization", authorization.as_str()),
        ("origin", "http://evil.example"),
    ];
    let answer = issuer
        .call(Method::GET, "/api/v1/auth/me", &headers, None)
        .await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}
