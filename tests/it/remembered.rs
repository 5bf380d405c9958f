//! Tokens met again: what is remembered, and everything that beats the memory (hazard V43).

use std::sync::Arc;
use std::time::Duration;

use queue_tests::clock::NOW;
use queue_tests::forge::{jwk_set, session_claims};
use queue_tests::{FakeClock, Forge, KeyServer, ListReply, Reply};
use queue_verifier::{Error, ErrorCode, KeySource, Require, Session, Verifier};

const ISSUER: &str = "https://auth.example.com";

struct World {
    key: Forge,
    clock: Arc<FakeClock>,
    verifier: Verifier,
}

impl World {
    fn start() -> Self {
        let key = Forge::new("k1");
        let clock = FakeClock::at(NOW);
        let verifier = Verifier::builder(ISSUER, "raptor")
            .keys(KeySource::jwk_set(jwk_set(&[&key])))
            .clock(Arc::clone(&clock) as Arc<_>)
            .remember(100)
            .build()
            .expect("good settings");
        Self {
            key,
            clock,
            verifier,
        }
    }

    fn token(&self) -> String {
        self.key.sign(&session_claims(ISSUER, "raptor", NOW))
    }

    /// Whether `token` was remembered, or why it is refused.
    fn validate(&self, token: &str) -> Result<bool, ErrorCode> {
        was_remembered(self.verifier.validate_session(token))
    }
}

fn was_remembered(verdict: Result<Session, Error>) -> Result<bool, ErrorCode> {
    verdict
        .map(|session| session.freshness().cached)
        .map_err(|error| error.code())
}

#[test]
fn a_good_token_is_remembered_as_the_same_session() {
    let world = World::start();
    let token = world.token();
    let first = world.verifier.validate_session(&token).expect("good");
    let again = world.verifier.validate_session(&token).expect("good");
    assert!(!first.freshness().cached && again.freshness().cached);
    let plain = |session: &Session| {
        let mut members = serde_json::to_value(session).expect("JSON");
        members["freshness"]["cached"] = false.into();
        members
    };
    assert_eq!(plain(&first), plain(&again));
}

#[test]
fn the_memory_alone_answers_what_it_holds_and_judges_again() {
    let world = World::start();
    let (token, nothing) = (world.token(), Require::new());
    let recall = |require: &Require| {
        let verdict = world.verifier.validate_remembered(&token, require);
        verdict.map(was_remembered)
    };
    assert_eq!(recall(&nothing), None);
    assert_eq!(world.validate(&token), Ok(false));
    assert_eq!(recall(&nothing), Some(Ok(true)));
    assert_eq!(
        recall(&Require::new().role("nobody has it")),
        Some(Err(ErrorCode::ClaimsRoleMissing))
    );
    world.clock.advance(330); // exp is at 300, leeway 30
    assert_eq!(recall(&nothing), Some(Err(ErrorCode::ClaimsExpired)));
}

#[test]
fn nothing_is_remembered_unless_asked_for() {
    let key = Forge::new("k1");
    let verifier = Verifier::builder(ISSUER, "raptor")
        .keys(KeySource::jwk_set(jwk_set(&[&key])))
        .clock(FakeClock::at(NOW) as Arc<_>)
        .build()
        .expect("good settings");
    let token = key.sign(&session_claims(ISSUER, "raptor", NOW));
    for _ in 0..3 {
        assert_eq!(was_remembered(verifier.validate_session(&token)), Ok(false));
    }
    assert_eq!(verifier.status().remembered, None);
}

/// Every byte of a remembered token counts, those of its signature too.
#[test]
fn a_token_that_differs_in_any_byte_is_another_token() {
    let world = World::start();
    let token = world.token();
    assert_eq!(world.validate(&token), Ok(false));
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let verdict = was_remembered(world.verifier.validate_session(&changed));
        assert!(verdict.is_err(), "byte {at}: {verdict:?}");
    }
    assert_eq!(world.validate(&token), Ok(true));
}

#[test]
fn expiry_beats_the_memory_to_the_second() {
    let world = World::start();
    let token = world.token();
    assert_eq!(world.validate(&token), Ok(false));
    world.clock.advance(329); // exp is at 300, leeway 30
    assert_eq!(world.validate(&token), Ok(true));
    world.clock.advance(1);
    assert_eq!(world.validate(&token), Err(ErrorCode::ClaimsExpired));
    world.clock.jump_to(NOW - 31);
    assert_eq!(world.validate(&token), Err(ErrorCode::ClaimsIssuedInFuture));
}

#[test]
fn requirements_of_a_call_beat_the_memory() {
    let world = World::start();
    let token = world.token();
    assert_eq!(world.validate(&token), Ok(false));
    let requiring = |require: Require| {
        was_remembered(world.verifier.validate_session_requiring(&token, &require))
    };
    let age = |seconds| Require::new().max_auth_age(Duration::from_secs(seconds));
    world.clock.advance(100);
    for (require, verdict) in [
        (Require::new().scope("openid"), Ok(true)),
        (
            Require::new().scope("admin"),
            Err(ErrorCode::ClaimsScopeMissing),
        ),
        (Require::new().role("antlers-user"), Ok(true)),
        (
            Require::new().role("root"),
            Err(ErrorCode::ClaimsRoleMissing),
        ),
        (
            Require::new().tenant("other"),
            Err(ErrorCode::ClaimsTenantMismatch),
        ),
        (Require::new().acr("urn:queue:acr:passkey-uv"), Ok(true)),
        (
            Require::new().acr("urn:other"),
            Err(ErrorCode::ClaimsAcrInsufficient),
        ),
        (Require::new().authorized_party("raptor"), Ok(true)),
        (
            Require::new().authorized_party("velvet"),
            Err(ErrorCode::ClaimsClientNotAllowed),
        ),
        (age(70), Ok(true)),
        (age(69), Err(ErrorCode::ClaimsAuthTooOld)),
    ] {
        assert_eq!(requiring(require.clone()), verdict, "{require:?}");
    }
}

#[test]
fn a_refusal_is_never_remembered() {
    let world = World::start();
    let early = world.key.sign(&session_claims(ISSUER, "raptor", NOW + 100));
    for _ in 0..2 {
        assert_eq!(world.validate(&early), Err(ErrorCode::ClaimsIssuedInFuture));
    }
    world.clock.advance(100);
    assert_eq!(world.validate(&early), Ok(false));
    let require = Require::new().scope("admin");
    let refused = world.key.sign(&session_claims(ISSUER, "raptor", NOW + 1));
    let verdict = world
        .verifier
        .validate_session_requiring(&refused, &require);
    assert_eq!(was_remembered(verdict), Err(ErrorCode::ClaimsScopeMissing));
    assert_eq!(world.validate(&refused), Ok(false));
}

#[tokio::test]
async fn a_removed_key_beats_the_memory_and_so_does_an_outage_beyond_its_bound() {
    let (key, next) = (Forge::new("k1"), Forge::new("k2"));
    let server = KeyServer::start(Reply::set(jwk_set(&[&key]))).await;
    let clock = FakeClock::at(NOW);
    let verifier = Verifier::builder(ISSUER, "raptor")
        .keys(KeySource::jwks_uri(server.url()))
        .clock(Arc::clone(&clock) as Arc<_>)
        .stale_limit(Duration::from_secs(60))
        .remember(100)
        .build()
        .expect("good settings");
    verifier.ready().await;
    let mut claims = session_claims(ISSUER, "raptor", NOW);
    claims.insert("exp".into(), (NOW + 36_000).into());
    let token = key.sign(&claims);
    let validate = || was_remembered(verifier.validate_session(&token));
    assert_eq!((validate(), validate()), (Ok(false), Ok(true)));
    server.says(Reply::Close);
    clock.advance(361); // max-age 300, and the stale limit
    assert_eq!(validate(), Err(ErrorCode::KeySetUnavailable));
    server.says(Reply::set(jwk_set(&[&key, &next])));
    verifier.refresh().await.expect("the server is back");
    assert_eq!((validate(), validate()), (Ok(false), Ok(true)));
    server.says(Reply::set(jwk_set(&[&next])));
    verifier.refresh().await.expect("the server answers");
    assert_eq!(validate(), Err(ErrorCode::KeyNotFound));
}

#[tokio::test]
async fn a_revocation_beats_the_memory_and_so_does_a_list_past_its_bound() {
    let world = crate::status::World::with(|builder| builder.remember(8)).await;
    world.awaited().await.expect("the list says valid");
    let again = world.verdict().expect("still valid");
    assert!(again.freshness().cached);
    assert_eq!(again.freshness().status_age, Some(0));
    world.server.says("a", ListReply::Close);
    world.clock.advance(60);
    let stale = world.verdict().expect("the bound is not passed");
    assert_eq!(
        (stale.freshness().cached, stale.freshness().status_age),
        (true, Some(60))
    );
    world.clock.advance(1);
    assert_eq!(world.verdict().unwrap_err(), ErrorCode::StatusUnavailable);
    world.publish(&world.list().set(7, 1));
    let revoked = world.awaited().await.map_err(|error| error.code());
    assert_eq!(revoked.unwrap_err(), ErrorCode::StatusRevoked);
    assert_eq!(world.verdict().unwrap_err(), ErrorCode::StatusRevoked);
}

#[test]
fn memory_is_bounded_by_count_and_by_exp() {
    let world = World::start();
    let count = || world.verifier.status().remembered.expect("it is on").tokens;
    let mut claims = session_claims(ISSUER, "raptor", NOW);
    for number in 0..400 {
        claims.insert("jti".into(), number.into());
        claims.insert("jti".into(), format!("t{number}").into());
        assert_eq!(world.validate(&world.key.sign(&claims)), Ok(false));
    }
    assert!((1..=100).contains(&count()), "{}", count());
    world.clock.advance(330);
    assert_eq!(count(), 0, "none outlives its exp and leeway");
    claims.insert("exp".into(), (NOW + 900).into());
    claims.insert("padding".into(), "x".repeat(4096).into());
    let long = world.key.sign(&claims);
    assert_eq!(
        (world.validate(&long), world.validate(&long)),
        (Ok(false), Ok(false))
    );
}

#[test]
fn what_is_remembered_is_not_printed() {
    let world = World::start();
    assert_eq!(world.validate(&world.token()), Ok(false));
    let printed = format!("{:?}", world.verifier);
    for secret in ["0190c8a4", "antlers-user", "eyJ"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[test]
fn threads_share_what_is_remembered() {
    let world = World::start();
    let token = world.token();
    assert_eq!(world.validate(&token), Ok(false));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    assert_eq!(world.validate(&token), Ok(true));
                }
            });
        }
    });
}
