//! The commands, as a user runs them.

use base64_simd::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{Issuer, NOW, Sidecar, claims, file, forge, jwk_set, other_forge, run};

fn keys(name: &str) -> String {
    file(name, &jwk_set(&[forge()]))
}

/// Runs `validate` on `stdin` at [`NOW`].
fn validate(keys: &str, stdin: &[u8]) -> (Option<i32>, Vec<Value>) {
    let at = NOW.to_string();
    let output = run(
        &[
            "validate",
            "--issuer",
            "https://auth.example.com",
            "--audience",
            "other",
            "--audience",
            "raptor",
            "--jwks",
            keys,
            "--at",
            &at,
            "--leeway",
            "0",
        ],
        &[],
        stdin,
    );
    assert_eq!(output.stderr, "");
    (output.code, lines(&output.stdout))
}

fn lines(text: &str) -> Vec<Value> {
    let line = |line| serde_json::from_str(line).expect("each line is JSON");
    text.lines().map(line).collect()
}

fn codes(lines: &[Value]) -> Vec<&str> {
    let code = |line: &Value| line["code"].as_str().map_or("valid", |_| "");
    let of = |line| match code(line) {
        "" => line["code"].as_str().unwrap_or_default(),
        valid => valid,
    };
    lines.iter().map(of).collect()
}

#[test]
fn validate_answers_each_line() {
    let keys = keys("validate_answers_each_line.json");
    let good = forge().sign(&claims(json!({})));
    let expired = forge().sign(&claims(json!({"exp": NOW})));
    let (code, lines) = validate(&keys, format!("{good}\n{expired}\r\n\n{good}").as_bytes());
    assert_eq!(code, Some(1));
    assert_eq!(
        codes(&lines),
        ["valid", "claims_expired", "token_malformed", "valid"]
    );
    let expected = json!({"id": 2, "valid": false, "code": "claims_expired"});
    assert_eq!(lines[1], expected);
    assert_eq!(lines[0]["id"], 1);
    assert_eq!(lines[0]["valid"], true);
    assert_eq!(
        lines[0]["session"]["session_id"],
        "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e57"
    );
    let (code, _) = validate(&keys, format!("{good}\n").as_bytes());
    assert_eq!(code, Some(0));
}

#[test]
fn validate_finds_the_id_wherever_it_is() {
    let keys = keys("validate_finds_the_id_wherever_it_is.json");
    let good = forge().sign(&claims(json!({})));
    let stdin = format!(
        "{{\"id\":\"first\",\"token\":\"{good}\"}}
         {{\"token\":\"{good}\",\"id\":\"last\"}}
         {{\"token\":\"{good}\",\"id\":null}}
         {{\"id\":null,\"token\":\"{good}\"}}
         {{\"token\":\"{good}\"}}"
    );
    let (code, lines) = validate(&keys, stdin.as_bytes());
    assert_eq!(code, Some(0));
    let ids: Vec<_> = lines.iter().map(|line| line["id"].clone()).collect();
    assert_eq!(Value::from(ids), json!(["first", "last", null, null, 5]));
}

#[test]
fn validate_reads_json_lines() {
    let keys = keys("validate_reads_json_lines.json");
    let good = forge().sign(&claims(json!({})));
    let stdin = [
        json!({"id": "a", "token": good}),
        json!({"id": {"n": [1]}, "token_b64": STANDARD.encode_to_string(&good)}),
        json!({"token_b64": STANDARD.encode_to_string(b"\xff.\xff.\xff")}),
        json!({"token": good, "id": null}),
        json!({"id": "e"}),
        json!({"id": "f", "token": good, "token_b64": ""}),
        json!({"id": "g", "token": 1}),
        json!({"id": "h", "token": good, "jws": good}),
        json!({"id": "i", "token": good, "verify": false}),
        json!({"id": "j", "token_b64": "?"}),
    ]
    .map(|line| line.to_string())
    .join("\n");
    let (code, lines) = validate(&keys, stdin.as_bytes());
    assert_eq!(code, Some(1));
    let ids: Vec<_> = lines.iter().map(|line| line["id"].clone()).collect();
    let expected = json!(["a", {"n": [1]}, 3, null, "e", "f", "g", "h", "i", "j"]);
    assert_eq!(Value::from(ids), expected);
    assert_eq!(
        codes(&lines)[..4],
        ["valid", "valid", "token_malformed", "valid"]
    );
    assert_eq!(codes(&lines)[4..], ["request_malformed"; 6]);
}

#[test]
fn validate_is_not_drowned_by_a_long_line() {
    let keys = keys("validate_is_not_drowned_by_a_long_line.json");
    let good = forge().sign(&claims(json!({})));
    let long = "A".repeat(8 * 1024 * 1024);
    let stdin = format!("{long}\n{{\"id\":\"long\",\"token\":\"{long}\"}}\n{good}\n{{\"id\"");
    let (code, lines) = validate(&keys, stdin.as_bytes());
    assert_eq!(code, Some(1));
    let expected = [
        "token_too_large",
        "token_too_large",
        "valid",
        "request_malformed",
    ];
    assert_eq!(codes(&lines), expected);
    assert_eq!(
        (&lines[0]["id"], &lines[1]["id"]),
        (&json!(1), &json!("long"))
    );
}

#[test]
fn validate_of_nothing_is_no_success() {
    let keys = keys("validate_of_nothing_is_no_success.json");
    let arguments = ["validate", "--issuer=i", "--audience=a", "--jwks", &keys];
    let output = run(&arguments, &[], b"");
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""));
    assert!(
        output.stderr.contains("at least one line"),
        "{}",
        output.stderr
    );
}

#[test]
fn validate_takes_its_keys_from_a_url() {
    let issuer = Issuer::publishing(jwk_set(&[forge()]));
    let (code, _) = validate(&issuer.uri(), forge().sign(&claims(json!({}))).as_bytes());
    assert_eq!(code, Some(0));
    assert_eq!(issuer.fetches(), 1);
}

#[test]
fn validate_takes_a_public_key_of_a_file_or_the_environment() {
    let good = forge().sign(&claims(json!({})));
    let path = file("validate_takes_a_public_key.pem", &forge().pem());
    let at = NOW.to_string();
    let common = [
        "validate",
        "--issuer",
        "https://auth.example.com",
        "--audience=raptor",
        "--at",
        &at,
    ];
    let with = |arguments: &[&str], environment: &[(&str, &str)]| {
        run(
            &[&common[..], arguments].concat(),
            environment,
            good.as_bytes(),
        )
        .code
    };
    let (pem, other) = (forge().pem(), other_forge().pem());
    assert_eq!(with(&["--public-key", &path], &[]), Some(0));
    assert_eq!(with(&["--public-key", &pem], &[]), Some(0));
    assert_eq!(with(&[], &[("QUEUE_JWT_PUBLIC_KEY", &pem)]), Some(0));
    assert_eq!(
        with(&[], &[("QUEUE_JWT_PUBLIC_KEY", &pem.replace('\n', "\\n"))]),
        Some(0)
    );
    // The sidecar's own name goes before the common one, and a flag before both.
    let both = [
        ("QUEUE_JWT_PUBLIC_KEY", other.as_str()),
        ("QUEUE_SIDECAR_PUBLIC_KEY", &path),
    ];
    assert_eq!(with(&[], &both), Some(0));
    assert_eq!(with(&["--public-key", &path], &both[..1]), Some(0));
    assert_eq!(with(&[], &both[..1]), Some(1));
}

#[test]
fn jws_judges_the_signature_alone() {
    let keys = keys("jws_judges_the_signature_alone.json");
    let no_session = forge().sign_as(&json!({"alg": "RS256", "kid": "key-1"}), &json!("text"));
    let (signed, signature) = no_session.rsplit_once('.').expect("a JWS has dots");
    let forged = format!("{signed}.{}", "A".repeat(signature.len()));
    let stdin = [
        json!({"id": 7, "jws": no_session}),
        json!({"id": 8, "jws_b64": STANDARD.encode_to_string(&no_session)}),
        json!({"id": 9, "jws": forged}),
        json!({"id": 10, "token": no_session}),
    ]
    .map(|line| line.to_string())
    .join("\n");
    let output = run(
        &["jws", "--jwks", &keys, "--alg=RS256", "--alg=ES256"],
        &[],
        stdin.as_bytes(),
    );
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    let payload_b64 = STANDARD.encode_to_string("\"text\"");
    let lines = lines(&output.stdout);
    assert_eq!(
        lines[0],
        json!({"id": 7, "valid": true, "payload_b64": payload_b64})
    );
    assert_eq!(
        lines[1],
        json!({"id": 8, "valid": true, "payload_b64": payload_b64})
    );
    assert_eq!(
        lines[3],
        json!({"id": 10, "valid": false, "code": "request_malformed"})
    );
    assert_eq!(
        lines[2],
        json!({"id": 9, "valid": false, "code": "signature_invalid"})
    );
}

#[test]
fn doctor_explains_every_check() {
    let keys = keys("doctor_explains_every_check.json");
    let at = NOW.to_string();
    let ask = |token: &str, more: &[&str], stdin: &str| {
        let arguments = [
            "doctor",
            "--issuer",
            "https://auth.example.com",
            "--audience=raptor",
            "--jwks",
            &keys,
            "--at",
            &at,
            token,
        ];
        run(&[&arguments[..], more].concat(), &[], stdin.as_bytes())
    };
    let good = forge().sign(&claims(json!({})));
    let output = ask(&good, &[], "");
    assert_eq!(output.code, Some(0));
    assert!(output.stdout.ends_with("\nvalid\n"), "{}", output.stdout);
    let wrong = forge().sign(&claims(json!({"iss": "https://auth.example.com/"})));
    let output = ask("-", &[], &format!("{wrong}\n"));
    assert_eq!(output.code, Some(1));
    assert!(
        output.stdout.contains("trailing slash"),
        "{}",
        output.stdout
    );
    assert!(
        output
            .stdout
            .ends_with("\nnot valid: claims_iss_mismatch\n"),
        "{}",
        output.stdout
    );
    let unsigned = format!(
        "{}.AAAA",
        good.rsplit_once('.').expect("a token has dots").0
    );
    let output = ask(&unsigned, &[], "");
    assert!(output.stdout.contains("(pass)"), "{}", output.stdout);
    let report: Value = serde_json::from_str(&ask("-", &["--json"], &good).stdout).expect("JSON");
    assert_eq!(
        (&report["valid"], &report["code"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(report["checks"][0]["room"], "token");
}

#[test]
fn doctor_writes_no_control_characters() {
    let keys = keys("doctor_writes_no_control_characters.json");
    let header = json!({"alg": "RS256", "typ": "at+jwt\u{1b}[2J", "kid": "\u{1b}[31m\u{9b}"});
    let claims =
        claims(json!({"iss": "\u{1b}]0;x\u{7}", "aud": ["\u{202e}\u{1b}c"], "scope": "\u{1b}"}));
    for header in [
        header,
        json!({"alg": "RS256", "typ": "at+jwt", "kid": "\u{1b}[31m\u{9b}"}),
    ] {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode_to_string(value.to_string());
        let token = format!("{}.{}.AAAA", part(&header), part(&claims));
        let arguments = ["doctor", "--issuer=i", "--audience=a", "--jwks", &keys, "-"];
        let output = run(&arguments, &[], token.as_bytes());
        let is_control = |c: char| c.is_control() && c != '\n';
        assert!(!output.stdout.contains(is_control), "{:?}", output.stdout);
    }
}

#[test]
fn health_asks_the_configured_listener() {
    let keys = jwk_set(&[forge()]);
    let sidecar = Sidecar::start(&["--issuer=i", "--audience=a", "--jwks", &keys], &[]);
    let listen = format!("127.0.0.1:{}", sidecar.port);
    let output = run(&["health", "--listen", &listen], &[], b"");
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), "ready\n"));
    drop(sidecar);
    let output = run(&["health"], &[("QUEUE_SIDECAR_LISTEN", &listen)], b"");
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (Some(1), "not ready\n")
    );
}

#[test]
fn health_is_1_without_keys() {
    let issuer = Issuer::failing();
    let uri = issuer.uri();
    let sidecar = Sidecar::start(
        &["serve", "--issuer=i", "--audience=a", "--jwks", &uri],
        &[],
    );
    let listen = format!("127.0.0.1:{}", sidecar.port);
    assert_eq!(
        run(&["health", "--listen", &listen], &[], b"").code,
        Some(1)
    );
}

#[test]
fn wrong_arguments_end_with_64() {
    for arguments in [
        &["--nonsense"][..],
        &["nonsense"],
        &["validate", "--at", "soon"],
        &["doctor"],
        &["jws"],
        &["jws", "--jwks", "/nowhere.json"],
        &["jws", "--jwks", "http://127.0.0.1:1/jwks.json"],
        &[
            "validate",
            "--issuer=i",
            "--audience=a",
            "--jwks=/nowhere.json",
        ],
    ] {
        let output = run(arguments, &[], b"");
        assert_eq!(output.code, Some(64), "{arguments:?}");
        assert_eq!(output.stdout, "");
        assert!(!output.stderr.is_empty());
    }
    for arguments in [["--help"], ["--version"]] {
        assert_eq!(run(&arguments, &[], b"").code, Some(0));
    }
}

#[test]
fn a_taken_port_is_a_failure_not_a_wrong_setting() {
    let keys = jwk_set(&[forge()]);
    let sidecar = Sidecar::start(&["--issuer=i", "--audience=a", "--jwks", &keys], &[]);
    let listen = format!("127.0.0.1:{}", sidecar.port);
    let arguments = [
        "--issuer=i",
        "--audience=a",
        "--jwks",
        &keys,
        "--listen",
        &listen,
    ];
    let output = run(&arguments, &[], b"");
    assert_eq!(output.code, Some(1));
    assert!(
        output
            .stderr
            .contains(&format!("expected to listen on {listen}")),
        "{}",
        output.stderr
    );
}
