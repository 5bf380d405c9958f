//! Addresses change hands: one is replaced by another, and one lets its owner back in.

use std::time::Duration;

use ::http::Method;
use serde_json::json;

use crate::harness::{Database, Issuer, look_into, on_both_engines};
use crate::mailbox::{Mailbox, Page, events, mails, set_cookie, signed_in};

on_both_engines! {
    address_is_changed
    insufficient_user_authentication_to_change_the_address
    taken_address_fails_like_a_wrong_code
    change_voids_what_was_asked_before
    recovery_signs_in
    recovery_of_an_unproved_address_ends_what_came_before
    recovery_in_one_browser_is_no_use_in_another
}

const ADA: &str = "ada@example.com";
const NEW: &str = "ada@example.org";

async fn change<'a>(page: &Page<'a>, to: &str) -> String {
    page.ask(json!({ "purpose": "change", "email": to })).await
}

/// Hazard I28.
async fn address_is_changed(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mailbox = Mailbox::of(&database);
    let customer = issuer.customer(ADA).await;
    let page = signed_in(&issuer, &database, &customer).await;
    let id = change(&page, NEW).await;
    let code = mailbox.code(NEW).await;
    let me = page.call(Method::GET, "/api/v1/auth/me", None).await;
    assert_eq!(me.expect(200)["email"], ADA, "asking changes nothing");
    assert_eq!(page.show(&id, &code).await.status, 204);
    let me = page.call(Method::GET, "/api/v1/auth/me", None).await;
    let me = me.expect(200);
    assert_eq!(
        (&me["email"], &me["email_verified"]),
        (&json!(NEW), &json!(true))
    );
    mailbox.take(ADA, "was changed").await;
    assert_eq!(mails(&database, "address_changed").await, 1);
    assert_eq!(events(&database, "email.changed").await, 1);
    // The address that was left is free.
    assert_ne!(issuer.customer(ADA).await, customer);
}

async fn insufficient_user_authentication_to_change_the_address(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer(ADA).await;
    let minted = issuer.mint(&customer).await.expect(201);
    let legacy = Page::new(&issuer).with_token(minted["access_token"].as_str().unwrap());
    let path = "/api/v1/auth/email/verification";
    let body = json!({ "purpose": "change", "email": NEW });
    legacy
        .post(path, body.clone())
        .await
        .expect_problem(401, "insufficient_user_authentication");
    let page = signed_in(&issuer, &database, &customer).await;
    let long_ago = "UPDATE queue_sessions SET auth_time = created_at WHERE 1 = 1";
    database.execute(long_ago).await.unwrap();
    page.post(path, body.clone()).await.expect(202);
    let past = if database.is_postgres() {
        "UPDATE queue_sessions SET auth_time = auth_time - INTERVAL '301 seconds'"
    } else {
        "UPDATE queue_sessions SET auth_time = auth_time - 301000000"
    };
    database.execute(past).await.unwrap();
    page.post(path, body)
        .await
        .expect_problem(401, "insufficient_user_authentication");
}

async fn taken_address_fails_like_a_wrong_code(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mailbox = Mailbox::of(&database);
    let customer = issuer.customer(ADA).await;
    issuer.customer("eve@example.com").await;
    let page = signed_in(&issuer, &database, &customer).await;
    let taken = change(&page, "eve@example.com").await;
    assert_eq!(mails(&database, "verification_code").await, 0);
    page.show(&taken, "00000000")
        .await
        .expect_problem(422, "verification_failed");
    // Taken after the code was mailed.
    let id = change(&page, NEW).await;
    let code = mailbox.code(NEW).await;
    issuer.customer(NEW).await;
    page.show(&id, &code)
        .await
        .expect_problem(422, "verification_failed");
    let me = page.call(Method::GET, "/api/v1/auth/me", None).await;
    assert_eq!(me.expect(200)["email"], ADA);
    assert_eq!(events(&database, "email.changed").await, 0);
    assert_eq!(events(&database, "email.confirmation_failed").await, 2);
    let tried = "SELECT COUNT(*) FROM queue_email_verifications WHERE attempts = 1";
    assert_eq!(database.number(tried).await, 2);
}

/// Hazard I22.
async fn change_voids_what_was_asked_before(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mailbox = Mailbox::of(&database);
    let customer = issuer.customer(ADA).await;
    let page = signed_in(&issuer, &database, &customer).await;
    let lost = Page::new(&issuer);
    let recover = lost
        .ask(json!({ "purpose": "recover", "email": ADA }))
        .await;
    let recover_code = mailbox.code(ADA).await;
    let other = change(&page, "ada@example.net").await;
    let other_code = mailbox.code("ada@example.net").await;
    let id = change(&page, NEW).await;
    let code = mailbox.code(NEW).await;
    assert_eq!(page.show(&id, &code).await.status, 204);
    lost.show(&recover, &recover_code)
        .await
        .expect_problem(422, "verification_failed");
    page.show(&other, &other_code)
        .await
        .expect_problem(422, "verification_failed");
    let live = "SELECT COUNT(*) FROM queue_email_verifications WHERE consumed_at IS NULL AND voided_at IS NULL";
    assert_eq!(database.number(live).await, 0);
    let me = page.call(Method::GET, "/api/v1/auth/me", None).await;
    assert_eq!(me.expect(200)["email"], NEW);
}

async fn add_passkey(database: &Database, customer: &str) {
    let (id, time) = if database.is_postgres() {
        ("'\\x00112233445566778899aabbccddeeff'", "now()")
    } else {
        ("x'00112233445566778899aabbccddeeff'", "1")
    };
    let (no, yes) = if database.is_postgres() {
        ("FALSE", "TRUE")
    } else {
        ("0", "1")
    };
    let sql = format!(
        "INSERT INTO queue_webauthn_credentials (id, tenant_id, customer_id, credential_id, name, passkey,
            backup_eligible, backup_state, slot, created_at, updated_at)
         VALUES ('01a20b00-94db-741f-9219-ec14c43ddf3b', '00000000-0000-7000-8000-000000000001', '{customer}', {id},
            'Key', '{{}}', {yes}, {no}, 1, {time}, {time})"
    );
    database.execute(&sql).await.unwrap();
}

async fn passkeys(database: &Database) -> i64 {
    database
        .number("SELECT COUNT(*) FROM queue_webauthn_credentials")
        .await
}

async fn recovery_signs_in(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mailbox = Mailbox::of(&database);
    let customer = issuer.customer(ADA).await;
    let before = signed_in(&issuer, &database, &customer).await;
    let id = before.ask(json!({ "purpose": "verify" })).await;
    let code = mailbox.code(ADA).await;
    assert_eq!(before.show(&id, &code).await.status, 204);
    add_passkey(&database, &customer).await;
    let page = Page::new(&issuer);
    let id = page
        .ask(json!({ "purpose": "recover", "email": ADA }))
        .await;
    let code = mailbox.code(ADA).await;
    let answer = page.show(&id, &code).await;
    let opened = answer.expect(200);
    let session = &opened["session"];
    assert_eq!(session["acr"], "urn:queue:acr:recovery");
    assert_eq!(session["amr"], json!(["otp"]));
    assert_eq!(session["subject"], customer);
    let token = opened["access_token"].as_str().unwrap();
    assert_eq!(look_into(token).1["acr"], "urn:queue:acr:recovery");
    assert!(set_cookie(&answer, "__Host-queue_rt").is_some());
    mailbox.take(ADA, "was recovered").await;
    for action in ["email.recovered", "session.opened"] {
        assert_eq!(events(&database, action).await, 1, "{action}");
    }
    // The address was proved before: what the customer had stays.
    assert_eq!(passkeys(&database).await, 1);
    let me = before.call(Method::GET, "/api/v1/auth/me", None).await;
    me.expect(200);
    // A recovered session is not enough for what asks for a passkey.
    let path = "/api/v1/auth/backup-codes";
    page.with_token(token)
        .call(Method::POST, path, None)
        .await
        .expect_problem(401, "insufficient_user_authentication");
}

/// Hazard I27.
async fn recovery_of_an_unproved_address_ends_what_came_before(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mailbox = Mailbox::of(&database);
    let customer = issuer.customer(ADA).await;
    let squatter = signed_in(&issuer, &database, &customer).await;
    add_passkey(&database, &customer).await;
    let made = squatter
        .call(Method::POST, "/api/v1/auth/backup-codes", None)
        .await;
    let backup_code = made.expect(201)["codes"][0].as_str().unwrap().to_owned();
    let waiting = change(&squatter, "eve@example.com").await;
    let waiting_code = mailbox.code("eve@example.com").await;

    let page = Page::new(&issuer);
    let id = page
        .ask(json!({ "purpose": "recover", "email": ADA }))
        .await;
    let code = mailbox.code(ADA).await;
    let opened = page.show(&id, &code).await.expect(200);
    let owner = page.with_token(opened["access_token"].as_str().unwrap());
    let me = owner.call(Method::GET, "/api/v1/auth/me", None).await;
    assert_eq!(me.expect(200)["email_verified"], true);

    assert_eq!(passkeys(&database).await, 0);
    squatter
        .call(Method::GET, "/api/v1/auth/me", None)
        .await
        .expect_problem(401, "access_token_invalid");
    squatter
        .show(&waiting, &waiting_code)
        .await
        .expect_problem(401, "access_token_invalid");
    let live = "SELECT COUNT(*) FROM queue_email_verifications WHERE consumed_at IS NULL AND voided_at IS NULL";
    assert_eq!(database.number(live).await, 0);
    squatter_signs_in(&issuer, &backup_code).await;
    let ended = "SELECT COUNT(*) FROM queue_sessions WHERE revoke_reason = 'address_unproved'";
    assert_eq!(database.number(ended).await, 1);
}

async fn squatter_signs_in(issuer: &Issuer, code: &str) {
    Page::new(issuer)
        .post(
            "/api/v1/auth/backup-codes/verify",
            json!({ "email": ADA, "code": code }),
        )
        .await
        .expect_problem(401, "authentication_failed");
}

async fn recovery_in_one_browser_is_no_use_in_another(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mailbox = Mailbox::of(&database);
    issuer.customer(ADA).await;
    let (mine, theirs) = (Page::new(&issuer), Page::new(&issuer));
    let ask = json!({ "purpose": "recover", "email": ADA });
    let my_id = mine.ask(ask.clone()).await;
    let my_code = mailbox.code(ADA).await;
    let their_id = theirs.ask(ask).await;
    theirs
        .show(&my_id, &my_code)
        .await
        .expect_problem(422, "verification_failed");
    theirs
        .show(&their_id, &my_code)
        .await
        .expect_problem(422, "verification_failed");
    // Another's question takes nothing from mine.
    issuer.clock.advance(Duration::from_secs(599));
    mine.show(&my_id, &my_code).await.expect(200);
}
