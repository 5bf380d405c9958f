//! A status list of one million sessions: bytes on the wire, what it costs to take in and to hold,
//! and what a look into it adds to a call.
//!
//! Each figure is the median over rounds of what a round with the list takes longer than the same
//! round without; the last row shows how far two equal rounds differ, which is the resolution.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64_simd::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use pkcs1::RsaPublicKeyRef;
use pkcs1::der::Decode as _;
use queue_verifier::{Builder, CryptoBackend, KeySource, StatusSource, Verifier};
use serde_json::{Value, json};

const SESSIONS: usize = 1_000_000;
const ROUNDS: usize = 31;
const CALLS: u32 = 20_000;
const ISSUER: &str = "https://auth.example.com";
const URI: &str = "https://auth.example.com/status-lists/1";

fn main() {
    let pair = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
    let now = unix_seconds();
    let token = sign(&pair, "at+jwt", &claims(now));
    let plain = || verifier(&pair);
    let mut table = format!(
        "{SESSIONS} sessions, 1 bit each\n\n\
         | revoked | token on the wire | verify and inflate | bits held | look-up in a call |\n\
         |---|---|---|---|---|\n"
    );
    for per_mille in [0, 1, 10, 100] {
        let list = list(&pair, now, per_mille);
        let listed = || plain().status_lists(StatusSource::Documents(vec![list.clone()]));
        let built = listed().build().expect("a good list");
        let held = built.status().issuers[0].status_lists[0].size;
        writeln!(
            table,
            "| {} % | {} B | {} | {} B | {} |",
            f64::from(per_mille) / 10.0,
            list.len(),
            building(plain, listed),
            held.expect("a list") / 8,
            calling(&plain().build().expect("good settings"), &built, &token),
        )
        .expect("a text");
    }
    let (one, other) = (plain().build(), plain().build());
    let (one, other) = (one.expect("good settings"), other.expect("good settings"));
    let (build, call) = (building(plain, plain), calling(&one, &other, &token));
    writeln!(table, "| resolution | | {build} | | {call} |").expect("a text");
    show(&table);
}

/// What building takes longer by `full` than by `bare`.
fn building(bare: impl Fn() -> Builder, full: impl Fn() -> Builder) -> String {
    let build = |builder: Builder| {
        let start = clock();
        black_box(builder.build()).expect("good settings");
        clock() - start
    };
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| (bare(), full()))
        .map(|(bare, full)| (build(bare), build(full)))
        .map(|(bare, full)| full.as_secs_f64() - bare.as_secs_f64())
        .collect();
    format!("{:.3} ms", median(&mut rounds) * 1e3)
}

/// What a call takes longer by `full` than by `bare`, the token remembered by both.
fn calling(bare: &Verifier, full: &Verifier, token: &str) -> String {
    let call = |verifier: &Verifier| {
        let start = clock();
        for _ in 0..CALLS {
            black_box(verifier.validate_session(black_box(token))).expect("a good token");
        }
        (clock() - start) / CALLS
    };
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| (call(bare), call(full)))
        .map(|(bare, full)| full.as_secs_f64() - bare.as_secs_f64())
        .collect();
    format!("{:.0} ns", median(&mut rounds) * 1e9)
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn clock() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let start = *START;
    Instant::now().duration_since(start)
}

#[expect(clippy::disallowed_methods, reason = "the verifier's own clock runs")]
fn unix_seconds() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}

fn verifier(pair: &RsaKeyPair) -> Builder {
    let public = RsaPublicKeyRef::from_der(pair.public_key().as_ref()).expect("RFC 8017");
    let number = |bytes| URL_SAFE_NO_PAD.encode_to_string(bytes);
    let set = json!({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "k1",
        "n": number(public.modulus.as_bytes()), "e": number(public.public_exponent.as_bytes())}]});
    Verifier::builder(ISSUER, "raptor")
        .keys(KeySource::jwk_set(set.to_string()))
        .status_max_age(Duration::from_secs(3600))
        // A signature costs three hundred look-ups, and swings by more than one.
        .remember(1)
        .backend(CryptoBackend::AwsLcRs)
}

fn claims(now: u64) -> Value {
    json!({
        "iss": ISSUER, "aud": "raptor", "sub": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e55",
        "client_id": "raptor", "iat": now, "exp": now + 3600, "auth_time": now,
        "jti": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e56", "sid": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e57",
        "acr": "urn:queue:acr:passkey-uv", "amr": ["hwk", "user"],
        "tenant_id": "00000000-0000-7000-8000-000000000001",
        "scope": "openid profile", "roles": ["antlers-user"], "authz_ver": 1,
        "status": {"status_list": {"idx": VALID, "uri": URI}},
    })
}

/// The session that is looked up: never revoked.
const VALID: usize = 500_000;

/// A list in which `per_mille` of the sessions are revoked, spread as by chance.
fn list(pair: &RsaKeyPair, now: u64, per_mille: u32) -> String {
    let mut bytes = vec![0_u8; SESSIONS / 8];
    for idx in (0..SESSIONS).filter(|idx| *idx != VALID) {
        // SplitMix64: the same list in every run.
        let mut mixed = (idx as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        if (mixed ^ (mixed >> 31)) % 1000 < u64::from(per_mille) {
            bytes[idx / 8] |= 1 << (idx % 8);
        }
    }
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    zlib.write_all(&bytes).expect("a vector can be written");
    let lst = URL_SAFE_NO_PAD.encode_to_string(zlib.finish().expect("a vector"));
    let claims = json!({"iss": ISSUER, "sub": URI, "iat": now, "ttl": 5,
        "status_list": {"bits": 1, "lst": lst}});
    sign(pair, "statuslist+jwt", &claims)
}

fn sign(pair: &RsaKeyPair, typ: &str, claims: &Value) -> String {
    let header = json!({"alg": "RS256", "typ": typ, "kid": "k1"});
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode_to_string(part.to_string());
    let input = format!("{}.{}", encode(&header), encode(claims));
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        input.as_bytes(),
        &mut signature,
    )
    .expect("an RSA-2048 key signs");
    format!("{input}.{}", URL_SAFE_NO_PAD.encode_to_string(signature))
}

#[expect(clippy::print_stdout, reason = "the table is the point")]
fn show(table: &str) {
    println!("{table}");
}
