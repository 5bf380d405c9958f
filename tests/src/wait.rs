//! Waiting in tests: for a thing to come true, never for time to pass.

use std::future::Future;
use std::time::Duration;

/// Past that a test has failed; good ones take a moment.
const PATIENCE: Duration = Duration::from_secs(30);

/// Yields until `is_true`.
///
/// # Panics
/// When it does not come true.
pub async fn until(what: &str, is_true: impl Fn() -> bool) {
    let waiting = async {
        while !is_true() {
            tokio::task::yield_now().await;
        }
    };
    patiently(what, waiting).await;
}

/// What `waiting` comes to.
///
/// # Panics
/// When it does not come to an end.
pub async fn patiently<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    let in_time = tokio::time::timeout(PATIENCE, waiting).await;
    in_time.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}
