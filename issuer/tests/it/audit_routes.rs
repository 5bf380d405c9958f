//! The guarantee: every mutating route of the route table writes exactly one audit event, in the transaction that
//! does what it does.
//!
//! A new route needs a [`Driver`] here; without one, the first test fails and names it.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::http::Method;
use queue_issuer::{Listener, routes};
use serde_json::{Value, json};

use crate::harness::{Database, FakeClock, Issuer, OPS, RAPTOR, bearer, on_both_engines};
use crate::http::{Answer, request, send};

on_both_engines! {
    every_mutating_route_writes_one_event_in_its_transaction
}

/// Mutating by method, not by deed, each with the reason.
const READS: &[(&str, &str)] = &[(
    "operators POST /api/v1/audit/verify",
    "reads the chain; a body carries the checkpoint, and an answer must not be cached",
)];

/// Every mutating route: how it is performed, and the action it writes.
const DRIVERS: &[Driver] = &[
    Driver::new(
        "public POST /api/v1/audit/events",
        "ledger:order.shipped",
        record_event,
    ),
    Driver::new(
        "public POST /api/v1/customers",
        "customer.created",
        create_customer,
    ),
    Driver::new(
        "public POST /api/v1/service/sessions",
        "session.minted",
        mint_session,
    ),
    Driver::new(
        "public POST /api/v1/service/sessions/{sid}/revoke",
        "session.revoked",
        revoke_session,
    ),
    Driver::new("operators POST /api/v1/keys", "key.generated", generate_key),
    Driver::new(
        "operators POST /api/v1/keys/{kid}/publish",
        "key.published",
        publish_key,
    ),
    Driver::new(
        "operators POST /api/v1/keys/{kid}/activate",
        "key.activated",
        activate_key,
    ),
    Driver::new(
        "operators POST /api/v1/keys/{kid}/retire",
        "key.destroyed",
        retire_key,
    ),
    Driver::new(
        "operators POST /api/v1/keys/{kid}/revoke",
        "key.revoked",
        revoke_key,
    ),
];

/// How a route is performed once.
struct Driver {
    /// Listener, method and path, as the table has them.
    route: &'static str,
    /// The action of its event.
    action: &'static str,
    /// Makes what the call needs, and gives the call.
    prepare: fn(&World) -> Prepared<'_>,
    /// Turns the call into one that is refused.
    refuse: fn(Call) -> Call,
}

type Prepared<'a> = Pin<Box<dyn Future<Output = Call> + Send + 'a>>;

/// A request that can be sent more than once.
#[derive(Debug, Clone)]
struct Call {
    listener: Listener,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Value>,
}

struct World {
    issuer: Issuer,
    database: Database,
    made: AtomicU64,
}

#[test]
fn every_mutating_route_has_a_driver() {
    let mutating = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let served: Vec<String> = routes()
        .iter()
        .filter(|route| mutating.contains(&route.method))
        .map(|route| format!("{} {} {}", name(route.listener), route.method, route.path))
        .collect();
    let mut known: Vec<&str> = DRIVERS.iter().map(|driver| driver.route).collect();
    known.extend(READS.iter().map(|(route, _)| route));
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
        let times = known.iter().filter(|other| *other == route).count();
        assert_eq!(times, 1, "{route}");
    }
}

async fn every_mutating_route_writes_one_event_in_its_transaction(database: Database) {
    let callers = [
        ("QUEUE_SERVICE_TOKEN_LEDGER", LEDGER),
        ("QUEUE_SERVICE_SCOPES_LEDGER", "audit:write"),
    ];
    let issuer = Issuer::start_with(&database, &callers, FakeClock::new()).await;
    let world = World {
        issuer,
        database,
        made: AtomicU64::new(0),
    };
    for driver in DRIVERS {
        let call = (driver.prepare)(&world).await;
        let before = world.events().await;

        let refused = world.send(&(driver.refuse)(call.clone())).await;
        assert!(
            refused.status.is_client_error(),
            "{}: {}",
            driver.route,
            refused.text()
        );
        assert_eq!(world.events().await, before, "{} refused", driver.route);

        for (install, remove) in world.failures() {
            let content = world.content().await;
            world.database.execute(install).await.unwrap();
            let failed = world.send(&call).await;
            world.database.execute(remove).await.unwrap();
            assert!(
                failed.status.is_server_error(),
                "{}: {}",
                driver.route,
                failed.text()
            );
            assert_eq!(world.events().await, before, "{} rolled back", driver.route);
            assert_eq!(
                world.content().await,
                content,
                "{} rolled back",
                driver.route
            );
        }

        let done = world.send(&call).await;
        assert!(
            done.status.is_success(),
            "{}: {}",
            driver.route,
            done.text()
        );
        assert_eq!(world.events().await, before + 1, "{}", driver.route);
        let sql = format!(
            "SELECT COUNT(*) FROM customer_audit_events WHERE request_id = '{}' AND action = '{}'",
            done.header("x-request-id"),
            driver.action
        );
        assert_eq!(world.database.number(&sql).await, 1, "{}", driver.route);
    }
}

fn record_event(_: &World) -> Prepared<'_> {
    let body =
        json!({ "action": "ledger:order.shipped", "target_kind": "order", "target_id": "7" });
    let call = post(Listener::Public, "/api/v1/audit/events", LEDGER, Some(body));
    Box::pin(async { call })
}

fn create_customer(world: &World) -> Prepared<'_> {
    let body = json!({ "email": world.address() });
    Box::pin(async { post(Listener::Public, "/api/v1/customers", RAPTOR, Some(body)) })
}

fn mint_session(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let customer = world.issuer.customer(&world.address()).await;
        let body = json!({ "customer_id": customer });
        post(
            Listener::Public,
            "/api/v1/service/sessions",
            RAPTOR,
            Some(body),
        )
    })
}

fn revoke_session(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let customer = world.issuer.customer(&world.address()).await;
        let minted = world.issuer.mint(&customer).await.expect(201);
        let sid = minted["session"]["session_id"].as_str().unwrap();
        let path = format!("/api/v1/service/sessions/{sid}/revoke");
        post(Listener::Public, &path, RAPTOR, None)
    })
}

fn generate_key(_: &World) -> Prepared<'_> {
    Box::pin(async { post(Listener::Operators, "/api/v1/keys", OPS, Some(json!({}))) })
}

fn publish_key(world: &World) -> Prepared<'_> {
    Box::pin(async { world.key_step(json!({ "publish": false }), "publish").await })
}

fn activate_key(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let call = world.key_step(json!({}), "activate").await;
        world.issuer.clock.advance(Duration::from_secs(630));
        call
    })
}

fn retire_key(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let revoke = world.key_step(json!({}), "revoke").await;
        world.send(&revoke).await.expect(200);
        Call {
            path: revoke.path.replace("/revoke", "/retire"),
            ..revoke
        }
    })
}

fn revoke_key(world: &World) -> Prepared<'_> {
    Box::pin(async { world.key_step(json!({}), "revoke").await })
}

impl Driver {
    const fn new(
        route: &'static str,
        action: &'static str,
        prepare: fn(&World) -> Prepared<'_>,
    ) -> Self {
        Self {
            route,
            action,
            prepare,
            refuse: as_nobody,
        }
    }
}

/// The call without its caller.
fn as_nobody(mut call: Call) -> Call {
    call.headers.retain(|(name, _)| name != "authorization");
    call
}

fn post(listener: Listener, path: &str, token: &str, body: Option<Value>) -> Call {
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
    async fn send(&self, call: &Call) -> Answer {
        let to = match call.listener {
            Listener::Public => self.issuer.public,
            Listener::Operators => self.issuer.ops,
        };
        let headers: Vec<(&str, &str)> = call
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let body = call.body.as_ref().map(Value::to_string);
        send(to, request(call.method.clone(), &call.path, &headers, body)).await
    }

    /// An address no customer has.
    fn address(&self) -> String {
        format!("c{}@example.com", self.made.fetch_add(1, Ordering::Relaxed))
    }

    /// The step `verb` on a new key.
    async fn key_step(&self, body: Value, verb: &str) -> Call {
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
    /// retired keys whose time is over.
    async fn content(&self) -> String {
        let names = if self.database.is_postgres() {
            "SELECT string_agg(table_name, ' ' ORDER BY table_name) FROM information_schema.tables
             WHERE table_schema = 'public'"
        } else {
            "SELECT group_concat(name, ' ') FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        };
        let names = self.database.text(names).await;
        let mut content = String::new();
        for table in names.split(' ').filter(|table| !OWN.contains(table)) {
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
const LEDGER: &str = "ledger-0123456789-abcdefghijklmnopqrstuvwxyz";
