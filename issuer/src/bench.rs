//! Bench: takes a private key of the benchmark's own, gives the minting of a token, to be timed.
//!
//! **Invariant:** what is timed is [`token::issue`], the one way an access token is made; the key comes from
//! the caller, and no route leads here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::db::{DEFAULT_TENANT, Id};
use crate::key::KeySnapshot;
use crate::key::material::SigningKey;
use crate::token::claims::{Claims, Grant, StatusReference};
use crate::token::{self, mint};

/// A key, the set that publishes it, and a session to mint tokens for.
pub struct Minting {
    snapshot: KeySnapshot,
    grant: Grant,
    clock: Arc<dyn Clock>,
}

impl Minting {
    /// With the key in PKCS#8 DER; none when it is no key to sign with.
    #[must_use]
    pub fn new(pkcs8: &[u8]) -> Option<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let key = SigningKey::from_pkcs8(pkcs8).ok()?;
        let audiences = [AUDIENCE.to_owned()];
        let snapshot = KeySnapshot::of_one(key, ISSUER, &audiences, &clock).ok()?;
        Some(Self {
            snapshot,
            grant: grant(clock.now()),
            clock,
        })
    }

    /// A token, minted and checked as it is before it leaves.
    #[must_use]
    pub fn token(&self) -> Option<String> {
        let issued = token::issue(&self.snapshot, &self.grant, self.clock.now(), LIFE);
        issued.ok().map(|token| token.jws)
    }

    /// The same, not checked: what the check costs is the difference.
    #[must_use]
    pub fn unchecked(&self) -> Option<String> {
        let claims = Claims::new(&self.grant, self.clock.now(), LIFE);
        mint::mint(&claims, self.snapshot.active.as_ref()?).ok()
    }
}

impl fmt::Debug for Minting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minting").finish_non_exhaustive()
    }
}

/// As after a sign-in with a passkey.
fn grant(now: Timestamp) -> Grant {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Grant {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        client_id: "antlers".to_owned(),
        customer: Id::new(now),
        session: Id::new(now),
        tenant: DEFAULT_TENANT,
        auth_time: now,
        acr: "urn:queue:acr:passkey-uv".to_owned(),
        amr: words(&["pop", "user", "mfa"]),
        roles: words(&["customer"]),
        authz_ver: 1,
        status: StatusReference {
            idx: 524_287,
            uri: format!("{ISSUER}/status-lists/{}", Id::new(now)),
        },
        session_expires_at: now.plus(Duration::from_secs(12 * 3_600)),
    }
}

const ISSUER: &str = "https://id.example.com";
const AUDIENCE: &str = "raptor";
const LIFE: Duration = Duration::from_secs(300);
