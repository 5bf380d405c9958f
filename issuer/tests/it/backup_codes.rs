//! Backup codes: made in sets, shown once, each signs in once.

use std::collections::BTreeSet;
use std::time::Duration;

use ::http::Method;
use serde_json::{Value, json};

use crate::browser::{Browser, sign_up};
use crate::harness::{Database, Issuer, on_both_engines};
use crate::http::Answer;
use crate::mailbox::{Mailbox, Page, body_without_instance, events, mails, set_cookie, signed_in};

on_both_engines! {
    who_lost_every_passkey_makes_the_next_one
    backup_codes_are_shown_once
    insufficient_user_authentication_to_make_codes
    backup_code_signs_in_once
    backup_code_is_spent_once_of_many_at_once
    authentication_failed_for_every_cause
    new_set_voids_the_one_before
    sets_made_at_once_leave_one
}

const ADA: &str = "ada@example.com";
const CODES: &str = "/api/v1/auth/backup-codes";
const LIVE: &str =
    "SELECT COUNT(*) FROM queue_backup_codes WHERE spent_at IS NULL AND voided_at IS NULL";

async fn make(page: &Page<'_>) -> Vec<String> {
    let made = page.call(Method::POST, CODES, None).await.expect(201);
    let codes = made["codes"].as_array().unwrap().iter();
    codes
        .map(|code| code.as_str().unwrap().to_owned())
        .collect()
}

async fn standing(page: &Page<'_>) -> Value {
    page.call(Method::GET, CODES, None).await.expect(200)
}

async fn spend(issuer: &Issuer, email: &str, code: &str) -> Answer {
    let body = json!({ "email": email, "code": code });
    Page::new(issuer)
        .post("/api/v1/auth/backup-codes/verify", body)
        .await
}

async fn backup_codes_are_shown_once(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer(ADA).await;
    let page = signed_in(&issuer, &database, &customer).await;
    let none = json!({ "remaining": 0, "created_at": null });
    assert_eq!(standing(&page).await, none);
    let made = page.call(Method::POST, CODES, None).await;
    let body = made.expect(201);
    assert_eq!(made.header("cache-control"), "no-store");
    let codes: BTreeSet<&str> = body["codes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|code| code.as_str().unwrap())
        .collect();
    assert_eq!(codes.len(), 10);
    for code in codes {
        let groups: Vec<&str> = code.split('-').collect();
        assert_eq!(groups.len(), 4, "{code}");
        for group in groups {
            let is_known = |c: char| "0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains(c);
            assert!(group.len() == 4 && group.chars().all(is_known), "{code}");
        }
    }
    let expect = json!({ "remaining": 10, "created_at": body["created_at"] });
    assert_eq!(standing(&page).await, expect);
    assert_eq!(events(&database, "backup_codes.made").await, 1);
    Mailbox::of(&database).take(ADA, "new backup codes").await;
}

async fn insufficient_user_authentication_to_make_codes(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer(ADA).await;
    let minted = issuer.mint(&customer).await.expect(201);
    let legacy = Page::new(&issuer).with_token(minted["access_token"].as_str().unwrap());
    legacy
        .call(Method::POST, CODES, None)
        .await
        .expect_problem(401, "insufficient_user_authentication");
    Page::new(&issuer)
        .call(Method::GET, CODES, None)
        .await
        .expect_problem(401, "bearer_missing");
    assert_eq!(database.number(LIVE).await, 0);
}

/// Hazard I26.
async fn backup_code_signs_in_once(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer(ADA).await;
    let page = signed_in(&issuer, &database, &customer).await;
    let codes = make(&page).await;
    let answer = spend(&issuer, "ADA@example.com", &codes[3].to_lowercase()).await;
    let opened = answer.expect(200);
    assert_eq!(opened["session"]["acr"], "urn:queue:acr:recovery");
    assert_eq!(opened["session"]["subject"], customer);
    assert!(set_cookie(&answer, "__Host-queue_rt").is_some());
    assert_eq!(standing(&page).await["remaining"], 9);
    let mail = Mailbox::of(&database).take(ADA, "a backup code").await;
    assert!(mail.contains("9 are left"), "{mail}");
    spend(&issuer, ADA, &codes[3])
        .await
        .expect_problem(401, "authentication_failed");
    let typed = codes[4]
        .replace('-', " ")
        .replace('0', "o")
        .replace('1', "l");
    spend(&issuer, ADA, &typed).await.expect(200);
    assert_eq!(standing(&page).await["remaining"], 8);
    assert_eq!(events(&database, "backup_code.spent").await, 2);
    assert_eq!(events(&database, "backup_code.refused").await, 1);
    assert_eq!(mails(&database, "backup_code_spent").await, 2);
}

/// Hazard I24.
async fn backup_code_is_spent_once_of_many_at_once(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer(ADA).await;
    let page = signed_in(&issuer, &database, &customer).await;
    let codes = make(&page).await;
    let spend = || spend(&issuer, ADA, &codes[0]);
    let (a, b, c, d) = tokio::join!(spend(), spend(), spend(), spend());
    let mut statuses = [a, b, c, d].map(|answer| answer.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401, 401, 401]);
    assert_eq!(events(&database, "session.opened").await, 1);
    assert_eq!(standing(&page).await["remaining"], 9);
}

async fn authentication_failed_for_every_cause(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer(ADA).await;
    let eve = issuer.customer("eve@example.com").await;
    let codes = make(&signed_in(&issuer, &database, &customer).await).await;
    let foreign = make(&signed_in(&issuer, &database, &eve).await).await;
    let refused = [
        spend(&issuer, ADA, "0000-0000-0000-0000").await,
        spend(&issuer, ADA, &foreign[0]).await,
        spend(&issuer, ADA, "").await,
        spend(&issuer, ADA, &codes[0][1..]).await,
        spend(&issuer, "no@example.com", &codes[0]).await,
        spend(&issuer, "no", &codes[0]).await,
        spend(&issuer, "eve@example.com", &codes[0]).await,
    ];
    let suspend = format!(
        "UPDATE queue_customers SET state = 'suspended', suspended_at = created_at WHERE id = '{customer}'"
    );
    database.execute(&suspend).await.unwrap();
    let suspended = spend(&issuer, ADA, &codes[0]).await;
    for answer in refused.iter().chain([&suspended]) {
        answer.expect_problem(401, "authentication_failed");
        assert_eq!(
            body_without_instance(answer),
            body_without_instance(&suspended)
        );
        assert_eq!(answer.body.len(), suspended.body.len());
        assert_eq!(set_cookie(answer, "__Host-queue_rt"), None);
    }
    assert_eq!(events(&database, "backup_code.refused").await, 8);
    assert_eq!(database.number(LIVE).await, 20, "nothing was spent");
}

async fn new_set_voids_the_one_before(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer(ADA).await;
    let page = signed_in(&issuer, &database, &customer).await;
    let old = make(&page).await;
    spend(&issuer, ADA, &old[0]).await.expect(200);
    issuer.clock.advance(Duration::from_secs(1));
    let page = signed_in(&issuer, &database, &customer).await;
    let new = make(&page).await;
    assert_eq!(standing(&page).await["remaining"], 10);
    spend(&issuer, ADA, &old[1])
        .await
        .expect_problem(401, "authentication_failed");
    spend(&issuer, ADA, &new[1]).await.expect(200);
    assert_eq!(standing(&page).await["remaining"], 9);
    // The first set is thirty days old then, the second is not.
    issuer.clock.advance(Duration::from_secs(30 * 86_400 - 1));
    make(&signed_in(&issuer, &database, &customer).await).await;
    let kept = "SELECT COUNT(*) FROM queue_backup_codes";
    assert_eq!(database.number(kept).await, 20);
}

async fn sets_made_at_once_leave_one(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer(ADA).await;
    let page = signed_in(&issuer, &database, &customer).await;
    tokio::join!(make(&page), make(&page), make(&page));
    assert_eq!(database.number(LIVE).await, 10);
}

async fn who_lost_every_passkey_makes_the_next_one(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut lost = sign_up(&issuer, "ada@example.com").await;
    let made = lost.post("/api/v1/auth/backup-codes", json!({})).await;
    let code = made.expect(201)["codes"][0].clone();
    let mut browser = Browser::new(&issuer);
    let spent = json!({ "email": "ada@example.com", "code": code });
    let back = browser
        .post("/api/v1/auth/backup-codes/verify", spent)
        .await;
    back.expect(200);
    browser.keep_token(&back);
    // Recovery makes a passkey, and opens nothing else.
    browser
        .post("/api/v1/auth/backup-codes", json!({}))
        .await
        .expect_problem(401, "insufficient_user_authentication");
    browser.add_passkey("the next").await.expect(201);
    assert_eq!(mails(&database, "passkey_added").await, 1);
    let again = browser.sign_in().await.expect(200);
    assert_eq!(again["session"]["acr"], "urn:queue:acr:passkey-uv");

    let mut late = Browser::new(&issuer);
    let code = made.json()["codes"][1].clone();
    let spent = json!({ "email": "ada@example.com", "code": code });
    let back = late.post("/api/v1/auth/backup-codes/verify", spent).await;
    late.keep_token(&back);
    issuer.clock.advance(Duration::from_secs(301));
    let refreshed = late.post("/api/v1/auth/token/refresh", json!({})).await;
    late.keep_token(&refreshed);
    let refused = late.add_passkey("too late").await;
    refused.expect_problem(401, "insufficient_user_authentication");
    assert!(
        refused
            .header("www-authenticate")
            .contains("urn:queue:acr:recovery")
    );
}
