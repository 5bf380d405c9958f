//! What operators see of mail, and what nobody sees.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use ::http::Method;
use serde_json::json;

use crate::harness::{Database, FakeClock, Issuer, VELVET, bearer, eventually, on_both_engines};
use crate::http::{request, send};
use crate::mail::{FROM, becomes, fails, queue, start, view};
use crate::smtp::{Play, Smtp};

on_both_engines! {
    unsound_addresses_are_refused
    late_outbox_is_not_ready
    operators_read_pages_without_addresses
    mail_without_a_server_goes_into_private_files
    settled_mail_is_final
    settled_mail_is_removed_in_the_end
}

async fn unsound_addresses_are_refused(database: Database) {
    let smtp = Smtp::start().await;
    let issuer = start(&database, &smtp, FakeClock::new()).await;
    let long = format!("{}@{}.example.com", "a".repeat(64), "b".repeat(190));
    for to in [
        "",
        "ada",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com, eve@example.com",
        "Ada <ada@example.com>",
        &long,
    ] {
        issuer
            .operator(Method::POST, "/api/v1/mail/test", Some(json!({ "to": to })))
            .await
            .expect_problem(422, "customer_email_invalid");
    }
    let body = json!({ "to": "ada@example.com", "subject": "Win" });
    issuer
        .operator(Method::POST, "/api/v1/mail/test", Some(body))
        .await
        .expect_problem(400, "request_malformed");
    assert_eq!(
        database.number("SELECT COUNT(*) FROM queue_outbox").await,
        0
    );
}

async fn late_outbox_is_not_ready(database: Database) {
    let smtp = Smtp::start().await;
    let issuer = start(&database, &smtp, FakeClock::new()).await;
    smtp.play([Play::Silent; 4]);
    for _ in 0..4 {
        queue(&issuer, "ada@example.com").await;
    }
    eventually("every lane is held", async || smtp.taken().len() == 4).await;
    queue(&issuer, "bob@example.com").await;
    issuer.clock.advance(Duration::from_secs(59));
    assert_eq!(issuer.get("/readyz").await.json()["mail"], true);
    issuer.clock.advance(Duration::from_secs(1));
    assert_eq!(issuer.get("/readyz").await.expect(503)["mail"], false);
    eventually("the metrics tell", async || {
        let metrics = issuer.get("/metrics").await.text();
        metrics.contains("queue_issuer_mail_queued 5")
            && metrics.contains("queue_issuer_mail_oldest_seconds 60")
    })
    .await;
    eventually("nothing else is amiss", async || {
        issuer.clock.advance(Duration::from_millis(20));
        issuer.get("/readyz").await.expect(503)["keys"] == true
    })
    .await;
}

async fn operators_read_pages_without_addresses(database: Database) {
    let smtp = Smtp::start().await;
    let issuer = start(&database, &smtp, FakeClock::new()).await;
    let mut queued = Vec::new();
    for _ in 0..5 {
        queued.push(queue(&issuer, "ada@example.com").await);
        issuer.clock.advance(Duration::from_secs(1));
    }
    queued.reverse();
    let (mut seen, mut path) = (Vec::new(), "/api/v1/mail?limit=2".to_owned());
    loop {
        let page = issuer.operator(Method::GET, &path, None).await;
        assert!(!page.text().contains("example"), "{}", page.text());
        let page = page.expect(200);
        let mails = page["mail"].as_array().unwrap();
        seen.extend(
            mails
                .iter()
                .map(|mail| mail["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/api/v1/mail?limit=2&cursor={next}");
    }
    assert_eq!(seen, queued);
    for query in ["limit=0", "limit=201", "cursor=1", "offset=2"] {
        issuer
            .operator(Method::GET, &format!("/api/v1/mail?{query}"), None)
            .await
            .expect_problem(400, "request_query_malformed");
    }
    for (method, path, body) in [
        (Method::GET, "/api/v1/mail", None),
        (
            Method::POST,
            "/api/v1/mail/test",
            Some(json!({ "to": "ada@example.com" }).to_string()),
        ),
    ] {
        let headers = [("authorization", &*bearer(VELVET))];
        send(
            issuer.ops,
            request(method.clone(), path, &headers, body.clone()),
        )
        .await
        .expect_problem(403, "insufficient_scope");
        send(issuer.ops, request(method, path, &[], body))
            .await
            .expect_problem(401, "bearer_missing");
    }
}

async fn mail_without_a_server_goes_into_private_files(database: Database) {
    let issuer = Issuer::start(&database).await;
    let id = queue(&issuer, "ada@example.com").await;
    becomes(&issuer, &id, "sent").await;
    let folder = database.dir.join("outbox");
    let names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, [format!("{id}.eml")]);
    let file = folder.join(&names[0]);
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("To: ada@example.com\r\n") && text.contains("text/html"));
}

async fn settled_mail_is_final(database: Database) {
    let smtp = Smtp::start().await;
    let issuer = start(&database, &smtp, FakeClock::new()).await;
    let id = queue(&issuer, "ada@example.com").await;
    becomes(&issuer, &id, "sent").await;
    smtp.play([Play::Refuse("451 later")]);
    let open = queue(&issuer, "bob@example.com").await;
    fails(&issuer, &open, "smtp_451").await;
    for change in [
        format!("sent_at = NULL WHERE id = '{id}'"),
        format!("sealed = X'00' WHERE id = '{id}'").replace("X'00'", "created_at"),
        format!("sent_at = created_at WHERE id = '{open}'"),
        format!("dead_at = created_at WHERE id = '{open}'"),
        format!("sealed = NULL, kek_id = NULL WHERE id = '{open}'"),
        format!("kek_id = NULL WHERE id = '{open}'"),
    ] {
        let changed = database
            .execute(&format!("UPDATE queue_outbox SET {change}"))
            .await;
        assert!(changed.is_err(), "{change}");
    }
    let settle = format!(
        "UPDATE queue_outbox SET dead_at = created_at, sealed = NULL, kek_id = NULL WHERE id = '{open}'"
    );
    database.execute(&settle).await.unwrap();
    assert!(database.execute(&settle).await.is_err());
}

async fn settled_mail_is_removed_in_the_end(database: Database) {
    let smtp = Smtp::start().await;
    let clock = FakeClock::new();
    let issuer = start(&database, &smtp, clock.clone()).await;
    let id = queue(&issuer, "ada@example.com").await;
    becomes(&issuer, &id, "sent").await;
    clock.advance(Duration::from_secs(30 * 86_400 + 1));
    let late = queue(&issuer, "ada@example.com").await;
    becomes(&issuer, &late, "sent").await;
    issuer.stop().await.unwrap();
    let again = start(&database, &smtp, clock).await;
    eventually("the old one is gone", async || {
        database.number("SELECT COUNT(*) FROM queue_outbox").await == 1
    })
    .await;
    assert_eq!(view(&again, &late).await["state"], "sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_and_command_line_tell_no_address() {
    let database = Database::sqlite();
    let smtp = Smtp::start().await;
    smtp.ask_password("235 welcome secret.person@example.com");
    smtp.play([
        Play::Recipient("451 4.3.0 <secret.person@example.com> later"),
        Play::Recipient("550 5.1.1 <secret.person@example.com> unknown"),
    ]);
    let url = format!("smtp://user:secret-word@{}?tls=none", smtp.address);
    let env = database.env(&[
        ("QUEUE_ISSUER_MAIL_URL", &url),
        FROM,
        ("QUEUE_ISSUER_LOG", "trace"),
    ]);
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_queue-issuer"))
            .args(args)
            .env_clear()
            .envs(env.clone())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let mut serving = Command::new(env!("CARGO_BIN_EXE_queue-issuer"))
        .env_clear()
        .envs(env.clone())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = serving.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        text
    });
    let to = "secret.person@example.com";
    eventually("migrations are applied", async || {
        run(&["mail", "test", "--to", to, "--dry-run"]).0 == Some(0)
    })
    .await;
    let (code, mut told) = run(&["mail", "test", "--to", to]);
    assert_eq!(code, Some(0), "{told}");
    eventually("the mail is given up", async || {
        run(&["mail", "list"]).1.contains("smtp_550")
    })
    .await;
    told += &run(&["mail", "list"]).1;
    let (code, refused) = run(&["mail", "test", "--to", "secret.person@"]);
    assert_eq!(code, Some(64));
    told += &refused;
    told += &run(&["check-config"]).1;
    let stop = ["-TERM", &serving.id().to_string()];
    assert!(Command::new("kill").args(stop).status().unwrap().success());
    assert_eq!(serving.wait().unwrap().code(), Some(0));
    told += &reader.join().unwrap();
    assert!(
        told.contains("smtp_451") && told.contains("smtp_550"),
        "{told}"
    );
    for secret in ["secret.person", "secret-word", "c2VjcmV0"] {
        assert!(!told.contains(secret), "{secret} is told");
    }
}
