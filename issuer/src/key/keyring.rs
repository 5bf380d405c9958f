//! Keyring: takes the database's keys, gives the published set and the key that signs, from memory.
//!
//! **Invariant:** the set that is served, the set the self-check uses and the active key are one
//! snapshot, replaced whole.
//! **Invariant:** a snapshot that could not be confirmed for [`FRESH`] makes the process not ready.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::jwk_set::{PublicKey, PublishedSet};
use super::material::SigningKey;
use super::rotation::{KeyState, Timing};
use super::sealing::Kek;
use super::store::{self, KeyRow};
use super::{KeyError, commands};
use crate::clock::{Clock, Timestamp};
use crate::db::{DEFAULT_TENANT, Db, Tx};
use crate::token::selfcheck::SelfCheck;

/// The keys of one generation.
pub(crate) struct KeySnapshot {
    pub(crate) generation: i64,
    pub(crate) set: PublishedSet,
    pub(crate) active: Option<Arc<SigningKey>>,
    pub(crate) check: Option<SelfCheck>,
    /// When the first retired key becomes useless.
    sweep_at: Option<Timestamp>,
    /// Every key whose private half is open here, to be carried into the next snapshot.
    open: HashMap<String, Arc<SigningKey>>,
}

/// The keys in memory, and what is needed to read them again.
pub(crate) struct Keyring {
    pub(crate) db: Db,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) kek: Option<Kek>,
    pub(crate) configured: Vec<Arc<SigningKey>>,
    pub(crate) timing: Timing,
    pub(crate) rsa_bits: u32,
    pub(crate) issuer: String,
    pub(crate) audiences: Vec<String>,
    current: ArcSwapOption<KeySnapshot>,
    confirmed: AtomicU64,
}

impl KeySnapshot {
    /// `key` alone, active, of no database.
    pub(crate) fn of_one(
        key: SigningKey,
        issuer: &str,
        audiences: &[String],
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, KeyError> {
        let set = PublishedSet::render(0, std::slice::from_ref(&key.public))?;
        Ok(Self {
            generation: 0,
            check: Some(SelfCheck::new(issuer, audiences, set.as_str(), clock)?),
            set,
            active: Some(Arc::new(key)),
            sweep_at: None,
            open: HashMap::new(),
        })
    }
}

impl Keyring {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a different fact, named at the one call"
    )]
    pub(crate) fn new(
        db: Db,
        clock: Arc<dyn Clock>,
        kek: Option<Kek>,
        configured: Vec<SigningKey>,
        timing: Timing,
        rsa_bits: u32,
        issuer: String,
        audiences: Vec<String>,
    ) -> Self {
        let configured = configured.into_iter().map(Arc::new).collect();
        Self {
            db,
            clock,
            kek,
            configured,
            timing,
            rsa_bits,
            issuer,
            audiences,
            current: ArcSwapOption::empty(),
            confirmed: AtomicU64::new(0),
        }
    }

    /// The present snapshot.
    pub(crate) fn current(&self) -> Result<Arc<KeySnapshot>, KeyError> {
        self.current.load_full().ok_or(KeyError::Unavailable)
    }

    /// Whether a usable active key is in memory and was confirmed lately.
    pub(crate) fn is_ready(&self) -> bool {
        let age = self.clock.monotonic().saturating_sub(Duration::from_millis(
            self.confirmed.load(Ordering::Acquire),
        ));
        age <= FRESH
            && self
                .current()
                .is_ok_and(|now| now.active.is_some() && now.check.is_some())
    }

    /// Confirms the snapshot, or reads the keys again when the database has a newer generation; destroys
    /// retired keys nobody needs any more. True when the snapshot changed.
    pub(crate) async fn poll(&self) -> Result<bool, KeyError> {
        let now = self.clock.now();
        if self
            .current()
            .is_ok_and(|current| current.sweep_at.is_some_and(|at| at <= now))
        {
            commands::sweep(self, now).await?;
        }
        let generation = store::generation(&self.db, DEFAULT_TENANT).await?;
        if self
            .current()
            .is_ok_and(|current| current.generation == generation)
        {
            self.confirm();
            return Ok(false);
        }
        self.reload().await?;
        Ok(true)
    }

    /// Reads the keys again.
    pub(crate) async fn reload(&self) -> Result<Arc<KeySnapshot>, KeyError> {
        let (generation, rows) = store::snapshot(&self.db, DEFAULT_TENANT).await?;
        self.replace(generation, &rows)
    }

    /// The keys as `tx` sees them; read on its own connection, since a caller that holds one and waits
    /// for another can wait for ever.
    pub(crate) async fn as_of(&self, tx: &mut Tx) -> Result<Arc<KeySnapshot>, KeyError> {
        let generation = store::generation_in(tx, DEFAULT_TENANT).await?;
        match self.current() {
            Ok(current) if current.generation == generation => Ok(current),
            _ => {
                let (generation, rows) = store::snapshot_in(tx, DEFAULT_TENANT).await?;
                self.replace(generation, &rows)
            }
        }
    }

    /// The private half of `row`, if this process can have it.
    pub(crate) fn open(&self, row: &KeyRow) -> Result<Arc<SigningKey>, KeyError> {
        if let Some(known) = self
            .current()
            .ok()
            .and_then(|current| current.open.get(&row.kid).cloned())
        {
            return Ok(known);
        }
        if let Some(configured) = self.configured.iter().find(|key| key.kid() == row.kid) {
            return Ok(Arc::clone(configured));
        }
        let (Some(sealed), Some(kek)) = (&row.sealed_private, &self.kek) else {
            return Err(KeyError::PrivateHalfAbsent);
        };
        if row.kek_id.as_deref() != Some(kek.id()) {
            return Err(KeyError::OtherKek);
        }
        let pkcs8 = kek.open(DEFAULT_TENANT, &row.kid, sealed)?;
        let key = SigningKey::from_pkcs8(&pkcs8)?;
        if key.kid() != row.kid {
            return Err(KeyError::PrivateHalfAbsent);
        }
        Ok(Arc::new(key))
    }

    /// Puts a newer generation in the place of the present one; an older one, read earlier and built
    /// later, is used by its reader alone.
    fn replace(&self, generation: i64, rows: &[KeyRow]) -> Result<Arc<KeySnapshot>, KeyError> {
        let snapshot = Arc::new(self.build(generation, rows)?);
        self.current.rcu(|current| match current {
            Some(current) if current.generation > generation => Some(Arc::clone(current)),
            _ => Some(Arc::clone(&snapshot)),
        });
        self.confirm();
        Ok(snapshot)
    }

    fn build(&self, generation: i64, rows: &[KeyRow]) -> Result<KeySnapshot, KeyError> {
        let mut public = Vec::new();
        let mut open = HashMap::new();
        let mut active = None;
        let mut sweep_at = None::<Timestamp>;
        for row in rows.iter().filter(|row| row.facts.state.is_public()) {
            public.push(PublicKey::parse(&row.public_jwk)?);
            if row.facts.state == KeyState::Retired {
                sweep_at = sweep_at.into_iter().chain(row.facts.needed_until).min();
                continue;
            }
            match self.open(row) {
                Ok(key) => {
                    if row.facts.state == KeyState::Active {
                        active = Some(Arc::clone(&key));
                    }
                    open.insert(row.kid.clone(), key);
                }
                Err(error) => {
                    tracing::error!(state = %row.facts.state, %error, "private key cannot be opened");
                }
            }
        }
        let set = PublishedSet::render(generation, &public)?;
        let check = if public.is_empty() {
            None
        } else {
            Some(SelfCheck::new(
                &self.issuer,
                &self.audiences,
                set.as_str(),
                &self.clock,
            )?)
        };
        Ok(KeySnapshot {
            generation,
            set,
            active,
            check,
            sweep_at,
            open,
        })
    }

    fn confirm(&self) {
        let millis = u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        self.confirmed.store(millis, Ordering::Release);
    }
}

/// How often another process's key changes are looked for.
pub(crate) const POLL: Duration = Duration::from_millis(500);
/// How long a snapshot counts as fresh after it was confirmed.
const FRESH: Duration = Duration::from_secs(10);
