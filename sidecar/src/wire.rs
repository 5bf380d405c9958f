//! Wire: what callers send, the language-neutral contract; answers are `queue_verifier`'s own.
//!
//! **Invariant:** nothing unknown is ignored: a misspelt requirement is an error, not a hole.

use std::borrow::Cow;
use std::time::Duration;

use queue_verifier::Require;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::problem::{EdgeCode, Problem};

/// Body of `POST /v1/validate`.
#[derive(Debug, Default)]
pub(crate) struct ValidateRequest<'a> {
    pub(crate) token: Option<Cow<'a, str>>,
    pub(crate) require: Requirement,
}

impl<'a> ValidateRequest<'a> {
    /// Reads `body`; an empty one asks nothing.
    ///
    /// # Errors
    /// `request_malformed`.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Members<'a> {
            #[serde(borrow, default, deserialize_with = "present")]
            token: Option<Text<'a>>,
            #[serde(borrow, default, deserialize_with = "present")]
            require: Option<&'a RawValue>,
        }
        if body.is_empty() {
            return Ok(Self::default());
        }
        let malformed = |_| Problem::from(EdgeCode::RequestMalformed).because(EXPECTED);
        let members: Members<'a> = object(body).map_err(malformed)?;
        let require = match members.require {
            Some(require) => object(require.get().as_bytes()).map_err(malformed)?,
            None => Requirement::default(),
        };
        let token = members.token.map(|token| token.0);
        Ok(Self { token, require })
    }
}

const EXPECTED: &str = "expected JSON `{token, require?{scope, roles, tenant, acr, max_auth_age, authorized_parties, fresh}}`";

/// Body of `POST /v1/validate/batch`.
#[derive(Debug)]
pub(crate) struct BatchRequest<'a> {
    pub(crate) tokens: Vec<Cow<'a, str>>,
    pub(crate) require: Requirement,
}

impl<'a> BatchRequest<'a> {
    /// Reads `body`.
    ///
    /// # Errors
    /// `request_malformed`.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Members<'a> {
            #[serde(borrow)]
            tokens: Vec<Text<'a>>,
            #[serde(borrow, default, deserialize_with = "present")]
            require: Option<&'a RawValue>,
        }
        let malformed = || Problem::from(EdgeCode::RequestMalformed).because(EXPECTED_BATCH);
        let members: Members<'a> = object(body).map_err(|_| malformed())?;
        if members.tokens.len() > MAX_BATCH {
            return Err(malformed());
        }
        let require = match members.require {
            Some(require) => object(require.get().as_bytes()).map_err(|_| malformed())?,
            None => Requirement::default(),
        };
        let tokens = members.tokens.into_iter().map(|token| token.0).collect();
        Ok(Self { tokens, require })
    }
}

const EXPECTED_BATCH: &str = "expected JSON `{tokens, require?}`, at most 256 tokens";
/// Tokens of one batch.
const MAX_BATCH: usize = 256;

/// Body of `POST /v1/introspect` → its token, as bytes.
///
/// Other parameters are none of ours: clients send `token_type_hint` and their own names, and
/// RFC 6749 §3.2 has servers ignore what they do not know.
///
/// # Errors
/// `request_malformed`: bad encoding, or not exactly one token with a value.
pub(crate) fn introspected(body: &[u8]) -> Result<Vec<u8>, Problem> {
    let malformed = || {
        Problem::from(EdgeCode::RequestMalformed)
            .because("expected a form with exactly one `token`")
    };
    let mut token = None;
    for pair in body.split(|byte| *byte == b'&') {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next());
        let name = decode_bytes(name).ok_or_else(malformed)?;
        let value = decode_bytes(value.unwrap_or_default()).ok_or_else(malformed)?;
        if name == b"token" && token.replace(value).is_some() {
            return Err(malformed());
        }
    }
    token
        .filter(|token| !token.is_empty())
        .ok_or_else(malformed)
}

/// A JSON object; serde alone would take a list in its place, members by position.
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> serde_json::Result<T> {
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(serde::de::Error::custom("expected an object"));
    }
    serde_json::from_slice(text)
}

/// A text that is copied only where it has escapes.
#[derive(Debug, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What a caller asks of a session beyond its being valid; absent asks nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Requirement {
    #[serde(default, deserialize_with = "words")]
    scope: Vec<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default, deserialize_with = "present")]
    tenant: Option<String>,
    #[serde(default, deserialize_with = "words")]
    acr: Vec<String>,
    #[serde(default, deserialize_with = "present")]
    max_auth_age: Option<u64>,
    #[serde(default)]
    authorized_parties: Vec<String>,
    #[serde(default)]
    fresh: bool,
}

impl Requirement {
    /// Reads the query of `/v1/auth`: `scope`, `role`, `tenant`, `acr`, `max_auth_age`,
    /// `fresh=true`.
    ///
    /// # Errors
    /// `request_malformed`: another name, an empty value, a repeated single value, bad encoding.
    pub(crate) fn from_query(query: &str) -> Result<Self, Problem> {
        let mut requirement = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let is_good = pair
                .split_once('=')
                .and_then(|(name, value)| Some((decode(name)?, decode(value)?)))
                .is_some_and(|(name, value)| requirement.add(&name, value));
            if !is_good {
                let problem = Problem::from(EdgeCode::RequestMalformed);
                return Err(problem.because(
                    "expected a query of non-empty `scope`, `role`, `tenant`, `acr`, `max_auth_age`, `fresh=true`",
                ));
            }
        }
        Ok(requirement)
    }

    /// Adds one thing asked; `false` when there is no such thing or it has that value already.
    pub(crate) fn add(&mut self, name: &str, value: String) -> bool {
        // An empty value is what a template leaves when its variable is unset: it must not open.
        if value.trim().is_empty() {
            return false;
        }
        match name {
            "scope" => self.scope.extend(split(&value)),
            "role" => self.roles.push(value),
            "tenant" => return self.tenant.replace(value).is_none(),
            "acr" => self.acr.extend(split(&value)),
            "max_auth_age" => match value.parse() {
                Ok(seconds) => return self.max_auth_age.replace(seconds).is_none(),
                Err(_) => return false,
            },
            "fresh" if value == "true" => self.fresh = true,
            _ => return false,
        }
        true
    }

    /// The same, as the verifier takes it.
    pub(crate) fn to_require(&self) -> Require {
        let mut require = Require::new();
        for scope in &self.scope {
            require = require.scope(scope);
        }
        for role in &self.roles {
            require = require.role(role);
        }
        if let Some(tenant) = &self.tenant {
            require = require.tenant(tenant);
        }
        for acr in &self.acr {
            require = require.acr(acr);
        }
        for party in &self.authorized_parties {
            require = require.authorized_party(party);
        }
        if self.fresh {
            require = require.fresh();
        }
        if let Some(seconds) = self.max_auth_age {
            require = require.max_auth_age(Duration::from_secs(seconds));
        }
        require
    }

    /// `scope` of a challenge (RFC 6750 §3).
    pub(crate) fn scope_attribute(&self) -> Option<String> {
        (!self.scope.is_empty()).then(|| self.scope.join(" "))
    }

    /// `acr_values` of a challenge (RFC 9470 §3).
    pub(crate) fn acr_attribute(&self) -> Option<String> {
        (!self.acr.is_empty()).then(|| self.acr.join(" "))
    }

    /// `max_age` of a challenge (RFC 9470 §3).
    pub(crate) fn max_age_attribute(&self) -> Option<String> {
        self.max_auth_age.map(|seconds| seconds.to_string())
    }
}

fn split(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split_ascii_whitespace().map(str::to_owned)
}

/// A member that may be absent but not `null`.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Space-separated words, or a list of them; a text without a word is an error, as it would ask
/// nothing where something was meant.
fn words<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Text(String),
        List(Vec<String>),
    }
    let texts = match Given::deserialize(from)? {
        Given::Text(text) => vec![text],
        Given::List(texts) => texts,
    };
    let has_blank = texts.iter().any(|text| text.trim_ascii().is_empty());
    if has_blank {
        return Err(serde::de::Error::custom("expected at least one word"));
    }
    Ok(texts.iter().flat_map(|text| split(text)).collect())
}

/// `application/x-www-form-urlencoded`, strict: a bad escape or bad UTF-8 is an error.
fn decode(text: &str) -> Option<String> {
    String::from_utf8(decode_bytes(text.as_bytes())?).ok()
}

fn decode_bytes(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (nibble(rest.next()?)?, nibble(rest.next()?)?);
                high << 4 | low
            }
            _ => byte,
        });
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}
