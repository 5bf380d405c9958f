//! Header: [`CompactJws`] → [`ProtectedHeader`], an allowed algorithm and perhaps a `kid`.
//!
//! **Invariant:** a header that parses names an algorithm of the allow-list, has the expected
//! `typ` and no extension we would have to understand. Keys a header carries (`jwk`, `jku`,
//! `x5c`, `x5u`) are never read (hazards V1, V8, V11, V12).
//!
//! RFC 7515 §4, RFC 7797 §3, RFC 9068 §2.1.

use crate::algorithm::Algorithm;
use crate::json::{self, Text};
use crate::policy::{HeaderPolicy, MAX_HEADER, MAX_KID, TypRule};
use crate::token::CompactJws;

/// A header whose algorithm, type and extensions are acceptable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProtectedHeader<'a> {
    /// Named by the token, allowed by the policy.
    pub(crate) algorithm: Algorithm,
    kid: Option<Text<'a>>,
}

impl<'a> ProtectedHeader<'a> {
    /// Reads the header of `jws` under `policy`.
    ///
    /// # Errors
    /// `header_malformed`, `header_crit_unsupported`, `header_alg_not_allowed`,
    /// `header_typ_mismatch`, in this order.
    pub(crate) fn parse(
        jws: &'a CompactJws<'_>,
        policy: &HeaderPolicy,
    ) -> Result<Self, HeaderError> {
        let raw = RawHeader::parse(jws.header())?;
        if raw.has_extension {
            return Err(HeaderError::CritUnsupported);
        }
        let algorithm = raw
            .alg
            .as_str()
            .parse()
            .ok()
            .filter(|algorithm| policy.algorithms.contains(algorithm))
            .ok_or(HeaderError::AlgNotAllowed)?;
        if !policy.typ.admits(raw.typ.as_ref().map(Text::as_str)) {
            return Err(HeaderError::TypMismatch {
                expected: policy.typ.describe(),
            });
        }
        Ok(Self {
            algorithm,
            kid: raw.kid,
        })
    }

    /// Opaque; at most 256 bytes (RFC 7515 §4.1.4).
    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_ref().map(Text::as_str)
    }
}

impl TypRule {
    /// Media types compare without case (RFC 7515 §4.1.9, RFC 2045 §5.1).
    fn admits(self, typ: Option<&str>) -> bool {
        match (self, typ) {
            (Self::Any, _) | (Self::Jwt, None) => true,
            (Self::Jwt, Some(typ)) => typ.eq_ignore_ascii_case("JWT"),
            (Self::AccessToken, Some(typ)) => {
                typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt")
            }
            (Self::StatusList, Some(typ)) => {
                typ.eq_ignore_ascii_case("statuslist+jwt")
                    || typ.eq_ignore_ascii_case("application/statuslist+jwt")
            }
            (Self::AccessToken | Self::StatusList, None) => false,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::AccessToken => "at+jwt",
            Self::Jwt => "JWT or none",
            Self::StatusList => "statuslist+jwt",
            Self::Any => "any",
        }
    }
}

/// The members we understand, before policy.
struct RawHeader<'a> {
    alg: Text<'a>,
    typ: Option<Text<'a>>,
    kid: Option<Text<'a>>,
    /// `crit` or `b64` is there, whatever its value.
    has_extension: bool,
}

impl<'a> RawHeader<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, HeaderError> {
        if bytes.len() > MAX_HEADER {
            return Err(HeaderError::Malformed);
        }
        let (mut alg, mut typ, mut kid) = (None, None, None);
        let mut has_extension = false;
        json::object(bytes, |reader, name| {
            match name.as_str() {
                "alg" => alg = Some(reader.text()?),
                "typ" => typ = Some(reader.text()?),
                "kid" => kid = Some(reader.text()?),
                "crit" | "b64" => {
                    has_extension = true;
                    reader.skip()?;
                }
                _ => reader.skip()?,
            }
            Ok(())
        })
        .map_err(|json::Malformed| HeaderError::Malformed)?;
        let is_long = |kid: &Text<'_>| kid.as_str().len() > MAX_KID;
        match alg {
            Some(alg) if !kid.as_ref().is_some_and(is_long) => Ok(Self {
                alg,
                typ,
                kid,
                has_extension,
            }),
            _ => Err(HeaderError::Malformed),
        }
    }
}

/// The header is not one this verifier accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Not a JSON object with a string `alg`, or beyond a bound.
    #[error(
        "expected a JSON object with a string `alg`, at most {MAX_HEADER} bytes, each member once"
    )]
    Malformed,
    /// `crit` or `b64` asks for an extension.
    #[error("expected no `crit` and no `b64` in the header")]
    CritUnsupported,
    /// `alg` is not in the allow-list.
    #[error("expected an allowed signature algorithm in `alg`")]
    AlgNotAllowed,
    /// `typ` is that of another kind of token.
    #[error("expected `typ` {expected}")]
    TypMismatch {
        /// What the profile expects.
        expected: &'static str,
    },
    /// No `kid`, and not exactly one key fits.
    #[error("expected a `kid` in the header, as not exactly one key fits")]
    KidMissing,
}
