//! A fault of the library itself: what it costs, what it does not, and that it shows.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use queue_tests::clock::NOW;
use queue_tests::forge::{jwk_set, session_claims};
use queue_tests::wait::{patiently, until};
use queue_tests::{FakeClock, FakeIssuer, Forge, Reply};
use queue_verifier::errors::FetchError;
use queue_verifier::report::RefreshStatus;
use queue_verifier::{Clock, ErrorCode, KeySource, Verifier};

/// A clock that fails the thread which keeps keys, so many times.
#[derive(Debug)]
struct Tripwire {
    clock: Arc<FakeClock>,
    trips: AtomicUsize,
}

impl Tripwire {
    fn of(trips: usize) -> Arc<Self> {
        Arc::new(Self {
            clock: FakeClock::at(NOW),
            trips: AtomicUsize::new(trips),
        })
    }
}

impl Clock for Tripwire {
    fn now(&self) -> u64 {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        let is_worker = std::thread::current().name() == Some("queue-refresh");
        let fewer = |trips: usize| trips.checked_sub(1);
        let order = Ordering::SeqCst;
        if is_worker && self.trips.fetch_update(order, order, fewer).is_ok() {
            panic!("the test asked for it");
        }
        self.clock.monotonic()
    }

    fn sleep_until(&self, moment: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.clock.sleep_until(moment)
    }
}

fn build(issuer: &FakeIssuer, clock: &Arc<Tripwire>) -> Verifier {
    Verifier::builder(issuer.name(), "raptor")
        .keys(KeySource::jwks_uri(issuer.jwks_uri()))
        .clock(Arc::clone(clock) as Arc<_>)
        .build()
        .expect("good settings")
}

fn status(verifier: &Verifier) -> RefreshStatus {
    let mut status = verifier.status();
    status.issuers.remove(0).refresh.expect("fetched keys")
}

#[tokio::test]
async fn a_refresh_that_panics_shows_and_the_next_one_follows_the_issuer() {
    let (old, new) = (Forge::new("k1"), Forge::new("k2"));
    let issuer = FakeIssuer::start().await;
    issuer.publish(&[&old]);
    let clock = Tripwire::of(0);
    let verifier = build(&issuer, &clock);
    verifier.ready().await;
    let validate = |key: &Forge| {
        let claims = session_claims(issuer.name(), "raptor", clock.now());
        let verdict = verifier.validate_session(key.sign(&claims));
        verdict.map(|_| ()).map_err(|error| error.code())
    };
    clock.trips.store(1, Ordering::SeqCst);
    let refused = verifier.refresh().await;
    assert_eq!(refused, Err(FetchError::Closed.into()));
    until("the panic shows", || {
        status(&verifier).failures_in_a_row == 1
    })
    .await;
    let error = status(&verifier).last_error.expect("named");
    assert!(error.contains("come to its end"), "{error}");
    assert_eq!(validate(&old), Ok(()), "the set at hand stays");
    issuer.publish(&[&new]);
    clock.clock.advance(1); // the longest that the first attempt after it is put off
    until("the next set is there", || validate(&new).is_ok()).await;
    assert_eq!(validate(&old), Err(ErrorCode::KeyNotFound));
    until("all is well", || status(&verifier).last_error.is_none()).await;
    assert_eq!(status(&verifier).failures_in_a_row, 0);
    verifier.refresh().await.expect("callers are served again");
}

#[tokio::test]
async fn a_first_fetch_that_panics_is_made_again() {
    let key = Forge::new("k1");
    let issuer = FakeIssuer::start().await;
    issuer.says(FakeIssuer::JWKS, Reply::set(jwk_set(&[&key])));
    let clock = Tripwire::of(1);
    let verifier = build(&issuer, &clock);
    until("the panic shows", || {
        status(&verifier).failures_in_a_row == 1
    })
    .await;
    assert!(!verifier.is_ready());
    clock.clock.advance(1);
    patiently("keys", verifier.ready()).await;
    assert!(verifier.is_ready());
}

#[tokio::test]
async fn nobody_is_told_that_keys_are_there_when_nobody_fetches_them_any_more() {
    let issuer = FakeIssuer::start().await;
    let verifier = build(&issuer, &Tripwire::of(usize::MAX));
    let asking = verifier.clone();
    let answer = tokio::task::spawn_blocking(move || asking.wait_ready(Duration::from_secs(60)));
    let is_ready = patiently("an answer", answer).await.expect("no panic");
    assert!(!is_ready && !verifier.is_ready());
}
