//! How customers in browsers perform each of their mutating routes.

use ::http::Method;
use queue_issuer::Listener;
use serde_json::{Value, json};

use crate::audit_routes::{Call, Driver, Prepared, World, as_foreign_page};
use crate::browser::{
    Browser, LOGIN_OPTIONS, LOGIN_VERIFY, ORIGIN, REGISTER_OPTIONS, REGISTER_VERIFY, sign_up,
};
use crate::mailbox::Mailbox;

/// Every mutating route of browsers: how it is performed, and an action it writes.
pub(crate) const DRIVERS: &[Driver] = &[
    // With the customer and its first session.
    Driver::new(
        "public POST /api/v1/auth/webauthn/register/verify",
        "customer.created",
        register,
    )
    .writing(3)
    .refused_by(as_foreign_page)
    .counting_tries_in(CHALLENGES),
    Driver::new(
        "public POST /api/v1/auth/webauthn/register/verify",
        "webauthn.credential_added",
        add_passkey,
    )
    .refused_by(as_foreign_page)
    .counting_tries_in(CHALLENGES),
    Driver::new(
        "public POST /api/v1/auth/webauthn/login/verify",
        "session.opened",
        sign_in,
    )
    .refused_by(as_foreign_page)
    .counting_tries_in(CHALLENGES),
    Driver::new(
        "public POST /api/v1/auth/webauthn/login/verify",
        "session.stepped_up",
        step_up,
    )
    .refused_by(as_foreign_page)
    .counting_tries_in(CHALLENGES),
    Driver::new(
        "public PATCH /api/v1/auth/webauthn/credentials/{id}",
        "webauthn.credential_renamed",
        rename_passkey,
    ),
    Driver::new(
        "public DELETE /api/v1/auth/webauthn/credentials/{id}",
        "webauthn.credential_removed",
        remove_passkey,
    ),
    Driver::new(
        "public POST /api/v1/auth/email/verification",
        "email.code_requested",
        ask_for_code,
    )
    .refused_by(as_foreign_page),
    Driver::new(
        "public POST /api/v1/auth/email/verification/{id}/confirm",
        "email.verified",
        show_code,
    )
    .refused_by(as_foreign_page)
    .counting_tries_in("queue_email_verifications"),
    Driver::new(
        "public POST /api/v1/auth/backup-codes",
        "backup_codes.made",
        make_backup_codes,
    ),
    // With the session it opens.
    Driver::new(
        "public POST /api/v1/auth/backup-codes/verify",
        "backup_code.spent",
        spend_backup_code,
    )
    .writing(2)
    .refused_by(as_foreign_page),
    Driver::new(
        "public PATCH /api/v1/auth/me",
        "customer.renamed",
        rename_oneself,
    ),
    Driver::new(
        "public POST /api/v1/auth/token/refresh",
        "session.refreshed",
        refresh,
    )
    .refused_by(as_foreign_page),
    Driver::new(
        "public POST /api/v1/auth/logout",
        "session.revoked",
        sign_out,
    )
    .refused_by(as_foreign_page),
    Driver::new(
        "public DELETE /api/v1/auth/sessions/{sid}",
        "session.revoked",
        end_session,
    ),
    Driver::new(
        "public DELETE /api/v1/auth/sessions",
        "session.revoked",
        end_other_sessions,
    ),
];

fn register(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let mut browser = Browser::new(&world.issuer);
        let ask = json!({ "email": world.address() });
        let options = browser.post(REGISTER_OPTIONS, ask).await.expect(200);
        let credential = browser.authenticator.register(&options, ORIGIN);
        answer_to(&browser, REGISTER_VERIFY, &options, &credential)
    })
}

fn add_passkey(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let mut browser = world.browser().await;
        let ask = json!({ "name": "second" });
        let options = browser.post(REGISTER_OPTIONS, ask).await.expect(200);
        let credential = browser.authenticator.register(&options, ORIGIN);
        answer_to(&browser, REGISTER_VERIFY, &options, &credential)
    })
}

fn sign_in(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let mut browser = world.browser().await;
        browser.token = None;
        show_passkey(&mut browser).await
    })
}

fn step_up(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let mut browser = world.browser().await;
        show_passkey(&mut browser).await
    })
}

async fn show_passkey(browser: &mut Browser) -> Call {
    let options = browser.post(LOGIN_OPTIONS, json!({})).await.expect(200);
    let credential = browser.authenticator.sign_in(&options, ORIGIN);
    answer_to(browser, LOGIN_VERIFY, &options, &credential)
}

fn rename_passkey(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let mut browser = world.browser().await;
        let path = newest_passkey(&mut browser).await;
        let body = json!({ "name": "old telephone" });
        call(&browser, Method::PATCH, &path, Some(body))
    })
}

fn remove_passkey(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let mut browser = world.browser().await;
        browser.add_passkey("second").await.expect(201);
        let path = newest_passkey(&mut browser).await;
        call(&browser, Method::DELETE, &path, None)
    })
}

async fn newest_passkey(browser: &mut Browser) -> String {
    let path = "/api/v1/auth/webauthn/credentials";
    let listed = browser.get(path).await.expect(200);
    let newest = listed["credentials"].as_array().unwrap().last().unwrap();
    format!("{path}/{}", newest["id"].as_str().unwrap())
}

fn ask_for_code(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let browser = world.browser().await;
        let body = json!({ "purpose": "verify" });
        call(&browser, Method::POST, VERIFICATION, Some(body))
    })
}

fn show_code(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let address = world.address();
        let mut browser = sign_up(&world.issuer, &address).await;
        let ask = json!({ "purpose": "verify" });
        let asked = browser.post(VERIFICATION, ask).await.expect(202);
        let code = Mailbox::of(&world.database).code(&address).await;
        let id = asked["verification_id"].as_str().unwrap();
        let path = format!("{VERIFICATION}/{id}/confirm");
        call(&browser, Method::POST, &path, Some(json!({ "code": code })))
    })
}

fn make_backup_codes(world: &World) -> Prepared<'_> {
    Box::pin(async { call(&world.browser().await, Method::POST, CODES, None) })
}

fn spend_backup_code(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let address = world.address();
        let mut browser = sign_up(&world.issuer, &address).await;
        let made = browser.call(Method::POST, CODES, None).await.expect(201);
        let body = json!({ "email": address, "code": made["codes"][0] });
        let path = format!("{CODES}/verify");
        call(
            &Browser::new(&world.issuer),
            Method::POST,
            &path,
            Some(body),
        )
    })
}

fn rename_oneself(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let body = json!({ "display_name": "Ada" });
        let path = "/api/v1/auth/me";
        call(&world.browser().await, Method::PATCH, path, Some(body))
    })
}

fn refresh(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let path = "/api/v1/auth/token/refresh";
        call(&world.browser().await, Method::POST, path, None)
    })
}

fn sign_out(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let path = "/api/v1/auth/logout";
        call(&world.browser().await, Method::POST, path, None)
    })
}

fn end_session(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let (browser, other) = world.browser_and_another().await;
        let path = format!("/api/v1/auth/sessions/{other}");
        call(&browser, Method::DELETE, &path, None)
    })
}

fn end_other_sessions(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let (browser, _) = world.browser_and_another().await;
        let path = "/api/v1/auth/sessions?except=current";
        call(&browser, Method::DELETE, path, None)
    })
}

fn answer_to(browser: &Browser, path: &str, options: &Value, credential: &Value) -> Call {
    let body = json!({ "challenge_id": options["challenge_id"], "credential": credential });
    call(browser, Method::POST, path, Some(body))
}

/// The call as the page in `browser` would send it.
fn call(browser: &Browser, method: Method, path: &str, body: Option<Value>) -> Call {
    Call {
        listener: Listener::Public,
        method,
        path: path.to_owned(),
        headers: browser.headers(),
        body,
    }
}

impl World {
    /// A browser whose new customer is signed in.
    async fn browser(&self) -> Browser {
        sign_up(&self.issuer, &self.address()).await
    }

    /// A browser, and the id of a session its customer has elsewhere.
    async fn browser_and_another(&self) -> (Browser, String) {
        let browser = self.browser().await;
        let minted = self.issuer.mint(&browser.customer).await.expect(201);
        let sid = minted["session"]["session_id"].as_str().unwrap().to_owned();
        (browser, sid)
    }
}

const CHALLENGES: &str = "queue_webauthn_challenges";
const VERIFICATION: &str = "/api/v1/auth/email/verification";
const CODES: &str = "/api/v1/auth/backup-codes";
