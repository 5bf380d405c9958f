//! A customer's browser: its passkey and its cookies.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::authenticator::Authenticator;
use crate::client::{Answer, Client};

#[derive(Default)]
pub(crate) struct Browser {
    authenticator: Authenticator,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) async fn register(&mut self, client: &mut Client, email: &str) {
        let path = "/api/v1/auth/webauthn/register/options";
        let asked = json!({ "email": email });
        let options = self.post(client, path, &asked).await.expect(200);
        let credential = self.authenticator.register(&options, ORIGIN);
        let shown = answer(&options, &credential);
        let path = "/api/v1/auth/webauthn/register/verify";
        self.post(client, path, &shown).await.expect(200);
    }

    pub(crate) async fn sign_in(&mut self, client: &mut Client) {
        let path = "/api/v1/auth/webauthn/login/options";
        let options = self.post(client, path, &json!({})).await.expect(200);
        let credential = self.authenticator.sign_in(&options, ORIGIN);
        let shown = answer(&options, &credential);
        let path = "/api/v1/auth/webauthn/login/verify";
        self.post(client, path, &shown).await.expect(200);
    }

    pub(crate) async fn refresh(&mut self, client: &mut Client) {
        let path = "/api/v1/auth/token/refresh";
        self.post(client, path, &json!({})).await.expect(200);
    }

    async fn post(&mut self, client: &mut Client, path: &str, body: &Value) -> Answer {
        let pairs = self.cookies.iter();
        let cookies: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookies = cookies.join("; ");
        let mut headers = vec![
            ("origin", ORIGIN),
            ("sec-fetch-site", "same-origin"),
            ("x-queue-csrf", "1"),
        ];
        if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        let answer = client.post(path, &headers, body).await;
        for header in answer.headers.get_all("set-cookie") {
            let header = header.to_str().expect("text");
            let (pair, attributes) = header.split_once(';').expect("attributes");
            let (name, value) = pair.split_once('=').expect("a pair");
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
}

fn answer(options: &Value, credential: &Value) -> Value {
    json!({ "challenge_id": options["challenge_id"], "credential": credential })
}

/// Where the pages of an issuer with default settings are from.
const ORIGIN: &str = "http://localhost:4100";
