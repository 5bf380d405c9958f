//! Where the keys of an issuer come from.

use std::fmt;
use std::path::PathBuf;

/// Source of the issuer's public keys.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KeySource {
    /// `jwks_uri` of `<issuer>/.well-known/openid-configuration` (OpenID Connect Discovery 1.0 §4),
    /// whose `issuer` must equal the configured one.
    #[default]
    Discovery,
    /// A `jwks_uri`: https, or http on a loopback host.
    JwksUri(String),
    /// A JWK Set document (RFC 7517 §5).
    JwkSet(String),
    /// A file with a JWK Set document, read once.
    JwkSetFile(PathBuf),
    /// A public key, PEM; it serves tokens of any `kid`.
    PublicKeyPem(String),
}

impl KeySource {
    /// Keys fetched from `uri`, refreshed in the background.
    #[must_use]
    pub fn jwks_uri(uri: impl Into<String>) -> Self {
        Self::JwksUri(uri.into())
    }

    /// Keys of a JWK Set document; they never change.
    #[must_use]
    pub fn jwk_set(document: impl Into<String>) -> Self {
        Self::JwkSet(document.into())
    }

    /// Keys of a JWK Set file, read when the verifier is built.
    #[must_use]
    pub fn jwk_set_file(path: impl Into<PathBuf>) -> Self {
        Self::JwkSetFile(path.into())
    }

    /// One key, PEM.
    #[must_use]
    pub fn public_key_pem(pem: impl Into<String>) -> Self {
        Self::PublicKeyPem(pem.into())
    }
}

impl fmt::Debug for KeySource {
    /// Documents are left out: somebody may have pasted a private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discovery => f.write_str("Discovery"),
            Self::JwksUri(uri) => f.debug_tuple("JwksUri").field(uri).finish(),
            Self::JwkSet(_) => f.write_str("JwkSet(..)"),
            Self::JwkSetFile(path) => f.debug_tuple("JwkSetFile").field(path).finish(),
            Self::PublicKeyPem(_) => f.write_str("PublicKeyPem(..)"),
        }
    }
}
