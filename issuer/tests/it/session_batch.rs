//! Sessions minted at the same time: kept together, each with the outcome of its own.

use std::collections::HashSet;
use std::pin::pin;

use ::http::Method;
use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Database, FakeClock, Issuer, eventually, look_into, on_both_engines};
use crate::http::Answer;

on_both_engines! {
    sessions_asked_for_at_once_are_kept_together
    each_of_those_asked_for_at_once_has_its_own_outcome
    one_that_fails_takes_no_other_with_it
    nobody_who_has_gone_gets_a_session
    a_transaction_that_takes_too_long_is_given_up
    a_customer_who_is_held_holds_up_nobody_else
}

async fn sessions_asked_for_at_once_are_kept_together(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customers = customers(&issuer, 6).await;
    let admin = &customers[2];
    let grant = format!(
        "INSERT INTO queue_customer_roles (tenant_id, customer_id, role_id, granted_at, granted_by)
         SELECT tenant_id, '{admin}', id, created_at, 'test' FROM queue_roles WHERE name = 'console-admin'"
    );
    database.execute(&grant).await.unwrap();
    // Each twice.
    let all: Vec<_> = customers.iter().chain(&customers).collect();
    let answers = at_once(&database, &issuer, &all).await;
    let mut places = HashSet::new();
    for (answer, customer) in answers.iter().zip(&all) {
        let minted = answer.expect(201);
        let (_, claims) = look_into(minted["access_token"].as_str().unwrap());
        assert_eq!(claims["sub"], customer.as_str());
        assert_eq!(claims["sid"], minted["session"]["session_id"]);
        let roles = if *customer == admin {
            json!(["antlers-user", "console-admin"])
        } else {
            json!(["antlers-user"])
        };
        assert_eq!(claims["roles"], roles);
        let sid = claims["sid"].as_str().unwrap();
        let place = format!("SELECT idx FROM queue_session_statuses WHERE session_id = '{sid}'");
        let idx = database.number(&place).await;
        assert_eq!(claims["status"]["status_list"]["idx"], idx);
        assert!(places.insert(idx));
        let events = format!(
            "SELECT COUNT(*) FROM customer_audit_events
             WHERE action = 'session.minted' AND target_id = '{sid}' AND request_id IS NOT NULL"
        );
        assert_eq!(database.number(&events).await, 1);
    }
    assert_eq!(database.number(SESSIONS).await, 12 + 2);
    if database.is_postgres() {
        let transactions = "SELECT COUNT(DISTINCT xmin::text) FROM queue_sessions";
        assert_eq!(database.number(transactions).await, 1 + 2);
    }
}

async fn each_of_those_asked_for_at_once_has_its_own_outcome(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut customers = customers(&issuer, 5).await;
    let path = |at: usize| format!("/api/v1/customers/{}", customers[at]);
    let suspend = Some(json!({ "state": "suspended" }));
    issuer
        .raptor(Method::PATCH, &path(2), suspend)
        .await
        .expect(200);
    let erase = format!("{}/erase", path(3));
    issuer.raptor(Method::POST, &erase, None).await.expect(200);
    customers.push("01890000-0000-7000-8000-000000000000".to_owned());
    let answers = at_once(&database, &issuer, &customers.iter().collect::<Vec<_>>()).await;
    for at in [0, 1, 4] {
        answers[at].expect(201);
    }
    answers[2].expect_problem(409, "customer_suspended");
    answers[3].expect_problem(409, "customer_erased");
    answers[5].expect_problem(404, "customer_not_found");
    assert_eq!(database.number(SESSIONS).await, 3 + 2);
}

async fn one_that_fails_takes_no_other_with_it(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customers = customers(&issuer, 5).await;
    let bad = &customers[3];
    let sabotage = if database.is_postgres() {
        format!(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN IF NEW.customer_id = '{bad}' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$;
             CREATE TRIGGER fail BEFORE INSERT ON queue_sessions FOR EACH ROW EXECUTE FUNCTION fail()"
        )
    } else {
        format!(
            "CREATE TRIGGER fail BEFORE INSERT ON queue_sessions WHEN NEW.customer_id = '{bad}'
             BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    };
    database.execute(&sabotage).await.unwrap();
    let answers = at_once(&database, &issuer, &customers.iter().collect::<Vec<_>>()).await;
    for (answer, customer) in answers.iter().zip(&customers) {
        if customer == bad {
            answer.expect_problem(500, "internal_error");
        } else {
            answer.expect(201);
        }
    }
    assert_eq!(database.number(SESSIONS).await, 4 + 2);
}

async fn nobody_who_has_gone_gets_a_session(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customers = customers(&issuer, 3).await;
    let held = database.hold_writes().await;
    let mut first = pin!(issuer.mint(&customers[0]));
    during(&mut first, until(&issuer, (0, 1))).await;
    let mut second = pin!(issuer.mint(&customers[1]));
    during(&mut second, until(&issuer, (0, 2))).await;
    {
        let mut gone = pin!(issuer.mint(&customers[2]));
        during(&mut gone, until(&issuer, (1, 2))).await;
    }
    until(&issuer, (0, 2)).await;
    let ((), first, second) = tokio::join!(held.release(), first, second);
    first.expect(201);
    second.expect(201);
    until(&issuer, (0, 0)).await;
    assert_eq!(database.number(SESSIONS).await, 2);
}

async fn a_transaction_that_takes_too_long_is_given_up(database: Database) {
    let short = [("QUEUE_ISSUER_REQUEST_TIMEOUT", "200ms")];
    let issuer = Issuer::start_with(&database, &short, FakeClock::new()).await;
    let customers = customers(&issuer, 2).await;
    let held = database.hold_writes().await;
    let answers = join_all(customers.iter().map(|one| issuer.mint(one))).await;
    assert!(answers.iter().all(|answer| answer.status == 503));
    // Though the database is still held.
    until(&issuer, (0, 0)).await;
    held.release().await;
    issuer.mint(&customers[0]).await.expect(201);
    assert_eq!(database.number(SESSIONS).await, 1);
}

async fn a_customer_who_is_held_holds_up_nobody_else(database: Database) {
    if !database.is_postgres() {
        // SQLite has no rows to hold.
        return;
    }
    let issuer = Issuer::start(&database).await;
    let customers = customers(&issuer, 3).await;
    let held = database.hold_customer(&customers[0]).await;
    // More than there are connections.
    let waiting = join_all((0..20).map(|_| issuer.mint(&customers[0])));
    let others = async {
        let waiting = "
            SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let some_wait = async || database.number(waiting).await > 0;
        eventually("somebody waits", some_wait).await;
        until(&issuer, (0, 0)).await;
        for customer in &customers[1..] {
            issuer.mint(customer).await.expect(201);
        }
        held.release().await;
    };
    let (answers, ()) = tokio::join!(waiting, others);
    for answer in answers {
        answer.expect(201);
    }
}

/// Mints a session for each of `customers` in one batch, behind two more, which keep the workers busy.
async fn at_once(database: &Database, issuer: &Issuer, customers: &[&String]) -> Vec<Answer> {
    let busy = issuer.customer("busy@example.com").await;
    let held = database.hold_writes().await;
    let mut first = pin!(issuer.mint(&busy));
    during(&mut first, until(issuer, (0, 1))).await;
    let mut second = pin!(issuer.mint(&busy));
    during(&mut second, until(issuer, (0, 2))).await;
    let mut all = pin!(join_all(customers.iter().map(|one| issuer.mint(one))));
    during(&mut all, until(issuer, (customers.len(), 2))).await;
    let ((), first, second, answers) = tokio::join!(held.release(), first, second, all);
    first.expect(201);
    second.expect(201);
    answers
}

async fn until(issuer: &Issuer, expect: (usize, usize)) {
    let what = format!("{expect:?} wait and are at work");
    eventually(&what, async || mints(issuer).await == expect).await;
}

/// Goes on with `requests`, which nobody answers yet, until `other` is done.
async fn during<T>(
    requests: &mut (impl Future<Output = T> + Unpin),
    other: impl Future<Output = ()>,
) {
    tokio::select! {
        _ = requests => panic!("answered while the database is held"),
        () = other => {}
    }
}

/// How many sessions wait for a transaction, and how many are in one.
async fn mints(issuer: &Issuer) -> (usize, usize) {
    let metrics = issuer.get("/metrics").await.text();
    let gauge = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.expect("a gauge").trim().parse().expect("a number")
    };
    (
        gauge("queue_issuer_mints_waiting "),
        gauge("queue_issuer_mints_at_work "),
    )
}

async fn customers(issuer: &Issuer, count: usize) -> Vec<String> {
    let mut made = Vec::new();
    for number in 0..count {
        made.push(
            issuer
                .customer(&format!("customer{number}@example.com"))
                .await,
        );
    }
    made
}

const SESSIONS: &str = "SELECT COUNT(*) FROM queue_sessions";
