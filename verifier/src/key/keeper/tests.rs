//! The keeper and its cache against a model of them, over any run of answers and waits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use base64_simd::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

use super::*;
use crate::algorithm::Algorithm;
use crate::fetch::{HeaderValue, safe_url};
use crate::key::fetch::Validator;
use crate::key::{PublicKey, jwk};
use crate::signature::CryptoBackend;

const LIFETIME: u64 = 300;
const STALE: u64 = 600;
const BOUND: u64 = LIFETIME + STALE;

/// `kid` → which of its materials.
type Keys = BTreeMap<u8, u8>;

#[derive(Debug, Default)]
struct Seconds(AtomicU64);

impl Clock for Seconds {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.now())
    }
}

impl Seconds {
    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

/// A modulus nobody has the factors of.
fn modulus(kid: u8, material: u8) -> Vec<u8> {
    let mut n = vec![kid + 1; 256];
    (n[0], n[1], n[255]) = (0x80, material, 1);
    n
}

fn offer(keys: &Keys, generation: Option<usize>, copy_age: u64) -> Offer {
    let keys: Vec<_> = keys
        .iter()
        .map(|(kid, material)| {
            let n = URL_SAFE_NO_PAD.encode_to_string(modulus(*kid, *material));
            json!({"kty": "RSA", "kid": kid.to_string(), "n": n, "e": "AQAB"})
        })
        .collect();
    let document = json!({ "keys": keys, "of": generation }).to_string();
    let backend = CryptoBackend::default();
    let digest = backend.sha256(document.as_bytes());
    let etag = generation.map(|generation| {
        let start = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        HeaderValue::from_str(&format!("\"{generation}-{start:08x}\"")).unwrap()
    });
    let uri = safe_url("https://auth.example.com/jwks.json").unwrap();
    Offer {
        set: jwk::parse_set(document.as_bytes(), &[Algorithm::RS256], backend).unwrap(),
        document: Some(document.into_bytes()),
        digest,
        validator: Validator { uri, etag },
        stamp: stamp(copy_age),
    }
}

fn stamp(copy_age: u64) -> Stamp {
    Stamp {
        lifetime: Duration::from_secs(LIFETIME),
        copy_age: Duration::from_secs(copy_age),
        date: None,
    }
}

/// The keeper under test, and the keys the walk would use.
struct Real {
    clock: Seconds,
    cache: Arc<KeyCache>,
    keeper: Keeper,
}

impl Real {
    fn new() -> Self {
        let cache = Arc::new(KeyCache::empty(Duration::from_secs(STALE)));
        let keeper = Keeper::new(Arc::clone(&cache));
        Self {
            clock: Seconds::default(),
            cache,
            keeper,
        }
    }

    fn asked(&self) -> Moment {
        Moment::before(self.clock.monotonic(), Duration::ZERO)
    }

    fn take(&mut self, offer: Offer) -> Result<Standing, RefreshError> {
        let asked = self.asked();
        self.keeper.take(offer, asked, Duration::MAX, &self.clock)
    }

    /// `None` when there is no set to judge by.
    fn usable(&self) -> Option<Keys> {
        let current = self.cache.current(&self.clock).ok()?;
        let material: HashMap<_, _> = current.set().material().into_iter().collect();
        let read = |(kid, keys): (&String, &Vec<PublicKey>)| {
            let [PublicKey::Rsa { n, .. }] = &keys[..] else {
                panic!("one RSA key a kid was published")
            };
            (kid.parse().unwrap(), n[1])
        };
        Some(material.iter().map(read).collect())
    }
}

/// What the contract says, in the fewest words.
#[derive(Default)]
struct Model {
    /// Index of the generation at hand and when it was last vouched for.
    held: Option<(usize, u64)>,
    seen: HashMap<u8, u8>,
    dead: BTreeSet<u8>,
}

impl Model {
    fn is_usable(&self, now: u64) -> bool {
        self.held.is_some_and(|(_, at)| now - at <= BOUND)
    }

    fn offered(&mut self, index: usize, keys: &Keys, now: u64) -> bool {
        let is_older = self.held.is_some_and(|(held, _)| index < held);
        if is_older && self.is_usable(now) {
            return false;
        }
        self.held = Some((index, now));
        for (kid, material) in keys {
            if *self.seen.entry(*kid).or_insert(*material) != *material {
                self.dead.insert(*kid);
            }
        }
        true
    }

    fn usable(&self, history: &[Keys], now: u64) -> Option<Keys> {
        let (held, _) = self.held.filter(|_| self.is_usable(now))?;
        let mut keys = history[held].clone();
        keys.retain(|kid, _| !self.dead.contains(kid));
        Some(keys)
    }
}

#[derive(Debug, Clone)]
enum Event {
    /// The issuer publishes these keys; nobody is told.
    Publish(Keys),
    /// A fetch brings the present set.
    Fetch,
    /// A fetch brings the copy of some generation.
    Copy(Index),
    /// 304.
    NotModified,
    /// A fetch fails.
    Fail,
    Pass(u64),
}

fn keys() -> impl Strategy<Value = Keys> {
    let material = prop_oneof![9 => Just(0_u8), 1 => Just(1)];
    prop::collection::btree_map(0..6_u8, material, 1..4)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let pass = prop_oneof![0..10_u64, 290..310_u64, 590..610_u64, 890..910_u64];
    let event = prop_oneof![
        2 => keys().prop_map(Event::Publish),
        3 => Just(Event::Fetch),
        2 => any::<Index>().prop_map(Event::Copy),
        1 => Just(Event::NotModified),
        1 => Just(Event::Fail),
        3 => pass.prop_map(Event::Pass),
    ];
    prop::collection::vec(event, 1..60)
}

proptest! {
    #[test]
    fn the_keeper_is_the_model_for_an_issuer_that_counts(first in keys(), events in events()) {
        let (mut real, mut model, mut history) = (Real::new(), Model::default(), vec![first]);
        for event in events {
            let index = match event {
                Event::Publish(keys) => {
                    history.push(keys);
                    None
                }
                Event::Fetch => Some(history.len() - 1),
                Event::Copy(index) => Some(index.index(history.len())),
                Event::NotModified => {
                    let asked = real.asked();
                    let now = real.clock.monotonic();
                    real.keeper.confirm(stamp(0), asked, Duration::MAX, now);
                    if let Some((_, at)) = &mut model.held {
                        *at = real.clock.now();
                    }
                    None
                }
                Event::Fail => None,
                Event::Pass(seconds) => {
                    real.clock.pass(seconds);
                    None
                }
            };
            let now = real.clock.now();
            if let Some(index) = index {
                let outcome = real.take(offer(&history[index], Some(index), 0));
                let is_taken = model.offered(index, &history[index], now);
                prop_assert_eq!(outcome.is_ok(), is_taken);
            }
            prop_assert_eq!(real.usable(), model.usable(&history, now));
            let alarms: BTreeSet<u8> =
                real.keeper.alarms().iter().map(|kid| kid.parse().unwrap()).collect();
            prop_assert_eq!(alarms, model.dead.clone());
        }
    }

    /// Nothing but `Age` to go by: what was copied before the set at hand was never takes its place.
    #[test]
    fn no_copy_of_a_foreign_issuer_brings_back_a_removed_key(
        fetches in prop::collection::vec((0..3_u64, 0..200_u64), 1..60),
    ) {
        // One key a generation, each gone with the next. `Age` counts whole seconds: no copy is made
        // within 3 s of a change.
        let generation = |number: u8| Keys::from([(number, 0)]);
        let (mut real, mut published, mut newest) = (Real::new(), vec![0], 0);
        real.clock.pass(3);
        for (publishes, copy_age) in fetches {
            for _ in 0..publishes {
                published.push(real.clock.now());
                real.clock.pass(6);
            }
            let now = real.clock.now();
            let copied_at = now - copy_age.min(now);
            let copied = published.iter().rposition(|at| *at <= copied_at).unwrap();
            let copied_at = copied_at.max(published[copied] + 3);
            let offered = generation(u8::try_from(copied).unwrap());
            let is_taken = real.take(offer(&offered, None, now - copied_at)).is_ok();
            prop_assert_eq!(is_taken, copied >= newest);
            newest = newest.max(copied);
            let expected = generation(u8::try_from(newest).unwrap());
            prop_assert_eq!(real.usable(), Some(expected));
            real.clock.pass(3);
        }
    }
}

#[test]
fn after_a_doubt_the_set_at_hand_is_read_anew_and_an_older_one_is_still_older() {
    let mut real = Real::new();
    let (first, second) = (Keys::from([(1, 0)]), Keys::from([(1, 0), (2, 0)]));
    let taken = real.take(offer(&second, Some(2), 0));
    assert_eq!(taken, Ok(Standing::Follows));
    let again = real.take(offer(&second, Some(2), 0));
    assert_eq!(again, Ok(Standing::Same));
    real.keeper.doubt();
    let held = real.keeper.held().unwrap();
    assert_eq!(held.validator.etag, None, "asked for whole");
    let older = real.take(offer(&first, Some(1), 0));
    assert_eq!(older, Err(RefreshError::Superseded));
    let anew = real.take(offer(&second, Some(2), 0));
    assert_eq!(anew, Ok(Standing::Follows));
    assert_eq!(real.usable(), Some(second));
}
