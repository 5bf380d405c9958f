//! Service callers: takes `QUEUE_SERVICE_TOKEN_<NAME>` and `QUEUE_SERVICE_SCOPES_<NAME>`, gives who may call and for what.
//!
//! **Invariant:** an empty, short, repetitive or shared token is refused: it would let anyone, or the
//! wrong one, in.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use super::{Environment, SettingsError};

/// A calling service, as configured.
pub(crate) struct CallerSettings {
    pub(crate) client_id: String,
    pub(crate) token: SecretString,
    pub(crate) scopes: Vec<String>,
}

/// Reads every caller the environment names.
pub(super) fn resolve(env: &Environment) -> Result<Vec<CallerSettings>, SettingsError> {
    let scopes = env.with_prefix(SCOPES);
    let tokens = env.with_prefix(TOKEN);
    if let Some(name) = scopes.keys().find(|name| !tokens.contains_key(*name)) {
        return Err(SettingsError::new(
            format!("{SCOPES}{name}"),
            format!("expected {TOKEN}{name} beside it"),
        ));
    }
    let mut callers = Vec::<CallerSettings>::new();
    for (name, token) in &tokens {
        let caller = caller(name, token, &scopes)?;
        let twin = callers.iter().any(|known| {
            known.token.expose_secret() == token || known.client_id == caller.client_id
        });
        if twin {
            return Err(SettingsError::new(
                format!("{TOKEN}{name}"),
                "expected a token and a name no other caller has",
            ));
        }
        callers.push(caller);
    }
    Ok(callers)
}

fn caller(
    name: &str,
    token: &str,
    scopes: &BTreeMap<String, String>,
) -> Result<CallerSettings, SettingsError> {
    let wrong = |key: &str, what: &str| Err(SettingsError::new(format!("{key}{name}"), what));
    let named_well = name.len() <= 32
        && name.starts_with(|first: char| first.is_ascii_uppercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if !named_well {
        return wrong(
            TOKEN,
            "expected a name of A-Z, 0-9 and _, at most 32 characters",
        );
    }
    let kinds = token
        .bytes()
        .collect::<std::collections::BTreeSet<u8>>()
        .len();
    if !(32..=512).contains(&token.len())
        || kinds < 8
        || !token.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return wrong(TOKEN, "expected 32 to 512 random visible ASCII characters");
    }
    let listed = match scopes.get(name) {
        Some(listed) => listed.as_str(),
        None => match DEFAULT_SCOPES.iter().find(|(known, _)| *known == name) {
            Some((_, listed)) => listed,
            None => {
                return wrong(
                    SCOPES,
                    "expected the scopes of this caller: only well-known names have defaults",
                );
            }
        },
    };
    let scopes: Vec<String> = listed
        .split([' ', ','])
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect();
    if scopes.is_empty()
        || scopes
            .iter()
            .any(|scope| !SCOPE_NAMES.contains(&scope.as_str()))
    {
        return wrong(
            SCOPES,
            &format!("expected scopes among: {}", SCOPE_NAMES.join(" ")),
        );
    }
    Ok(CallerSettings {
        client_id: name.to_ascii_lowercase(),
        token: SecretString::from(token.to_owned()),
        scopes,
    })
}

/// Prefix of a caller's secret.
pub(super) const TOKEN: &str = "QUEUE_SERVICE_TOKEN_";
/// Prefix of a caller's scopes.
pub(super) const SCOPES: &str = "QUEUE_SERVICE_SCOPES_";

/// Every scope a service can hold.
pub const SCOPE_NAMES: &[&str] = &[
    "sessions:mint",
    "sessions:revoke",
    "customers:read",
    "customers:write",
    "rbac:read",
    "rbac:write",
    "audit:read",
    "audit:write",
    "ops:keys",
    "ops:mail",
    "ops:*",
];

/// What a well-known caller may do when its scopes are not listed.
pub const DEFAULT_SCOPES: &[(&str, &str)] = &[
    ("CONSOLE", "customers:read rbac:read audit:read"),
    ("OPS", "ops:*"),
    (
        "RAPTOR",
        "sessions:mint sessions:revoke customers:read customers:write",
    ),
    ("REASONATOR", "customers:read"),
    ("VELVET", "customers:read"),
];
