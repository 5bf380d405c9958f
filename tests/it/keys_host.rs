//! What the processes of a host share: one snapshot file, one fetch.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use queue_tests::clock::NOW;
use queue_tests::forge::session_claims;
use queue_tests::wait::until;
use queue_tests::{FakeIssuer, Forge, Reply};
use queue_verifier::Verifier;
use serde_json::{Value, json};

use crate::keys_snapshot::Host;

#[tokio::test]
async fn many_verifiers_of_a_host_make_one_fetch() {
    let host = Host::new().await;
    let verifiers: Vec<Verifier> = (0..20).map(|_| host.build()).collect();
    for verifier in &verifiers {
        verifier.ready().await;
    }
    assert_eq!(host.fetches(), 1, "cold");
    host.clock.advance(256); // due at 75–85 % of 300 s
    for verifier in &verifiers {
        let is_young = || verifier.status().issuers[0].key_set_age == Some(0);
        until("a young set", is_young).await;
        assert!(host.validate(verifier, &host.key).is_ok());
    }
    assert_eq!(host.fetches(), 2, "on schedule");
    let late = host.build();
    late.ready().await;
    assert_eq!(host.fetches(), 2, "a late comer");
}

#[tokio::test]
async fn a_key_another_process_has_fetched_is_found_without_asking() {
    let host = Host::with_snapshot().await;
    let (one, other) = (host.build(), host.build());
    let next = Forge::new("k2");
    host.issuer.publish(&[&host.key, &next]);
    host.clock.advance(5);
    one.refresh().await.expect("the issuer answers");
    let fetches = host.fetches();
    let token = next.sign(&session_claims(host.issuer.name(), "raptor", NOW));
    let verdict = other
        .validate_session_with_refresh(token, &queue_verifier::Require::new())
        .await;
    assert!(verdict.is_ok());
    assert_eq!(host.fetches(), fetches);
}

struct Process(Child, BufReader<ChildStdout>);

impl Process {
    fn start(host: &Host) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_queue-test-verifiers"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it was built");
        let wanted = json!({
            "issuer": host.issuer.name(), "jwks_uri": host.issuer.jwks_uri(),
            "snapshot": host.folder.file(),
        });
        let stdin = child.stdin.as_mut().expect("piped");
        writeln!(stdin, "{wanted}").expect("it reads");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self(child, stdout)
    }

    fn status(&mut self) -> Value {
        let mut line = String::new();
        self.1.read_line(&mut line).expect("it writes");
        serde_json::from_str(&line).expect("a status")
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_of_a_host_make_one_fetch_and_a_killed_one_leaves_no_lock() {
    let host = Host::new().await;
    host.issuer.says(FakeIssuer::JWKS, Reply::Hang);
    let mut killed = Process::start(&host);
    host.issuer.hit_at(FakeIssuer::JWKS, 1).await;
    let mut others: Vec<Process> = (0..4).map(|_| Process::start(&host)).collect();
    host.issuer.publish(&[&host.key]);
    killed.kill();
    let ages: Vec<Value> = others.iter_mut().map(Process::status).collect();
    assert!(
        ages.iter()
            .all(|status| status["issuers"][0]["key_set"] == "fresh")
    );
    assert_eq!(
        host.fetches(),
        2,
        "that of the killed one, and one for all others"
    );
}
