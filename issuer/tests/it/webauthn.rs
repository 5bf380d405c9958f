//! Passkeys: made, shown, named, removed.

use std::time::Duration;

use serde_json::json;

use crate::browser::{
    Browser, LOGIN_OPTIONS, LOGIN_VERIFY, ORIGIN, REGISTER_OPTIONS, REGISTER_VERIFY, sign_up,
};
use crate::harness::{Database, Issuer, look_into, on_both_engines};

on_both_engines! {
    customer_registers_and_signs_in
    customer_signs_in_by_address
    step_up_refreshes_the_session
    passkeys_are_added_named_and_removed
    webauthn_last_credential
    webauthn_last_credential_of_two_removed_at_once
    webauthn_credentials_full
    registration_failed_for_a_taken_address
    address_nobody_owns_looks_like_any_other
    authentication_failed_for_a_suspended_customer
    registration_failed_for_an_expired_challenge
}

async fn customer_registers_and_signs_in(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = Browser::new(&issuer);
    let body = json!({ "email": "Ada@Example.com", "display_name": "Ada <b>L</b>" });
    let options = browser.post(REGISTER_OPTIONS, body).await.expect(200);
    let asked = &options["publicKey"];
    assert_eq!(asked["rp"], json!({ "id": "localhost", "name": "Queue" }));
    assert_eq!(asked["user"]["name"], "Ada@Example.com");
    assert_eq!(asked["user"]["displayName"], "Ada <b>L</b>");
    assert_eq!(asked["attestation"], "none");
    assert_eq!(asked["authenticatorSelection"]["residentKey"], "required");
    assert_eq!(asked["authenticatorSelection"]["requireResidentKey"], true);
    assert_eq!(
        asked["authenticatorSelection"]["userVerification"],
        "required"
    );
    let none = "SELECT COUNT(*) FROM queue_customers";
    assert_eq!(database.number(none).await, 0, "nothing before the passkey");
    let credential = browser.authenticator.register(&options, ORIGIN);
    let answer = browser.verify(REGISTER_VERIFY, &options, credential).await;
    browser.keep_token(&answer);
    let body = answer.expect(200);
    let (_, claims) = look_into(body["access_token"].as_str().unwrap());
    assert_eq!(claims["acr"], "urn:queue:acr:passkey-uv");
    assert_eq!(claims["roles"], json!(["antlers-user"]));
    assert!(browser.cookies.contains_key("__Host-queue_rt"));
    assert!(!browser.cookies.contains_key("__Host-queue_lt"), "spent");
    let me = browser.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(me["email"], "Ada@Example.com");
    assert_eq!(me["email_verified"], false);
    assert_eq!(me["display_name"], "Ada <b>L</b>");
    for action in [
        "customer.created",
        "webauthn.credential_added",
        "session.opened",
    ] {
        assert_eq!(events(&database, action).await, 1, "{action}");
    }

    let first = browser.token.clone();
    browser.cookies.clear();
    let options = browser.post(LOGIN_OPTIONS, json!({})).await;
    browser.token = None;
    options.expect(200);
    let options = browser.post(LOGIN_OPTIONS, json!({})).await.expect(200);
    assert_eq!(options["mediation"], "conditional");
    assert_eq!(options["publicKey"]["allowCredentials"], json!([]));
    assert_eq!(options["publicKey"]["userVerification"], "required");
    assert_eq!(options["publicKey"]["rpId"], "localhost");
    let answer = browser.sign_in().await;
    assert_eq!(answer.expect(200)["session"]["subject"], me["id"]);
    assert_ne!(browser.token, first);
    let sessions = browser.get("/api/v1/auth/sessions").await.expect(200);
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 2);
    assert_eq!(events(&database, "session.opened").await, 2);
}

async fn customer_signs_in_by_address(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = sign_up(&issuer, "ada@example.com").await;
    browser.token = None;
    let ask = json!({ "email": "ADA@example.com" });
    let options = browser.post(LOGIN_OPTIONS, ask).await.expect(200);
    assert!(options.get("mediation").is_none(), "{options}");
    let allowed = options["publicKey"]["allowCredentials"].as_array().unwrap();
    assert_eq!(allowed.len(), 1);
    assert_eq!(allowed[0]["transports"], json!(["internal", "hybrid"]));
    let mut draft = browser.authenticator.passkeys[0].draft(&options, ORIGIN);
    // An authenticator that was told whose passkey to show need not say whose it is.
    draft.user_handle = json!(null);
    draft.counter = 2;
    let credential = browser.authenticator.passkeys[0].sign(&draft);
    let answer = browser.verify(LOGIN_VERIFY, &options, credential).await;
    assert_eq!(answer.expect(200)["session"]["subject"], browser.customer);
}

async fn step_up_refreshes_the_session(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = sign_up(&issuer, "ada@example.com").await;
    let (_, before) = look_into(browser.token.as_deref().unwrap());
    issuer.clock.advance(Duration::from_secs(301));
    let refreshed = browser.post("/api/v1/auth/token/refresh", json!({})).await;
    browser.keep_token(&refreshed);
    let refused = browser.add_passkey("second").await;
    refused.expect_problem(401, "insufficient_user_authentication");
    assert!(
        refused
            .header("www-authenticate")
            .contains("max_age=\"300\"")
    );
    let stepped = browser.step_up().await.expect(200);
    let (_, after) = look_into(stepped["access_token"].as_str().unwrap());
    assert_eq!(after["sid"], before["sid"], "no new session");
    assert_eq!(
        after["auth_time"].as_i64().unwrap() - before["auth_time"].as_i64().unwrap(),
        301
    );
    browser.add_passkey("second").await.expect(201);
    assert_eq!(events(&database, "session.stepped_up").await, 1);
    assert_eq!(events(&database, "session.opened").await, 1);
}

async fn passkeys_are_added_named_and_removed(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = sign_up(&issuer, "ada@example.com").await;
    let options = browser.post(REGISTER_OPTIONS, json!({})).await.expect(200);
    let excluded = options["publicKey"]["excludeCredentials"]
        .as_array()
        .unwrap();
    assert_eq!(excluded.len(), 1);
    let made = browser.add_passkey("<i>Key</i> at work").await;
    let second = made.expect(201);
    let path = made.header("location").to_owned();
    assert_eq!(second["name"], "<i>Key</i> at work");
    assert_eq!(second["aaguid"], "07070707-0707-0707-0707-070707070707");
    let listed = browser.get(LIST).await.expect(200);
    let credentials = listed["credentials"].as_array().unwrap();
    assert_eq!(credentials.len(), 2);
    assert_eq!(credentials[0]["name"], "Firefox on Linux");
    assert_eq!(credentials[0]["transports"], json!(["internal", "hybrid"]));
    assert_eq!(credentials[0]["last_used_at"], json!(null));
    assert_eq!(credentials[1], second);

    let renamed = browser.patch(&path, json!({ "name": "Blue key" })).await;
    assert_eq!(renamed.expect(200)["name"], "Blue key");
    for name in ["", "  ", "a\nb", "a\u{202e}b", &"x".repeat(101)] {
        let refused = browser.patch(&path, json!({ "name": name })).await;
        refused.expect_problem(422, "webauthn_credential_name_invalid");
    }
    let mut other = sign_up(&issuer, "eve@example.com").await;
    let foreign = other.patch(&path, json!({ "name": "mine" })).await;
    foreign.expect_problem(404, "webauthn_credential_not_found");
    let foreign = other.delete(&path).await;
    foreign.expect_problem(404, "webauthn_credential_not_found");

    browser.sign_in().await.expect(200);
    let listed = browser.get(LIST).await.expect(200);
    assert_eq!(
        listed["credentials"][1]["last_used_at"],
        crate::harness::START
    );
    let first = listed["credentials"][0]["id"].as_str().unwrap();
    let gone = browser.delete(&format!("{LIST}/{first}")).await.expect(200);
    let id = crate::authenticator::base64url(&browser.authenticator.passkeys[1].id);
    let user = crate::authenticator::base64url(&browser.authenticator.passkeys[1].user_handle);
    assert_eq!(
        gone,
        json!({ "rp_id": "localhost", "user_id": user, "all_accepted_credential_ids": [id] })
    );
    browser.authenticator.passkeys.pop();
    let refused = browser.sign_in().await;
    refused.expect_problem(401, "authentication_failed");
    for action in ["added", "renamed", "removed"] {
        let expected = if action == "added" { 3 } else { 1 };
        let action = format!("webauthn.credential_{action}");
        assert_eq!(events(&database, &action).await, expected, "{action}");
    }
}

async fn webauthn_last_credential(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = sign_up(&issuer, "ada@example.com").await;
    let listed = browser.get(LIST).await.expect(200);
    let path = format!(
        "{LIST}/{}",
        listed["credentials"][0]["id"].as_str().unwrap()
    );
    let refused = browser.delete(&path).await;
    refused.expect_problem(409, "webauthn_last_credential");
    issuer.clock.advance(Duration::from_secs(301));
    let refreshed = browser.post("/api/v1/auth/token/refresh", json!({})).await;
    browser.keep_token(&refreshed);
    let refused = browser.delete(&path).await;
    refused.expect_problem(401, "insufficient_user_authentication");
    browser.get(LIST).await.expect(200);
}

async fn webauthn_last_credential_of_two_removed_at_once(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = sign_up(&issuer, "ada@example.com").await;
    let mut tab = Browser::new(&issuer);
    tab.token = browser.token.clone();
    for _ in 0..8 {
        browser.add_passkey("second").await.expect(201);
        let listed = browser.get(LIST).await.expect(200);
        let path = |at: usize| {
            let id = listed["credentials"][at]["id"].as_str().unwrap();
            format!("{LIST}/{id}")
        };
        let (first, second) = (path(0), path(1));
        let (a, b) = tokio::join!(browser.delete(&first), tab.delete(&second));
        let mut statuses = [a.status.as_u16(), b.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
        let left = "SELECT COUNT(*) FROM queue_webauthn_credentials";
        assert_eq!(database.number(left).await, 1);
    }
}

async fn webauthn_credentials_full(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = sign_up(&issuer, "ada@example.com").await;
    for _ in 0..18 {
        browser.add_passkey("another").await.expect(201);
    }
    // Two questions are open when one slot is left.
    let first = browser.post(REGISTER_OPTIONS, json!({})).await.expect(200);
    let second = browser.post(REGISTER_OPTIONS, json!({})).await.expect(200);
    let credential = browser.authenticator.register(&first, ORIGIN);
    let answer = browser.verify(REGISTER_VERIFY, &first, credential).await;
    answer.expect(201);
    let credential = browser.authenticator.register(&second, ORIGIN);
    let answer = browser.verify(REGISTER_VERIFY, &second, credential).await;
    answer.expect_problem(409, "webauthn_credentials_full");
    let answer = browser.post(REGISTER_OPTIONS, json!({})).await;
    answer.expect_problem(409, "webauthn_credentials_full");
}

async fn registration_failed_for_a_taken_address(database: Database) {
    let issuer = Issuer::start(&database).await;
    sign_up(&issuer, "ada@example.com").await;
    let mut browser = Browser::new(&issuer);
    let free = browser
        .post(REGISTER_OPTIONS, json!({ "email": "eve@example.com" }))
        .await;
    let taken = browser
        .post(REGISTER_OPTIONS, json!({ "email": "ada@example.com" }))
        .await;
    assert_eq!(free.expect(200).as_object().unwrap().len(), 2);
    assert_eq!(free.body.len(), taken.body.len(), "the same shape");
    let answer = browser.register("ADA@example.com").await;
    answer.expect_problem(422, "registration_failed");
    assert!(answer.json().get("detail").is_none());
    for table in [
        "queue_customers",
        "queue_webauthn_credentials",
        "queue_sessions",
    ] {
        let count = format!("SELECT COUNT(*) FROM {table}");
        assert_eq!(database.number(&count).await, 1, "{table}");
    }
}

async fn address_nobody_owns_looks_like_any_other(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = sign_up(&issuer, "ada@example.com").await;
    browser.token = None;
    let known = browser
        .post(LOGIN_OPTIONS, json!({ "email": "ada@example.com" }))
        .await;
    let mut lengths = std::collections::BTreeSet::new();
    for number in 0..16 {
        let ask = json!({ "email": format!("nobody{number}@example.com") });
        let unknown = browser.post(LOGIN_OPTIONS, ask.clone()).await;
        let (options, expected) = (unknown.expect(200), known.json());
        let names = |value: &serde_json::Value| {
            let members = value.as_object().unwrap();
            members.keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(names(&options), names(&expected));
        assert_eq!(names(&options["publicKey"]), names(&expected["publicKey"]));
        let headers = |answer: &crate::http::Answer| {
            answer
                .headers
                .keys()
                .map(|name| name.as_str().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(headers(&unknown), headers(&known));
        let decoys = &options["publicKey"]["allowCredentials"];
        let decoys = decoys.as_array().unwrap();
        assert!((1..=2).contains(&decoys.len()));
        for decoy in decoys {
            assert_eq!(
                names(decoy),
                names(&expected["publicKey"]["allowCredentials"][0])
            );
            lengths.insert(crate::authenticator::decode(&decoy["id"]).len());
        }
        let again = browser.post(LOGIN_OPTIONS, ask).await.expect(200);
        assert_eq!(
            &again["publicKey"]["allowCredentials"],
            &options["publicKey"]["allowCredentials"]
        );
        // Somebody's own passkey does not tell either whether the address is known.
        let credential = browser.authenticator.sign_in(&options, ORIGIN);
        let answer = browser.verify(LOGIN_VERIFY, &options, credential).await;
        answer.expect_problem(401, "authentication_failed");
    }
    assert!(lengths.len() > 1, "{lengths:?}");
}

async fn authentication_failed_for_a_suspended_customer(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = sign_up(&issuer, "ada@example.com").await;
    let suspend = "UPDATE queue_customers SET state = 'suspended', suspended_at = created_at";
    database.execute(suspend).await.unwrap();
    let answer = browser.sign_in().await;
    answer.expect_problem(401, "authentication_failed");
    let unused = "SELECT COUNT(*) FROM queue_webauthn_credentials WHERE last_used_at IS NULL";
    assert_eq!(database.number(unused).await, 1, "nothing was kept of it");
}

async fn registration_failed_for_an_expired_challenge(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = Browser::new(&issuer);
    let ask = json!({ "email": "ada@example.com" });
    let options = browser.post(REGISTER_OPTIONS, ask).await.expect(200);
    let credential = browser.authenticator.register(&options, ORIGIN);
    issuer.clock.advance(Duration::from_secs(300));
    let answer = browser.verify(REGISTER_VERIFY, &options, credential).await;
    answer.expect_problem(422, "registration_failed");
    // What was spent is erased, and the sweep may have been there already.
    let kept = "SELECT COUNT(*) FROM queue_webauthn_challenges WHERE state <> ''";
    assert_eq!(database.number(kept).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn related_origins_are_published() {
    let database = Database::sqlite();
    let more = [
        (
            "QUEUE_ISSUER_ORIGINS",
            "https://example.com https://shop.example.com",
        ),
        ("QUEUE_ISSUER_RP_ID", "example.com"),
    ];
    let clock = crate::harness::FakeClock::new();
    let issuer = Issuer::start_with(&database, &more, clock).await;
    let answer = issuer.get("/.well-known/webauthn").await;
    assert_eq!(
        answer.expect(200),
        json!({ "origins": ["https://example.com", "https://shop.example.com"] })
    );
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let headers = [("if-none-match", answer.header("etag"))];
    let path = "/.well-known/webauthn";
    let again = issuer.call(::http::Method::GET, path, &headers, None).await;
    assert_eq!(again.status, 304);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issuer_at_a_bare_address_has_no_passkeys() {
    let database = Database::sqlite();
    let more = [("QUEUE_ISSUER_URL", "http://127.0.0.1:4100")];
    let clock = crate::harness::FakeClock::new();
    let issuer = Issuer::start_with(&database, &more, clock).await;
    let mut browser = Browser::new(&issuer);
    browser.origin = "http://127.0.0.1:4100".to_owned();
    for path in [REGISTER_OPTIONS, LOGIN_OPTIONS] {
        let answer = browser
            .post(path, json!({ "email": "ada@example.com" }))
            .await;
        answer.expect_problem(503, "sign_in_not_configured");
    }
}

async fn events(database: &Database, action: &str) -> i64 {
    let count = "SELECT COUNT(*) FROM customer_audit_events WHERE action";
    database.number(&format!("{count} = '{action}'")).await
}

const LIST: &str = "/api/v1/auth/webauthn/credentials";
