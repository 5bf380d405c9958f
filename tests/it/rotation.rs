//! Our issuer and its verifiers under one clock: a rotation as all of them live it, each at another
//! point of its refresh, and the end of a key that was lost.
//!
//! Every token that is not expired is judged by every verifier at every step, and no verdict waits for a
//! fetch: only a set that came in time lets it in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use queue_issuer::{App, Settings, Timestamp};
use queue_tests::FakeClock;
use queue_tests::clock::NOW;
use queue_tests::wait::{patiently, until};
use queue_verifier::report::RefreshStatus;
use queue_verifier::{Clock, ErrorCode, KeySource, Require, Verifier};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::http_door::client;

const RAPTOR: &str = "raptor-0123456789-abcdefghijklmnopqrstuvwxyz";
const OPS: &str = "operators-0123456789-abcdefghijklmnopqrstuvwxyz";
/// Seconds between two looks.
const STEP: u64 = 10;
/// What the issuer lets a set be kept for, and so the time between two fetches of a verifier.
const MAX_AGE: u64 = 300;
/// `max-age`, the allowance for a refresh that fails, and leeway.
const LEAD: u64 = 300 + 300 + 30;
const VERIFIERS: u64 = 10;

/// The clock of the verifiers, as the issuer reads it.
#[derive(Debug)]
pub(crate) struct SameClock(pub(crate) Arc<FakeClock>);

impl queue_issuer::Clock for SameClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(i64::try_from(self.0.now()).expect("a time of our days"))
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
}

/// A token, and until when it is good.
struct Minted {
    text: String,
    kid: String,
    expires_at: u64,
}

/// A running issuer, and everybody who checks its tokens.
struct World {
    clock: Arc<FakeClock>,
    http: Client,
    url: String,
    ops_url: String,
    customer: String,
    verifiers: Vec<Verifier>,
    tokens: Vec<Minted>,
    dir: PathBuf,
    serving: JoinSet<()>,
    stop: Option<oneshot::Sender<()>>,
}

impl World {
    /// One verifier after the other, so that they refresh all over the `max-age`.
    async fn start(name: &str) -> Self {
        let clock = FakeClock::at(NOW);
        let dir = std::env::temp_dir().join(format!("queue-{name}-{}", std::process::id()));
        std::fs::create_dir(&dir).expect("a writable temp folder");
        let app = issuer(&dir, &clock).await;
        let (url, ops_url) = (app.public_addr(), app.ops_addr());
        let (stop, stopped) = oneshot::channel::<()>();
        let mut serving = JoinSet::new();
        serving.spawn(async {
            let stopped = async { drop(stopped.await) };
            app.serve(stopped).await.expect("it drains");
        });
        let mut world = Self {
            clock,
            http: client(),
            url: format!("http://{url}"),
            ops_url: format!("http://{ops_url}"),
            customer: String::new(),
            verifiers: Vec::new(),
            tokens: Vec::new(),
            dir,
            serving,
            stop: Some(stop),
        };
        let url = format!("{}/api/v1/customers", world.url);
        let asked = json!({ "email": "ada@example.com" });
        let (_, made) = world.post(&url, RAPTOR, &asked).await;
        world.customer = text(&made["id"]);
        world.mint().await;
        for _ in 0..VERIFIERS {
            let verifier = world.verifier().await;
            world.verifiers.push(verifier);
            world.advance(MAX_AGE / VERIFIERS).await;
        }
        world
    }

    /// One that has met the status list. Lists have tests of their own: here none becomes too old.
    async fn verifier(&self) -> Verifier {
        let verifier = Verifier::builder(self.url.clone(), "raptor")
            .keys(KeySource::jwks_uri(format!(
                "{}/.well-known/jwks.json",
                self.url
            )))
            .status_max_age(Duration::from_secs(24 * 3600))
            .clock(Arc::clone(&self.clock) as Arc<_>)
            .build()
            .expect("a loopback URL is a good setting");
        verifier.ready().await;
        let token = &self.tokens[0].text;
        until("the list", || verifier.validate_session(token).is_ok()).await;
        verifier
    }

    /// Lets time pass, and every fetch of keys that falls due with it end.
    async fn advance(&self, seconds: u64) {
        let before: Vec<RefreshStatus> = self.verifiers.iter().map(refresh).collect();
        self.clock.advance(seconds);
        for (verifier, before) in self.verifiers.iter().zip(before) {
            if before.next_in < seconds {
                until("a fetch", || refresh(verifier).attempts > before.attempts).await;
            }
        }
    }

    async fn mint(&mut self) -> String {
        let url = format!("{}/api/v1/service/sessions", self.url);
        let asked = json!({ "customer_id": self.customer });
        let (status, made) = self.post(&url, RAPTOR, &asked).await;
        assert_eq!(status, 201, "{made}");
        let token = text(&made["access_token"]);
        let (header, claims) = (part(&token, 0), part(&token, 1));
        let kid = text(&header["kid"]);
        self.tokens.push(Minted {
            text: token,
            kid: kid.clone(),
            expires_at: claims["exp"].as_u64().expect("exp"),
        });
        kid
    }

    /// A step of time, a new token, and every token that is good at every verifier.
    async fn step(&mut self) -> String {
        self.advance(STEP).await;
        let now = self.clock.now();
        self.tokens.retain(|token| token.expires_at > now);
        let kid = self.mint().await;
        for (number, verifier) in self.verifiers.iter().enumerate() {
            for token in &self.tokens {
                let verdict = verifier.validate_session(&token.text).map(drop);
                let left = token.expires_at - now;
                assert_eq!(verdict, Ok(()), "verifier {number}, {left} s before exp");
            }
        }
        kid
    }

    async fn new_key(&self) -> String {
        let (status, made) = self.operate("keys", &json!({})).await;
        assert_eq!(status, 201, "{made}");
        text(&made["kid"])
    }

    async fn operate(&self, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/api/v1/{path}", self.ops_url);
        self.post(&url, OPS, body).await
    }

    async fn post(&self, url: &str, token: &str, body: &Value) -> (u16, Value) {
        let asked = self.http.request(Method::POST, url).bearer_auth(token);
        let answer = asked.json(body).send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.expect("JSON"))
    }

    /// What the issuer says of a key.
    async fn key(&self, kid: &str) -> Value {
        let url = format!("{}/api/v1/keys", self.ops_url);
        let asked = self.http.get(url).bearer_auth(OPS).send().await;
        let listed: Value = asked.expect("an answer").json().await.expect("JSON");
        let keys = listed["keys"].as_array().expect("keys");
        let found = keys.iter().find(|key| key["kid"] == kid);
        found.expect("a key of the issuer").clone()
    }

    async fn stop(mut self) {
        self.verifiers.clear();
        self.stop.take();
        while let Some(ended) = self.serving.join_next().await {
            ended.expect("the issuer does not panic");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

/// An issuer at the URL its tokens name.
async fn issuer(dir: &std::path::Path, clock: &Arc<FakeClock>) -> App {
    let probe = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = probe.local_addr().expect("bound").to_string();
    drop(probe);
    let env = [
        ("FLAG_QUEUE_V1", "on".to_owned()),
        ("QUEUE_ISSUER_URL", format!("http://{address}")),
        ("QUEUE_ISSUER_LISTEN", address),
        ("QUEUE_ISSUER_OPS_LISTEN", "127.0.0.1:0".to_owned()),
        ("QUEUE_ISSUER_DATA_DIR", dir.display().to_string()),
        ("QUEUE_SERVICE_TOKEN_RAPTOR", RAPTOR.to_owned()),
        ("QUEUE_SERVICE_TOKEN_OPS", OPS.to_owned()),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value));
    let settings = Settings::from_env(env.to_vec()).expect("good settings");
    let clock = Arc::new(SameClock(Arc::clone(clock)));
    App::build(settings, clock).await.expect("it starts")
}

fn refresh(verifier: &Verifier) -> RefreshStatus {
    let mut status = verifier.status();
    status.issuers.remove(0).refresh.expect("fetched keys")
}

fn holds(verifier: &Verifier, kid: &str) -> bool {
    let status = verifier.status();
    let mut keys = status.issuers[0].keys.iter();
    keys.any(|key| key.kid.as_deref() == Some(kid))
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// A part of a token, unverified: for looking at what was written.
fn part(token: &str, place: usize) -> Value {
    let text = token.split('.').nth(place).expect("three parts");
    let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text);
    serde_json::from_slice(&bytes.expect("base64url")).expect("JSON")
}

/// Publishes a key and asks at every step that it sign, until the issuer allows it; how long it took.
async fn rotate(world: &mut World, body: &Value) -> u64 {
    let old = world.mint().await;
    let kid = world.new_key().await;
    let published_at = world.clock.now();
    let path = format!("keys/{kid}/activate");
    loop {
        // Looked at first: a list that the new key signs would bring the key as well.
        let holding = world.verifiers.iter().filter(|v| holds(v, &kid)).count();
        let (status, answer) = world.operate(&path, body).await;
        if status == 200 {
            assert_eq!(holding, world.verifiers.len(), "hold a key that may sign");
            break;
        }
        assert_eq!(answer["code"], "too_early", "{answer}");
        assert_eq!(world.step().await, old, "signs until it is replaced");
    }
    let taken = world.clock.now() - published_at;
    assert_eq!(world.step().await, kid);
    // Until the last token of the old key is dead.
    while world.tokens.iter().any(|token| token.kid == old) {
        world.step().await;
    }
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_by_the_issuers_times_refuses_no_good_token_at_any_verifier() {
    let mut world = World::start("rotation").await;
    let due: Vec<u64> = world.verifiers.iter().map(|v| refresh(v).next_in).collect();
    let (soonest, latest) = (due.iter().min(), due.iter().max());
    assert!(soonest < Some(&100) && latest > Some(&200), "{due:?}");
    for body in [json!({}), json!({ "wait_for_verifiers": true })] {
        let taken = rotate(&mut world, &body).await;
        assert_eq!(taken, LEAD, "the first step at which it may, {body}");
    }
    world.stop().await;
}

/// The schedule alone proves to the issuer who holds a key: by the time it may sign, everybody does.
#[tokio::test(flavor = "multi_thread")]
async fn every_verifier_has_proved_a_key_by_its_schedule_when_it_may_sign() {
    let mut world = World::start("proof").await;
    let kid = world.new_key().await;
    let fresh = world.key(&kid).await;
    let counts = (&fresh["held_by"], &fresh["missing"]);
    assert_eq!(counts, (&json!(0), &json!(VERIFIERS)), "{fresh}");
    for _ in 0..LEAD / STEP {
        world.step().await;
    }
    // No verifier waits for the database, so what they said is written down a moment later.
    let noted = async {
        while world.key(&kid).await["held_by"] != VERIFIERS {
            tokio::task::yield_now().await;
        }
    };
    patiently("every verifier is known to hold the key", noted).await;
    let proved = world.key(&kid).await;
    assert_eq!(proved["missing"], 0, "{proved}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_dead_at_the_next_fetch_of_each_verifier() {
    let mut world = World::start("revoked").await;
    let lost = world.mint().await;
    let stolen = world.tokens.last().expect("minted").text.clone();
    for verifier in &world.verifiers {
        assert_eq!(code(verifier, &stolen), None);
    }
    let kid = world.new_key().await;
    for (path, body) in [
        (format!("keys/{lost}/revoke"), json!({})),
        (format!("keys/{kid}/activate"), json!({})),
    ] {
        let (status, answer) = world.operate(&path, &body).await;
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(world.mint().await, kid);
    let good = world.tokens.last().expect("minted").text.clone();
    // The first good token makes whoever meets it look for its key, and so drop the lost one.
    for verifier in &world.verifiers[..2] {
        let no_more = Require::new();
        let verdict = verifier.validate_session_with_refresh(&good, &no_more);
        assert_eq!(verdict.await.map(drop), Ok(()));
        assert_eq!(code(verifier, &stolen), Some(ErrorCode::KeyNotFound));
    }
    let present = refresh(&world.verifiers[0]).generation;
    // The others meet none, and fetch within the `max-age`.
    let mut waiting: Vec<usize> = (2..world.verifiers.len()).collect();
    for _ in 0..(MAX_AGE - STEP) / STEP {
        world.advance(STEP).await;
        waiting.retain(|number| {
            let verifier = &world.verifiers[*number];
            let is_waiting = refresh(verifier).generation < present;
            if !is_waiting {
                assert_eq!(code(verifier, &stolen), Some(ErrorCode::KeyNotFound));
                assert_eq!(code(verifier, &good), None);
            }
            is_waiting
        });
    }
    assert!(waiting.is_empty(), "{waiting:?}: not within the `max-age`");
    world.stop().await;
}

fn code(verifier: &Verifier, token: &str) -> Option<ErrorCode> {
    let verdict = verifier.validate_session(token);
    verdict.err().map(|error| error.code())
}
