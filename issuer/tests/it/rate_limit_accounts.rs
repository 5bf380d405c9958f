//! Limits of accounts, where something is tried: the same for accounts that exist and for those that do not.

use std::time::Duration;

use ::http::Method;
use serde_json::{Value, json};

use crate::browser::{Browser, LOGIN_OPTIONS, LOGIN_VERIFY, ORIGIN, sign_up};
use crate::harness::{Database, FakeClock, Issuer, RAPTOR, on_both_engines};
use crate::http::Answer;
use crate::mailbox::{Page, body_without_instance};
use crate::oauth::{basic, form};
use crate::refresh::{CSRF, ORIGIN as OF_PAGE, Seeded};

on_both_engines! {
    rate_limited_passkeys_by_whose_they_say_to_be
    rate_limited_codes_by_address
    rate_limited_confirmations_by_proof
    rate_limited_backup_codes_by_address
    rate_limited_refreshes_by_session
    rate_limited_services_by_client
}

const VERIFICATION: &str = "/api/v1/auth/email/verification";
const KNOWN: &str = "ada@example.com";

/// With the limits people get, but for the tests of one account at two a minute.
async fn start(database: &Database, more: &[(&str, &str)]) -> Issuer {
    let pair = [("QUEUE_ISSUER_LIMIT_AUTH_PAIR", "2/m")];
    Issuer::start_with(database, &[&pair, more].concat(), FakeClock::new()).await
}

/// Sends until it is told to wait, and again when the wait is over; the refusal.
async fn limited(issuer: &Issuer, refused: u16, mut send: impl AsyncFnMut() -> Answer) -> Answer {
    for _ in 0..2 {
        let answer = send().await;
        assert_eq!(answer.status.as_u16(), refused, "{}", answer.text());
    }
    let answer = send().await;
    answer.expect_problem(429, "rate_limited");
    assert_eq!(answer.header("retry-after"), "30");
    assert_eq!(answer.header("ratelimit"), "\"auth-pair\";r=0;t=30");
    assert!(answer.headers.get("set-cookie").is_none());
    issuer.clock.advance(Duration::from_secs(29));
    send().await.expect_problem(429, "rate_limited");
    issuer.clock.advance(Duration::from_secs(1));
    assert_eq!(send().await.status.as_u16(), refused);
    answer
}

/// The refusals of a known and of an unknown account say the same.
fn alike(known: &Answer, unknown: &Answer) {
    assert_eq!(body_without_instance(known), body_without_instance(unknown));
    let names = |answer: &Answer| -> Vec<String> {
        let names = answer.headers.keys();
        names.map(ToString::to_string).collect()
    };
    assert_eq!(names(known), names(unknown));
}

async fn rate_limited_passkeys_by_whose_they_say_to_be(database: Database) {
    let issuer = start(&database, &[]).await;
    let mut ada = sign_up(&issuer, KNOWN).await;
    ada.token = None;
    let mut stranger = Browser::new(&issuer);
    let options = ada.post(LOGIN_OPTIONS, json!({})).await.expect(200);
    let own = ada.authenticator.sign_in(&options, ORIGIN);
    let mut refusals = Vec::new();
    for handle in [own["response"]["userHandle"].clone(), json!("bm9ib2R5")] {
        let mut credential = own.clone();
        credential["response"]["userHandle"] = handle;
        refusals.push(
            limited(&issuer, 401, async || {
                let options = stranger.post(LOGIN_OPTIONS, json!({})).await.expect(200);
                stranger
                    .verify(LOGIN_VERIFY, &options, credential.clone())
                    .await
            })
            .await,
        );
    }
    alike(&refusals[0], &refusals[1]);
    issuer.clock.advance(Duration::from_secs(60));
    ada.sign_in().await.expect(200);
}

async fn rate_limited_codes_by_address(database: Database) {
    let issuer = start(&database, &[]).await;
    issuer.customer(KNOWN).await;
    let ask = |email: &'static str| {
        let issuer = &issuer;
        async move {
            let body = json!({ "purpose": "recover", "email": email });
            Page::new(issuer).post(VERIFICATION, body).await
        }
    };
    let known = limited(&issuer, 202, async || ask(KNOWN).await).await;
    let unknown = limited(&issuer, 202, async || ask("eve@example.com").await).await;
    alike(&known, &unknown);
    // However it is written.
    issuer.clock.advance(Duration::from_secs(60));
    ask("ada@EXAMPLE.com").await.expect(202);
    ask("Ada@example.com").await.expect(202);
    ask("ADA@example.com")
        .await
        .expect_problem(429, "rate_limited");
}

async fn rate_limited_confirmations_by_proof(database: Database) {
    let issuer = start(&database, &[]).await;
    issuer.customer(KNOWN).await;
    let page = Page::new(&issuer);
    let id = page
        .ask(json!({ "purpose": "recover", "email": KNOWN }))
        .await;
    let nobody = uuid::Uuid::now_v7().to_string();
    let known = limited(&issuer, 422, async || page.show(&id, "x").await).await;
    let unknown = limited(&issuer, 422, async || page.show(&nobody, "x").await).await;
    alike(&known, &unknown);
    // Who is told to wait has tried nothing.
    let tries =
        "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'email.confirmation_failed'";
    assert_eq!(database.number(tries).await, 3);
}

async fn rate_limited_backup_codes_by_address(database: Database) {
    let issuer = start(&database, &[]).await;
    issuer.customer(KNOWN).await;
    let spend = |email: &'static str| {
        let issuer = &issuer;
        async move {
            let body = json!({ "email": email, "code": "0000-0000-0000-0000" });
            let path = "/api/v1/auth/backup-codes/verify";
            Page::new(issuer).post(path, body).await
        }
    };
    let known = limited(&issuer, 401, async || spend(KNOWN).await).await;
    let unknown = limited(&issuer, 401, async || spend("eve@example.com").await).await;
    let none = limited(&issuer, 401, async || spend("no address").await).await;
    alike(&known, &unknown);
    alike(&known, &none);
    issuer.clock.advance(Duration::from_secs(60));
    spend("Ada@example.com").await.expect(401);
    spend("ada@EXAMPLE.com").await.expect(401);
    spend("ADA@example.com")
        .await
        .expect_problem(429, "rate_limited");
}

async fn rate_limited_refreshes_by_session(database: Database) {
    let more = [("QUEUE_ISSUER_LIMIT_REFRESH_PAIR", "2/m")];
    let issuer = start(&database, &more).await;
    let seeded = Seeded::new(&issuer, &database, KNOWN).await;
    let refresh = |generation: i64| {
        let (issuer, token) = (&issuer, seeded.token(generation));
        async move {
            let cookie = format!("__Host-queue_rt={token}");
            let headers = [OF_PAGE, CSRF, ("cookie", cookie.as_str())];
            let path = "/api/v1/auth/token/refresh";
            issuer.call(Method::POST, path, &headers, None).await
        }
    };
    refresh(1).await.expect(200);
    refresh(2).await.expect(200);
    let answer = refresh(3).await;
    answer.expect_problem(429, "rate_limited");
    assert_eq!(answer.header("retry-after"), "30");
    assert_eq!(answer.header("ratelimit"), "\"refresh-pair\";r=0;t=30");
    assert!(
        answer.headers.get("set-cookie").is_none(),
        "the token is kept"
    );
    let generation = "SELECT generation FROM queue_session_refreshes";
    assert_eq!(database.number(generation).await, 3);
    // Another session of the same address is another account.
    let other = Seeded::new(&issuer, &database, "bob@example.com").await;
    let cookie = format!("__Host-queue_rt={}", other.token(1));
    let headers = [OF_PAGE, CSRF, ("cookie", cookie.as_str())];
    let path = "/api/v1/auth/token/refresh";
    issuer
        .call(Method::POST, path, &headers, None)
        .await
        .expect(200);
    issuer.clock.advance(Duration::from_secs(30));
    refresh(3).await.expect(200);
}

async fn rate_limited_services_by_client(database: Database) {
    let more = [("QUEUE_ISSUER_LIMIT_SERVICE_CLIENT", "2/m")];
    let issuer = start(&database, &more).await;
    let own = basic("raptor", RAPTOR);
    let token = async |auth: &str| -> Answer {
        let fields = [("grant_type", "client_credentials")];
        form(&issuer, "token", Some(auth), &fields).await
    };
    // A guess spends nothing of what is the service's.
    for _ in 0..3 {
        let refused: Value = token(&basic("raptor", "guess")).await.expect(401);
        assert_eq!(refused["error"], "invalid_client");
    }
    token(&own).await.expect(200);
    let fields = [("token", "x")];
    let looked = form(&issuer, "revoke", Some(&own), &fields).await;
    assert_eq!(looked.status.as_u16(), 200);
    for endpoint in ["token", "introspect", "revoke"] {
        let fields = [("grant_type", "client_credentials"), ("token", "x")];
        let answer = form(&issuer, endpoint, Some(&own), &fields).await;
        answer.expect_problem(429, "rate_limited");
        assert_eq!(answer.header("retry-after"), "30");
        assert_eq!(answer.header("ratelimit"), "\"service-account\";r=0;t=30");
    }
    issuer.clock.advance(Duration::from_secs(30));
    token(&own).await.expect(200);
}
