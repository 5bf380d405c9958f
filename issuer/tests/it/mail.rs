//! Mail: it leaves if and only if its reason happened, and leaves nothing behind.

use std::collections::BTreeSet;
use std::time::Duration;

use ::http::Method;
use serde_json::{Value, json};

use crate::harness::{Database, FakeClock, Issuer, eventually, on_both_engines};
use crate::smtp::{Play, Smtp};

on_both_engines! {
    mail_arrives_and_leaves_no_words
    three_workers_send_each_mail_once
    mail_of_another_process_is_found
    passing_failure_is_tried_again
    lasting_failure_is_given_up_at_once
    refused_password_kills_no_mail
    cut_connection_is_tried_again
    crash_after_sending_sends_again_under_the_same_name
    rolled_back_transaction_sends_nothing
    expired_mail_is_not_sent
    no_transaction_is_open_while_a_server_is_silent
}

pub(crate) const FROM: (&str, &str) = (
    "QUEUE_ISSUER_MAIL_FROM",
    "Antlers <no-reply@antlers.example>",
);

pub(crate) async fn start(
    database: &Database,
    smtp: &Smtp,
    clock: std::sync::Arc<FakeClock>,
) -> Issuer {
    let url = smtp.url();
    let more = [("QUEUE_ISSUER_MAIL_URL", url.as_str()), FROM];
    Issuer::start_with(database, &more, clock).await
}

pub(crate) async fn queue(issuer: &Issuer, to: &str) -> String {
    let queued = issuer
        .operator(Method::POST, "/api/v1/mail/test", Some(json!({ "to": to })))
        .await;
    queued.expect(202)["id"].as_str().unwrap().to_owned()
}

/// What operators see of one mail.
pub(crate) async fn view(issuer: &Issuer, id: &str) -> Value {
    let page = issuer
        .operator(Method::GET, "/api/v1/mail?limit=200", None)
        .await
        .expect(200);
    let mails = page["mail"].as_array().unwrap();
    let found = mails.iter().find(|mail| mail["id"] == id);
    found.expect("the mail is listed").clone()
}

pub(crate) async fn becomes(issuer: &Issuer, id: &str, state: &str) -> Value {
    eventually(&format!("the mail is {state}"), async || {
        view(issuer, id).await["state"] == state
    })
    .await;
    view(issuer, id).await
}

/// Waits until a try has failed so.
pub(crate) async fn fails(issuer: &Issuer, id: &str, code: &str) {
    eventually(&format!("{code} is written down"), async || {
        view(issuer, id).await["last_error"] == code
    })
    .await;
}

const WITH_WORDS: &str =
    "SELECT COUNT(*) FROM queue_outbox WHERE sealed IS NOT NULL OR kek_id IS NOT NULL";

async fn mail_arrives_and_leaves_no_words(database: Database) {
    let smtp = Smtp::start().await;
    let issuer = start(&database, &smtp, FakeClock::new()).await;
    let id = queue(&issuer, "Ada@Example.com").await;
    let sent = becomes(&issuer, &id, "sent").await;
    assert_eq!(
        (&sent["kind"], &sent["attempts"], &sent["last_error"]),
        (&"test".into(), &1.into(), &Value::Null)
    );
    let letters = smtp.taken();
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert!(letter.to.contains("<Ada@Example.com>"), "{}", letter.to);
    assert_eq!(
        letter.header("Message-ID"),
        format!("<{id}@antlers.example>")
    );
    assert_eq!(letter.header("Subject"), "Mail from Antlers arrives");
    assert!(letter.text.contains("text/plain") && letter.text.contains("text/html"));
    assert!(letter.text.contains("http://localhost:4100"));
    assert_eq!(database.number(WITH_WORDS).await, 0);
    let event = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'mail.test_queued'";
    assert_eq!(database.number(event).await, 1);
    eventually("the metrics tell", async || {
        let metrics = issuer.get("/metrics").await.text();
        metrics.contains("queue_issuer_mail_sent_total{kind=\"test\"} 1")
            && metrics.contains("queue_issuer_mail_queued 0")
            && metrics.contains("queue_issuer_mail_oldest_seconds 0")
    })
    .await;
}

async fn three_workers_send_each_mail_once(database: Database) {
    let smtp = Smtp::start().await;
    let clock = FakeClock::new();
    let start = || start(&database, &smtp, clock.clone());
    let (a, b, c) = tokio::join!(start(), start(), start());
    let mut queued = BTreeSet::new();
    for round in 0..8 {
        for issuer in [&a, &b, &c] {
            let id = queue(issuer, &format!("ada{round}@example.com")).await;
            queued.insert(format!("<{id}@antlers.example>"));
        }
    }
    let unsent = "SELECT COUNT(*) FROM queue_outbox WHERE sent_at IS NULL";
    eventually("every mail is sent", async || {
        database.number(unsent).await == 0
    })
    .await;
    let letters = smtp.taken();
    let named: BTreeSet<String> = letters
        .iter()
        .map(|letter| letter.header("Message-ID").to_owned())
        .collect();
    assert_eq!((letters.len(), named), (24, queued));
    let tries = "SELECT CAST(SUM(attempts) AS BIGINT) FROM queue_outbox";
    assert_eq!(database.number(tries).await, 24);
}

async fn mail_of_another_process_is_found(database: Database) {
    let smtp = Smtp::start().await;
    let clock = FakeClock::new();
    // The one that queues has a server that takes nothing.
    let away = Smtp::start().await;
    let queuing = start(&database, &away, clock.clone()).await;
    away.play([Play::Refuse("451 later")]);
    let id = queue(&queuing, "ada@example.com").await;
    fails(&queuing, &id, "smtp_451").await;
    queuing.stop().await.unwrap();
    let sending = start(&database, &smtp, clock.clone()).await;
    clock.advance(Duration::from_secs(2));
    becomes(&sending, &id, "sent").await;
    assert_eq!((smtp.taken().len(), away.taken().len()), (1, 0));
}

async fn passing_failure_is_tried_again(database: Database) {
    let smtp = Smtp::start().await;
    let issuer = start(&database, &smtp, FakeClock::new()).await;
    smtp.play([
        Play::Recipient("451 4.3.0 <ada@example.com> later"),
        Play::Refuse("421 4.3.2 ada@example.com later"),
    ]);
    let id = queue(&issuer, "ada@example.com").await;
    fails(&issuer, &id, "smtp_451").await;
    assert_eq!(view(&issuer, &id).await["attempts"], 1);
    issuer.clock.advance(Duration::from_millis(1_250));
    fails(&issuer, &id, "smtp_421").await;
    issuer.clock.advance(Duration::from_millis(6_250));
    assert_eq!(becomes(&issuer, &id, "sent").await["attempts"], 3);
    assert_eq!(smtp.taken().len(), 1);
    let metrics = issuer.get("/metrics").await.text();
    for code in ["smtp_451", "smtp_421"] {
        let line = format!("queue_issuer_mail_failed_total{{code=\"{code}\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

async fn lasting_failure_is_given_up_at_once(database: Database) {
    let smtp = Smtp::start().await;
    let issuer = start(&database, &smtp, FakeClock::new()).await;
    smtp.play([Play::Recipient("550 5.1.1 <ada@example.com> unknown")]);
    let id = queue(&issuer, "ada@example.com").await;
    let dead = becomes(&issuer, &id, "dead").await;
    assert_eq!(
        (&dead["last_error"], &dead["attempts"]),
        (&"smtp_550".into(), &1.into())
    );
    assert_eq!(database.number(WITH_WORDS).await, 0);
    issuer.clock.advance(Duration::from_secs(600));
    let next = queue(&issuer, "bob@example.com").await;
    becomes(&issuer, &next, "sent").await;
    assert_eq!(smtp.taken().len(), 1);
}

async fn refused_password_kills_no_mail(database: Database) {
    let smtp = Smtp::start().await;
    smtp.ask_password("535 5.7.8 no");
    let url = format!("smtp://us%65r:secret-word@{}?tls=none", smtp.address);
    let more = [("QUEUE_ISSUER_MAIL_URL", url.as_str()), FROM];
    let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
    let id = queue(&issuer, "ada@example.com").await;
    fails(&issuer, &id, "smtp_535").await;
    assert_eq!(view(&issuer, &id).await["state"], "queued");
    smtp.ask_password("235 welcome");
    issuer.clock.advance(Duration::from_secs(2));
    becomes(&issuer, &id, "sent").await;
    assert_eq!(smtp.logins(), 2);
}

async fn cut_connection_is_tried_again(database: Database) {
    let smtp = Smtp::start().await;
    let issuer = start(&database, &smtp, FakeClock::new()).await;
    smtp.play([Play::Cut]);
    let id = queue(&issuer, "ada@example.com").await;
    eventually("the cut is noticed", async || {
        !view(&issuer, &id).await["last_error"].is_null()
    })
    .await;
    assert!(smtp.taken().is_empty());
    issuer.clock.advance(Duration::from_secs(2));
    becomes(&issuer, &id, "sent").await;
    assert_eq!(smtp.taken().len(), 1);
}

async fn crash_after_sending_sends_again_under_the_same_name(database: Database) {
    let smtp = Smtp::start().await;
    let clock = FakeClock::new();
    let issuer = start(&database, &smtp, clock.clone()).await;
    smtp.play([Play::Silent]);
    let id = queue(&issuer, "ada@example.com").await;
    eventually("the server has the mail", async || smtp.taken().len() == 1).await;
    // It goes before it could write down that the mail left.
    issuer.stop().await.unwrap();
    let next = start(&database, &smtp, clock.clone()).await;
    let other = queue(&next, "bob@example.com").await;
    becomes(&next, &other, "sent").await;
    assert_eq!(view(&next, &id).await["state"], "queued", "the lease holds");
    clock.advance(Duration::from_secs(120));
    assert_eq!(becomes(&next, &id, "sent").await["attempts"], 2);
    let letters = smtp.taken();
    let name = format!("<{id}@antlers.example>");
    let again = letters
        .iter()
        .filter(|letter| letter.header("Message-ID") == name);
    assert_eq!((letters.len(), again.count()), (3, 2));
}

async fn rolled_back_transaction_sends_nothing(database: Database) {
    let smtp = Smtp::start().await;
    let issuer = start(&database, &smtp, FakeClock::new()).await;
    let body = json!({ "to": "ada@example.com", "dry_run": true });
    issuer
        .operator(Method::POST, "/api/v1/mail/test", Some(body))
        .await
        .expect(202);
    let id = queue(&issuer, "bob@example.com").await;
    becomes(&issuer, &id, "sent").await;
    let letters = smtp.taken();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].to.contains("bob@example.com"));
    assert_eq!(
        database.number("SELECT COUNT(*) FROM queue_outbox").await,
        1
    );
    let events = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'mail.test_queued'";
    assert_eq!(database.number(events).await, 1);
}

async fn expired_mail_is_not_sent(database: Database) {
    let smtp = Smtp::start().await;
    let issuer = start(&database, &smtp, FakeClock::new()).await;
    smtp.play([Play::Refuse("451 later")]);
    let id = queue(&issuer, "ada@example.com").await;
    fails(&issuer, &id, "smtp_451").await;
    issuer.clock.advance(Duration::from_secs(3_600));
    let dead = becomes(&issuer, &id, "dead").await;
    assert_eq!(
        (&dead["last_error"], &dead["attempts"]),
        (&"expired".into(), &1.into())
    );
    assert_eq!(database.number(WITH_WORDS).await, 0);
    assert!(smtp.taken().is_empty());
}

async fn no_transaction_is_open_while_a_server_is_silent(database: Database) {
    let smtp = Smtp::start().await;
    let issuer = start(&database, &smtp, FakeClock::new()).await;
    smtp.play([Play::Silent]);
    queue(&issuer, "ada@example.com").await;
    eventually("the server has the mail", async || smtp.taken().len() == 1).await;
    // SQLite has one writer, and a transaction of Postgres would show.
    issuer.customer("ada@example.com").await;
    if database.is_postgres() {
        let open = "SELECT COUNT(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
        assert_eq!(database.number(open).await, 0);
    }
}
