//! A page of ours in a browser that keeps its login transaction, and the mail that arrives meanwhile.

use std::path::PathBuf;
use std::sync::Mutex;

use ::http::Method;
use serde_json::{Value, json};

use crate::harness::{Database, Issuer, bearer, eventually};
use crate::http::Answer;

/// A page, perhaps signed in.
pub(crate) struct Page<'a> {
    issuer: &'a Issuer,
    token: Option<String>,
    cookie: Mutex<Option<String>>,
}

impl<'a> Page<'a> {
    pub(crate) fn new(issuer: &'a Issuer) -> Self {
        Self {
            issuer,
            token: None,
            cookie: Mutex::default(),
        }
    }

    /// The same browser, in another session.
    pub(crate) fn with_token(&self, token: &str) -> Page<'a> {
        Page {
            issuer: self.issuer,
            token: Some(token.to_owned()),
            cookie: Mutex::new(self.cookie.lock().unwrap().clone()),
        }
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let token = self.token.as_deref().map(bearer);
        let cookie = self.cookie.lock().unwrap().clone();
        let mut headers = vec![("origin", "http://localhost:4100"), ("x-queue-csrf", "1")];
        headers.extend(token.as_deref().map(|token| ("authorization", token)));
        headers.extend(cookie.as_deref().map(|cookie| ("cookie", cookie)));
        let answer = self.issuer.call(method, path, &headers, body).await;
        if let Some(cookie) = set_cookie(&answer, "__Host-queue_lt") {
            *self.cookie.lock().unwrap() = Some(cookie);
        }
        answer
    }

    /// Asks for a code; the id it is shown under.
    pub(crate) async fn ask(&self, body: Value) -> String {
        let asked = self.post("/api/v1/auth/email/verification", body).await;
        let id = &asked.expect(202)["verification_id"];
        id.as_str().unwrap().to_owned()
    }

    pub(crate) async fn show(&self, id: &str, code: &str) -> Answer {
        let path = format!("/api/v1/auth/email/verification/{id}/confirm");
        self.post(&path, json!({ "code": code })).await
    }
}

/// `name=value` of the cookie the answer sets.
pub(crate) fn set_cookie(answer: &Answer, name: &str) -> Option<String> {
    let cookies = answer.headers.get_all("set-cookie").iter();
    let mut pairs = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
    let is_meant = |pair: &&str| pair.split('=').next() == Some(name);
    pairs.find(is_meant).map(str::to_owned)
}

/// The body of a problem, but for the name of its request.
pub(crate) fn body_without_instance(answer: &Answer) -> serde_json::Value {
    let mut body = answer.json();
    body.as_object_mut().unwrap().remove("instance");
    body
}

/// A session of `customer` that says it began with a passkey.
pub(crate) async fn signed_in<'a>(
    issuer: &'a Issuer,
    database: &Database,
    customer: &str,
) -> Page<'a> {
    let minted = issuer.mint(customer).await.expect(201);
    let session = minted["session"]["session_id"].as_str().unwrap();
    let shown = format!(
        "UPDATE queue_sessions SET acr = 'urn:queue:acr:passkey-uv' WHERE id = '{session}'"
    );
    database.execute(&shown).await.unwrap();
    Page::new(issuer).with_token(minted["access_token"].as_str().unwrap())
}

/// Where mail goes without a mail server.
pub(crate) struct Mailbox {
    folder: PathBuf,
}

impl Mailbox {
    pub(crate) fn of(database: &Database) -> Self {
        Self {
            folder: database.dir.join("outbox"),
        }
    }

    /// Takes the mail to `to` that says `words`, once it is there.
    pub(crate) async fn take(&self, to: &str, words: &str) -> String {
        let mut taken = None;
        eventually(&format!("{words:?} arrives"), async || {
            taken = self.find(to, words);
            taken.is_some()
        })
        .await;
        taken.unwrap()
    }

    /// Takes the code mailed to `to`.
    pub(crate) async fn code(&self, to: &str) -> String {
        let mail = self.take(to, "this code").await;
        let is_code = |line: &&str| line.len() == 8 && line.bytes().all(|b| b.is_ascii_digit());
        let code = mail.lines().map(str::trim).find(is_code);
        code.expect("a code of eight digits").to_owned()
    }

    fn find(&self, to: &str, words: &str) -> Option<String> {
        for entry in std::fs::read_dir(&self.folder).ok()? {
            let path = entry.ok()?.path();
            if path.extension().is_none_or(|extension| extension != "eml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).ok()?.replace("\r\n", "\n");
            if text.contains(&format!("\nTo: {to}\n")) && text.contains(words) {
                std::fs::remove_file(path).unwrap();
                return Some(text);
            }
        }
        None
    }
}

/// How many mails of `kind` were queued.
pub(crate) async fn mails(database: &Database, kind: &str) -> i64 {
    let count = format!("SELECT COUNT(*) FROM queue_outbox WHERE kind = '{kind}'");
    database.number(&count).await
}

/// How many events say `action`.
pub(crate) async fn events(database: &Database, action: &str) -> i64 {
    let count = format!("SELECT COUNT(*) FROM customer_audit_events WHERE action = '{action}'");
    database.number(&count).await
}
