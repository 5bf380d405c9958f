//! Status list tokens made on the spot (Token Status List §5.1).

use std::io::Write as _;

use base64_simd::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::{Value, json};

use crate::forge::{Claims, Forge};

/// Statuses of a list that is not sized otherwise.
const SIZE: usize = 1000;
/// Bits of a status.
const BITS: usize = 2;

/// A list under construction.
#[derive(Debug, Clone)]
pub struct StatusListForge {
    header: Value,
    claims: Claims,
    packed: Vec<u8>,
}

impl StatusListForge {
    /// A list of valid sessions, published at `uri` at `iat`.
    #[must_use]
    pub fn new(issuer: &str, uri: &str, iat: u64) -> Self {
        let claims = json!({"iss": issuer, "sub": uri, "iat": iat, "ttl": 5});
        let Value::Object(claims) = claims else {
            unreachable!("an object was written")
        };
        Self {
            header: json!({"alg": "RS256", "typ": "statuslist+jwt"}),
            claims,
            packed: vec![0; SIZE * BITS / 8],
        }
    }

    /// The same with room for `size` sessions.
    #[must_use]
    pub fn sized(mut self, size: usize) -> Self {
        self.packed.resize(size * BITS / 8, 0);
        self
    }

    /// The same with another status at `idx`.
    #[must_use]
    pub fn set(mut self, idx: usize, status: u8) -> Self {
        let shift = idx * BITS % 8;
        let byte = &mut self.packed[idx * BITS / 8];
        *byte = *byte & !(0b11 << shift) | status << shift;
        self
    }

    /// The same with another claim; `null` leaves it out.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        match value.into() {
            Value::Null => self.claims.remove(name),
            value => self.claims.insert(name.to_owned(), value),
        };
        self
    }

    /// The same with another header member.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    /// The token, signed by `key`.
    #[must_use]
    pub fn sign(&self, key: &Forge) -> String {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        let written = zlib.write_all(&self.packed);
        let lst = written.and_then(|()| zlib.finish());
        let lst = URL_SAFE_NO_PAD.encode_to_string(lst.expect("a vector can be written"));
        let mut claims = self.claims.clone();
        claims
            .entry("status_list")
            .or_insert_with(|| json!({"bits": BITS, "lst": lst}));
        let mut header = self.header.clone();
        if let Value::Object(header) = &mut header {
            header.entry("kid").or_insert_with(|| key.kid().into());
        }
        key.sign_as(&header, &claims)
    }
}

/// Adds to `claims` where the status of their token stands.
pub fn refer(claims: &mut Claims, uri: &str, idx: usize) {
    let status = json!({"status_list": {"uri": uri, "idx": idx}});
    claims.insert("status".to_owned(), status);
}
