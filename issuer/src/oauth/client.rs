//! Client: takes the credentials of a request, gives the service that proved itself.
//!
//! **Invariant:** one way of proving at a time (RFC 6749 §2.3), and the name must be that of the secret.

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use zeroize::Zeroizing;

use super::error::OauthError;
use super::form::Form;
use crate::app::Shared;
use crate::caller::Caller;
use crate::service_token::identify::{self, Credential};

/// A caller of introspection or revocation: by a bearer token as on every route, or by
/// `client_secret_basic`, the way standard clients know.
pub(super) struct EndpointCaller(pub(super) Caller);

impl FromRequestParts<Shared> for EndpointCaller {
    type Rejection = OauthError;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, OauthError> {
        if !is_basic(&parts.headers) {
            let caller = Caller::from_request_parts(parts, shared).await?;
            return Ok(Self(caller));
        }
        let pair = basic(&parts.headers).ok_or(OauthError::invalid_client())?;
        let credential = prove(shared, &pair).await?;
        Ok(Self(Caller::admit(credential.client, parts, shared)?))
    }
}

/// A client's name and its secret, as they were sent.
struct Pair {
    client_id: String,
    secret: Zeroizing<String>,
}

/// The client of a token request.
pub(super) async fn authenticate(
    shared: &Shared,
    headers: &HeaderMap,
    form: &Form,
) -> Result<Credential, OauthError> {
    let pair = if headers.contains_key(AUTHORIZATION) {
        if form.get("client_secret").is_some() {
            return Err(OauthError::invalid_request(
                "expected the client's secret once: in the header or in the body",
            ));
        }
        let pair = basic(headers).ok_or(OauthError::invalid_client())?;
        if form
            .get("client_id")
            .is_some_and(|named| named != pair.client_id)
        {
            return Err(OauthError::invalid_request(
                "expected the same client_id in header and body",
            ));
        }
        pair
    } else {
        let (Some(client_id), Some(secret)) = (form.get("client_id"), form.get("client_secret"))
        else {
            return Err(OauthError::invalid_client());
        };
        Pair {
            client_id: client_id.to_owned(),
            secret: Zeroizing::new(secret.to_owned()),
        }
    };
    prove(shared, &pair).await
}

async fn prove(shared: &Shared, pair: &Pair) -> Result<Credential, OauthError> {
    let found = identify::secret(shared, &pair.secret).await?;
    found
        .filter(|credential| credential.client.client_id == pair.client_id)
        .ok_or(OauthError::invalid_client())
}

fn is_basic(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    values.any(|value| {
        let scheme = value.as_bytes().get(..6).unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"basic ")
    })
}

/// Name and secret of the one Basic header, each form-encoded (RFC 6749 §2.3.1).
fn basic(headers: &HeaderMap) -> Option<Pair> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let encoded = encoded.trim_start_matches(' ').as_bytes();
    let text = Zeroizing::new(base64_simd::STANDARD.decode_to_vec(encoded).ok()?);
    let (client_id, secret) = std::str::from_utf8(&text).ok()?.split_once(':')?;
    Some(Pair {
        client_id: decode(client_id)?,
        secret: Zeroizing::new(decode(secret)?),
    })
}

/// One form-encoded value.
fn decode(text: &str) -> Option<String> {
    let named = Zeroizing::new(format!("v={text}"));
    let mut pairs = form_urlencoded::parse(named.as_bytes());
    let (_, value) = pairs.next()?;
    pairs.next().is_none().then(|| value.into_owned())
}
