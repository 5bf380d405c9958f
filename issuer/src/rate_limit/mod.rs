//! Rate limits: take a class, a client's address and perhaps an account, give the request or a 429.
//!
//! Three kinds of bucket: the address (every IPv4 address, every IPv6 /64), the account, and the pair
//! of both. [`guard`] charges the address before a handler runs; a handler that knows which account a
//! request is about charges the pair and the account with [`Limits::check`].
//!
//! **Invariant:** the pair is charged before the account and a refused request charges nothing, so one
//! address alone spends no more of an account's bucket than its pair allows.
//! **Invariant:** an account is named by what the request says, known or not, so that a refusal does not
//! tell whether it exists.
//!
//! Headers of draft-ietf-httpapi-ratelimit-headers-10.

mod address;
mod bucket;
mod layer;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

pub(crate) use address::{ClientAddress, ForwardedHeader, TrustedProxies};
pub(crate) use bucket::Rate;
use bucket::{Charge, Table};
pub(crate) use layer::guard;

use crate::clock::Clock;
use crate::problem::{Problem, ProblemCode};
use crate::telemetry::{self, Metrics};

/// What a request is about; each class has buckets of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Proving who one is: ceremonies, verification codes, backup codes.
    Auth,
    /// Trading a refresh token; the account is the session.
    Refresh,
    /// Everything else under `/api/v1`; the account is the calling service.
    Service,
}

impl Class {
    fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Refresh => "refresh",
            Self::Service => "service",
        }
    }
}

/// Whose bucket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Address,
    Account,
    Pair,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Account => "account",
            Self::Pair => "pair",
        }
    }
}

/// The rates of one class.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClassRates {
    pub(crate) address: Rate,
    pub(crate) account: Rate,
    /// Without one, an account is bounded wherever it calls from.
    pub(crate) pair: Option<Rate>,
}

/// The rates of every class.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    pub(crate) auth: ClassRates,
    pub(crate) refresh: ClassRates,
    pub(crate) service: ClassRates,
}

/// Every bucket of one process.
pub(crate) struct Limits {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// Keyed at random: nobody outside can choose whom to share a place with.
    hasher: RandomState,
    auth: Tables,
    refresh: Tables,
    service: Tables,
}

struct Tables {
    address: Table,
    account: Table,
    pair: Option<Table>,
}

impl Limits {
    pub(crate) fn new(rates: &Rates, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self {
            clock,
            metrics,
            hasher: RandomState::new(),
            auth: Tables::new(&rates.auth),
            refresh: Tables::new(&rates.refresh),
            service: Tables::new(&rates.service),
        }
    }

    /// Charges one request: to the address when no account is named, else to the pair and the account.
    ///
    /// `account` is what the request names, in its one normal form: the normalised e-mail address, the user
    /// handle or id of a passkey, the id of a proof or a session, the name of a calling service.
    pub(crate) fn check(
        &self,
        class: Class,
        address: &ClientAddress,
        account: Option<&str>,
    ) -> Result<(), Problem> {
        let Some(account) = account else {
            return self.charge_address(class, address).map(drop);
        };
        let tables = self.tables(class);
        if let Some(pair) = &tables.pair {
            let key = self.hasher.hash_one((Kind::Pair, address, account));
            self.charge(class, Kind::Pair, pair, key)?;
        }
        let key = self.hasher.hash_one((Kind::Account, account));
        self.charge(class, Kind::Account, &tables.account, key)
            .map(drop)
    }

    /// Charges the address; what the answer should say of its bucket.
    fn charge_address(&self, class: Class, address: &ClientAddress) -> Result<Notice, Problem> {
        let key = self.hasher.hash_one((Kind::Address, address));
        self.charge(class, Kind::Address, &self.tables(class).address, key)
    }

    fn charge(&self, class: Class, kind: Kind, table: &Table, key: u64) -> Result<Notice, Problem> {
        let notice = |remaining, seconds| Notice {
            class,
            kind,
            rate: table.rate(),
            remaining,
            seconds,
        };
        match table.charge(key, self.clock.monotonic()) {
            Charge::Taken { remaining, whole } => Ok(notice(remaining, bucket::seconds(whole))),
            Charge::Refused { wait } => {
                self.metrics.count(
                    telemetry::RATE_LIMITED,
                    &[
                        ("class", class.as_str().to_owned()),
                        ("key_kind", kind.as_str().to_owned()),
                    ],
                );
                Err(notice(0, bucket::seconds(wait).max(1)).refuse())
            }
        }
    }

    fn tables(&self, class: Class) -> &Tables {
        match class {
            Class::Auth => &self.auth,
            Class::Refresh => &self.refresh,
            Class::Service => &self.service,
        }
    }
}

impl Tables {
    fn new(rates: &ClassRates) -> Self {
        Self {
            address: Table::new(rates.address, PLACES),
            account: Table::new(rates.account, PLACES),
            pair: rates.pair.map(|rate| Table::new(rate, PLACES)),
        }
    }
}

/// What an answer says of a bucket.
#[derive(Debug, Clone, Copy)]
struct Notice {
    class: Class,
    kind: Kind,
    rate: Rate,
    remaining: u64,
    /// Until the bucket is whole again, or until it takes the next request when it is empty.
    seconds: u64,
}

impl Notice {
    fn headers(self) -> [(HeaderName, HeaderValue); 2] {
        let (class, kind) = (self.class.as_str(), self.kind.as_str());
        let name = format!("\"{class}-{kind}\"");
        let (quota, window) = (self.rate.quota(), self.rate.window().as_secs());
        let policy = format!("{name};q={quota};w={window}");
        let state = format!("{name};r={};t={}", self.remaining, self.seconds);
        [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, state)].map(|(header, text)| {
            let value = HeaderValue::try_from(text).expect("ASCII made of names and numbers");
            (header, value)
        })
    }

    fn refuse(self) -> Problem {
        self.headers()
            .into_iter()
            .fold(
                Problem::new(ProblemCode::RateLimited).retry_after(self.seconds),
                Problem::header,
            )
            .detail(format!("expected the next request in {} s", self.seconds))
    }
}

/// Places of each table: 1 MiB, and never more.
const PLACES: usize = 65_536;
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

#[cfg(test)]
mod tests;
