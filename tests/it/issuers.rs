//! Several issuers in one verifier: keys and policy are those of a token's own exact `iss`
//! (hazards V24, V27).

use std::sync::Arc;

use queue_tests::clock::NOW;
use queue_tests::forge::{Claims, jwk_set, session_claims};
use queue_tests::{FakeClock, Forge};
use queue_verifier::report::Outcome;
use queue_verifier::{
    Algorithm, Builder, ConfigError, ErrorCode, KeySource, Profile, Require, Verifier,
};
use serde_json::json;

const OURS: &str = "https://auth.example.com";
const THEIRS: &str = "https://login.example.net/";

fn issuer(name: &str, audience: &str, key: &Forge) -> Builder {
    Verifier::builder(name, audience)
        .keys(KeySource::jwk_set(jwk_set(&[key])))
        .clock(FakeClock::at(NOW) as Arc<_>)
}

/// Both name their key k1; theirs signs plain JWTs for another audience.
struct World {
    ours: Forge,
    theirs: Forge,
    verifier: Verifier,
}

impl World {
    fn start() -> Self {
        let (ours, theirs) = (Forge::new("k1"), Forge::new("k1"));
        let foreign = issuer(THEIRS, "antlers", &theirs)
            .profile(Profile::Jwt)
            .require(Require::new().scope("openid"));
        let verifier = issuer(OURS, "raptor", &ours)
            .also(foreign)
            .remember(10)
            .build()
            .expect("two issuers");
        Self {
            ours,
            theirs,
            verifier,
        }
    }

    fn validate(&self, token: &str) -> Result<String, ErrorCode> {
        let session = self.verifier.validate_session(token);
        session
            .map(|session| session.issuer().to_owned())
            .map_err(|error| error.code())
    }
}

fn jwt(key: &Forge, claims: &Claims) -> String {
    key.sign_as(&json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}), claims)
}

#[test]
fn each_token_is_judged_by_the_keys_and_policy_of_its_issuer() {
    let world = World::start();
    let our_claims = session_claims(OURS, "raptor", NOW);
    let their_claims = session_claims(THEIRS, "antlers", NOW);
    for _ in 0..2 {
        assert_eq!(
            world.validate(&world.ours.sign(&our_claims)),
            Ok(OURS.into())
        );
        let token = jwt(&world.theirs, &their_claims);
        assert_eq!(world.validate(&token), Ok(THEIRS.into()));
    }
    for (token, code) in [
        // A key of the other issuer, whatever the kid says.
        (world.theirs.sign(&our_claims), ErrorCode::SignatureInvalid),
        (jwt(&world.ours, &their_claims), ErrorCode::SignatureInvalid),
        // The profile of the other issuer.
        (jwt(&world.ours, &our_claims), ErrorCode::HeaderTypMismatch),
        (
            world.theirs.sign(&their_claims),
            ErrorCode::HeaderTypMismatch,
        ),
        // The audience of the other issuer.
        (
            world.ours.sign(&session_claims(OURS, "antlers", NOW)),
            ErrorCode::ClaimsAudMismatch,
        ),
        (
            jwt(&world.theirs, &session_claims(THEIRS, "raptor", NOW)),
            ErrorCode::ClaimsAudMismatch,
        ),
    ] {
        assert_eq!(world.validate(&token), Err(code));
    }
    let mut narrow = their_claims;
    narrow.insert("scope".into(), "profile".into());
    let token = jwt(&world.theirs, &narrow);
    assert_eq!(world.validate(&token), Err(ErrorCode::ClaimsScopeMissing));
}

#[test]
fn an_issuer_that_is_nearly_ours_is_none() {
    let world = World::start();
    for iss in [
        json!("https://auth.example.com/"),
        json!("https://login.example.net"),
        json!("HTTPS://auth.example.com"),
        json!("https://auth.example.com.evil.example"),
        json!([OURS]),
        json!(null),
        json!(""),
    ] {
        let mut claims = session_claims(OURS, "raptor", NOW);
        claims.insert("iss".into(), iss);
        let token = world.ours.sign(&claims);
        assert_eq!(world.validate(&token), Err(ErrorCode::ClaimsIssMismatch));
    }
    let mut claims = session_claims(OURS, "raptor", NOW);
    claims.remove("iss");
    let token = world.ours.sign(&claims);
    assert_eq!(world.validate(&token), Err(ErrorCode::ClaimsIssMismatch));
}

#[test]
fn an_issuer_is_configured_once() {
    let key = Forge::new("k1");
    let twice = issuer(OURS, "raptor", &key)
        .also(issuer(THEIRS, "raptor", &key).also(issuer(OURS, "velvet", &key)));
    assert_eq!(twice.build().err(), Some(ConfigError::IssuerTwice));
    let bad = issuer(OURS, "raptor", &key).also(issuer(THEIRS, "", &key));
    assert_eq!(bad.build().err(), Some(ConfigError::Audience));
}

#[test]
fn algorithms_are_allowed_for_one_issuer_and_not_for_the_other() {
    let key = Forge::new("k1");
    let verifier = issuer(OURS, "raptor", &key)
        .also(issuer(THEIRS, "raptor", &key).algorithms([Algorithm::PS256]))
        .build();
    // A JWK that says RS256 serves no verifier that allows PS256 alone.
    assert_eq!(
        verifier.err().map(|error| error.code()),
        Some("config_key_set_unusable")
    );
}

#[test]
fn status_and_doctor_tell_the_issuers_apart() {
    let world = World::start();
    let status = world.verifier.status();
    let names: Vec<_> = status.issuers.iter().map(|issuer| &issuer.issuer).collect();
    assert_eq!(names, [OURS, THEIRS]);
    let stranger = world
        .ours
        .sign(&session_claims("https://other", "raptor", NOW));
    let report = world.verifier.doctor(&stranger);
    assert_eq!(report.code, Some("claims_iss_mismatch"));
    let last = report.checks.last().expect("a check");
    assert_eq!((last.check, last.outcome), ("a known iss", Outcome::Fail));
}
