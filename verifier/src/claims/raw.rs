//! Payload bytes → members of the right type, not yet judged.

use super::ClaimsError;
use super::status::{ListReference, StatusClaim};
use crate::json::{self, Malformed, Number, Reader, Text};

/// The claims we know, borrowed from the payload.
#[derive(Debug, Default)]
pub(crate) struct RawClaims<'a> {
    /// The whole payload.
    pub(crate) text: &'a str,
    pub(crate) iss: Option<Text<'a>>,
    pub(crate) sub: Option<Text<'a>>,
    pub(crate) aud: Option<Vec<Text<'a>>>,
    pub(crate) exp: Option<NumericDate>,
    pub(crate) nbf: Option<NumericDate>,
    pub(crate) iat: Option<NumericDate>,
    pub(crate) jti: Option<Text<'a>>,
    pub(crate) client_id: Option<Text<'a>>,
    pub(crate) azp: Option<Text<'a>>,
    pub(crate) sid: Option<Text<'a>>,
    pub(crate) tenant_id: Option<Text<'a>>,
    pub(crate) scope: Option<Text<'a>>,
    pub(crate) roles: Option<Vec<Text<'a>>>,
    pub(crate) acr: Option<Text<'a>>,
    pub(crate) amr: Option<Vec<Text<'a>>>,
    pub(crate) auth_time: Option<NumericDate>,
    pub(crate) authz_ver: Option<NumericDate>,
    pub(crate) has_cnf: bool,
    pub(crate) status: Option<StatusClaim<'a>>,
}

impl<'a> RawClaims<'a> {
    pub(crate) fn parse(payload: &'a [u8]) -> Result<Self, ClaimsError> {
        let malformed = |json::Malformed| ClaimsError::Malformed;
        let mut claims = Self::default();
        json::object(payload, |reader, name| claims.read(name.as_str(), reader))
            .map_err(malformed)?;
        claims.text = std::str::from_utf8(payload).map_err(|_| ClaimsError::Malformed)?;
        let unsigned = [claims.exp, claims.auth_time, claims.authz_ver];
        let has_empty_audience = claims.aud.as_ref().is_some_and(Vec::is_empty);
        if has_empty_audience || unsigned.into_iter().flatten().any(|date| date.0 < 0.0) {
            return Err(ClaimsError::Malformed);
        }
        Ok(claims)
    }

    fn read(&mut self, name: &str, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        match name {
            "iss" => self.iss = Some(reader.text()?),
            "sub" => self.sub = Some(reader.text()?),
            "aud" => self.aud = Some(reader.one_or_many()?),
            "exp" => self.exp = Some(NumericDate::read(reader)?),
            "nbf" => self.nbf = Some(NumericDate::read(reader)?),
            "iat" => self.iat = Some(NumericDate::read(reader)?),
            "jti" => self.jti = Some(reader.text()?),
            "client_id" => self.client_id = Some(reader.text()?),
            "azp" => self.azp = Some(reader.text()?),
            "sid" => self.sid = Some(reader.text()?),
            "tenant_id" => self.tenant_id = Some(reader.text()?),
            "scope" => self.scope = Some(reader.text()?),
            "roles" => self.roles = Some(reader.texts()?),
            "acr" => self.acr = Some(reader.text()?),
            "amr" => self.amr = Some(reader.texts()?),
            "auth_time" => self.auth_time = Some(NumericDate::read(reader)?),
            "authz_ver" => self.authz_ver = Some(NumericDate::read(reader)?),
            "cnf" => {
                self.has_cnf = true;
                reader.skip()?;
            }
            "status" => self.status = Some(StatusClaim::read(reader)?),
            _ => reader.skip()?,
        }
        Ok(())
    }
}

impl<'a> RawClaims<'a> {
    /// Which entry of which status list speaks of the token.
    pub(crate) fn status_list(&self) -> Option<&ListReference<'a>> {
        self.status.as_ref()?.status_list.as_ref()
    }
}

/// What is asked of a claims set again and again, whether it was just read or is remembered.
pub(crate) trait Stated {
    /// Every time it states.
    fn times(&self) -> Times;
    /// To whom the token was issued: `azp`, else `client_id`.
    fn party(&self) -> Option<&str>;
    /// `tenant_id`.
    fn tenant(&self) -> Option<&str>;
    /// `acr`.
    fn acr(&self) -> Option<&str>;
    /// Whether `scope` has this value.
    fn has_scope(&self, value: &str) -> bool;
    /// Whether `roles` has this name.
    fn has_role(&self, name: &str) -> bool;
}

/// The times of a claims set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Times {
    pub(crate) exp: Option<NumericDate>,
    pub(crate) nbf: Option<NumericDate>,
    pub(crate) iat: Option<NumericDate>,
    pub(crate) auth_time: Option<NumericDate>,
}

impl Stated for RawClaims<'_> {
    fn times(&self) -> Times {
        Times {
            exp: self.exp,
            nbf: self.nbf,
            iat: self.iat,
            auth_time: self.auth_time,
        }
    }

    fn party(&self) -> Option<&str> {
        let party = self.azp.as_ref().or(self.client_id.as_ref());
        party.map(Text::as_str)
    }

    fn tenant(&self) -> Option<&str> {
        self.tenant_id.as_ref().map(Text::as_str)
    }

    fn acr(&self) -> Option<&str> {
        self.acr.as_ref().map(Text::as_str)
    }

    fn has_scope(&self, value: &str) -> bool {
        let scope = self.scope.as_ref().map_or("", Text::as_str);
        scope.split(' ').any(|granted| granted == value)
    }

    fn has_role(&self, name: &str) -> bool {
        self.roles
            .iter()
            .flatten()
            .any(|role| role.as_str() == name)
    }
}

/// Seconds since the Unix epoch, perhaps with a fraction (RFC 7519 §2); within ±2^53, where a
/// double holds every whole second exactly.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) struct NumericDate(f64);

const MAX_EXACT: u64 = 1 << 53;

#[expect(
    clippy::cast_precision_loss,
    reason = "clocks and leeways are far below 2^53, and a date is within it"
)]
impl NumericDate {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        match reader.number()? {
            Number::Whole(whole) if whole.unsigned_abs() <= MAX_EXACT => Ok(Self(whole as f64)),
            Number::Real(real) if real.abs() <= MAX_EXACT as f64 => Ok(Self(real)),
            _ => Err(Malformed),
        }
    }

    /// `now >= self + allowance`.
    pub(crate) fn is_at_or_before(self, now: u64, allowance: u64) -> bool {
        now as f64 >= self.0 + allowance as f64
    }

    /// `now > self + allowance`.
    pub(super) fn is_before(self, now: u64, allowance: u64) -> bool {
        now as f64 > self.0 + allowance as f64
    }

    /// `now + allowance < self`.
    pub(crate) fn is_after(self, now: u64, allowance: u64) -> bool {
        (now as f64) + (allowance as f64) < self.0
    }

    /// Whole seconds, rounded down.
    #[expect(clippy::cast_possible_truncation, reason = "floored, and within ±2^53")]
    pub(crate) fn seconds(self) -> i64 {
        self.0.floor() as i64
    }

    /// Whole seconds, rounded down; 0 for a moment before 1970.
    pub(crate) fn unsigned_seconds(self) -> u64 {
        self.seconds().try_into().unwrap_or(0)
    }
}
