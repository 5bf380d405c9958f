//! An authenticator in software: makes passkeys and shows them as a browser would pass it on, and forges
//! answers that no browser passes on.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64_simd::URL_SAFE_NO_PAD;
use ciborium::Value as Cbor;
use ciborium::cbor;
use serde_json::{Value, json};

/// Holds passkeys, each for one domain.
#[derive(Default)]
pub(crate) struct Authenticator {
    pub(crate) passkeys: Vec<Passkey>,
}

/// A private key and what goes with it.
pub(crate) struct Passkey {
    pub(crate) id: Vec<u8>,
    pub(crate) user_handle: Vec<u8>,
    pub(crate) counter: u32,
    pub(crate) flags: u8,
    key: EcdsaKeyPair,
}

/// A registration about to be sent; every member may be bent first.
pub(crate) struct Registration {
    pub(crate) client_data: Value,
    pub(crate) rp_id: String,
    pub(crate) flags: u8,
    pub(crate) counter: u32,
    pub(crate) credential_id: Vec<u8>,
    pub(crate) cose_key: Cbor,
    pub(crate) format: &'static str,
    /// What follows the last member of the authenticator data.
    pub(crate) tail: Vec<u8>,
    /// What follows the attestation object.
    pub(crate) object_tail: Vec<u8>,
    /// Further members of the attestation object.
    pub(crate) members: Vec<(Cbor, Cbor)>,
    pub(crate) transports: Value,
}

/// A sign-in about to be signed and sent; every member may be bent first.
pub(crate) struct Assertion {
    pub(crate) client_data: Value,
    /// Sent instead of `client_data`.
    pub(crate) client_data_text: Option<String>,
    pub(crate) rp_id: String,
    pub(crate) flags: u8,
    pub(crate) counter: u32,
    pub(crate) tail: Vec<u8>,
    pub(crate) user_handle: Value,
}

impl Authenticator {
    /// Makes a passkey as `options` ask.
    pub(crate) fn register(&mut self, options: &Value, origin: &str) -> Value {
        self.draft_registration(options, origin).seal()
    }

    /// The last passkey made, shown as `options` ask.
    pub(crate) fn sign_in(&mut self, options: &Value, origin: &str) -> Value {
        let last = self.passkeys.last_mut().expect("a passkey");
        last.counter += 1;
        let draft = last.draft(options, origin);
        last.sign(&draft)
    }

    pub(crate) fn draft_registration(&mut self, options: &Value, origin: &str) -> Registration {
        let asked = &options["publicKey"];
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
                .unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref());
        let key = key.unwrap();
        let mut id = vec![0; 32];
        aws_lc_rs::rand::fill(&mut id).unwrap();
        let point = key.public_key().as_ref().to_vec();
        let (x, y) = (
            Cbor::Bytes(point[1..33].to_vec()),
            Cbor::Bytes(point[33..].to_vec()),
        );
        self.passkeys.push(Passkey {
            id: id.clone(),
            user_handle: decode(&asked["user"]["id"]),
            counter: 1,
            flags: PRESENT | VERIFIED,
            key,
        });
        Registration {
            client_data: client_data("webauthn.create", asked, origin),
            rp_id: text(&asked["rp"]["id"]),
            flags: PRESENT | VERIFIED | ATTESTED,
            counter: 1,
            credential_id: id,
            cose_key: cbor!({ 1 => 2, 3 => -7, -1 => 1, -2 => x, -3 => y }).unwrap(),
            format: "none",
            tail: Vec::new(),
            object_tail: Vec::new(),
            members: Vec::new(),
            transports: json!(["internal", "hybrid"]),
        }
    }
}

impl Registration {
    pub(crate) fn seal(&self) -> Value {
        let mut data = head(&self.rp_id, self.flags, self.counter);
        if self.flags & ATTESTED != 0 {
            data.extend(AAGUID);
            data.extend(
                u16::try_from(self.credential_id.len())
                    .unwrap()
                    .to_be_bytes(),
            );
            data.extend(&self.credential_id);
            data.extend(encode(&self.cose_key));
        }
        data.extend(&self.tail);
        let mut members = vec![
            (Cbor::from("fmt"), Cbor::from(self.format)),
            (Cbor::from("attStmt"), Cbor::Map(Vec::new())),
            (Cbor::from("authData"), Cbor::Bytes(data)),
        ];
        members.extend(self.members.clone());
        let mut object = encode(&Cbor::Map(members));
        object.extend(&self.object_tail);
        json!({
            "id": base64url(&self.credential_id),
            "rawId": base64url(&self.credential_id),
            "type": "public-key",
            "response": {
                "clientDataJSON": base64url(self.client_data.to_string().as_bytes()),
                "attestationObject": base64url(&object),
                "transports": self.transports,
            },
            "clientExtensionResults": {},
        })
    }
}

impl Passkey {
    pub(crate) fn draft(&self, options: &Value, origin: &str) -> Assertion {
        let asked = &options["publicKey"];
        Assertion {
            client_data: client_data("webauthn.get", asked, origin),
            client_data_text: None,
            rp_id: text(&asked["rpId"]),
            flags: self.flags,
            counter: self.counter,
            tail: Vec::new(),
            user_handle: json!(base64url(&self.user_handle)),
        }
    }

    pub(crate) fn sign(&self, draft: &Assertion) -> Value {
        let text = draft.client_data_text.clone();
        let client_data = text.unwrap_or_else(|| draft.client_data.to_string());
        let mut data = head(&draft.rp_id, draft.flags, draft.counter);
        data.extend(&draft.tail);
        let mut signed = data.clone();
        signed.extend(digest(&SHA256, client_data.as_bytes()).as_ref());
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "id": base64url(&self.id),
            "rawId": base64url(&self.id),
            "type": "public-key",
            "response": {
                "clientDataJSON": base64url(client_data.as_bytes()),
                "authenticatorData": base64url(&data),
                "signature": base64url(signature.as_ref()),
                "userHandle": draft.user_handle,
            },
            "clientExtensionResults": {},
        })
    }
}

fn client_data(kind: &str, asked: &Value, origin: &str) -> Value {
    json!({
        "type": kind,
        "challenge": asked["challenge"],
        "origin": origin,
        "crossOrigin": false,
    })
}

fn head(rp_id: &str, flags: u8, counter: u32) -> Vec<u8> {
    let mut data = digest(&SHA256, rp_id.as_bytes()).as_ref().to_vec();
    data.push(flags);
    data.extend(counter.to_be_bytes());
    data
}

pub(crate) fn encode(value: &Cbor) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

pub(crate) fn decode(text: &Value) -> Vec<u8> {
    let text = text.as_str().expect("base64url");
    URL_SAFE_NO_PAD.decode_to_vec(text).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

pub(crate) const PRESENT: u8 = 1;
pub(crate) const VERIFIED: u8 = 1 << 2;
pub(crate) const BACKUP_ELIGIBLE: u8 = 1 << 3;
pub(crate) const BACKUP_STATE: u8 = 1 << 4;
pub(crate) const ATTESTED: u8 = 1 << 6;
pub(crate) const EXTENSIONS: u8 = 1 << 7;
const AAGUID: [u8; 16] = [7; 16];
