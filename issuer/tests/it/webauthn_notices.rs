//! What a customer is told by mail of its passkeys.

use crate::browser::sign_up;
use crate::harness::{Database, Issuer, on_both_engines};
use crate::mailbox::mails;

on_both_engines! {
    customer_is_told_of_a_device_it_never_used
}

async fn customer_is_told_of_a_device_it_never_used(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = sign_up(&issuer, "ada@example.com").await;
    browser.sign_in().await.expect(200);
    assert_eq!(mails(&database, "new_sign_in").await, 0);
    let elsewhere = "UPDATE queue_session_refreshes SET device = 'Firefox on Windows'";
    database.execute(elsewhere).await.unwrap();
    for _ in 0..2 {
        browser.sign_in().await.expect(200);
        assert_eq!(mails(&database, "new_sign_in").await, 1);
    }
    browser.add_passkey("second").await.expect(201);
    let listed = browser.get("/api/v1/auth/webauthn/credentials").await;
    let id = listed.expect(200)["credentials"][0]["id"].clone();
    let path = format!("/api/v1/auth/webauthn/credentials/{}", id.as_str().unwrap());
    browser.delete(&path).await.expect(200);
    assert_eq!(mails(&database, "passkey_added").await, 1);
    assert_eq!(mails(&database, "passkey_removed").await, 1);
}
