//! A session that ends while its request is under way changes no passkey.

use ::http::Method;
use serde_json::json;

use crate::browser::{Browser, ORIGIN, REGISTER_OPTIONS, REGISTER_VERIFY, sign_up};
use crate::harness::{Database, Held, Issuer, eventually, on_both_engines};

on_both_engines! {
    access_token_invalid_when_a_session_ends_before_its_passkey_is_bound
    access_token_invalid_when_a_session_ends_before_its_passkey_is_changed
}

const PASSKEYS: &str = "SELECT COUNT(*) FROM queue_webauthn_credentials";
const END: &str = "UPDATE queue_sessions
                   SET revoked_at = created_at, revoked_by = 'test', revoke_reason = 'test'";

async fn access_token_invalid_when_a_session_ends_before_its_passkey_is_bound(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = sign_up(&issuer, "ada@example.com").await;
    let options = browser.post(REGISTER_OPTIONS, json!({})).await.expect(200);
    // The challenge is spent after the session was found live, and before the passkey is bound.
    let trigger = if database.is_postgres() {
        format!(
            "CREATE FUNCTION finish() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {END}; RETURN NEW; END $$;
             CREATE TRIGGER finish AFTER UPDATE ON queue_webauthn_challenges
             FOR EACH ROW EXECUTE FUNCTION finish()"
        )
    } else {
        format!("CREATE TRIGGER finish AFTER UPDATE ON queue_webauthn_challenges BEGIN {END}; END")
    };
    database.execute(&trigger).await.unwrap();
    let credential = browser.authenticator.register(&options, ORIGIN);
    let answer = browser.verify(REGISTER_VERIFY, &options, credential).await;
    answer.expect_problem(401, "access_token_invalid");
    assert_eq!(database.number(PASSKEYS).await, 1);
}

async fn access_token_invalid_when_a_session_ends_before_its_passkey_is_changed(
    database: Database,
) {
    if !database.is_postgres() {
        // Who waits for an embedded database cannot be seen from outside.
        return;
    }
    let issuer = Issuer::start(&database).await;
    for method in [Method::PATCH, Method::DELETE] {
        let email = format!("{}@example.com", method.as_str().to_lowercase());
        let mut browser = sign_up(&issuer, &email).await;
        browser.add_passkey("second").await.expect(201);
        let path = newest(&mut browser).await;
        let before = database.text(NAMES).await;
        let mut held = database.hold_writes().await;
        let body = (method == Method::PATCH).then(|| json!({ "name": "third" }));
        let (answer, ()) = tokio::join!(
            browser.call(method, &path, body),
            end_when_awaited(&database, &mut held)
        );
        answer.expect_problem(401, "access_token_invalid");
        assert_eq!(database.text(NAMES).await, before);
    }
}

async fn newest(browser: &mut Browser) -> String {
    let path = "/api/v1/auth/webauthn/credentials";
    let listed = browser.get(path).await.expect(200);
    let newest = listed["credentials"].as_array().unwrap().last().unwrap();
    format!("{path}/{}", newest["id"].as_str().unwrap())
}

/// Ends every session, once a request waits for what is held.
async fn end_when_awaited(database: &Database, held: &mut Held) {
    let waiting = "SELECT COUNT(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
                   WHERE NOT granted AND datname = current_database()";
    eventually("the request waits", async || {
        database.number(waiting).await > 0
    })
    .await;
    held.commit(END).await;
}

const NAMES: &str = "SELECT string_agg(name, ' ' ORDER BY id) FROM queue_webauthn_credentials";
