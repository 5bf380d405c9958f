//! What the issuer does over HTTP on a Postgres that keeps what it acknowledged: tokens a second, and how long
//! sign-ins and refreshes take while fifty clients wait, beside the bare signing rate of one core.
//!
//!     load DATABASE_URL POSTMASTER_PID [ROUNDS [SECONDS]]
//!
//! `tests/bench/issuer.py` starts the Postgres and calls this; what is printed is one line of JSON. Client,
//! issuer and Postgres share the machine, so the processor time of each is counted too.

mod browser;
mod client;
mod cpu;
mod floor;
mod issuer;

#[expect(dead_code, reason = "the tests forge more with it")]
#[expect(clippy::unwrap_used, reason = "as in the tests")]
#[path = "../../tests/it/authenticator.rs"]
mod authenticator;

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use browser::Browser;
use client::Client;
use cpu::Cpu;
use issuer::Issuer;

/// What a phase does again and again, on each connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// A service mints a session.
    Mint,
    /// A browser trades its refresh token.
    Refresh,
    /// A browser signs in with a passkey: two requests, and the signature between them.
    Login,
}

/// What every phase needs.
struct Bench {
    issuer: Issuer,
    postmaster: u32,
    customers: Vec<String>,
    browsers: Vec<Browser>,
    floor: floor::Floor,
    length: Duration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let [database, postmaster, rest @ ..] = arguments.as_slice() else {
        panic!("expected DATABASE_URL POSTMASTER_PID [ROUNDS [SECONDS]]");
    };
    let number = |at: usize, usual: u64| {
        rest.get(at)
            .map_or(usual, |text| text.parse().expect("a number"))
    };
    let issuer = Issuer::start(database);
    let mut bench = Bench {
        customers: customers(&issuer).await,
        browsers: browsers(&issuer).await,
        issuer,
        postmaster: postmaster.parse().expect("a process id"),
        floor: floor::Floor::new(),
        length: Duration::from_secs(number(1, SECONDS)),
    };
    let mut rounds = Vec::new();
    // The first round warms up: plans, pages, connections.
    for round in 0..=number(0, ROUNDS) {
        let found = bench.round().await;
        if round > 0 {
            rounds.push(found);
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    report(&json!({ "cores": cores, "seconds": bench.length.as_secs(), "rounds": rounds }));
}

impl Bench {
    async fn round(&mut self) -> Value {
        let mut phases = Vec::new();
        for (deed, clients) in PHASES {
            let bare = self.floor.sign();
            let mut found = self.phase(deed, clients).await;
            self.settle();
            let again = self.floor.sign();
            found["bare_ns"] = json!(f64::midpoint(bare, again));
            phases.push(found);
        }
        json!(phases)
    }

    /// Lets `clients` do `deed` for the length of a phase, each as soon as it has its answer.
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    async fn phase(&mut self, deed: Deed, clients: usize) -> Value {
        let mut connections = Vec::new();
        for _ in 0..clients {
            connections.push(Client::connect(self.issuer.public).await);
        }
        let (before, next) = (self.cpu(), Cell::new(0));
        let (start, customers) = (Instant::now(), &self.customers);
        let end = start + self.length;
        let pairs = connections.iter_mut().zip(&mut self.browsers);
        let took = join_all(pairs.map(async |(client, browser)| {
            let mut took = Vec::new();
            while Instant::now() < end {
                let begun = Instant::now();
                match deed {
                    Deed::Mint => {
                        let at = next.replace(next.get() + 1) % customers.len();
                        mint(client, &customers[at]).await;
                    }
                    Deed::Refresh => browser.refresh(client).await,
                    Deed::Login => browser.sign_in(client).await,
                }
                took.push(begun.elapsed());
            }
            took
        }))
        .await;
        let wall = start.elapsed();
        let client_cpu = self.cpu().client - before.client;
        self.settle();
        let after = self.cpu();
        let mut took: Vec<Duration> = took.into_iter().flatten().collect();
        took.sort_unstable();
        let at = |per_mille: usize| took[(took.len() - 1) * per_mille / 1_000].as_secs_f64() * 1e6;
        json!({
            "deed": format!("{deed:?}").to_lowercase(),
            "clients": clients,
            "count": took.len(),
            "wall_s": wall.as_secs_f64(),
            "p50_us": at(500),
            "p99_us": at(990),
            "issuer_cpu_s": after.issuer - before.issuer,
            "postgres_cpu_s": after.postgres - before.postgres,
            "client_cpu_s": client_cpu,
        })
    }

    fn cpu(&self) -> Cpu {
        Cpu::now(self.issuer.pid(), self.postmaster)
    }

    /// Waits until the issuer has nothing left to do: it chains audit events behind the answers, and that
    /// time belongs to what was done.
    fn settle(&self) {
        for _ in 0..LONGEST_SETTLING {
            let before = self.cpu();
            std::thread::sleep(Duration::from_millis(500));
            let after = self.cpu();
            let spent = after.issuer + after.postgres - before.issuer - before.postgres;
            if spent < 0.05 {
                return;
            }
        }
    }
}

/// Mints a session of `customer`.
async fn mint(client: &mut Client, customer: &str) {
    let bearer = format!("Bearer {}", issuer::SERVICE_TOKEN);
    let headers = [("authorization", bearer.as_str())];
    let body = json!({ "customer_id": customer });
    let answer = client.post("/api/v1/service/sessions", &headers, &body);
    answer.await.expect(201);
}

async fn customers(issuer: &Issuer) -> Vec<String> {
    let mut client = Client::connect(issuer.public).await;
    let bearer = format!("Bearer {}", issuer::SERVICE_TOKEN);
    let headers = [("authorization", bearer.as_str())];
    let mut made = Vec::new();
    for number in 0..CUSTOMERS {
        let body = json!({ "email": format!("customer{number}@example.com") });
        let answer = client.post("/api/v1/customers", &headers, &body).await;
        let id = answer.expect(201)["id"].as_str().expect("an id").to_owned();
        made.push(id);
    }
    made
}

async fn browsers(issuer: &Issuer) -> Vec<Browser> {
    let mut client = Client::connect(issuer.public).await;
    let mut made = Vec::new();
    for number in 0..MOST_CLIENTS {
        let mut browser = Browser::default();
        let email = format!("browser{number}@example.com");
        browser.register(&mut client, &email).await;
        made.push(browser);
    }
    made
}

#[expect(clippy::print_stdout, reason = "the report")]
fn report(report: &Value) {
    println!("{report}");
}

const PHASES: [(Deed, usize); 7] = [
    (Deed::Mint, 1),
    (Deed::Mint, 8),
    (Deed::Mint, MOST_CLIENTS),
    (Deed::Refresh, 1),
    (Deed::Refresh, 8),
    (Deed::Refresh, MOST_CLIENTS),
    (Deed::Login, MOST_CLIENTS),
];
const MOST_CLIENTS: usize = 50;
/// More than clients, so that they meet at a customer's row as seldom as in production.
const CUSTOMERS: usize = 500;
const ROUNDS: u64 = 5;
const SECONDS: u64 = 5;
/// Half seconds.
const LONGEST_SETTLING: u32 = 240;
