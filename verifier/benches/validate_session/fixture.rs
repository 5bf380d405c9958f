//! One RSA-2048 key and the 900-byte token it signed: what every subject, of any language, judges.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64_simd::URL_SAFE_NO_PAD;
use pkcs1::RsaPublicKeyRef;
use pkcs1::der::Decode as _;
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://auth.example.com";
pub(crate) const AUDIENCE: &str = "raptor";
const KID: &str = "twns3WmQyQGlQ7d54rN2xg42Ah5ztcdnm5K3cDPkmHs";

pub(crate) struct Fixture {
    pub(crate) n: Vec<u8>,
    pub(crate) e: Vec<u8>,
    pub(crate) token: String,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let public = RsaPublicKeyRef::from_der(pair.public_key().as_ref()).expect("RFC 8017");
        let sign = |signing_input: &[u8]| {
            let mut signature = vec![0; pair.public_modulus_len()];
            let random = SystemRandom::new();
            pair.sign(&RSA_PKCS1_SHA256, &random, signing_input, &mut signature)
                .expect("signed");
            signature
        };
        let header = json!({"alg": "RS256", "typ": "at+jwt", "kid": KID});
        Self {
            n: public.modulus.as_bytes().to_vec(),
            e: public.public_exponent.as_bytes().to_vec(),
            token: compact(&header, &claims(now()), sign),
        }
    }

    pub(crate) fn jwk_set(&self) -> Value {
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode_to_string(bytes);
        json!({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KID,
            "n": number(&self.n), "e": number(&self.e)}]})
    }

    /// For subjects in other processes.
    pub(crate) fn to_json(&self) -> Value {
        json!({"issuer": ISSUER, "audience": AUDIENCE, "token": self.token, "jwks": self.jwk_set()})
    }
}

/// `header.claims.signature`, RFC 7515 §7.1.
pub(crate) fn compact(
    header: &Value,
    claims: &Value,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode_to_string(part);
    let [header, claims] = [header, claims].map(|part| encode(part.to_string().as_bytes()));
    let signing_input = format!("{header}.{claims}");
    let signature = encode(&sign(signing_input.as_bytes()));
    format!("{signing_input}.{signature}")
}

/// A session's claims as the issuer mints them, good for a day.
pub(crate) fn claims(now: u64) -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e55",
        "client_id": "antlers", "iat": now, "exp": now + 86_400, "auth_time": now,
        "jti": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e56", "sid": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e57",
        "scope": "read:profile write:me", "roles": ["antlers-user"], "authz_ver": 1,
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the peers' clocks cannot be set, so the token is of now"
)]
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
}
