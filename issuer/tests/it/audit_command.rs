//! The commands of the audit chain: `audit verify` and `audit export`.

use std::process::{Command, Output};

use ::http::Method;
use serde_json::Value;

use crate::harness::{Database, Issuer, on_both_engines};

on_both_engines! {
    verify_says_so_and_ends_with_0_or_1
    export_writes_a_line_an_event
    verify_holds_the_chain_against_a_kept_checkpoint
    commands_at_once_build_one_chain
}

async fn verify_says_so_and_ends_with_0_or_1(database: Database) {
    let events = events_of_an_issuer(&database).await;
    let dry = run(&database, &["audit", "verify", "--dry-run"]);
    assert_eq!(dry.status.code(), Some(0), "{dry:?}");
    let sound = run(&database, &["audit", "verify"]);
    let text = String::from_utf8(sound.stdout).unwrap();
    assert_eq!(sound.status.code(), Some(0), "{text}");
    assert!(text.starts_with("audit chain: valid\n"), "{text}");
    assert!(
        text.contains(&format!("sound events:      {events}\n")),
        "{text}"
    );
    assert!(text.contains("not yet chained:   0\n"), "{text}");
    let open = if database.is_postgres() {
        "DROP TRIGGER customer_audit_events_append_only ON customer_audit_events"
    } else {
        "DROP TRIGGER customer_audit_events_append_only"
    };
    database.execute(open).await.unwrap();
    let change = "UPDATE customer_audit_events SET actor_id = 'eve' WHERE chain_seq = 2";
    database.execute(change).await.unwrap();
    let bad = run(&database, &["audit", "verify"]);
    let text = String::from_utf8(bad.stderr).unwrap();
    assert_eq!(bad.status.code(), Some(1), "{text}");
    assert!(text.starts_with("audit chain: NOT VALID\n"), "{text}");
    assert!(text.contains("first bad place:   2\n"), "{text}");
    assert!(text.contains("audit_event_altered"), "{text}");
}

async fn export_writes_a_line_an_event(database: Database) {
    let events = events_of_an_issuer(&database).await;
    let output = run(&database, &["audit", "export"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let seqs: Vec<i64> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["chain_seq"]
                .as_i64()
                .unwrap()
        })
        .collect();
    assert_eq!(seqs, (1..=events).collect::<Vec<_>>());
    let again = run(&database, &["audit", "export", "--dry-run"]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), text);
    let nothing = run(&database, &["audit"]);
    assert_eq!(nothing.status.code(), Some(64));
}

async fn verify_holds_the_chain_against_a_kept_checkpoint(database: Database) {
    let issuer = Issuer::start(&database).await;
    issuer.customer("ada@example.com").await;
    crate::harness::eventually("a checkpoint is made", async || {
        database
            .number("SELECT COUNT(*) FROM queue_audit_checkpoints")
            .await
            > 0
    })
    .await;
    let list = issuer
        .operator(Method::GET, "/api/v1/audit/checkpoints", None)
        .await;
    let jws = list.expect(200)["checkpoints"][0]["jws"]
        .as_str()
        .unwrap()
        .to_owned();
    issuer.stop().await.unwrap();
    let file = database.dir.join("checkpoint");
    let file = file.to_str().unwrap();
    let args = ["audit", "verify", "--checkpoint", file];
    std::fs::write(file, format!("{jws}\n")).unwrap();
    let good = run(&database, &args);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    let text = String::from_utf8(good.stdout).unwrap();
    assert!(text.contains("agrees with the given checkpoint"), "{text}");
    std::fs::write(file, &jws[..jws.len() - 4]).unwrap();
    let forged = run(&database, &args);
    assert_eq!(forged.status.code(), Some(1), "{forged:?}");
    std::fs::write(file, "x".repeat(20_000)).unwrap();
    assert_eq!(run(&database, &args).status.code(), Some(64));
    std::fs::remove_file(file).unwrap();
    assert_eq!(run(&database, &args).status.code(), Some(64));
}

async fn commands_at_once_build_one_chain(database: Database) {
    let events = events_of_an_issuer(&database).await;
    let runs: Vec<_> = (0..4)
        .map(|_| {
            command(&database, &["audit", "verify"])
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains(&format!("sound events:      {events}\n")),
            "{text}"
        );
    }
}

/// How many events an issuer wrote that is gone, some of which have not joined the chain.
async fn events_of_an_issuer(database: &Database) -> i64 {
    let issuer = Issuer::start(database).await;
    for number in 0..20 {
        issuer.customer(&format!("c{number}@example.com")).await;
    }
    issuer.stop().await.unwrap();
    database
        .number("SELECT COUNT(*) FROM customer_audit_events")
        .await
}

fn run(database: &Database, args: &[&str]) -> Output {
    command(database, args).output().unwrap()
}

fn command(database: &Database, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_queue-issuer"));
    command
        .args(args)
        .env_clear()
        .envs(database.env(&[]))
        .current_dir(&database.dir);
    command
}
