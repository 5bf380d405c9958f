//! Keys made on the spot and the tokens they sign.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64_simd::URL_SAFE_NO_PAD;
use pkcs1::RsaPublicKeyRef;
use pkcs1::der::Decode as _;
use serde_json::{Map, Value, json};

/// The claims of a token under construction.
pub type Claims = Map<String, Value>;

/// One RSA-2048 signing key.
#[derive(Debug)]
pub struct Forge {
    kid: String,
    pair: RsaKeyPair,
}

impl Forge {
    /// Makes a key and calls it `kid`.
    #[must_use]
    pub fn new(kid: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("the library makes RSA keys");
        Self {
            kid: kid.to_owned(),
            pair,
        }
    }

    /// The key's `kid`.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half as a JWK.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let public = RsaPublicKeyRef::from_der(self.pair.public_key().as_ref())
            .expect("the library writes RFC 8017 A.1.1");
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode_to_string(bytes);
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid,
            "n": number(public.modulus.as_bytes()),
            "e": number(public.public_exponent.as_bytes()),
        })
    }

    /// The public half as SubjectPublicKeyInfo DER.
    #[must_use]
    pub fn spki(&self) -> Vec<u8> {
        self.pair
            .public_key()
            .as_der()
            .expect("a public key has a DER form")
            .as_ref()
            .to_vec()
    }

    /// A token of `claims` under the header of an access token.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> String {
        self.sign_as(
            &json!({"alg": "RS256", "typ": "at+jwt", "kid": self.kid}),
            claims,
        )
    }

    /// A token under any header.
    #[must_use]
    pub fn sign_as(&self, header: &Value, claims: &Claims) -> String {
        let claims = Value::Object(claims.clone());
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode_to_string(part.to_string());
        let signing_input = format!("{}.{}", encode(header), encode(&claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = aws_lc_rs::rand::SystemRandom::new();
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &random,
                signing_input.as_bytes(),
                &mut signature,
            )
            .expect("an RSA-2048 key signs");
        format!(
            "{signing_input}.{}",
            URL_SAFE_NO_PAD.encode_to_string(signature)
        )
    }
}

impl Forge {
    /// A token whose signature nobody made.
    #[must_use]
    pub fn forged(header: &Value, claims: &Claims) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode_to_string(part.to_string());
        let signature = URL_SAFE_NO_PAD.encode_to_string([7; 256]);
        format!(
            "{}.{}.{signature}",
            encode(header),
            encode(&Value::Object(claims.clone()))
        )
    }
}

/// A set of the public halves of `keys`, JSON.
#[must_use]
pub fn jwk_set(keys: &[&Forge]) -> String {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }).to_string()
}

/// The claims of a customer's session, good for 300 s from `now`.
#[must_use]
pub fn session_claims(issuer: &str, audience: &str, now: u64) -> Claims {
    let claims = json!({
        "iss": issuer, "aud": audience,
        "sub": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e55",
        "client_id": "raptor", "iat": now, "exp": now + 300, "auth_time": now,
        "jti": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e56",
        "sid": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e57",
        "acr": "urn:queue:acr:passkey-uv", "amr": ["hwk", "user"],
        "tenant_id": "00000000-0000-7000-8000-000000000001",
        "scope": "openid profile", "roles": ["antlers-user"], "authz_ver": 1,
    });
    match claims {
        Value::Object(claims) => claims,
        _ => unreachable!("an object was written"),
    }
}
