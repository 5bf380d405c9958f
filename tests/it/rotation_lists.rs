//! Rotation with everything a verifier does by itself left on: status lists, signed anew by each key
//! and never older than a minute, and the memory of good tokens. One clock for issuer and verifiers.

use std::collections::BTreeSet;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use queue_issuer::{App, AppError, Settings};
use queue_tests::FakeClock;
use queue_tests::clock::NOW;
use queue_tests::wait::until;
use queue_verifier::report::{IssuerStatus, StatusListStatus};
use queue_verifier::{Clock as _, ErrorCode, KeySource, Require, Verifier};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::rotation::SameClock;

/// Seconds between two looks at everything.
const STEP: u64 = 15;
/// `jwks_max_age`, `refresh_allowance` and `leeway` of the issuer, as they are unless set.
const LEAD: u64 = 300 + 300 + 30;
/// A verifier accepts a token so long after `exp`.
const LEEWAY: u64 = 30;
/// A verifier asks for keys again when its set is 0.85 lifetimes old, at the latest.
const OLDEST: u64 = 255;
/// Past that a test has failed; good ones take a moment.
const PATIENCE: Duration = Duration::from_secs(30);
const SERVICE: &str = "raptor-0123456789-abcdefghijklmnopqrstuvwxyz";
const OPERATOR: &str = "operators-0123456789-abcdefghijklmnopqrstuvwxyz";

/// An issuer with its settings as they are unless set, being served.
struct Issuer {
    url: String,
    operators: String,
    client: Client,
    customer: String,
    folder: PathBuf,
    /// Ends with the test.
    _serving: JoinSet<Result<(), AppError>>,
}

impl Issuer {
    async fn start(clock: &Arc<FakeClock>, name: &str) -> Self {
        let folder = format!("queue-rotation-lists-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        // Tokens name status lists by the issuer's public URL, so it must really be there.
        let probe = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = probe.local_addr().expect("bound").to_string();
        drop(probe);
        let url = format!("http://{address}");
        let env = [
            ("QUEUE_ISSUER_LISTEN", address),
            ("QUEUE_ISSUER_OPS_LISTEN", "127.0.0.1:0".to_owned()),
            ("QUEUE_ISSUER_URL", url.clone()),
            ("QUEUE_ISSUER_DATA_DIR", folder.display().to_string()),
            ("QUEUE_SERVICE_TOKEN_RAPTOR", SERVICE.to_owned()),
            ("QUEUE_SERVICE_TOKEN_OPS", OPERATOR.to_owned()),
            ("FLAG_QUEUE_V1", "on".to_owned()),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value));
        let settings = Settings::from_env(env).expect("good settings");
        let clock = Arc::new(SameClock(Arc::clone(clock)));
        let app = App::build(settings, clock).await;
        let app = app.expect("the issuer starts");
        let operators = format!("http://{}", app.ops_addr());
        let mut serving = JoinSet::new();
        serving.spawn(app.serve(pending()));
        let mut issuer = Self {
            url,
            operators,
            client: crate::http_door::client(),
            customer: String::new(),
            folder,
            _serving: serving,
        };
        let body = json!({"email": "ada@example.com"});
        issuer.customer = text(&issuer.service("/customers", body).await["id"]);
        issuer
    }

    async fn service(&self, path: &str, body: Value) -> Value {
        let (status, made) = self.post(&self.url, path, SERVICE, body).await;
        assert_eq!(status, 201, "{made}");
        made
    }

    async fn operate(&self, path: &str, body: Value) -> (u16, Value) {
        self.post(&self.operators, path, OPERATOR, body).await
    }

    async fn post(&self, to: &str, path: &str, bearer: &str, body: Value) -> (u16, Value) {
        let request = self.client.post(format!("{to}/api/v1{path}"));
        let request = request.bearer_auth(bearer).json(&body);
        let response = request.send().await.expect("the issuer answers");
        let status = response.status().as_u16();
        (status, response.json().await.expect("every answer is JSON"))
    }

    async fn get(&self, url: &str) -> String {
        let request = self.client.get(url).bearer_auth(OPERATOR);
        let response = request.send().await.expect("the issuer answers");
        response.text().await.expect("a text")
    }

    async fn get_json(&self, url: &str) -> Value {
        serde_json::from_str(&self.get(url).await).expect("JSON")
    }

    async fn new_key(&self) -> String {
        let (status, made) = self.operate("/keys", json!({})).await;
        assert_eq!(status, 201, "{made}");
        text(&made["kid"])
    }

    async fn activate(&self, kid: &str) -> (u16, Value) {
        let path = format!("/keys/{kid}/activate");
        let body = json!({"wait_for_verifiers": true});
        self.operate(&path, body).await
    }

    /// Waits until the lists are signed by `kid`: the issuer does that in its own time, not the clock's.
    async fn signed_lists_by(&self, kid: &str) {
        let lists = self.get_json(&format!("{}/status-lists", self.url)).await;
        let uri = text(&lists["status_lists"][0]);
        let signed = async { while signer(&self.get(&uri).await) != kid {} };
        let in_time = tokio::time::timeout(PATIENCE, signed).await;
        in_time.expect("signed by the new key");
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

struct Token {
    jws: String,
    kid: String,
    expires_at: u64,
}

/// An issuer, its verifiers, and every token that is not dead.
struct World {
    clock: Arc<FakeClock>,
    issuer: Issuer,
    verifiers: Vec<Verifier>,
    live: Vec<Token>,
    /// The key before the one that signs, until it is destroyed.
    retired: Option<String>,
    judged: usize,
}

impl World {
    /// With four verifiers, whose refreshes lie apart.
    async fn start(name: &str) -> Self {
        let clock = FakeClock::at(NOW);
        let mut world = Self {
            issuer: Issuer::start(&clock, name).await,
            clock,
            verifiers: Vec::new(),
            live: Vec::new(),
            retired: None,
            judged: 0,
        };
        world.mint().await;
        for _ in 0..4 {
            world.join().await;
            for _ in 0..4 {
                world.step().await;
            }
        }
        world
    }

    async fn join(&mut self) {
        let jwks_uri = format!("{}/.well-known/jwks.json", self.issuer.url);
        let verifier = Verifier::builder(&self.issuer.url, "raptor")
            .keys(KeySource::jwks_uri(jwks_uri))
            .clock(Arc::clone(&self.clock) as Arc<_>)
            .remember(1024)
            .build()
            .expect("a loopback URL is a good setting");
        verifier.ready().await;
        // The first token of a list has it fetched.
        let (token, require) = (&self.live[0].jws, Require::new());
        let verdict = verifier.validate_session_with_refresh(token, &require);
        verdict.await.expect("the issuer is there");
        self.verifiers.push(verifier);
    }

    async fn mint(&mut self) {
        let body = json!({"customer_id": self.issuer.customer});
        let minted = self.issuer.service("/service/sessions", body).await;
        let jws = text(&minted["access_token"]);
        let life = minted["expires_in"].as_u64().expect("seconds");
        self.live.push(Token {
            kid: signer(&jws),
            expires_at: self.clock.now() + life,
            jws,
        });
    }

    /// Time passes, everybody does what is due, a session begins, every token is judged.
    async fn step(&mut self) {
        self.clock.advance(STEP);
        self.retire().await;
        self.settled().await;
        self.mint().await;
        self.judge();
    }

    /// Destroys the retired key at the first moment the issuer allows.
    async fn retire(&mut self) {
        let Some(kid) = &self.retired else { return };
        let path = format!("/keys/{kid}/retire");
        let (status, answer) = self.issuer.operate(&path, json!({})).await;
        if status == 200 {
            assert_eq!(answer["state"], "destroyed");
            self.retired = None;
        } else {
            assert_eq!(answer["code"], "key_still_needed");
        }
    }

    /// Waits for the fetches that are due.
    async fn settled(&self) {
        let is_young = |list: &StatusListStatus| list.age.is_some_and(|age| age <= STEP);
        let is_settled = |verifier: &Verifier| {
            let issuer = status(verifier);
            issuer.key_set_age.is_some_and(|age| age <= OLDEST)
                && issuer.status_lists.iter().all(is_young)
        };
        until("what is due", || self.verifiers.iter().all(is_settled)).await;
    }

    /// Nobody is asked here: what a verifier holds must do.
    fn judge(&mut self) {
        let now = self.clock.now();
        self.live.retain(|token| now < token.expires_at + LEEWAY);
        for verifier in &self.verifiers {
            for token in &self.live {
                let verdict = verifier.validate_session(&token.jws);
                let kid = &token.kid;
                verdict.unwrap_or_else(|error| panic!("refused, signed by {kid}: {error}"));
                self.judged += 1;
            }
        }
    }

    /// Publishes a key and lets it sign at the first moment the issuer allows; its `kid`.
    async fn rotate(&mut self, old: String) -> String {
        let kid = self.issuer.new_key().await;
        for _ in 0..LEAD / STEP {
            let (status, refused) = self.issuer.activate(&kid).await;
            assert_eq!((status, &refused["code"]), (409, &json!("too_early")));
            self.step().await;
        }
        let (status, active) = self.issuer.activate(&kid).await;
        assert_eq!((status, &active["state"]), (200, &json!("active")));
        self.issuer.signed_lists_by(&kid).await;
        self.retired = Some(old);
        kid
    }

    /// The kids each verifier holds.
    fn held(&self) -> Vec<Vec<String>> {
        let kids = |verifier| {
            let keys = status(verifier).keys.into_iter();
            keys.filter_map(|key| key.kid).collect()
        };
        self.verifiers.iter().map(kids).collect()
    }
}

fn status(verifier: &Verifier) -> IssuerStatus {
    verifier.status().issuers.remove(0)
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// The `kid` of a token or a list.
fn signer(jws: &str) -> String {
    let header = jws.split('.').next().expect("three parts");
    let header = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(header);
    let header: Value = serde_json::from_slice(&header.expect("base64url")).expect("JSON");
    text(&header["kid"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_rotations_cost_no_verifier_a_token_or_its_status_lists() {
    let mut world = World::start("rules").await;
    let ages = world
        .verifiers
        .iter()
        .map(|verifier| status(verifier).key_set_age);
    let ages: BTreeSet<_> = ages.collect();
    assert_eq!(ages.len(), 4, "refreshes lie apart: {ages:?}");
    let mut kid = world.live[0].kid.clone();
    for _ in 0..3 {
        kid = world.rotate(kid).await;
        world.step().await;
        assert_eq!(world.live.last().expect("just minted").kid, kid);
    }
    while world.retired.is_some() {
        world.step().await;
    }
    let needed = world.live.iter().any(|token| token.kid != kid);
    assert!(!needed, "no token outlives its key");
    for _ in 0..=OLDEST / STEP {
        world.step().await;
    }
    assert_eq!(world.held(), vec![vec![kid]; 4]);
    assert!(world.judged > 10_000, "{} good tokens judged", world.judged);
}

/// Without a refresh of anybody, or a token that names the new key: a poll brings a list signed by a key
/// that is not known, and the search for it the set without the lost one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_key_is_dead_at_every_verifier_when_it_next_polls_a_status_list() {
    let mut world = World::start("emergency").await;
    let lost = world.live[0].kid.clone();
    let next = world.issuer.new_key().await;
    let revoke = format!("/keys/{lost}/revoke");
    let (status, revoked) = world.issuer.operate(&revoke, json!({})).await;
    assert_eq!(status, 200, "{revoked}");
    // There is nothing left that signs, so nobody is waited for.
    let (status, active) = world.issuer.activate(&next).await;
    assert_eq!(status, 200, "{active}");
    world.issuer.signed_lists_by(&next).await;
    world.clock.advance(5); // The lists' `ttl`.
    until("everybody polls", || {
        world.held() == vec![vec![next.clone()]; 4]
    })
    .await;
    for verifier in &world.verifiers {
        for token in &world.live {
            let verdict = verifier.validate_session(&token.jws);
            let code = verdict.expect_err("signed by a lost key").code();
            assert_eq!(code, ErrorCode::KeyNotFound);
        }
    }
    world.live.clear();
    world.mint().await;
    assert_eq!(world.live[0].kid, next);
    world.judge();
}
