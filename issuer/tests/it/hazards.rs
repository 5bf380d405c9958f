//! Failures seen elsewhere that no other test of a route stands for: see `docs/threat-model.md`.

use std::time::Duration;

use ::http::Method;
use serde_json::{Value, json};

use crate::browser::{Browser, ORIGIN, REGISTER_OPTIONS, REGISTER_VERIFY, sign_up};
use crate::harness::{Database, Issuer, eventually, look_into, on_both_engines};
use crate::http::{Answer, request, send};
use crate::mailbox::Mailbox;
use crate::rbac::Console;
use crate::refresh::{CSRF, ORIGIN as OF_PAGE, Seeded};

on_both_engines! {
    no_header_changes_a_mail_or_a_cookie
    tossed_cookies_are_no_cookies
    roles_are_read_anew_at_refresh
    suspended_and_erased_customers_cannot_refresh
    refresh_token_of_another_format_is_dead
    discovery_names_the_algorithms_of_the_published_keys
    replica_with_stale_keys_is_not_ready
    deeply_nested_bodies_are_refused
}

const REFRESH: &str = "/api/v1/auth/token/refresh";

async fn no_header_changes_a_mail_or_a_cookie(database: Database) {
    let issuer = Issuer::start(&database).await;
    issuer.customer("ada@example.com").await;
    // The client's `Host` is one that no setting names.
    let forged = [
        OF_PAGE,
        CSRF,
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-prefix", "/evil"),
        ("x-original-url", "https://evil.example/"),
        ("forwarded", "host=evil.example;proto=http"),
    ];
    let ask = async |headers: &[(&str, &str)]| -> Answer {
        let body = json!({ "purpose": "recover", "email": "ada@example.com" });
        let path = "/api/v1/auth/email/verification";
        let answer = issuer.call(Method::POST, path, headers, Some(body)).await;
        answer.expect(202);
        answer
    };
    let mailbox = Mailbox::of(&database);
    let mut shown = Vec::new();
    for headers in [&forged[..2], &forged[..]] {
        let answer = ask(headers).await;
        let mail = mailbox.take("ada@example.com", "this code").await;
        for foreign in ["evil", "issuer.test"] {
            assert!(!mail.contains(foreign), "{mail}");
            assert!(!answer.text().contains(foreign), "{}", answer.text());
        }
        let (_, attributes) = answer.header("set-cookie").split_once("; ").unwrap();
        assert!(!attributes.contains("Domain"), "{attributes}");
        shown.push(attributes.to_owned());
    }
    assert_eq!(shown[0], shown[1]);
}

/// A sibling domain can add cookies, and cannot use the prefix.
async fn tossed_cookies_are_no_cookies(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = Browser::new(&issuer);
    let ask = json!({ "email": "ada@example.com" });
    let options = browser.post(REGISTER_OPTIONS, ask).await.expect(200);
    let credential = browser.authenticator.register(&options, ORIGIN);
    let own = browser.cookies.clone();
    let name = "__Host-queue_lt";
    let value = own[name].clone();
    for cookies in [
        format!("queue_lt={value}"),
        format!("__host-queue_lt={value}"),
        format!("__Secure-queue_lt={value}"),
        format!("{name}={value}; {name}={}", "A".repeat(43)),
        format!("{name}={}; {name}={value}", "A".repeat(43)),
    ] {
        browser.cookies.clear();
        let (first, rest) = cookies.split_once('=').unwrap();
        browser.cookies.insert(first.to_owned(), rest.to_owned());
        let answer = browser
            .verify(REGISTER_VERIFY, &options, credential.clone())
            .await;
        answer.expect_problem(422, "registration_failed");
    }
    browser.cookies = own;
    // What is tossed in beside ours is not read.
    let tossed = [("queue_lt", "A"), ("queue_rt", "A")];
    browser
        .cookies
        .extend(tossed.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let answer = browser.verify(REGISTER_VERIFY, &options, credential).await;
    answer.expect(200);
    browser.post(REFRESH, json!({})).await.expect(200);
}

async fn roles_are_read_anew_at_refresh(database: Database) {
    let console = Console::start(&database).await;
    console.admin("admin@example.com").await;
    let mut browser = sign_up(&console.issuer, "ada@example.com").await;
    let customer = browser.customer.clone();
    let mut roles = async || -> Value {
        let refreshed = browser.post(REFRESH, json!({})).await.expect(200);
        look_into(refreshed["access_token"].as_str().unwrap()).1["roles"].clone()
    };
    assert_eq!(roles().await, json!(["antlers-user"]));
    let granted = console.grant(&customer, "console-admin", None).await;
    granted.expect(201);
    assert_eq!(roles().await, json!(["antlers-user", "console-admin"]));
    for role in ["console-admin", "antlers-user"] {
        let revoked = console.revoke(&customer, role, None).await;
        assert_eq!(revoked.status.as_u16(), 204);
    }
    assert_eq!(roles().await, json!([]));
}

async fn suspended_and_erased_customers_cannot_refresh(database: Database) {
    let issuer = Issuer::start(&database).await;
    for end in ["suspend", "erase"] {
        let mut browser = sign_up(&issuer, &format!("{end}@example.com")).await;
        browser.post(REFRESH, json!({})).await.expect(200);
        let path = format!("/api/v1/customers/{}", browser.customer);
        let ended = if end == "erase" {
            let path = format!("{path}/erase");
            issuer.raptor(Method::POST, &path, None).await
        } else {
            let body = json!({ "state": "suspended" });
            issuer.raptor(Method::PATCH, &path, Some(body)).await
        };
        ended.expect(200);
        let refused = browser.post(REFRESH, json!({})).await;
        refused.expect_problem(401, "refresh_token_invalid");
    }
}

async fn refresh_token_of_another_format_is_dead(database: Database) {
    let issuer = Issuer::start(&database).await;
    let seeded = Seeded::new(&issuer, &database, "ada@example.com").await;
    let refresh = async |token: &str| {
        let cookie = format!("__Host-queue_rt={token}");
        let headers = [OF_PAGE, CSRF, ("cookie", cookie.as_str())];
        issuer.call(Method::POST, REFRESH, &headers, None).await
    };
    // Made with the right key, but not in the format of today; and the id alone, as others once had it.
    for token in [
        seeded.token_in(0, 1),
        seeded.token_in(2, 1),
        seeded.token_in(255, 1),
        seeded.session.clone(),
        seeded.session.replace('-', ""),
    ] {
        let refused = refresh(&token).await;
        refused.expect_problem(401, "refresh_token_invalid");
    }
    refresh(&seeded.token(1)).await.expect(200);
}

async fn discovery_names_the_algorithms_of_the_published_keys(database: Database) {
    let issuer = Issuer::start(&database).await;
    issuer
        .operator(Method::POST, "/api/v1/keys", Some(json!({})))
        .await
        .expect(201);
    let set = issuer.get("/.well-known/jwks.json").await.expect(200);
    let keys = set["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    let document = issuer.get("/.well-known/openid-configuration").await;
    let named = document.expect(200)["id_token_signing_alg_values_supported"].clone();
    let named = named.as_array().unwrap().clone();
    for key in keys {
        assert!(named.contains(&key["alg"]), "{key}");
    }
    for algorithm in &named {
        assert!(
            keys.iter().any(|key| key["alg"] == *algorithm),
            "{algorithm}"
        );
    }
}

async fn replica_with_stale_keys_is_not_ready(database: Database) {
    let issuer = Issuer::start(&database).await;
    assert_eq!(issuer.get("/readyz").await.expect(200)["keys"], true);
    database
        .execute("ALTER TABLE queue_key_sets RENAME TO queue_key_sets_gone")
        .await
        .unwrap();
    issuer.clock.advance(Duration::from_secs(11));
    eventually("it says so", async || {
        issuer.clock.advance(Duration::from_secs(1));
        let ready = issuer.get("/readyz").await;
        ready.status.as_u16() == 503 && ready.json()["keys"] == false
    })
    .await;
    database
        .execute("ALTER TABLE queue_key_sets_gone RENAME TO queue_key_sets")
        .await
        .unwrap();
    eventually("it recovers", async || {
        issuer.clock.advance(Duration::from_secs(1));
        issuer.get("/readyz").await.json()["keys"] == true
    })
    .await;
}

async fn deeply_nested_bodies_are_refused(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customers = crate::harness::bearer(crate::harness::RAPTOR);
    let customers = [("authorization", customers.as_str())];
    let nested = "[".repeat(30_000);
    for (path, headers, body) in [
        ("/api/v1/customers", &customers[..], nested.clone()),
        (
            "/api/v1/customers",
            &customers[..],
            format!("{{\"email\":{nested}"),
        ),
        (
            REGISTER_VERIFY,
            &[OF_PAGE, CSRF][..],
            format!("{{\"credential\":{nested}"),
        ),
    ] {
        let asked = request(Method::POST, path, headers, Some(body));
        send(issuer.public, asked)
            .await
            .expect_problem(400, "request_malformed");
    }
    issuer.get("/livez").await.expect(200);
}
