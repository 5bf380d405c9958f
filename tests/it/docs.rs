//! The documents are those the code writes, and their snippets compile.
//!
//! `UPDATE_DOCS=1` writes the references anew.

use std::fmt::Write as _;
use std::path::Path;

use queue_issuer::ProblemCode;
use queue_sidecar::EdgeCode;

#[track_caller]
fn is_committed(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    if std::env::vars().any(|(name, _)| name == "UPDATE_DOCS") {
        std::fs::write(&path, text).expect("the checkout can be written");
    }
    let committed = std::fs::read_to_string(&path).expect("the document is committed");
    assert!(
        committed == text,
        "{file} is stale: UPDATE_DOCS=1 cargo test -p queue-tests docs"
    );
}

fn shown(default: &str) -> String {
    if default.is_empty() {
        "–".to_owned()
    } else {
        format!("`{default}`")
    }
}

#[test]
fn the_settings_reference_is_that_of_the_code() {
    let mut text = "# Settings\n\nWritten by `tests/it/docs.rs` from the code. A flag beats the \
        environment, the environment a TOML file, a file the default. Durations carry their unit \
        (`300s`, `5m`). A wrong setting ends with exit status 64 before a port is bound; \
        `check-config` prints what was resolved, secrets as `<redacted>`.\n\n\
        ## queue-sidecar\n\nThe file is named by `--config` or `QUEUE_SIDECAR_CONFIG`. A list \
        is repeated as a flag and has commas in the environment.\n\n\
        | flag | environment | default | what it does |\n|---|---|---|---|\n"
        .to_owned();
    for key in queue_sidecar::settings::REFERENCE {
        let (flag, env, doc) = (key.flag, key.env, key.doc);
        writeln!(
            text,
            "| `{flag}` | `{env}` | {} | {doc} |",
            shown(key.default)
        )
        .expect("a text");
    }
    let issuer_keys = queue_sidecar::settings::ISSUER_KEYS.join("`, `");
    write!(
        text,
        "\n`QUEUE_JWT_PUBLIC_KEY` is read as `QUEUE_SIDECAR_PUBLIC_KEY` is.\n\n\
         Further issuers are tables `[[also]]` of the file, each judged by its own keys and policy. \
         A table has `issuer` and `audience`, and may have any other of `{issuer_keys}`; what it \
         leaves out is the default, not what stands above.\n\n\
         ```toml\nissuer = \"https://auth.example.com\"\naudience = \"raptor\"\n\n\
         [[also]]\nissuer = \"https://login.example.net\"\naudience = \"raptor\"\n\
         profile = \"jwt\"\n```\n\n"
    )
    .expect("a text");
    text += "## queue-issuer\n\nThe file is named by `--config` or `QUEUE_ISSUER_CONFIG`. A secret is \
        no flag: command lines are public. Each calling service has \
        `QUEUE_SERVICE_TOKEN_<NAME>` and, unless the name is well known, \
        `QUEUE_SERVICE_SCOPES_<NAME>`.\n\n\
        | key | environment | default | what it does |\n|---|---|---|---|\n";
    for key in queue_issuer::settings::REFERENCE {
        let (name, env, doc) = (key.name, key.env, key.doc);
        let secret = if key.secret { " Secret." } else { "" };
        writeln!(
            text,
            "| `{name}` | `{env}` | {} | {doc}{secret} |",
            shown(key.default)
        )
        .expect("a text");
    }
    is_committed("docs/reference/settings.md", &text);
}

#[test]
fn the_problem_reference_is_that_of_the_code() {
    let mut text = "# Problems\n\nWritten by `tests/it/docs.rs` from the code. Every refusal over \
        HTTP is `application/problem+json` (RFC 9457) with a `code` that is never renamed. Codes \
        of tokens are in [errors.md](errors.md); a service has the codes below besides.\n\n\
        ## queue-sidecar\n\n| code | status | meaning |\n|---|---|---|\n"
        .to_owned();
    for code in EdgeCode::ALL {
        let (name, status) = (code.as_str(), code.status().as_u16());
        writeln!(text, "| `{name}` | {status} | {} |", code.meaning()).expect("a text");
    }
    text += "\n## queue-issuer\n\n| code | status | meaning |\n|---|---|---|\n";
    for code in ProblemCode::ALL {
        let (name, status) = (code.as_str(), code.status().as_u16());
        writeln!(text, "| `{name}` | {status} | {} |", code.title()).expect("a text");
    }
    is_committed("docs/reference/problems.md", &text);
}

#[test]
fn the_metrics_reference_is_that_of_the_code() {
    let mut text = "# Metrics\n\nWritten by `tests/it/docs.rs` from the code; a test holds it against \
        real scrapes. `GET /metrics` is Prometheus text. Labels are codes, states, routes and \
        issuers, never a token, a subject or a `kid`. Alerts are in \
        [examples/prometheus](../../examples/prometheus/queue-alerts.yml), a dashboard for Grafana in \
        [examples/grafana](../../examples/grafana/queue-sidecar.json).\n\n\
        ## queue-sidecar\n\nCodes are those of [errors.md](errors.md) and [problems.md](problems.md). A \
        `route` is `validate`, `batch`, `auth`, `envoy`, `grpc`, `introspect`, `tokenreviews`, `probe` \
        (`/livez /readyz /startupz`), `page` (`/ /v1/status /metrics`) or `other`.\n\n\
        | name | kind | unit | labels | meaning |\n|---|---|---|---|---|\n"
        .to_owned();
    for metric in queue_sidecar::telemetry::METRICS {
        let labels: Vec<_> = metric.labels.iter().map(|one| format!("`{one}`")).collect();
        writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            metric.name,
            metric.kind,
            metric.unit,
            labels.join(", "),
            metric.help
        )
        .expect("a text");
    }
    text += "\n## queue-issuer\n\nA metric appears with its first event.\n\n\
        | name | kind | meaning |\n|---|---|---|\n";
    for (name, what) in queue_issuer::telemetry::METRICS {
        let kind = match *name {
            _ if name.ends_with("_total") => "counter",
            "queue_issuer_request_seconds" => "histogram",
            _ => "gauge",
        };
        writeln!(text, "| `{name}` | {kind} | {what}. |").expect("a text");
    }
    is_committed("docs/reference/metrics.md", &text);
}

/// The snippet of the README, compiled here line by line.
#[rustfmt::skip]
#[expect(dead_code, reason = "compiled, not called: it needs an issuer")]
#[expect(clippy::print_stdout, reason = "the README shows it")]
async fn readme(token: &str) -> Result<(), Box<dyn std::error::Error>> {
    // README begins
use queue_verifier::Verifier;

let verifier = Verifier::builder("https://auth.example.com", "raptor").build()?;
verifier.ready().await;                            // the first keys are here
let session = verifier.validate_session(token)?;   // synchronous, no I/O
println!("{:?} bills: {}", session.subject(), session.has_role("billing"));
    // README ends
    Ok(())
}

#[test]
fn the_rust_snippet_of_the_readme_compiles() {
    let here = include_str!("docs.rs");
    let (_, rest) = here
        .split_once("    // README begins\n")
        .expect("the marker above");
    let (compiled, _) = rest
        .split_once("    // README ends\n")
        .expect("the marker above");
    let readme = include_str!("../../README.md");
    assert!(
        readme.contains(&format!("```rust\n{compiled}```")),
        "README.md shows something else"
    );
}

#[test]
fn every_relative_link_of_a_document_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let documents = [
        "README.md",
        "CONTRIBUTING.md",
        "docs/cutover.md",
        "docs/design.md",
        "docs/threat-model.md",
        "docs/reference/errors.md",
        "docs/reference/logs.md",
        "docs/reference/metrics.md",
        "docs/reference/problems.md",
    ];
    let mut followed = 0;
    for document in documents {
        let path = root.join(document);
        let text = std::fs::read_to_string(&path).expect("a committed document");
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
        {
            let target = link.0.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let there = path.parent().expect("a file has a folder").join(target);
            assert!(there.exists(), "{document} links to {target}");
            followed += 1;
        }
    }
    assert!(followed > 5, "followed {followed} links only");
}
