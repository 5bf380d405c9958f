//! What an attacker sends in place of a passkey: borrowed, old or somebody else's.

use std::time::Duration;

use serde_json::{Value, json};

use crate::authenticator::{Registration, base64url};
use crate::browser::{
    Browser, LOGIN_OPTIONS, LOGIN_VERIFY, ORIGIN, REGISTER_OPTIONS, REGISTER_VERIFY, sign_up,
};
use crate::harness::{Database, Issuer, on_both_engines};
use crate::webauthn_forged::{try_login, try_register};

on_both_engines! {
    authentication_failed_and_audited_when_a_counter_goes_back
    authentication_failed_when_a_challenge_comes_again
    authentication_failed_in_another_browser
    authentication_failed_for_another_ceremony
    authentication_failed_for_another_customers_passkey
    webauthn_credential_taken
    suspended_while_signed_in_cannot_step_up
}

async fn authentication_failed_and_audited_when_a_counter_goes_back(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = sign_up(&issuer, "ada@example.com").await;
    try_login(&mut browser, |draft| draft.counter = 9)
        .await
        .expect(200);
    let regressions =
        "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'webauthn.counter_regressed'";
    for (counter, expected) in [(9, 1), (8, 2), (0, 3)] {
        let answer = try_login(&mut browser, |draft| draft.counter = counter).await;
        answer.expect_problem(401, "authentication_failed");
        assert_eq!(database.number(regressions).await, expected);
    }
    // The same use of one passkey, sent twice at once, signs in once.
    let mut other = Browser::new(&issuer);
    let first = browser.post(LOGIN_OPTIONS, json!({})).await.expect(200);
    let second = other.post(LOGIN_OPTIONS, json!({})).await.expect(200);
    let passkey = &browser.authenticator.passkeys[0];
    let sign = |options: &Value| {
        let mut draft = passkey.draft(options, ORIGIN);
        draft.counter = 10;
        passkey.sign(&draft)
    };
    let (a, b) = (sign(&first), sign(&second));
    let (a, b) = tokio::join!(
        browser.verify(LOGIN_VERIFY, &first, a),
        other.verify(LOGIN_VERIFY, &second, b)
    );
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    assert_eq!(database.number(regressions).await, 4);
    let sessions = "SELECT COUNT(*) FROM queue_sessions";
    assert_eq!(database.number(sessions).await, 3);
}

async fn authentication_failed_when_a_challenge_comes_again(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = sign_up(&issuer, "ada@example.com").await;
    browser.token = None;
    let options = browser.post(LOGIN_OPTIONS, json!({})).await.expect(200);
    let good = browser.authenticator.sign_in(&options, ORIGIN);
    let mut bad = good.clone();
    bad["response"]["signature"] = json!(base64url(&[7; 70]));
    let cookie = browser.cookies.clone();
    let answer = browser.verify(LOGIN_VERIFY, &options, bad).await;
    answer.expect_problem(401, "authentication_failed");
    let answer = browser.verify(LOGIN_VERIFY, &options, good).await;
    answer.expect_problem(401, "authentication_failed");

    let options = browser.post(LOGIN_OPTIONS, json!({})).await.expect(200);
    let mut tab = Browser::new(&issuer);
    tab.cookies = browser.cookies.clone();
    browser.authenticator.passkeys[0].counter = 20;
    let (once, twice) = (
        browser.authenticator.sign_in(&options, ORIGIN),
        browser.authenticator.sign_in(&options, ORIGIN),
    );
    let (a, b) = tokio::join!(
        browser.verify(LOGIN_VERIFY, &options, once),
        tab.verify(LOGIN_VERIFY, &options, twice)
    );
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    browser.cookies = cookie;
    let options = browser.post(LOGIN_OPTIONS, json!({})).await.expect(200);
    let late = browser.authenticator.sign_in(&options, ORIGIN);
    issuer.clock.advance(Duration::from_secs(300));
    let answer = browser.verify(LOGIN_VERIFY, &options, late).await;
    answer.expect_problem(401, "authentication_failed");
}

async fn authentication_failed_in_another_browser(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut victim = sign_up(&issuer, "ada@example.com").await;
    victim.token = None;
    // The attacker began, the victim's passkey answers, the attacker finishes: or the other way round.
    let mut attacker = Browser::new(&issuer);
    let begun = attacker.post(LOGIN_OPTIONS, json!({})).await.expect(200);
    let own = victim.post(LOGIN_OPTIONS, json!({})).await.expect(200);
    for (options, finisher) in [(&begun, &mut victim), (&own, &mut attacker)] {
        let ids = "SELECT COUNT(*) FROM queue_webauthn_challenges WHERE consumed_at IS NOT NULL";
        let before = database.number(ids).await;
        let body = json!({ "challenge_id": options["challenge_id"], "credential": {} });
        let answer = finisher.post(LOGIN_VERIFY, body).await;
        answer.expect_problem(401, "authentication_failed");
        assert_eq!(
            database.number(ids).await,
            before,
            "not the other's to spend"
        );
    }
    let credential = victim.authenticator.sign_in(&begun, ORIGIN);
    let answer = victim.verify(LOGIN_VERIFY, &begun, credential).await;
    answer.expect_problem(401, "authentication_failed");
    victim.cookies.clear();
    let credential = victim.authenticator.sign_in(&own, ORIGIN);
    let answer = victim.verify(LOGIN_VERIFY, &own, credential).await;
    answer.expect_problem(401, "authentication_failed");
}

async fn authentication_failed_for_another_ceremony(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = sign_up(&issuer, "ada@example.com").await;
    let token = browser.token.take();
    // A registration's challenge signed as a sign-in.
    let ask = json!({ "email": "eve@example.com" });
    let options = browser.post(REGISTER_OPTIONS, ask).await.expect(200);
    let mut as_login = options.clone();
    as_login["publicKey"]["rpId"] = json!("localhost");
    let credential = browser.authenticator.sign_in(&as_login, ORIGIN);
    let answer = browser.verify(LOGIN_VERIFY, &as_login, credential).await;
    answer.expect_problem(401, "authentication_failed");
    // A sign-in's challenge answered by a new passkey.
    let mut options = browser.post(LOGIN_OPTIONS, json!({})).await.expect(200);
    options["publicKey"]["rp"] = json!({ "id": "localhost" });
    options["publicKey"]["user"] = json!({ "id": base64url(&[1; 16]) });
    let credential = browser.authenticator.register(&options, ORIGIN);
    let answer = browser.verify(REGISTER_VERIFY, &options, credential).await;
    answer.expect_problem(422, "registration_failed");
    browser.authenticator.passkeys.pop();
    // A step-up is no sign-in, and a sign-in no step-up.
    browser.token = token.clone();
    let options = browser.post(LOGIN_OPTIONS, json!({})).await.expect(200);
    let credential = browser.authenticator.sign_in(&options, ORIGIN);
    browser.token = None;
    let answer = browser.verify(LOGIN_VERIFY, &options, credential).await;
    answer.expect_problem(401, "authentication_failed");
    let options = browser.post(LOGIN_OPTIONS, json!({})).await.expect(200);
    let credential = browser.authenticator.sign_in(&options, ORIGIN);
    browser.token = token;
    let answer = browser.verify(LOGIN_VERIFY, &options, credential).await;
    answer.expect_problem(401, "authentication_failed");
    browser.step_up().await.expect(200);
}

async fn authentication_failed_for_another_customers_passkey(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut ada = sign_up(&issuer, "ada@example.com").await;
    let mut eve = sign_up(&issuer, "eve@example.com").await;
    // Eve's passkey does not step Ada's session up.
    let options = ada.post(LOGIN_OPTIONS, json!({})).await.expect(200);
    let credential = eve.authenticator.sign_in(&options, ORIGIN);
    let answer = ada.verify(LOGIN_VERIFY, &options, credential).await;
    answer.expect_problem(401, "authentication_failed");
    // Nor does it sign in where Ada was asked for, whoever the authenticator says it is of.
    ada.token = None;
    for handle in [
        json!(null),
        json!(base64url(&ada.authenticator.passkeys[0].user_handle)),
    ] {
        let ask = json!({ "email": "ada@example.com" });
        let options = ada.post(LOGIN_OPTIONS, ask).await.expect(200);
        let passkey = &eve.authenticator.passkeys[0];
        let mut draft = passkey.draft(&options, ORIGIN);
        (draft.user_handle, draft.counter) = (handle, 50);
        let credential = passkey.sign(&draft);
        let answer = ada.verify(LOGIN_VERIFY, &options, credential).await;
        answer.expect_problem(401, "authentication_failed");
    }
    // A step-up challenge of Ada's is none of Eve's, even in Ada's browser.
    ada.sign_in().await.expect(200);
    let options = ada.post(LOGIN_OPTIONS, json!({})).await.expect(200);
    eve.cookies = ada.cookies.clone();
    let credential = eve.authenticator.sign_in(&options, ORIGIN);
    let answer = eve.verify(LOGIN_VERIFY, &options, credential).await;
    answer.expect_problem(401, "authentication_failed");
    // And so with the challenge to add a passkey.
    let options = ada.post(REGISTER_OPTIONS, json!({})).await.expect(200);
    eve.cookies = ada.cookies.clone();
    let credential = eve.authenticator.register(&options, ORIGIN);
    let answer = eve.verify(REGISTER_VERIFY, &options, credential).await;
    answer.expect_problem(422, "registration_failed");
}

async fn webauthn_credential_taken(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut ada = sign_up(&issuer, "ada@example.com").await;
    let id = ada.authenticator.passkeys[0].id.clone();
    let mut eve = Browser::new(&issuer);
    let copied = |draft: &mut Registration| draft.credential_id = id.clone();
    let answer = try_register(&mut eve, "eve@example.com", &copied).await;
    answer.expect_problem(409, "webauthn_credential_taken");
    let customers = "SELECT COUNT(*) FROM queue_customers";
    assert_eq!(database.number(customers).await, 1);
    let mut eve = sign_up(&issuer, "eve@example.com").await;
    let options = eve.post(REGISTER_OPTIONS, json!({})).await.expect(200);
    let mut draft = eve.authenticator.draft_registration(&options, ORIGIN);
    draft.credential_id = id.clone();
    let credential = draft.seal();
    let answer = eve.verify(REGISTER_VERIFY, &options, credential).await;
    answer.expect_problem(409, "webauthn_credential_taken");
    // Its owner is told to the browser beforehand, and has it once.
    let options = ada.post(REGISTER_OPTIONS, json!({})).await.expect(200);
    let mut draft = ada.authenticator.draft_registration(&options, ORIGIN);
    draft.credential_id = id;
    let credential = draft.seal();
    let answer = ada.verify(REGISTER_VERIFY, &options, credential).await;
    answer.expect_problem(422, "registration_failed");
    ada.authenticator.passkeys.truncate(1);
    let answer = ada.sign_in().await.expect(200);
    assert_eq!(answer["session"]["subject"], ada.customer, "nothing moved");
}

async fn suspended_while_signed_in_cannot_step_up(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = sign_up(&issuer, "ada@example.com").await;
    let options = browser.post(LOGIN_OPTIONS, json!({})).await.expect(200);
    let suspend = "UPDATE queue_customers SET state = 'suspended', suspended_at = created_at";
    database.execute(suspend).await.unwrap();
    let credential = browser.authenticator.sign_in(&options, ORIGIN);
    let answer = browser.verify(LOGIN_VERIFY, &options, credential).await;
    answer.expect_problem(401, "access_token_invalid");
}
