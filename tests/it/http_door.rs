//! The HTTP door: every vector through a running sidecar, held against the committed outcomes.

use std::collections::{BTreeMap, HashMap};
use std::future::pending;
use std::sync::Arc;

use queue_sidecar::App;
use queue_tests::FakeClock;
use queue_tests::vectors::{Case, Setup, jwt_cases, root};
use reqwest::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Largest body the sidecar reads; a longer one is refused before a token is seen.
const MAX_BODY: usize = 64 * 1024;

/// One sidecar for each set of settings, its clock stopped.
#[derive(Default)]
struct Sidecars {
    urls: HashMap<String, Result<String, String>>,
    serving: JoinSet<std::io::Result<()>>,
}

impl Sidecars {
    fn url(&mut self, setup: &Setup) -> Result<String, String> {
        let serving = &mut self.serving;
        let start = || {
            let settings = setup.sidecar();
            let clock = FakeClock::at(setup.now);
            let app = App::build(&settings, clock as Arc<_>).map_err(|error| error.to_string())?;
            let url = format!(
                "http://{}",
                app.local_addr().expect("it has a TCP listener")
            );
            serving.spawn(app.serve(pending()));
            Ok(url)
        };
        self.urls
            .entry(format!("{setup:?}"))
            .or_insert_with(start)
            .clone()
    }
}

pub(crate) fn client() -> Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .build()
        .expect("a client")
}

/// `valid`, or the code of the problem document; the status must fit.
async fn outcome(response: Response) -> String {
    let status = response.status().as_u16();
    let has_challenge = response.headers().contains_key(WWW_AUTHENTICATE);
    let body: Value = response.json().await.expect("every answer is JSON");
    if status == 200 {
        assert!(body["issuer"].is_string(), "a session: {body}");
        return "valid".to_owned();
    }
    assert_eq!(body["status"], status, "{body}");
    assert_eq!(
        has_challenge,
        matches!(status, 400 | 401 | 403),
        "{status} {body}"
    );
    body["code"]
        .as_str()
        .expect("a problem has a code")
        .to_owned()
}

async fn by_body(client: &Client, url: &str, case: &Case) -> Option<String> {
    let token = std::str::from_utf8(&case.token).ok()?;
    let body = match &case.require_json {
        Some(require) => json!({"token": token, "require": require}),
        None => json!({ "token": token }),
    };
    let response = client
        .post(format!("{url}/v1/validate"))
        .json(&body)
        .send()
        .await;
    let outcome = outcome(response.expect("the sidecar answers")).await;
    if body.to_string().len() > MAX_BODY {
        assert_eq!(outcome, "request_too_large", "{}", case.id);
        return None;
    }
    Some(outcome)
}

async fn by_header(client: &Client, url: &str, case: &Case) -> Option<String> {
    let is_carried = !case.token.is_empty()
        && case.token.len() <= 12 * 1024
        && case.token.iter().all(|byte| *byte > b' ' && *byte != 0x7f)
        && case.require_json.is_none();
    if !is_carried {
        return None;
    }
    let value = HeaderValue::from_bytes(&[b"Bearer ", case.token.as_slice()].concat()).ok()?;
    let request = client
        .post(format!("{url}/v1/validate"))
        .header(AUTHORIZATION, value);
    Some(outcome(request.send().await.expect("the sidecar answers")).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_has_its_committed_outcome() {
    let text = std::fs::read_to_string(root().join("outcomes.json")).expect("committed");
    let committed: BTreeMap<String, String> = serde_json::from_str(&text).expect("an object");
    let (client, mut sidecars) = (client(), Sidecars::default());
    let (mut failures, mut bodies, mut headers, mut carried_by_none) =
        (Vec::new(), 0, 0, Vec::new());
    for case in jwt_cases() {
        let expected = &committed[&case.id];
        let url = match sidecars.url(&case.setup) {
            Ok(url) => url,
            Err(error) => {
                if expected != "config_error" {
                    failures.push(format!("{}: {expected}, but {error}", case.id));
                }
                continue;
            }
        };
        let (body, header) = (
            by_body(&client, &url, &case).await,
            by_header(&client, &url, &case).await,
        );
        bodies += usize::from(body.is_some());
        headers += usize::from(header.is_some());
        if body.is_none() && header.is_none() && !case.tags.iter().any(|tag| tag == "big") {
            carried_by_none.push(case.id.clone());
        }
        for (door, found) in [("body", body), ("header", header)] {
            if let Some(found) = found.filter(|found| found != expected) {
                failures.push(format!("{} by {door}: {expected}, found {found}", case.id));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{}\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(
        carried_by_none.is_empty(),
        "no way to carry {carried_by_none:?}"
    );
    assert!(
        bodies > 2100 && headers > 2000,
        "{bodies} by body, {headers} by header"
    );
}
