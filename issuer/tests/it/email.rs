//! Proofs of addresses: a code from the mailbox verifies an address, changes it, or signs its owner in.

use std::time::Duration;

use ::http::Method;
use serde_json::json;

use crate::harness::{Database, FakeClock, Issuer, eventually, on_both_engines};
use crate::mailbox::{Mailbox, Page, body_without_instance, events, mails, signed_in};

on_both_engines! {
    address_is_verified
    verification_failed_tells_nothing
    verification_failed_once_the_code_is_ten_minutes_old
    tries_are_counted_and_end
    code_is_spent_once_of_many_at_once
    new_code_voids_the_one_before
    codes_mailed_to_one_address_are_bounded
    unknown_address_gets_the_same_answer
    verify_of_another_address_sends_nothing
    bearer_missing_where_nobody_is_signed_in
    origin_refused_without_a_page
    email_is_never_set_by_the_profile
    expired_proofs_are_removed
}

const ADA: &str = "ada@example.com";

async fn address_is_verified(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mailbox = Mailbox::of(&database);
    let customer = issuer.customer(ADA).await;
    let page = signed_in(&issuer, &database, &customer).await;
    let me = page.call(Method::GET, "/api/v1/auth/me", None).await;
    assert_eq!(me.expect(200)["email_verified"], false);
    let asked = page
        .post(
            "/api/v1/auth/email/verification",
            json!({ "purpose": "verify" }),
        )
        .await;
    let waiting = asked.expect(202);
    assert_eq!(waiting["expires_in"], 600);
    assert_eq!(waiting.as_object().unwrap().len(), 2);
    let id = waiting["verification_id"].as_str().unwrap();
    let code = mailbox.code(ADA).await;
    let typed = format!(" {} {}", &code[..4], &code[4..]);
    assert_eq!(page.show(id, &typed).await.status, 204);
    let me = page.call(Method::GET, "/api/v1/auth/me", None).await;
    assert_eq!(me.expect(200)["email_verified"], true);
    page.show(id, &code)
        .await
        .expect_problem(422, "verification_failed");
    for action in ["email.code_requested", "email.verified"] {
        assert_eq!(events(&database, action).await, 1, "{action}");
    }
    let told = "SELECT COUNT(*) FROM customer_audit_events WHERE CAST(actor_id AS TEXT) LIKE '%@%' OR target_id LIKE '%@%' OR details LIKE '%@%'";
    assert_eq!(database.number(told).await, 0);
}

/// Hazard I21.
async fn verification_failed_tells_nothing(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mailbox = Mailbox::of(&database);
    let customer = issuer.customer(ADA).await;
    let eve = issuer.customer("eve@example.com").await;
    let page = signed_in(&issuer, &database, &customer).await;
    let id = page.ask(json!({ "purpose": "verify" })).await;
    let code = mailbox.code(ADA).await;
    let wrong = if code == "00000000" { "1" } else { "00000000" };
    let other_session = issuer.mint(&customer).await.expect(201);
    let foreign = issuer.mint(&eve).await.expect(201);
    let token = |minted: &serde_json::Value| minted["access_token"].as_str().unwrap().to_owned();
    let other_browser = Page::new(&issuer);
    other_browser
        .ask(json!({ "purpose": "recover", "email": "no@example.com" }))
        .await;
    let unknown = "01a20b00-94db-741f-9219-ec14c43ddf3b";
    let refused = [
        page.show(&id, wrong).await,
        page.show(&id, "").await,
        page.show(unknown, &code).await,
        Page::new(&issuer).show(&id, &code).await,
        other_browser.show(&id, &code).await,
        page.with_token(&token(&other_session))
            .show(&id, &code)
            .await,
        page.with_token(&token(&foreign)).show(&id, &code).await,
    ];
    for answer in &refused {
        answer.expect_problem(422, "verification_failed");
        assert_eq!(
            body_without_instance(answer),
            body_without_instance(&refused[0])
        );
    }
    // The two that were tries are counted; a stranger takes none from the owner.
    assert_eq!(attempts(&database).await, 2);
    assert_eq!(events(&database, "email.confirmation_failed").await, 2);
}

async fn verification_failed_once_the_code_is_ten_minutes_old(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mailbox = Mailbox::of(&database);
    issuer.customer(ADA).await;
    let page = Page::new(&issuer);
    let ask = json!({ "purpose": "recover", "email": ADA });
    let id = page.ask(ask.clone()).await;
    let code = mailbox.code(ADA).await;
    issuer.clock.advance(Duration::from_secs(600));
    page.show(&id, &code)
        .await
        .expect_problem(422, "verification_failed");
    assert_eq!(attempts(&database).await, 0);
    let id = page.ask(ask).await;
    let code = mailbox.code(ADA).await;
    issuer.clock.advance(Duration::from_millis(599_999));
    page.show(&id, &code).await.expect(200);
}

async fn attempts(database: &Database) -> i64 {
    let sum = "SELECT CAST(SUM(attempts) AS BIGINT) FROM queue_email_verifications";
    database.number(sum).await
}

/// Hazard I25.
async fn tries_are_counted_and_end(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mailbox = Mailbox::of(&database);
    issuer.customer(ADA).await;
    let page = Page::new(&issuer);
    let ask = json!({ "purpose": "recover", "email": ADA });
    let id = page.ask(ask.clone()).await;
    let code = mailbox.code(ADA).await;
    for tried in 1..=5 {
        page.show(&id, "x").await;
        assert_eq!(attempts(&database).await, tried);
    }
    page.show(&id, &code)
        .await
        .expect_problem(422, "verification_failed");
    assert_eq!(attempts(&database).await, 5);
    assert_eq!(events(&database, "email.confirmation_failed").await, 5);

    // What fails after the comparison gives the try no more back than a wrong code does.
    let id = page.ask(ask).await;
    let code = mailbox.code(ADA).await;
    database.execute(SUSPEND).await.unwrap();
    page.show(&id, &code)
        .await
        .expect_problem(422, "verification_failed");
    assert_eq!(attempts(&database).await, 6);
    assert_eq!(events(&database, "email.confirmation_failed").await, 6);
    assert_eq!(events(&database, "session.opened").await, 0);
}

const SUSPEND: &str = "UPDATE queue_customers SET state = 'suspended', suspended_at = created_at";

async fn code_is_spent_once_of_many_at_once(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mailbox = Mailbox::of(&database);
    issuer.customer(ADA).await;
    let page = Page::new(&issuer);
    let id = page
        .ask(json!({ "purpose": "recover", "email": ADA }))
        .await;
    let code = mailbox.code(ADA).await;
    let show = || page.show(&id, &code);
    let (a, b, c, d) = tokio::join!(show(), show(), show(), show());
    let mut statuses = [a, b, c, d].map(|answer| answer.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 422, 422, 422]);
    assert_eq!(events(&database, "session.opened").await, 1);
}

async fn new_code_voids_the_one_before(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mailbox = Mailbox::of(&database);
    issuer.customer(ADA).await;
    let page = Page::new(&issuer);
    let ask = json!({ "purpose": "recover", "email": ADA });
    let first = page.ask(ask.clone()).await;
    let code = mailbox.code(ADA).await;
    let second = page
        .ask(json!({ "purpose": "recover", "email": "ADA@Example.com" }))
        .await;
    let newer = mailbox.code(ADA).await;
    for (id, code) in [(&first, &code), (&first, &newer), (&second, &code)] {
        // Once in 10^8 runs the two codes are the same.
        page.show(id, code)
            .await
            .expect_problem(422, "verification_failed");
    }
    let live = "SELECT COUNT(*) FROM queue_email_verifications WHERE consumed_at IS NULL AND voided_at IS NULL";
    assert_eq!(database.number(live).await, 1);
    // Asked for at once, one is live.
    let (a, b, c) = tokio::join!(page.ask(ask.clone()), page.ask(ask.clone()), page.ask(ask));
    assert_eq!(std::collections::BTreeSet::from([a, b, c]).len(), 3);
    assert_eq!(database.number(live).await, 1);
}

async fn codes_mailed_to_one_address_are_bounded(database: Database) {
    let clock = FakeClock::new();
    let issuer = Issuer::start_with(&database, &[], clock).await;
    issuer.customer(ADA).await;
    let recover = json!({ "purpose": "recover", "email": ADA });
    let stranger = Page::new(&issuer);
    for asked in 1..=8 {
        stranger.ask(recover.clone()).await;
        assert_eq!(mails(&database, "verification_code").await, asked.min(5));
    }
    // Every one from a browser of its own: the stranger has left some for the owner.
    for asked in 6..=24 {
        Page::new(&issuer).ask(recover.clone()).await;
        assert_eq!(mails(&database, "verification_code").await, asked.min(20));
    }
    issuer.clock.advance(Duration::from_secs(3_600));
    stranger.ask(recover).await;
    assert_eq!(mails(&database, "verification_code").await, 21);
}

/// Hazard I23.
async fn unknown_address_gets_the_same_answer(database: Database) {
    let issuer = Issuer::start(&database).await;
    issuer.customer(ADA).await;
    let suspended = issuer.customer("sue@example.com").await;
    let suspend = format!("{SUSPEND} WHERE id = '{suspended}'");
    database.execute(&suspend).await.unwrap();
    let ask = async |email: &str| {
        let body = json!({ "purpose": "recover", "email": email });
        let page = Page::new(&issuer);
        let answer = page.post("/api/v1/auth/email/verification", body).await;
        let id = answer.expect(202)["verification_id"]
            .as_str()
            .unwrap()
            .to_owned();
        let shape: Vec<(String, usize)> = answer
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.len()))
            .collect();
        let refused = page.show(&id, "00000000").await;
        (
            (answer.status, answer.body.len(), shape),
            body_without_instance(&refused),
        )
    };
    let known = ask(ADA).await;
    for email in ["eve@example.com", "sue@example.com"] {
        assert_eq!(ask(email).await, known, "{email}");
    }
    assert_eq!(mails(&database, "verification_code").await, 1);
    assert_eq!(events(&database, "email.code_requested").await, 3);
    assert_eq!(events(&database, "email.confirmation_failed").await, 3);
}

async fn verify_of_another_address_sends_nothing(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer(ADA).await;
    issuer.customer("eve@example.com").await;
    let page = signed_in(&issuer, &database, &customer).await;
    for email in ["eve@example.com", "no@example.com"] {
        page.ask(json!({ "purpose": "verify", "email": email }))
            .await;
    }
    assert_eq!(mails(&database, "verification_code").await, 0);
    page.ask(json!({ "purpose": "verify", "email": ADA })).await;
    assert_eq!(mails(&database, "verification_code").await, 1);
}

async fn bearer_missing_where_nobody_is_signed_in(database: Database) {
    let issuer = Issuer::start(&database).await;
    let page = Page::new(&issuer);
    let path = "/api/v1/auth/email/verification";
    for body in [
        json!({ "purpose": "verify", "email": ADA }),
        json!({ "purpose": "change", "email": ADA }),
    ] {
        page.post(path, body)
            .await
            .expect_problem(401, "bearer_missing");
    }
    for body in [
        json!({ "purpose": "recover" }),
        json!({ "purpose": "other", "email": ADA }),
        json!({ "purpose": "recover", "email": ADA, "verified": true }),
    ] {
        page.post(path, body)
            .await
            .expect_problem(400, "request_malformed");
    }
    let unsound = json!({ "purpose": "recover", "email": "a@b@c.de" });
    page.post(path, unsound)
        .await
        .expect_problem(422, "customer_email_invalid");
}

async fn origin_refused_without_a_page(database: Database) {
    let issuer = Issuer::start(&database).await;
    for (path, body) in [
        (
            "/api/v1/auth/email/verification",
            json!({ "purpose": "recover", "email": ADA }),
        ),
        (
            "/api/v1/auth/email/verification/01a20b00-94db-741f-9219-ec14c43ddf3b/confirm",
            json!({ "code": "00000000" }),
        ),
        (
            "/api/v1/auth/backup-codes/verify",
            json!({ "email": ADA, "code": "0000-0000-0000-0000" }),
        ),
    ] {
        issuer
            .call(Method::POST, path, &[], Some(body))
            .await
            .expect_problem(403, "origin_refused");
    }
}

/// Hazard I20.
async fn email_is_never_set_by_the_profile(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer(ADA).await;
    let page = signed_in(&issuer, &database, &customer).await;
    for body in [
        json!({ "email": "eve@example.com" }),
        json!({ "email_verified": true }),
        json!({ "verified_at": 1 }),
        json!({ "display_name": "Ada", "email_verified": true }),
    ] {
        page.call(Method::PATCH, "/api/v1/auth/me", Some(body))
            .await
            .expect_problem(400, "request_malformed");
    }
    let me = page.call(Method::GET, "/api/v1/auth/me", None).await;
    let me = me.expect(200);
    assert_eq!(
        (&me["email"], &me["email_verified"], &me["display_name"]),
        (&json!(ADA), &json!(false), &json!(null))
    );
}

async fn expired_proofs_are_removed(database: Database) {
    let clock = FakeClock::new();
    let issuer = Issuer::start_with(&database, &[], clock.clone()).await;
    let ask = json!({ "purpose": "recover", "email": ADA });
    Page::new(&issuer).ask(ask.clone()).await;
    clock.advance(Duration::from_secs(1));
    Page::new(&issuer).ask(ask).await;
    issuer.stop().await.unwrap();
    clock.advance(Duration::from_secs(600 + 3_600 - 1));
    let again = Issuer::start_with(&database, &[], clock).await;
    let kept = "SELECT COUNT(*) FROM queue_email_verifications";
    eventually("the older one is gone", async || {
        database.number(kept).await == 1
    })
    .await;
    again.stop().await.unwrap();
}
