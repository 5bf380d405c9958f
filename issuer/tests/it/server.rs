//! The process: ready when it can mint, patient with nobody, gone without dropping a request.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use ::http::Method;

use crate::harness::{Database, FakeClock, Issuer, eventually, on_both_engines};

on_both_engines! {
    ready_means_a_mint_would_work
    not_ready_without_a_writable_database
    request_timed_out_leaves_nothing
    page_is_for_people
}

async fn ready_means_a_mint_would_work(database: Database) {
    let issuer = Issuer::start(&database).await;
    let ready = issuer.get("/readyz").await;
    assert_eq!(ready.expect(200)["ready"], true);
    assert_eq!(ready.header("cache-control"), "no-store");
    issuer.get("/livez").await.expect(200);
    let metrics = issuer.get("/metrics").await;
    assert!(
        metrics
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    assert!(
        metrics
            .text()
            .contains("queue_issuer_requests_total{route=\"/readyz\"")
    );
    assert!(metrics.text().contains("queue_issuer_key_set_generation 1"));
}

async fn not_ready_without_a_writable_database(database: Database) {
    let issuer = Issuer::start(&database).await;
    database
        .execute("DROP TABLE queue_idempotency_keys")
        .await
        .unwrap();
    database
        .execute("DELETE FROM queue_schema_migrations WHERE version = 2")
        .await
        .unwrap();
    let ready = issuer.get("/readyz").await.expect(503);
    assert_eq!(
        (&ready["migrations"], &ready["database"]),
        (&false.into(), &true.into())
    );
    issuer.clock.advance(Duration::from_secs(1));
    database
        .execute("ALTER TABLE queue_key_sets RENAME TO queue_key_sets_gone")
        .await
        .unwrap();
    let ready = issuer.get("/readyz").await.expect(503);
    assert_eq!(ready["database"], false);
    // Hazard I46: keys nobody could confirm for a while do not count.
    assert_eq!(ready["keys"], true);
    issuer.clock.advance(Duration::from_secs(11));
    assert_eq!(issuer.get("/readyz").await.expect(503)["keys"], false);
    issuer.get("/livez").await.expect(200);
    issuer.get("/.well-known/jwks.json").await.expect(200);
}

async fn request_timed_out_leaves_nothing(database: Database) {
    let more = [("QUEUE_ISSUER_REQUEST_TIMEOUT", "300ms")];
    let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
    let create = || {
        let body = serde_json::json!({ "email": "ada@example.com" });
        issuer.raptor(Method::POST, "/api/v1/customers", Some(body))
    };
    let held = database.hold_writes().await;
    let late = create().await;
    late.expect_problem(503, "request_timed_out");
    assert_eq!(late.header("retry-after"), "1");
    held.release().await;
    eventually("writes go on", async || create().await.status == 201).await;
    assert_eq!(
        database
            .number("SELECT COUNT(*) FROM queue_customers")
            .await,
        1
    );
}

async fn page_is_for_people(database: Database) {
    let issuer = Issuer::start(&database).await;
    let page = issuer.get("/").await;
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.text().contains("http://localhost:4100") && page.text().contains("ready"));
    assert!(!page.text().contains('{') || page.text().contains("<style>"));
    assert!(!page.text().contains("{issuer}") && !page.text().contains("{state}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_sent_header_is_cut_off() {
    let database = Database::sqlite();
    let more = [("QUEUE_ISSUER_HEADER_TIMEOUT", "200ms")];
    let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
    for sent in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\nX: "] {
        let address = issuer.public;
        let closed = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            stream.write_all(sent.as_bytes()).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).is_ok()
        });
        assert!(closed.await.unwrap(), "{sent:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_finishes_the_request_under_way() {
    let database = Database::sqlite();
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer("ada@example.com").await;
    // A connection that has been accepted and whose request is half sent when the shutdown begins.
    let mut stream = TcpStream::connect(issuer.public).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let body = format!("{{\"customer_id\":\"{customer}\"}}");
    let head = format!(
        "POST /api/v1/service/sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        crate::harness::RAPTOR,
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    eventually("the request is being read", async || {
        issuer.get("/livez").await.status == 200
    })
    .await;
    let finish = tokio::task::spawn_blocking(move || {
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let (answer, stopped) = tokio::join!(finish, issuer.stop());
    stopped.unwrap();
    assert!(answer.unwrap().starts_with("HTTP/1.1 201"));
    assert_eq!(
        database.number("SELECT COUNT(*) FROM queue_sessions").await,
        1
    );
}

#[test]
fn sigterm_ends_with_success_and_no_secret_in_the_log() {
    let database = Database::sqlite();
    let mut child = Command::new(env!("CARGO_BIN_EXE_queue-issuer"))
        .env_clear()
        .envs(database.env(&[
            ("QUEUE_ISSUER_LOG", "trace"),
            ("QUEUE_ISSUER_LOG_FORMAT", "json"),
        ]))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    let public = loop {
        let mut line = String::new();
        assert!(
            std::io::BufRead::read_line(&mut log, &mut line).unwrap() > 0,
            "{seen}"
        );
        seen.push_str(&line);
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        if event["message"] == "listening" {
            break event["public"].as_str().unwrap().to_owned();
        }
    };
    let reader = std::thread::spawn(move || {
        let mut rest = String::new();
        log.read_to_string(&mut rest).unwrap();
        rest
    });
    let call = |path: &str, body: &str| {
        let mut stream = TcpStream::connect(&public).unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            crate::harness::RAPTOR,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str::<serde_json::Value>(body).unwrap()
    };
    let customer = call(
        "/api/v1/customers",
        r#"{"email":"secret.person@example.com"}"#,
    );
    let minted = call(
        "/api/v1/service/sessions",
        &format!("{{\"customer_id\":{}}}", customer["id"]),
    );
    let token = minted["access_token"].as_str().unwrap();
    assert!(
        Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let log = seen + &reader.join().unwrap();
    for secret in [
        token,
        token.split('.').next_back().unwrap(),
        "secret.person",
        crate::harness::RAPTOR,
        crate::harness::KEK,
    ] {
        assert!(!log.contains(secret), "the log tells {secret}");
    }
}
