//! Whoever asks about an address learns nothing from the work that follows: it is counted, not timed.

use ::http::Method;
use serde_json::{Value, json};

use crate::browser::{Browser, LOGIN_OPTIONS, REGISTER_OPTIONS, sign_up};
use crate::harness::{Database, Issuer, on_both_engines};
use crate::mailbox::Page;

on_both_engines! {
    address_nobody_owns_costs_as_many_statements
}

const PROOFS: &str = "/api/v1/auth/email/verification";
const CONFIRM: &str = "/api/v1/auth/email/verification/{id}/confirm";
const CODES: &str = "/api/v1/auth/backup-codes/verify";

/// Statements run for requests of `route` so far.
async fn statements(issuer: &Issuer, route: &str) -> u64 {
    let metrics = issuer.get("/metrics").await.text();
    let start = format!("queue_issuer_statements_total{{route=\"{route}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
    line.map_or(0, |number| number.parse().unwrap())
}

/// What each route costs that a stranger may ask about `email`, and how it answers.
async fn asked_about(issuer: &Issuer, email: &str) -> Vec<(&'static str, u16, u64)> {
    let mut costs = Vec::new();
    let page = Page::new(issuer);
    let mut id = String::new();
    for route in [PROOFS, CONFIRM, CODES, LOGIN_OPTIONS, REGISTER_OPTIONS] {
        let before = statements(issuer, route).await;
        let answer = match route {
            CONFIRM => page.show(&id, "x").await,
            _ => page.post(route, body(route, email)).await,
        };
        if route == PROOFS {
            let asked: Value = answer.json();
            asked["verification_id"]
                .as_str()
                .unwrap()
                .clone_into(&mut id);
        }
        let cost = statements(issuer, route).await - before;
        costs.push((route, answer.status.as_u16(), cost));
    }
    costs
}

fn body(route: &str, email: &str) -> Value {
    match route {
        PROOFS => json!({ "purpose": "recover", "email": email }),
        CODES => json!({ "email": email, "code": "0000-0000-0000-0000" }),
        _ => json!({ "email": email }),
    }
}

/// Hazard I23.
async fn address_nobody_owns_costs_as_many_statements(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut ada: Browser = sign_up(&issuer, "ada@example.com").await;
    ada.add_passkey("second").await.expect(201);
    ada.call(Method::POST, "/api/v1/auth/backup-codes", None)
        .await
        .expect(201);
    let customer = issuer.customer("sue@example.com").await;
    let suspended = json!({ "state": "suspended" });
    issuer
        .raptor(
            Method::PATCH,
            &format!("/api/v1/customers/{customer}"),
            Some(suspended),
        )
        .await
        .expect(200);
    let known = asked_about(&issuer, "ada@example.com").await;
    assert!(known.iter().all(|(_, _, cost)| *cost > 0), "{known:?}");
    for email in ["nobody@example.com", "sue@example.com"] {
        assert_eq!(asked_about(&issuer, email).await, known, "{email}");
    }
}
