//! Suspending, resuming and erasing a customer.

use std::time::Duration;

use ::http::Method;
use serde_json::{Value, json};

use crate::harness::{Database, Issuer, VELVET, bearer, on_both_engines};
use crate::http::Answer;
use crate::refresh::{Seeded, as_customer};
use crate::status_list::{bits, place};

on_both_engines! {
    suspension_ends_every_session_at_once
    resumed_customer_signs_in_again
    a_name_is_changed_and_removed
    erasure_leaves_nothing_that_tells_who_it_was
    erased_customer_is_final
    minting_and_suspending_at_once_leave_no_session
    insufficient_scope
}

async fn change(issuer: &Issuer, id: &str, body: Value) -> Answer {
    let path = format!("/api/v1/customers/{id}");
    issuer.raptor(Method::PATCH, &path, Some(body)).await
}

async fn erase(issuer: &Issuer, id: &str) -> Answer {
    let path = format!("/api/v1/customers/{id}/erase");
    issuer.raptor(Method::POST, &path, None).await
}

async fn is_live(issuer: &Issuer, minted: &Value) -> bool {
    let (path, idx) = place(minted);
    !bits(&issuer.get(&path).await)[idx]
}

async fn suspension_ends_every_session_at_once(database: Database) {
    let issuer = Issuer::start(&database).await;
    let id = issuer.customer("ada@example.com").await;
    let (first, second) = (issuer.mint(&id).await.expect(201), {
        issuer.clock.advance(Duration::from_secs(1));
        issuer.mint(&id).await.expect(201)
    });
    let other = issuer.customer("bob@example.com").await;
    let other = issuer.mint(&other).await.expect(201);
    let suspended = change(&issuer, &id, json!({ "state": "suspended" })).await;
    assert_eq!(suspended.expect(200)["state"], "suspended");
    assert!(!is_live(&issuer, &first).await && !is_live(&issuer, &second).await);
    assert!(is_live(&issuer, &other).await);
    issuer
        .mint(&id)
        .await
        .expect_problem(409, "customer_suspended");
    let again = change(&issuer, &id, json!({ "state": "suspended" })).await;
    again.expect(200);
    let events = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'customer.suspended'";
    assert_eq!(database.number(events).await, 1);
}

async fn resumed_customer_signs_in_again(database: Database) {
    let issuer = Issuer::start(&database).await;
    let id = issuer.customer("ada@example.com").await;
    let before = issuer.mint(&id).await.expect(201);
    change(&issuer, &id, json!({ "state": "suspended" }))
        .await
        .expect(200);
    let resumed = change(&issuer, &id, json!({ "state": "active" })).await;
    assert_eq!(resumed.expect(200)["state"], "active");
    issuer.mint(&id).await.expect(201);
    assert!(!is_live(&issuer, &before).await, "what ended stays ended");
}

async fn a_name_is_changed_and_removed(database: Database) {
    let issuer = Issuer::start(&database).await;
    let id = issuer.customer("ada@example.com").await;
    let named = change(&issuer, &id, json!({ "display_name": "Ada" })).await;
    assert_eq!(named.expect(200)["display_name"], "Ada");
    let removed = change(&issuer, &id, json!({ "display_name": null })).await;
    assert_eq!(removed.expect(200)["display_name"], Value::Null);
    for (body, status, code) in [
        (json!({ "state": "erased" }), 400, "request_malformed"),
        (
            json!({ "email": "b@example.com" }),
            400,
            "request_malformed",
        ),
        (
            json!({ "display_name": "a\u{202e}b" }),
            422,
            "customer_display_name_invalid",
        ),
    ] {
        change(&issuer, &id, body)
            .await
            .expect_problem(status, code);
    }
    let nobody = "01a20b00-94db-741f-9219-ec14c43ddf3b";
    change(&issuer, nobody, json!({}))
        .await
        .expect_problem(404, "customer_not_found");
}

async fn erasure_leaves_nothing_that_tells_who_it_was(database: Database) {
    let issuer = Issuer::start(&database).await;
    let seeded = Seeded::new(&issuer, &database, "ada@example.com").await;
    let id = &seeded.customer;
    let minted = issuer.mint(id).await.expect(201);
    change(&issuer, id, json!({ "display_name": "Ada Lovelace" }))
        .await
        .expect(200);
    let erased = erase(&issuer, id).await.expect(200);
    assert_eq!(
        (
            &erased["state"],
            &erased["email"],
            &erased["display_name"],
            &erased["roles"]
        ),
        (&json!("erased"), &Value::Null, &Value::Null, &json!([]))
    );
    assert!(!is_live(&issuer, &minted).await);
    let token = minted["access_token"].as_str().unwrap();
    as_customer(&issuer, token, Method::GET, "/api/v1/auth/me", None)
        .await
        .expect_problem(401, "access_token_invalid");
    for table in [
        "queue_customer_emails",
        "queue_customer_roles",
        "queue_session_refreshes",
    ] {
        let left = format!("SELECT COUNT(*) FROM {table} WHERE tenant_id IS NOT NULL");
        assert_eq!(database.number(&left).await, 0, "{table}");
    }
    let told = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'customer.erased'";
    assert_eq!(database.number(told).await, 1);
    let again = issuer.customer("ada@example.com").await;
    assert_ne!(&again, id, "the address is free for a new customer");
}

async fn erased_customer_is_final(database: Database) {
    let issuer = Issuer::start(&database).await;
    let id = issuer.customer("ada@example.com").await;
    let first = erase(&issuer, &id).await.expect(200);
    issuer.clock.advance(Duration::from_secs(5));
    assert_eq!(erase(&issuer, &id).await.expect(200), first);
    for body in [json!({ "state": "active" }), json!({ "display_name": "A" })] {
        change(&issuer, &id, body)
            .await
            .expect_problem(409, "customer_erased");
    }
    issuer
        .mint(&id)
        .await
        .expect_problem(409, "customer_erased");
    let events = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'customer.erased'";
    assert_eq!(database.number(events).await, 1);
    let nobody = "01a20b00-94db-741f-9219-ec14c43ddf3b";
    erase(&issuer, nobody)
        .await
        .expect_problem(404, "customer_not_found");
}

async fn minting_and_suspending_at_once_leave_no_session(database: Database) {
    let issuer = Issuer::start(&database).await;
    for round in 0..5 {
        let id = issuer.customer(&format!("ada{round}@example.com")).await;
        let mints = futures_util::future::join_all((0..6).map(|_| issuer.mint(&id)));
        let suspend = change(&issuer, &id, json!({ "state": "suspended" }));
        let (_, suspended) = tokio::join!(mints, suspend);
        suspended.expect(200);
        let live = format!(
            "SELECT COUNT(*) FROM queue_sessions WHERE revoked_at IS NULL AND customer_id = '{id}'"
        );
        assert_eq!(database.number(&live).await, 0);
    }
}

async fn insufficient_scope(database: Database) {
    let issuer = Issuer::start(&database).await;
    let id = issuer.customer("ada@example.com").await;
    let headers = [("authorization", &*bearer(VELVET))];
    let path = format!("/api/v1/customers/{id}");
    issuer
        .call(Method::PATCH, &path, &headers, Some(json!({})))
        .await
        .expect_problem(403, "insufficient_scope");
    issuer
        .call(Method::POST, &format!("{path}/erase"), &headers, None)
        .await
        .expect_problem(403, "insufficient_scope");
}
