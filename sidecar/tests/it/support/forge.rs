//! Keys made on the spot and the tokens they sign.

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64_simd::{STANDARD, URL_SAFE_NO_PAD};
use pkcs1::RsaPublicKeyRef;
use pkcs1::der::Decode as _;
use serde_json::{Value, json};

use super::{AUDIENCE, ISSUER, NOW};

/// One RSA-2048 signing key.
pub(crate) struct Forge {
    kid: &'static str,
    pair: RsaKeyPair,
}

/// The key of the issuer.
pub(crate) fn forge() -> &'static Forge {
    static FORGE: LazyLock<Forge> = LazyLock::new(|| Forge::new("key-1"));
    &FORGE
}

/// The issuer's next key.
pub(crate) fn other_forge() -> &'static Forge {
    static FORGE: LazyLock<Forge> = LazyLock::new(|| Forge::new("key-2"));
    &FORGE
}

impl Forge {
    fn new(kid: &'static str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("the library makes RSA keys");
        Self { kid, pair }
    }

    fn jwk(&self) -> Value {
        let public = RsaPublicKeyRef::from_der(self.pair.public_key().as_ref())
            .expect("the library writes RFC 8017 A.1.1");
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode_to_string(bytes);
        let (n, e) = (&public.modulus, &public.public_exponent);
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid,
            "n": number(n.as_bytes()), "e": number(e.as_bytes()),
        })
    }

    /// The public half, PEM.
    pub(crate) fn pem(&self) -> String {
        let der = self.pair.public_key().as_der();
        let text = STANDARD.encode_to_string(der.expect("a public key has a DER form").as_ref());
        let lines: Vec<_> = text
            .as_bytes()
            .chunks(64)
            .map(String::from_utf8_lossy)
            .collect();
        let lines = lines.join("\n");
        format!("-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n")
    }

    /// An access token of `claims`.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_as(
            &json!({"alg": "RS256", "typ": "at+jwt", "kid": self.kid}),
            claims,
        )
    }

    /// A token under any header.
    pub(crate) fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode_to_string(part.to_string());
        let signing_input = format!("{}.{}", encode(header), encode(claims));
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

/// A set of the public halves of `keys`.
pub(crate) fn jwk_set(keys: &[&Forge]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

/// The claims of a customer's session, good for 300 s from [`NOW`], with `changes` laid over.
pub(crate) fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE,
        "sub": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e55",
        "client_id": "antlers", "iat": NOW, "exp": NOW + 300, "auth_time": NOW - 100,
        "jti": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e56",
        "sid": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e57",
        "acr": "urn:queue:acr:passkey-uv", "amr": ["hwk", "user"],
        "tenant_id": "00000000-0000-7000-8000-000000000001",
        "scope": "openid profile", "roles": ["antlers-user", "billing"], "authz_ver": 1,
    });
    if let (Some(claims), Value::Object(changes)) = (claims.as_object_mut(), changes) {
        for (name, value) in changes {
            match value {
                Value::Null => claims.remove(&name),
                value => claims.insert(name, value),
            };
        }
    }
    claims
}
