//! Claims and the whole walk: what is let through is held against a plain reading of it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64_simd::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::{backends, depth, plain};
use crate::Verifier;
use crate::claims::{self, CHECKS, Question, RawClaims};
use crate::clock::Clock;
use crate::key::KeySource;
use crate::policy::{MAX_JSON_DEPTH, Profile, ValidationPolicy};
use crate::signature::CryptoBackend;
use crate::token::CompactJws;

/// Past it a double no longer holds every whole second.
const MAX_SECONDS: f64 = 9_007_199_254_740_992.0;

/// Claims that parse mean what a plain JSON parser reads in them; claims that pass every check
/// pass them by the letter of RFC 7519 §4.1 and RFC 9068 §4.
pub fn claims(payload: &[u8]) {
    plain::agrees(payload);
    let Ok(claims) = RawClaims::parse(payload) else {
        return;
    };
    let members: Value = serde_json::from_slice(payload).expect("JSON is JSON to everybody");
    assert_eq!(claims.text.as_bytes(), payload);
    assert!(depth(&members) <= MAX_JSON_DEPTH);
    texts(&claims, &members);
    times(&claims, &members);
    for verifiers in &*VERIFIERS {
        judged(&claims, &members, &verifiers[0].inner().parties[0].policy);
    }
}

fn texts(claims: &RawClaims<'_>, members: &Value) {
    for (name, found) in [
        ("iss", &claims.iss),
        ("sub", &claims.sub),
        ("jti", &claims.jti),
        ("client_id", &claims.client_id),
        ("azp", &claims.azp),
        ("sid", &claims.sid),
        ("tenant_id", &claims.tenant_id),
        ("scope", &claims.scope),
        ("acr", &claims.acr),
    ] {
        let read = members.get(name).map(|text| text.as_str().expect(name));
        assert_eq!(found.as_ref().map(|text| text.as_str()), read, "{name}");
    }
    for (name, found) in [
        ("aud", &claims.aud),
        ("roles", &claims.roles),
        ("amr", &claims.amr),
    ] {
        let found = found
            .as_ref()
            .map(|texts| texts.iter().map(|text| text.as_str()).collect::<Vec<_>>());
        let read = members.get(name).map(|member| match member.as_str() {
            Some(text) if name == "aud" => vec![text],
            _ => strings(member).expect(name),
        });
        assert_eq!(found, read, "{name}");
        assert!(name != "aud" || found.is_none_or(|texts| !texts.is_empty()));
    }
}

fn strings(member: &Value) -> Option<Vec<&str>> {
    member.as_array()?.iter().map(Value::as_str).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "floored, and shown to be within ±2^53"
)]
fn times(claims: &RawClaims<'_>, members: &Value) {
    for (name, found, is_unsigned) in [
        ("exp", claims.exp, true),
        ("nbf", claims.nbf, false),
        ("iat", claims.iat, false),
        ("auth_time", claims.auth_time, true),
        ("authz_ver", claims.authz_ver, true),
    ] {
        let member = members.get(name);
        assert_eq!(found.is_some(), member.is_some(), "{name}");
        let (Some(found), Some(member)) = (found, member) else {
            continue;
        };
        let whole = member.as_u64().or(member.as_i64().map(i64::unsigned_abs));
        assert!(whole.is_none_or(|seconds| seconds <= 1 << 53), "{name}");
        let read = plain::number(claims.text, name).expect(name);
        assert!(
            read.abs() <= MAX_SECONDS && (!is_unsigned || read >= 0.0),
            "{name}"
        );
        assert_eq!(found.seconds(), read.floor() as i64, "{name}");
    }
}

/// What each check decides, in words of its own.
fn judged(claims: &RawClaims<'_>, members: &Value, policy: &ValidationPolicy) {
    let question = Question {
        claims,
        policy,
        require: &policy.require,
        now: SIGNED.now,
    };
    let passes = CHECKS
        .iter()
        .all(|check| check.judge(claims, &question).is_ok());
    let (now, leeway) = (SIGNED.now as f64, policy.leeway as f64);
    let time = |name: &str| plain::number(claims.text, name);
    let names_us = |aud: &Value| policy.audiences.iter().any(|ours| aud == ours.as_str());
    let is_good = members["iss"] == policy.issuer.as_str()
        && (names_us(&members["aud"])
            || members["aud"]
                .as_array()
                .is_some_and(|list| list.iter().any(names_us)))
        && time("exp").is_some_and(|exp| now < exp + leeway)
        && time("nbf").is_none_or(|nbf| now + leeway >= nbf)
        && time("iat").is_none_or(|iat| now + leeway >= iat)
        && members.get("cnf").is_none()
        && required(members, policy.profile)
            .iter()
            .all(|name| members.get(name).is_some());
    assert_eq!(passes, is_good, "{}", claims.text);
    let token = format!("e30.{}.", URL_SAFE_NO_PAD.encode_to_string(claims.text));
    if let Ok(jws) = CompactJws::parse(token.as_bytes()) {
        let is_plausible = claims::is_plausible(&jws, policy, SIGNED.now);
        assert!(is_plausible || !passes, "a good token is worth a fetch");
    }
}

fn required(members: &Value, profile: Profile) -> Vec<&'static str> {
    let is_service = members.get("sub").is_some() && members.get("sub") == members.get("client_id");
    match profile {
        Profile::Session if is_service => vec!["iat", "sub", "jti"],
        Profile::Session => vec!["iat", "sub", "jti", "sid"],
        Profile::Rfc9068 => vec!["iat", "sub", "jti", "client_id"],
        Profile::Jwt => Vec::new(),
    }
}

/// Only what was signed is accepted, every backend, the doctor and a verifier that remembers agree,
/// and no message repeats the token. Three parts with NUL between them are taken as a token not yet encoded.
pub fn validate_session(bytes: &[u8]) {
    walk(bytes);
    let parts: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    if parts.len() == 3 {
        let encode = |part: &&[u8]| URL_SAFE_NO_PAD.encode_to_string(part);
        let parts: Vec<String> = parts.iter().map(encode).collect();
        walk(parts.join(".").as_bytes());
    }
}

fn walk(token: &[u8]) {
    let mut codes = Vec::new();
    for verifier in &VERIFIERS[0] {
        let verdict = verifier.validate_session(token);
        let report = verifier.doctor(token);
        let code = verdict.as_ref().err().map(|error| error.code().as_str());
        let mut failed = report.checks.iter().filter_map(|check| check.code);
        assert_eq!(
            (report.code, failed.next()),
            (code, code),
            "the doctor agrees"
        );
        codes.push(code);
        let again = verifier.validate_session(token);
        assert_eq!(
            again.as_ref().err(),
            verdict.as_ref().err(),
            "recalled or not"
        );
        match verdict {
            Ok(session) => {
                assert!(
                    SIGNED
                        .tokens
                        .iter()
                        .any(|signed| signed.as_bytes() == token)
                );
                let again = again.map(|again| again.claims_json().to_owned());
                assert_eq!(again.as_deref(), Ok(session.claims_json()));
                let json = serde_json::to_value(&session).expect("a session is plain JSON");
                let claims: Value = serde_json::from_str(session.claims_json()).expect("JSON");
                assert_eq!(json["claims"], claims);
                assert_eq!(json["issuer"], claims["iss"]);
            }
            Err(error) => {
                let message = error.to_string();
                assert!(message.len() < 1024 && message.is_ascii());
                let signature = token
                    .rsplit(|byte| *byte == b'.')
                    .next()
                    .unwrap_or_default();
                // A `kid` may be repeated, cut to 64 characters.
                let is_long = signature.len() > 64;
                let repeats =
                    |part: &[u8]| message.as_bytes().windows(part.len()).any(|w| w == part);
                assert!(!is_long || !repeats(signature), "{message}");
            }
        }
    }
    assert!(
        codes.iter().all(|code| *code == codes[0]),
        "backends differ"
    );
}

/// Verifiers of each profile: one on each backend, and one that remembers few tokens.
static VERIFIERS: LazyLock<[Vec<Verifier>; 3]> = LazyLock::new(|| {
    [Profile::Session, Profile::Rfc9068, Profile::Jwt].map(|profile| SIGNED.verifiers(profile))
});

/// The tokens that exist, and the settings under which they are good.
static SIGNED: LazyLock<Signed> = LazyLock::new(|| {
    let text = include_str!("../../fuzz/signed.json");
    serde_json::from_str(text).expect("written by fuzz/seeds.py")
});

#[derive(Deserialize)]
struct Signed {
    issuer: String,
    audience: String,
    leeway: u64,
    now: u64,
    jwks: Value,
    tokens: Vec<String>,
}

impl Signed {
    fn verifiers(&self, profile: Profile) -> Vec<Verifier> {
        let build = |(backend, tokens)| {
            Verifier::builder(self.issuer.as_str(), self.audience.as_str())
                .keys(KeySource::jwk_set(self.jwks.to_string()))
                .profile(profile)
                .leeway(Duration::from_secs(self.leeway))
                .backend(backend)
                .remember(tokens)
                .clock(Arc::new(Stopped(self.now)))
                .build()
                .expect("good settings")
        };
        let plain = backends().into_iter().map(|backend| (backend, 0));
        let remembering = (CryptoBackend::default(), 8);
        plain.chain([remembering]).map(build).collect()
    }
}

/// A clock at rest.
#[derive(Debug)]
struct Stopped(u64);

impl Clock for Stopped {
    fn now(&self) -> u64 {
        self.0
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}
