//! The guarantee: every mutating route of the route table writes its audit event, in the transaction that does what
//! it does. One event, unless one transaction does several things that are events of their own.
//!
//! A new route needs a [`Driver`] in `audit_drivers` or `audit_drivers_browser`; without one, the first test
//! fails and names it.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};

use ::http::Method;
use queue_issuer::{Listener, routes};
use serde_json::Value;

use crate::harness::{Database, FakeClock, Issuer, OPS, bearer, on_both_engines};
use crate::http::{Answer, request, send};
use crate::{audit_drivers, audit_drivers_browser};

on_both_engines! {
    every_mutating_route_writes_one_event_in_its_transaction
    every_mutating_route_of_browsers_writes_its_events_in_its_transaction
}

/// Mutating by method, without an event, each with the reason.
const UNHEARD: &[(&str, &str)] = &[
    (
        "operators POST /api/v1/audit/verify",
        "reads the chain; a body carries the checkpoint, and an answer must not be cached",
    ),
    (
        "public POST /api/v1/oauth/introspect",
        "reads; a token belongs in no URL (RFC 7662 §2.1)",
    ),
    (
        "public POST /api/v1/rbac/check",
        "reads; a body carries the questions",
    ),
    (
        "public POST /api/v1/auth/webauthn/register/options",
        "asks a question that is gone in five minutes; its answer is what is done",
    ),
    (
        "public POST /api/v1/auth/webauthn/login/options",
        "asks a question that is gone in five minutes; its answer is what is done",
    ),
];

/// How a route is performed once.
pub(crate) struct Driver {
    /// Listener, method and path, as the table has them.
    route: &'static str,
    /// The action of its event.
    action: &'static str,
    /// How many events its transaction writes, with that one.
    events: i64,
    /// Makes what the call needs, and gives the call.
    prepare: fn(&World) -> Prepared<'_>,
    /// Turns the call into one that is refused.
    refuse: fn(Call) -> Call,
    /// The table that remembers a try whatever becomes of it; then every try needs a call of its own.
    counts_tries: Option<&'static str>,
}

pub(crate) type Prepared<'a> = Pin<Box<dyn Future<Output = Call> + 'a>>;

/// A request that can be sent more than once.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) listener: Listener,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Value>,
}

pub(crate) struct World {
    pub(crate) issuer: Issuer,
    pub(crate) database: Database,
    made: AtomicU64,
}

fn drivers() -> impl Iterator<Item = &'static Driver> {
    audit_drivers::DRIVERS
        .iter()
        .chain(audit_drivers_browser::DRIVERS)
}

#[test]
fn every_mutating_route_has_a_driver() {
    let mutating = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let served: Vec<String> = routes()
        .iter()
        .filter(|route| mutating.contains(&route.method))
        .map(|route| format!("{} {} {}", name(route.listener), route.method, route.path))
        .collect();
    let known: Vec<&str> = drivers()
        .map(|driver| driver.route)
        .chain(UNHEARD.iter().map(|(route, _)| *route))
        .collect();
    let undriven: Vec<&String> = served
        .iter()
        .filter(|route| !known.contains(&route.as_str()))
        .collect();
    assert!(undriven.is_empty(), "no driver performs {undriven:?}");
    for route in &known {
        assert!(
            served.iter().any(|other| other == route),
            "no such route: {route}"
        );
    }
    for (route, _) in UNHEARD {
        let times = known.iter().filter(|other| *other == route).count();
        assert_eq!(times, 1, "{route}");
    }
    for driver in drivers() {
        let is_same =
            |other: &&Driver| (other.route, other.action) == (driver.route, driver.action);
        assert_eq!(drivers().filter(is_same).count(), 1, "{}", driver.route);
    }
}

async fn every_mutating_route_writes_one_event_in_its_transaction(database: Database) {
    World::start(database)
        .await
        .drive(audit_drivers::DRIVERS)
        .await;
}

async fn every_mutating_route_of_browsers_writes_its_events_in_its_transaction(database: Database) {
    let world = World::start(database).await;
    world.drive(audit_drivers_browser::DRIVERS).await;
}

impl Driver {
    pub(crate) const fn new(
        route: &'static str,
        action: &'static str,
        prepare: fn(&World) -> Prepared<'_>,
    ) -> Self {
        Self {
            route,
            action,
            events: 1,
            prepare,
            refuse: as_nobody,
            counts_tries: None,
        }
    }

    /// It writes `events`, all of them or none.
    pub(crate) const fn writing(mut self, events: i64) -> Self {
        self.events = events;
        self
    }

    pub(crate) const fn refused_by(mut self, refuse: fn(Call) -> Call) -> Self {
        self.refuse = refuse;
        self
    }

    /// A try is kept in `table`.
    pub(crate) const fn counting_tries_in(mut self, table: &'static str) -> Self {
        self.counts_tries = Some(table);
        self
    }
}

/// The call without its caller.
fn as_nobody(mut call: Call) -> Call {
    call.headers.retain(|(name, _)| name != "authorization");
    call
}

/// The call from a page that is not ours.
pub(crate) fn as_foreign_page(mut call: Call) -> Call {
    call.headers.retain(|(name, _)| name != "origin");
    call
}

pub(crate) fn post(listener: Listener, path: &str, token: &str, body: Option<Value>) -> Call {
    Call {
        listener,
        method: Method::POST,
        path: path.to_owned(),
        headers: vec![("authorization".to_owned(), bearer(token))],
        body,
    }
}

fn name(listener: Listener) -> &'static str {
    match listener {
        Listener::Public => "public",
        Listener::Operators => "operators",
    }
}

impl World {
    async fn start(database: Database) -> Self {
        let more = [
            ("QUEUE_SERVICE_TOKEN_LEDGER", LEDGER),
            ("QUEUE_SERVICE_SCOPES_LEDGER", "audit:write"),
            ("QUEUE_SERVICE_TOKEN_CONSOLE", CONSOLE),
            ("QUEUE_SERVICE_SCOPES_CONSOLE", "rbac:read rbac:write"),
        ];
        let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
        Self {
            issuer,
            database,
            made: AtomicU64::new(0),
        }
    }

    async fn drive(&self, drivers: &[Driver]) {
        for driver in drivers {
            self.drive_one(driver).await;
        }
    }

    async fn drive_one(&self, driver: &Driver) {
        let route = driver.route;
        let mut call = (driver.prepare)(self).await;
        let before = self.events().await;
        let refused = self.send(&(driver.refuse)(call.clone())).await;
        assert!(
            refused.status.is_client_error(),
            "{route}: {}",
            refused.text()
        );
        assert_eq!(self.events().await, before, "{route} refused");

        for (install, remove) in self.failures() {
            let before = self.events().await;
            let content = self.content(driver.counts_tries).await;
            self.database.execute(install).await.unwrap();
            let failed = self.send(&call).await;
            self.database.execute(remove).await.unwrap();
            assert!(
                failed.status.is_server_error(),
                "{route}: {}",
                failed.text()
            );
            assert_eq!(self.events().await, before, "{route} rolled back");
            assert_eq!(
                self.content(driver.counts_tries).await,
                content,
                "{route} rolled back"
            );
            if driver.counts_tries.is_some() {
                call = (driver.prepare)(self).await;
            }
        }

        let before = self.events().await;
        let done = self.send(&call).await;
        assert!(done.status.is_success(), "{route}: {}", done.text());
        assert_eq!(self.events().await, before + driver.events, "{route}");
        let sql = format!(
            "SELECT COUNT(*) FROM customer_audit_events WHERE request_id = '{}' AND action = '{}'",
            done.header("x-request-id"),
            driver.action
        );
        assert_eq!(self.database.number(&sql).await, 1, "{route}");
    }

    pub(crate) async fn send(&self, call: &Call) -> Answer {
        let to = match call.listener {
            Listener::Public => self.issuer.public,
            Listener::Operators => self.issuer.ops,
        };
        let headers: Vec<(&str, &str)> = call
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        // A form is text already.
        let text = |body: &Value| {
            body.as_str()
                .map_or_else(|| body.to_string(), str::to_owned)
        };
        let body = call.body.as_ref().map(text);
        send(to, request(call.method.clone(), &call.path, &headers, body)).await
    }

    /// An address no customer has.
    pub(crate) fn address(&self) -> String {
        format!("c{}@example.com", self.made.fetch_add(1, Ordering::Relaxed))
    }

    /// The step `verb` on a new key.
    pub(crate) async fn key_step(&self, body: Value, verb: &str) -> Call {
        let made = post(Listener::Operators, "/api/v1/keys", OPS, Some(body));
        let made = self.send(&made).await.expect(201);
        let kid = made["kid"].as_str().unwrap();
        let path = format!("/api/v1/keys/{kid}/{verb}");
        post(Listener::Operators, &path, OPS, None)
    }

    /// Events somebody caused: the issuer's own come when they come.
    async fn events(&self) -> i64 {
        let sql = "SELECT COUNT(*) FROM customer_audit_events WHERE actor_kind <> 'system'";
        self.database.number(sql).await
    }

    /// Ways to make a transaction fail, and to take them back: when the event is written, and on Postgres
    /// at the commit, when everything is.
    fn failures(&self) -> &'static [(&'static str, &'static str)] {
        if self.database.is_postgres() {
            &[
                (
                    "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
                     CREATE TRIGGER fail BEFORE INSERT ON customer_audit_events FOR EACH ROW EXECUTE FUNCTION fail()",
                    "DROP TRIGGER fail ON customer_audit_events; DROP FUNCTION fail()",
                ),
                (
                    "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
                     CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON customer_audit_events
                     DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()",
                    "DROP TRIGGER fail ON customer_audit_events; DROP FUNCTION fail()",
                ),
            ]
        } else {
            &[(
                "CREATE TRIGGER fail BEFORE INSERT ON customer_audit_events BEGIN SELECT RAISE(ABORT, 'no'); END",
                "DROP TRIGGER fail",
            )]
        }
    }

    /// Everything in the database but what the issuer writes on its own: sightings, links and checkpoints,
    /// retired keys whose time is over, how far a mail has come; and but for `but`.
    async fn content(&self, but: Option<&str>) -> String {
        let names = if self.database.is_postgres() {
            "SELECT string_agg(table_name, ' ' ORDER BY table_name) FROM information_schema.tables
             WHERE table_schema = 'public'"
        } else {
            "SELECT group_concat(name, ' ') FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        };
        let names = self.database.text(names).await;
        let mut content = String::new();
        let is_theirs = |table: &&str| !OWN.contains(table) && Some(*table) != but;
        for table in names.split(' ').filter(is_theirs) {
            if table == "queue_outbox" {
                let count = self
                    .database
                    .number("SELECT COUNT(*) FROM queue_outbox")
                    .await;
                content.push_str(&format!("{table}: {count}\n"));
                continue;
            }
            let only = if table == "queue_signing_keys" {
                "WHERE state NOT IN ('retired', 'destroyed')"
            } else {
                ""
            };
            let rows = if self.database.is_postgres() {
                format!(
                    "SELECT COALESCE(string_agg(t::text, ';' ORDER BY t::text), '') FROM {table} t {only}"
                )
            } else {
                let columns = format!(
                    "SELECT group_concat('quote(' || name || ')', '||'',''||') FROM pragma_table_info('{table}')"
                );
                let columns = self.database.text(&columns).await;
                format!(
                    "SELECT COALESCE(group_concat(line, ';'), '')
                     FROM (SELECT {columns} AS line FROM {table} {only} ORDER BY 1)"
                )
            };
            content.push_str(&format!("{table}: {}\n", self.database.text(&rows).await));
        }
        assert!(content.contains("queue_customers: "), "{content}");
        content
    }
}

const OWN: [&str; 4] = [
    "customer_audit_events",
    "queue_audit_checkpoints",
    "queue_key_sets",
    "queue_verifier_sightings",
];
pub(crate) const LEDGER: &str = "ledger-0123456789-abcdefghijklmnopqrstuvwxyz";
pub(crate) const CONSOLE: &str = "console-0123456789-abcdefghijklmnopqrstuvwxyz";
