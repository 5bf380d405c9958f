//! Status list token: bytes → [`ListToken`], a signed list of exactly the URI it was asked for.
//!
//! **Invariant:** a list is read behind a good signature of the issuer whose tokens name it, made
//! as a status list and as nothing else.
//!
//! Token Status List §5.1, §8.3.

use super::list::StatusList;
use crate::claims::NumericDate;
use crate::error::Error;
use crate::header::ProtectedHeader;
use crate::json::{self, Malformed, Number, Reader, Text};
use crate::key::JwkSet;
use crate::policy::HeaderPolicy;
use crate::signature::{self, VerifiedPayload};
use crate::token::CompactJws;

/// Longest status list token, in bytes.
pub(super) const MAX_LIST_TOKEN: usize = 2 * 1024 * 1024;

/// What every list of an issuer is held against.
#[derive(Debug, Clone)]
pub(crate) struct ListPolicy {
    pub(crate) issuer: String,
    pub(crate) header: HeaderPolicy,
    /// Seconds.
    pub(crate) leeway: u64,
}

/// A list and what its issuer says of it.
#[derive(Debug, PartialEq)]
pub(crate) struct ListToken {
    pub(crate) sub: String,
    pub(crate) issued_at: NumericDate,
    pub(crate) expires_at: Option<NumericDate>,
    /// Seconds.
    pub(crate) ttl: Option<f64>,
    pub(crate) list: StatusList,
}

impl ListPolicy {
    /// Verifies and reads `token`.
    ///
    /// # Errors
    /// Whatever keeps it from being a list of this issuer.
    pub(super) fn read(&self, token: &[u8], keys: &JwkSet) -> Result<ListToken, ListError> {
        if token.len() > MAX_LIST_TOKEN {
            return Err(ListError::Malformed);
        }
        self.claims(&self.verify(token, keys)?)
    }

    /// The `kid` of `token`, unverified: which key to look for.
    #[cfg(feature = "fetch")]
    pub(super) fn kid(&self, token: &[u8]) -> Result<Option<String>, ListError> {
        let jws = CompactJws::parse_bounded(token).map_err(Error::from)?;
        let header = ProtectedHeader::parse(&jws, &self.header).map_err(Error::from)?;
        Ok(header.kid().map(str::to_owned))
    }

    fn verify(&self, token: &[u8], keys: &JwkSet) -> Result<VerifiedPayload, Error> {
        let jws = CompactJws::parse_bounded(token)?;
        let header = ProtectedHeader::parse(&jws, &self.header)?;
        let key = keys.select(&header)?;
        Ok(signature::verify(jws, key)?)
    }

    fn claims(&self, payload: &VerifiedPayload) -> Result<ListToken, ListError> {
        ListToken::parse(payload.as_bytes(), &self.issuer)
    }
}

impl ListToken {
    /// Reads `payload`, a list of `issuer` if it says whose it is.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn parse(payload: &[u8], issuer: &str) -> Result<Self, ListError> {
        let mut claims = ListClaims::default();
        json::object(payload, |reader, name| claims.read(name.as_str(), reader))
            .map_err(|json::Malformed| ListError::Malformed)?;
        if claims.iss.is_some_and(|iss| iss.as_str() != issuer) {
            return Err(ListError::OtherIssuer);
        }
        let (Some(sub), Some(issued_at), Some(packed)) = (claims.sub, claims.iat, claims.packed)
        else {
            return Err(ListError::Malformed);
        };
        Ok(Self {
            sub: sub.0.into_owned(),
            issued_at,
            expires_at: claims.exp,
            ttl: claims.ttl,
            list: StatusList::parse(packed.bits, packed.lst.as_str())
                .ok_or(ListError::Malformed)?,
        })
    }

    /// Whether it is the list that `uri` names, of a time that has come.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn judge(&self, uri: &str, leeway: u64, now: u64) -> Result<(), ListError> {
        if self.sub != uri {
            return Err(ListError::OtherList);
        }
        if self.issued_at.is_after(now, leeway) {
            return Err(ListError::IssuedInFuture);
        }
        match self.expires_at {
            Some(exp) if exp.is_at_or_before(now, leeway) => Err(ListError::Expired),
            _ => Ok(()),
        }
    }
}

/// The claims of a status list token that mean something here.
#[derive(Default)]
struct ListClaims<'a> {
    iss: Option<Text<'a>>,
    sub: Option<Text<'a>>,
    iat: Option<NumericDate>,
    exp: Option<NumericDate>,
    ttl: Option<f64>,
    packed: Option<PackedList<'a>>,
}

/// `status_list`, still packed.
struct PackedList<'a> {
    bits: i64,
    lst: Text<'a>,
}

impl<'a> ListClaims<'a> {
    fn read(&mut self, name: &str, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        match name {
            "iss" => self.iss = Some(reader.text()?),
            "sub" => self.sub = Some(reader.text()?),
            "iat" => self.iat = Some(NumericDate::read(reader)?),
            "exp" => self.exp = Some(NumericDate::read(reader)?),
            "ttl" => self.ttl = Some(positive(reader.number()?)?),
            "status_list" => self.packed = Some(PackedList::read(reader)?),
            _ => reader.skip()?,
        }
        Ok(())
    }
}

impl<'a> PackedList<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let (mut bits, mut lst) = (None, None);
        reader.object(|reader, name| {
            match name.as_str() {
                "bits" => bits = Some(reader.number()?),
                "lst" => lst = Some(reader.text()?),
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        match (bits, lst) {
            (Some(Number::Whole(bits)), Some(lst)) => Ok(Self { bits, lst }),
            _ => Err(Malformed),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a lifetime of 2^53 s is as long as one of 2^53 + 1 s"
)]
fn positive(number: Number) -> Result<f64, Malformed> {
    match number {
        Number::Whole(whole) if whole > 0 => Ok(whole as f64),
        Number::Real(real) if real > 0.0 => Ok(real),
        _ => Err(Malformed),
    }
}

/// A document is not the status list it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// No list, or one beyond a bound.
    #[error(
        "expected a signed status list of 1, 2, 4 or 8 bits, at most {MAX_LIST_TOKEN} bytes, \
         inflating to at most {} bytes",
        super::list::MAX_INFLATED
    )]
    Malformed,
    /// Not signed as a status list by a key of the issuer.
    #[error("expected a status list signed by the issuer: {0}")]
    Signature(Box<Error>),
    /// `iss` is another issuer.
    #[error("expected a status list of the configured issuer")]
    OtherIssuer,
    /// `sub` is another list.
    #[error("expected `sub` to equal the URI that tokens name")]
    OtherList,
    /// `iat` lies in the future.
    #[error("expected `iat` of the status list no later than now; check both clocks")]
    IssuedInFuture,
    /// `exp` is past.
    #[error("expected `exp` of the status list after now")]
    Expired,
    /// An old copy, which would take a revocation back.
    #[error("expected a status list no older than the copy at hand")]
    Older,
    /// Two documents speak for one list.
    #[error("expected each status list once")]
    Twice,
}

impl From<Error> for ListError {
    fn from(error: Error) -> Self {
        Self::Signature(Box::new(error))
    }
}
