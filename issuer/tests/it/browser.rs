//! A browser with an authenticator: keeps cookies, says where its page is from, holds the access token.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ::http::Method;
use serde_json::{Value, json};

use crate::authenticator::Authenticator;
use crate::harness::Issuer;
use crate::http::{Answer, request, send};

pub(crate) struct Browser {
    to: SocketAddr,
    pub(crate) origin: String,
    pub(crate) cookies: BTreeMap<String, String>,
    /// Sent as the bearer token, while there is one.
    pub(crate) token: Option<String>,
    /// The id of who is signed in.
    pub(crate) customer: String,
    pub(crate) authenticator: Authenticator,
}

/// A browser whose customer has just registered `email` with a passkey and is signed in.
pub(crate) async fn sign_up(issuer: &Issuer, email: &str) -> Browser {
    let mut browser = Browser::new(issuer);
    browser.register(email).await.expect(200);
    browser
}

impl Browser {
    pub(crate) fn new(issuer: &Issuer) -> Self {
        Self {
            to: issuer.public,
            origin: ORIGIN.to_owned(),
            cookies: BTreeMap::new(),
            token: None,
            customer: String::new(),
            authenticator: Authenticator::default(),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&mut self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&mut self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// Sends as a page at [`Browser::origin`] would, and keeps the cookies of the answer.
    pub(crate) async fn call(&mut self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let headers = self.headers();
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let body = body.map(|body| body.to_string());
        let answer = send(self.to, request(method, path, &headers, body)).await;
        self.keep_cookies(&answer);
        answer
    }

    /// What goes with every request of the page.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![
            ("origin", self.origin.clone()),
            ("sec-fetch-site", "same-origin".to_owned()),
            ("x-queue-csrf", "1".to_owned()),
            ("user-agent", AGENT.to_owned()),
        ];
        let pairs = self.cookies.iter();
        let cookies: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            headers.push(("cookie", cookies.join("; ")));
        }
        if let Some(token) = &self.token {
            headers.push(("authorization", crate::harness::bearer(token)));
        }
        let named = headers.into_iter();
        named
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        for header in answer.headers.get_all("set-cookie") {
            let header = header.to_str().unwrap();
            let (pair, attributes) = header.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            for attribute in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/"] {
                assert!(attributes.contains(attribute), "{header}");
            }
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Takes the access token of an answer that has one.
    pub(crate) fn keep_token(&mut self, answer: &Answer) {
        if answer.status == 200 {
            let body = answer.json();
            self.token = body["access_token"].as_str().map(str::to_owned);
            self.customer = body["session"]["subject"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
        }
    }

    /// Registers a new customer with a new passkey.
    pub(crate) async fn register(&mut self, email: &str) -> Answer {
        self.token = None;
        let options = self.post(REGISTER_OPTIONS, json!({ "email": email })).await;
        let options = options.expect(200);
        let credential = self.authenticator.register(&options, &self.origin);
        let answer = self.verify(REGISTER_VERIFY, &options, credential).await;
        self.keep_token(&answer);
        answer
    }

    /// Adds a further passkey to the customer who is signed in.
    pub(crate) async fn add_passkey(&mut self, name: &str) -> Answer {
        let options = self.post(REGISTER_OPTIONS, json!({ "name": name })).await;
        if options.status != 200 {
            return options;
        }
        let options = options.json();
        let credential = self.authenticator.register(&options, &self.origin);
        self.verify(REGISTER_VERIFY, &options, credential).await
    }

    /// Signs in anew with the last passkey made.
    pub(crate) async fn sign_in(&mut self) -> Answer {
        self.token = None;
        let options = self.post(LOGIN_OPTIONS, json!({})).await.expect(200);
        let credential = self.authenticator.sign_in(&options, &self.origin);
        let answer = self.verify(LOGIN_VERIFY, &options, credential).await;
        self.keep_token(&answer);
        answer
    }

    /// Shows the last passkey made again, without leaving the session.
    pub(crate) async fn step_up(&mut self) -> Answer {
        let options = self.post(LOGIN_OPTIONS, json!({})).await.expect(200);
        let credential = self.authenticator.sign_in(&options, &self.origin);
        let answer = self.verify(LOGIN_VERIFY, &options, credential).await;
        self.keep_token(&answer);
        answer
    }

    /// Sends `credential` as the answer to `options`.
    pub(crate) async fn verify(
        &mut self,
        path: &str,
        options: &Value,
        credential: Value,
    ) -> Answer {
        let body = json!({ "challenge_id": options["challenge_id"], "credential": credential });
        self.post(path, body).await
    }
}

/// Where the pages of an issuer with default settings are from.
pub(crate) const ORIGIN: &str = "http://localhost:4100";
pub(crate) const REGISTER_OPTIONS: &str = "/api/v1/auth/webauthn/register/options";
pub(crate) const REGISTER_VERIFY: &str = "/api/v1/auth/webauthn/register/verify";
pub(crate) const LOGIN_OPTIONS: &str = "/api/v1/auth/webauthn/login/options";
pub(crate) const LOGIN_VERIFY: &str = "/api/v1/auth/webauthn/login/verify";
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
