//! Token: takes a grant, gives a signed and self-checked access token.
//!
//! **Invariant:** a token leaves only after `queue-verifier` accepted it against the published set.

pub(crate) mod claims;
pub(crate) mod mint;
pub(crate) mod selfcheck;
pub(crate) mod service;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use futures_util::future::try_join_all;

use crate::app::Shared;
use crate::clock::Timestamp;
use crate::key::KeySnapshot;
use crate::problem::{Problem, ProblemCode};
use crate::telemetry;
use claims::{Claims, Grant};
use mint::MintError;
use selfcheck::TokenRefused;

/// A token on its way out.
#[derive(Debug)]
pub(crate) struct AccessToken {
    pub(crate) jws: String,
    pub(crate) expires_at: i64,
}

/// Why no token leaves.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("expected an active signing key")]
    NoKey,
    #[error(transparent)]
    Mint(#[from] MintError),
    #[error("the minted token did not pass the self-check")]
    SelfCheck(#[from] TokenRefused),
}

/// Signs `grant` with the snapshot's active key and checks the token against the snapshot's set.
///
/// An RSA-2048 signature takes 250 to 700 µs, several times what a reactor thread may be held for:
/// call it through `tokio::task::spawn_blocking`, so that key sets and health keep being answered
/// while tokens are minted on every core.
pub(crate) fn issue(
    snapshot: &KeySnapshot,
    grant: &Grant,
    now: Timestamp,
    life: Duration,
) -> Result<AccessToken, TokenError> {
    let (Some(key), Some(check)) = (&snapshot.active, &snapshot.check) else {
        return Err(TokenError::NoKey);
    };
    let claims = Claims::new(grant, now, shortened(life));
    let jws = mint::mint(&claims, key)?;
    check.check(&jws, &claims)?;
    Ok(AccessToken {
        jws,
        expires_at: claims.exp,
    })
}

/// Does `work` on a blocking thread, at most one signature a core at a time.
pub(crate) async fn sign<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce() -> Result<T, TokenError> + Send + 'static,
) -> Result<T, Problem> {
    let _permit = shared.signers.acquire().await.map_err(Problem::fault)?;
    let signed = tokio::task::spawn_blocking(work)
        .await
        .map_err(Problem::fault)?;
    signed.map_err(|error| {
        if matches!(error, TokenError::SelfCheck(_)) {
            shared.metrics.count(telemetry::SELFCHECK_FAILURES, &[]);
        }
        match error {
            TokenError::NoKey => Problem::new(ProblemCode::KeyUnavailable),
            error => Problem::fault(error),
        }
    })
}

/// Signs each of `grants`, on as many threads as there may be signatures at once.
pub(crate) async fn sign_each(
    shared: &Shared,
    keys: &Arc<KeySnapshot>,
    grants: Vec<(Grant, Timestamp)>,
) -> Result<Vec<AccessToken>, Problem> {
    let life = shared.settings.token_life;
    let share = grants.len().div_ceil(shared.cores).max(1);
    let mut grants = grants.into_iter();
    let mut work = Vec::new();
    loop {
        let grants: Vec<_> = grants.by_ref().take(share).collect();
        if grants.is_empty() {
            break;
        }
        let keys = Arc::clone(keys);
        work.push(sign(shared, move || {
            let tokens = grants
                .iter()
                .map(|(grant, now)| issue(&keys, grant, *now, life));
            tokens.collect::<Result<Vec<_>, _>>()
        }));
    }
    let signed = try_join_all(work).await?;
    Ok(signed.into_iter().flatten().collect())
}

/// `life` less up to 5 %, at random: tokens minted together must not all be renewed together.
fn shortened(life: Duration) -> Duration {
    let mut random = [0_u8; 4];
    if rand::fill(&mut random).is_err() {
        return life;
    }
    life.saturating_sub(mint::jitter(life, u32::from_be_bytes(random)))
}
