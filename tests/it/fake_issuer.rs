//! The harness itself: the fake issuer as a program.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use queue_tests::forge::session_claims;
use queue_verifier::{Clock as _, SystemClock, Verifier};
use serde_json::{Value, json};

#[test]
fn the_fake_issuer_serves_tests_in_other_languages() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_queue-test-issuer"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it was built");
    let mut stdin = child.stdin.take().expect("piped");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut line = || -> Value {
        let line = lines.next().expect("it answers").expect("text");
        serde_json::from_str(&line).expect("JSON")
    };
    let hello = line();
    let mut ask = |wanted: Value| {
        writeln!(stdin, "{wanted}").expect("it reads");
        line()
    };
    ask(json!({"publish": ["k1"]}));
    let issuer = hello["issuer"].as_str().expect("text");
    let verifier = Verifier::builder(issuer, "raptor")
        .build()
        .expect("good settings");
    assert!(verifier.wait_ready(Duration::from_secs(10)));
    let claims = session_claims(issuer, "raptor", SystemClock.now());
    let signed = ask(json!({"sign": "k1", "claims": claims}));
    let token = signed["token"].as_str().expect("text");
    assert!(verifier.validate_session(token).is_ok());
    ask(json!({"fault": "gzip_bomb"}));
    let asked = ask(json!({"requests": "/.well-known/jwks.json"}));
    assert_eq!(asked, json!({"count": 1}));
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
}
