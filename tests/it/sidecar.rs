//! What the verifier learned, behind the sidecar: status lists, several issuers, memory, freshness.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use queue_sidecar::settings::{IssuerSettings, RawSettings};
use queue_sidecar::{App, Settings};
use queue_tests::clock::NOW;
use queue_tests::forge::{jwk_set, session_claims};
use queue_tests::status_list::refer;
use queue_tests::{FakeClock, FakeIssuer, Forge, Reply, StatusListForge};
use queue_verifier::{KeySource, StatusSource};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const ISSUER: &str = "https://auth.example.com";
const URI: &str = "https://auth.example.com/status-lists/1";

/// A sidecar being served, and somebody who asks it.
struct Asked {
    url: String,
    client: Client,
    clock: Arc<FakeClock>,
    /// Ends with the test.
    _serving: JoinSet<std::io::Result<()>>,
}

impl Asked {
    fn serve(settings: &Settings) -> Self {
        let clock = FakeClock::at(NOW);
        let app = App::build(settings, Arc::clone(&clock) as Arc<_>).expect("good settings");
        let url = format!(
            "http://{}",
            app.local_addr().expect("it has a TCP listener")
        );
        let mut serving = JoinSet::new();
        serving.spawn(app.serve(pending()));
        let client = crate::http_door::client();
        Self {
            url,
            client,
            clock,
            _serving: serving,
        }
    }

    /// Status and body of the answer to `token` held against `require`.
    async fn validate(&self, token: &str, require: Value) -> (u16, Value) {
        let body = json!({ "token": token, "require": require });
        let request = self.client.post(format!("{}/v1/validate", self.url));
        let response = request.json(&body).send().await.expect("it answers");
        let status = response.status().as_u16();
        (status, response.json().await.expect("every answer is JSON"))
    }

    async fn code(&self, token: &str) -> String {
        let (_, body) = self.validate(token, json!({})).await;
        body["code"].as_str().unwrap_or("valid").to_owned()
    }

    async fn page(&self, path: &str) -> String {
        let response = self.client.get(format!("{}{path}", self.url)).send().await;
        response.expect("it answers").text().await.expect("text")
    }
}

fn settings(key: &Forge) -> Settings {
    let keys = KeySource::jwk_set(jwk_set(&[key]));
    let mut settings = Settings::for_issuer(ISSUER, ["raptor"], keys);
    settings.listen = Some("127.0.0.1:0".parse().expect("a loopback address"));
    // Clocks leap here; connections at rest live on.
    settings.idle_timeout = Duration::from_secs(100_000);
    settings
}

fn token(key: &Forge, issuer: &str, idx: Option<usize>) -> String {
    let mut claims = session_claims(issuer, "raptor", NOW);
    if let Some(idx) = idx {
        refer(&mut claims, URI, idx);
    }
    key.sign(&claims)
}

#[tokio::test]
async fn a_revoked_session_is_refused_by_a_list_given_as_text_or_file() {
    let key = Forge::new("k1");
    let list = StatusListForge::new(ISSUER, URI, NOW).set(7, 1).sign(&key);
    let file = std::env::temp_dir().join(format!("queue-status-list-{}", std::process::id()));
    std::fs::write(&file, format!("{list}\n")).expect("a writable folder");
    for given in [list.as_str(), file.to_str().expect("a name of text")] {
        let document = format!(
            "issuer = '{ISSUER}'\naudience = 'raptor'\nlisten = '127.0.0.1:0'\njwks = '{}'\n\
             status_list = '{given}'\nstatus_required = true\n",
            jwk_set(&[&key])
        );
        let raw = RawSettings::from_toml(&document).expect("it is TOML");
        let asked = Asked::serve(&Settings::resolve(&raw).expect("it is right"));
        let (status, body) = asked
            .validate(&token(&key, ISSUER, Some(7)), json!({}))
            .await;
        assert_eq!((status, &body["code"]), (401, &json!("status_revoked")));
        let (status, body) = asked
            .validate(&token(&key, ISSUER, Some(8)), json!({}))
            .await;
        assert_eq!(
            (status, &body["freshness"]["status"]),
            (200, &json!("fresh"))
        );
        assert_eq!(
            asked.code(&token(&key, ISSUER, None)).await,
            "claims_missing"
        );
        asked.clock.advance(61);
        let (status, body) = asked
            .validate(&token(&key, ISSUER, Some(8)), json!({}))
            .await;
        assert_eq!((status, &body["code"]), (503, &json!("status_unavailable")));
    }
    std::fs::remove_file(&file).expect("it was there");
}

#[tokio::test]
async fn each_issuer_is_judged_by_its_own_table_of_the_file() {
    let (ours, theirs) = (Forge::new("k1"), Forge::new("k1"));
    let document = format!(
        "issuer = '{ISSUER}'\naudience = 'raptor'\nlisten = '127.0.0.1:0'\njwks = '{}'\n\
         [[also]]\nissuer = 'https://other.example.com'\naudience = 'raptor'\njwks = '{}'\n",
        jwk_set(&[&ours]),
        jwk_set(&[&theirs])
    );
    let raw = RawSettings::from_toml(&document).expect("it is TOML");
    let asked = Asked::serve(&Settings::resolve(&raw).expect("it is right"));
    assert_eq!(asked.code(&token(&ours, ISSUER, None)).await, "valid");
    assert_eq!(
        asked
            .code(&token(&theirs, "https://other.example.com", None))
            .await,
        "valid"
    );
    assert_eq!(
        asked.code(&token(&theirs, ISSUER, None)).await,
        "signature_invalid"
    );
    assert_eq!(
        asked
            .code(&token(&ours, "https://third.example.com", None))
            .await,
        "claims_iss_mismatch"
    );
    let page = asked.page("/metrics").await;
    for issuer in [ISSUER, "https://other.example.com"] {
        let sample = format!("queue_sidecar_keys{{issuer=\"{issuer}\"}} 1\n");
        assert_eq!(page.matches(&sample).count(), 1, "{page}");
    }
    assert_eq!(page.matches("# TYPE queue_sidecar_keys gauge").count(), 1);
}

#[test]
fn what_speaks_for_the_process_is_refused_inside_a_further_issuer() {
    for (line, key) in [
        ("remember = 5", "also[0].remember: "),
        ("leeway = 'soon'", "also[0].leeway "),
        ("[[also.also]]\nissuer = 'i'", "also[0].also: "),
        ("audience = []", "also[0].audience: "),
    ] {
        let audience = if line.starts_with("audience") {
            ""
        } else {
            "audience = 'b'\n"
        };
        let document =
            format!("issuer = 'a'\naudience = 'b'\n[[also]]\nissuer = 'c'\n{audience}{line}\n");
        let raw = RawSettings::from_toml(&document).expect("it is TOML");
        let error = Settings::resolve(&raw)
            .expect_err("it is wrong")
            .to_string();
        assert!(error.starts_with(key), "{error}");
    }
}

#[tokio::test]
async fn a_token_met_again_is_recalled_and_counted_unless_nothing_is_remembered() {
    let key = Forge::new("k1");
    let mut settings = settings(&key);
    let token = token(&key, ISSUER, None);
    let mut cached = Vec::new();
    for remember in [settings.remember, 0] {
        settings.remember = remember;
        let asked = Asked::serve(&settings);
        for _ in 0..2 {
            let (_, body) = asked.validate(&token, json!({})).await;
            cached.push(body["freshness"]["cached"].as_bool());
        }
        let page = asked.page("/metrics").await;
        let recalled = format!("queue_sidecar_recalled_total {}\n", u8::from(remember > 0));
        assert!(page.contains(&recalled), "{page}");
        let is_counted = page.contains("queue_sidecar_remembered_tokens 1\n");
        assert_eq!(is_counted, remember > 0, "{page}");
    }
    assert_eq!(cached, [Some(false), Some(true), Some(false), Some(false)]);
}

#[tokio::test]
async fn who_requires_freshness_is_told_of_an_outage_that_serves_the_others() {
    let key = Forge::new("k1");
    let issuer = FakeIssuer::start().await;
    issuer.publish(&[&key]);
    let mut settings = settings(&key);
    settings.issuer = IssuerSettings::new(issuer.name(), ["raptor"], KeySource::Discovery);
    settings.issuer.stale_limit = Duration::from_secs(3600);
    let asked = Asked::serve(&settings);
    let mut claims = session_claims(issuer.name(), "raptor", NOW);
    claims.insert("exp".into(), (NOW + 100_000).into());
    let token = key.sign(&claims);
    assert_eq!(asked.code(&token).await, "valid", "waits for the keys");
    issuer.says(FakeIssuer::JWKS, Reply::Close);
    asked.clock.advance(3601);
    let (status, body) = asked.validate(&token, json!({})).await;
    assert_eq!(
        (status, &body["freshness"]["key_set"]),
        (200, &json!("stale"))
    );
    let (status, body) = asked.validate(&token, json!({ "fresh": true })).await;
    assert_eq!(
        (status, &body["code"]),
        (503, &json!("key_set_unavailable"))
    );
    let url = format!("{}/v1/auth", asked.url);
    for (query, expected) in [
        ("", 200),
        ("?fresh=true", 503),
        ("?fresh=", 400),
        ("?fresh=yes", 400),
    ] {
        let request = asked
            .client
            .get(format!("{url}{query}"))
            .bearer_auth(&token);
        let response = request.send().await.expect("it answers");
        assert_eq!(response.status().as_u16(), expected, "{query}");
    }
}

#[tokio::test]
async fn a_fresh_status_is_required_of_tokens_that_name_no_list_too() {
    let key = Forge::new("k1");
    let mut settings = settings(&key);
    let list = StatusListForge::new(ISSUER, URI, NOW).sign(&key);
    settings.issuer.status_lists = StatusSource::Documents(vec![list]);
    let asked = Asked::serve(&settings);
    let fresh = || json!({ "fresh": true });
    let (status, _) = asked.validate(&token(&key, ISSUER, Some(7)), fresh()).await;
    assert_eq!(status, 200);
    let (status, body) = asked.validate(&token(&key, ISSUER, None), fresh()).await;
    assert_eq!((status, &body["code"]), (503, &json!("status_unavailable")));
}
