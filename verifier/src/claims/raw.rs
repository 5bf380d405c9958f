//! Payload bytes → members of the right type, not yet judged.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::ClaimsError;
use super::status::{ListReference, StatusClaim};
use crate::json::{self, Members, Skip, Text, once};

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
        let mut claims =
            json::object(payload, ClaimsVisitor).map_err(|_| ClaimsError::Malformed)?;
        claims.text = std::str::from_utf8(payload).map_err(|_| ClaimsError::Malformed)?;
        let unsigned = [claims.exp, claims.auth_time, claims.authz_ver];
        let has_empty_audience = claims.aud.as_ref().is_some_and(Vec::is_empty);
        if has_empty_audience || unsigned.into_iter().flatten().any(|date| date.0 < 0.0) {
            return Err(ClaimsError::Malformed);
        }
        Ok(claims)
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

struct ClaimsVisitor;

impl<'de> Visitor<'de> for ClaimsVisitor {
    type Value = RawClaims<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JWT Claims Set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut claims = RawClaims::default();
        let mut others = Members::default();
        while let Some(name) = object.next_key::<Text<'de>>()? {
            match name.as_str() {
                "iss" => once(&mut claims.iss, object.next_value()?)?,
                "sub" => once(&mut claims.sub, object.next_value()?)?,
                "aud" => once(&mut claims.aud, object.next_value::<OneOrMany<'de>>()?.0)?,
                "exp" => once(&mut claims.exp, object.next_value()?)?,
                "nbf" => once(&mut claims.nbf, object.next_value()?)?,
                "iat" => once(&mut claims.iat, object.next_value()?)?,
                "jti" => once(&mut claims.jti, object.next_value()?)?,
                "client_id" => once(&mut claims.client_id, object.next_value()?)?,
                "azp" => once(&mut claims.azp, object.next_value()?)?,
                "sid" => once(&mut claims.sid, object.next_value()?)?,
                "tenant_id" => once(&mut claims.tenant_id, object.next_value()?)?,
                "scope" => once(&mut claims.scope, object.next_value()?)?,
                "roles" => once(&mut claims.roles, object.next_value()?)?,
                "acr" => once(&mut claims.acr, object.next_value()?)?,
                "amr" => once(&mut claims.amr, object.next_value()?)?,
                "auth_time" => once(&mut claims.auth_time, object.next_value()?)?,
                "authz_ver" => once(&mut claims.authz_ver, object.next_value()?)?,
                "cnf" => {
                    let mut seen = claims.has_cnf.then_some(());
                    once(&mut seen, object.next_value_seed(Skip::MEMBER)?)?;
                    claims.has_cnf = true;
                }
                "status" => once(&mut claims.status, object.next_value()?)?,
                _ => {
                    object.next_value_seed(Skip::MEMBER)?;
                    others.insert(name)?;
                }
            }
        }
        Ok(claims)
    }
}

/// A string, or an array of strings (`aud`, RFC 7519 §4.1.3).
struct OneOrMany<'de>(Vec<Text<'de>>);

impl<'de> Deserialize<'de> for OneOrMany<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrManyVisitor;
        impl<'de> Visitor<'de> for OneOrManyVisitor {
            type Value = OneOrMany<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(OneOrMany(vec![Text(text.into())]))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(OneOrMany(vec![Text(text.to_owned().into())]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(OneOrMany(texts))
            }
        }
        deserializer.deserialize_any(OneOrManyVisitor)
    }
}

/// Seconds since the Unix epoch, perhaps with a fraction (RFC 7519 §2); within ±2^53, where a
/// double holds every whole second exactly.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) struct NumericDate(f64);

const MAX_EXACT: u64 = 1 << 53;

#[expect(
    clippy::cast_precision_loss,
    reason = "clocks and leeways are far below 2^53"
)]
impl NumericDate {
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

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        #[expect(
            clippy::cast_precision_loss,
            reason = "every number cast is within ±2^53"
        )]
        impl Visitor<'_> for NumberVisitor {
            type Value = NumericDate;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number within ±2^53")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                if number > MAX_EXACT {
                    return Err(E::invalid_value(de::Unexpected::Unsigned(number), &self));
                }
                Ok(NumericDate(number as f64))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                if number.unsigned_abs() > MAX_EXACT {
                    return Err(E::invalid_value(de::Unexpected::Signed(number), &self));
                }
                Ok(NumericDate(number as f64))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
                if number.abs() > MAX_EXACT as f64 {
                    return Err(E::invalid_value(de::Unexpected::Float(number), &self));
                }
                Ok(NumericDate(number))
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}
