//! Service tokens: takes the callers the settings name and those the database keeps, answers who a
//! presented token belongs to.
//!
//! **Invariant:** only keyed hashes of the environment's tokens stay in memory, under a key made at start,
//! and only plain hashes of random stored tokens in the database.
//! **Invariant:** every candidate is compared, in constant time, whichever one matches.

pub(crate) mod commands;
pub(crate) mod identify;
pub(crate) mod routes;
mod store;
mod text;
mod uses;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use secrecy::ExposeSecret;
use subtle::ConditionallySelectable;

use crate::secret::Fingerprint;
use crate::settings::CallerSettings;

pub(crate) use store::TokenRow;
pub(crate) use text::Fresh;
pub(crate) use uses::Uses;

/// A calling service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceClient {
    pub(crate) client_id: String,
    pub(crate) scopes: Vec<String>,
}

impl ServiceClient {
    /// Whether the service holds `scope` itself or a family that contains it (`ops:*`).
    pub(crate) fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| {
            held == scope
                || held
                    .strip_suffix('*')
                    .is_some_and(|family| scope.starts_with(family))
        })
    }
}

/// Every service that may call.
pub(crate) struct ServiceTokens {
    key: hmac::Key,
    known: Vec<(Fingerprint, ServiceClient)>,
}

impl ServiceTokens {
    /// Hashes the configured tokens.
    pub(crate) fn new(callers: &[CallerSettings]) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?;
        let known = callers
            .iter()
            .map(|caller| {
                let tag = Fingerprint::under(&key, caller.token.expose_secret().as_bytes());
                let client = ServiceClient {
                    client_id: caller.client_id.clone(),
                    scopes: caller.scopes.clone(),
                };
                (tag, client)
            })
            .collect();
        Ok(Self { key, known })
    }

    /// The service called `client_id`.
    pub(crate) fn named(&self, client_id: &str) -> Option<&ServiceClient> {
        let mut clients = self.known.iter().map(|(_, client)| client);
        clients.find(|client| client.client_id == client_id)
    }

    /// The service whose token was presented.
    pub(crate) fn identify(&self, presented: &str) -> Option<&ServiceClient> {
        let tag = Fingerprint::under(&self.key, presented.as_bytes());
        // 0 stands for nobody; a match replaces it without a branch.
        let mut found = 0_u32;
        for (place, (known, _)) in (1_u32..).zip(&self.known) {
            found.conditional_assign(&place, known.is_that_of(&tag));
        }
        let index = usize::try_from(found).ok()?.checked_sub(1)?;
        self.known.get(index).map(|(_, client)| client)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::{ServiceClient, ServiceTokens};
    use crate::settings::CallerSettings;

    fn caller(name: &str, token: &str) -> CallerSettings {
        CallerSettings {
            client_id: name.to_owned(),
            token: SecretString::from(token.to_owned()),
            scopes: vec!["customers:read".to_owned()],
        }
    }

    #[test]
    fn each_token_names_its_own_caller() {
        let tokens =
            ServiceTokens::new(&[caller("a", "token-of-a"), caller("b", "token-of-b")]).unwrap();
        assert_eq!(
            tokens
                .identify("token-of-a")
                .map(|client| client.client_id.as_str()),
            Some("a")
        );
        assert_eq!(
            tokens
                .identify("token-of-b")
                .map(|client| client.client_id.as_str()),
            Some("b")
        );
        for unknown in ["", "token-of-", "token-of-c", "TOKEN-OF-A", "token-of-a "] {
            assert_eq!(tokens.identify(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn family_scope_holds_its_members_only() {
        let client = ServiceClient {
            client_id: "ops".to_owned(),
            scopes: vec!["ops:*".to_owned()],
        };
        assert!(client.has("ops:keys"));
        assert!(!client.has("opsx"));
        assert!(!client.has("sessions:mint"));
    }
}
