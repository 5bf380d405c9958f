//! `docs/threat-model.md`, held against the tree: every hazard has a row, and every proof it
//! names exists.

mod key_source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use queue_tests::vectors::root;
use queue_verifier::ErrorCode;

const HAZARDS: usize = 44;
const ISSUER_HAZARDS: usize = 57;
/// What a row says where it has nothing to show.
const OPEN: [&str; 2] = ["not yet: ", "not reachable here: "];

struct Row {
    hazard: String,
    files: Vec<String>,
    codes: Vec<String>,
    proofs: Vec<String>,
    proof_text: String,
}

fn checkout() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("the crate is a folder of the checkout")
}

fn read(path: &str) -> String {
    let path = checkout().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between back-ticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The rows about the verifier.
fn rows() -> Vec<Row> {
    let text = read("docs/threat-model.md");
    let lines = text.lines().filter(|line| line.starts_with("| V"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [hazard, _, stopped_by, codes, proof] = cells[..] else {
                panic!("expected five cells: {line}");
            };
            let is_path = |name: &String| name.starts_with("verifier/src/");
            Row {
                hazard: hazard.to_owned(),
                files: quoted(stopped_by).into_iter().filter(is_path).collect(),
                codes: quoted(codes),
                proofs: proof_names(proof),
                proof_text: proof.to_owned(),
            }
        })
        .collect()
}

/// The rows about the issuer, which has no codes of a corpus to show.
fn issuer_rows() -> Vec<Row> {
    let text = read("docs/threat-model.md");
    let lines = text.lines().filter(|line| line.starts_with("| I"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [hazard, _, answered_by, proof] = cells[..] else {
                panic!("expected four cells: {line}");
            };
            let is_path = |name: &String| name.starts_with("issuer/src/");
            Row {
                hazard: hazard.to_owned(),
                files: quoted(answered_by).into_iter().filter(is_path).collect(),
                codes: Vec::new(),
                proofs: proof_names(proof),
                proof_text: proof.to_owned(),
            }
        })
        .collect()
}

/// Names in back-ticks before the sentence that says what is open.
fn proof_names(cell: &str) -> Vec<String> {
    let open = OPEN.iter().filter_map(|phrase| cell.find(phrase)).min();
    quoted(&cell[..open.unwrap_or(cell.len())])
}

/// Vector id → outcome at the Rust door; the raw RSA corpus is not in it.
fn outcomes() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join("outcomes.json")).expect("it is committed");
    serde_json::from_str(&text).expect("a JSON object")
}

fn matches(pattern: &str, id: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => {
            id.len() >= start.len() + end.len() && id.starts_with(start) && id.ends_with(end)
        }
        None => id == pattern,
    }
}

/// `file.rs::name` is a test of the verifier.
fn is_test(file: &str, name: &str) -> bool {
    is_test_in(&["tests/it", "verifier/src"], file, name)
}

/// `file.rs::name` is a test of the issuer.
fn is_issuer_test(file: &str, name: &str) -> bool {
    is_test_in(&["issuer/tests/it", "issuer/src"], file, name)
}

/// `file.rs::name` is a test of the sidecar.
fn is_sidecar_test(file: &str, name: &str) -> bool {
    is_test_in(&["sidecar/tests/it", "sidecar/src"], file, name)
}

/// One of `folders` has `file`, in which `name` is a `#[test]` or `#[tokio::test]` function, or is named in
/// `on_both_engines!`.
fn is_test_in(folders: &[&str], file: &str, name: &str) -> bool {
    let paths = folders.iter().map(|folder| format!("{folder}/{file}"));
    let mut texts = paths
        .filter(|path| checkout().join(path).is_file())
        .map(|path| read(&path));
    texts.any(|text| has_attribute(&text, name) || is_listed(&text, name))
}

fn has_attribute(text: &str, name: &str) -> bool {
    ["fn ", "async fn "].iter().any(|start| {
        let heading = format!("{start}{name}() {{");
        let is_attribute =
            |line: &str| line.ends_with("test]") || line.starts_with("#[tokio::test(");
        let mut before = "";
        text.lines().map(str::trim_start).any(|line| {
            let is_found = line == heading && is_attribute(before);
            before = line;
            is_found
        })
    })
}

fn is_listed(text: &str, name: &str) -> bool {
    let mut lists = text.split("on_both_engines! {\n").skip(1);
    lists.any(|list| {
        let names = list.lines().take_while(|line| *line != "}");
        names.map(str::trim).any(|listed| listed == name)
    })
}

#[test]
fn every_hazard_has_one_row_in_order() {
    let found: Vec<String> = rows().into_iter().map(|row| row.hazard).collect();
    let expected: Vec<String> = (1..=HAZARDS).map(|number| format!("V{number}")).collect();
    assert_eq!(found, expected);
    let found: Vec<String> = issuer_rows().into_iter().map(|row| row.hazard).collect();
    let numbers = 1..=ISSUER_HAZARDS;
    let expected: Vec<String> = numbers.map(|number| format!("I{number}")).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_row_names_files_that_exist() {
    for row in rows().into_iter().chain(issuer_rows()) {
        assert!(!row.files.is_empty(), "{} names no file", row.hazard);
        for file in row.files {
            assert!(checkout().join(&file).is_file(), "{}: {file}", row.hazard);
        }
    }
}

#[test]
fn every_proof_exists_or_is_said_to_be_missing() {
    let ids: BTreeSet<String> = outcomes().into_keys().collect();
    for row in rows() {
        let says_open = OPEN.iter().any(|phrase| row.proof_text.contains(phrase));
        assert!(
            !row.proofs.is_empty() || says_open,
            "{} has no proof",
            row.hazard
        );
        for proof in &row.proofs {
            let is_there = match proof.split_once("::") {
                Some((file, name)) => is_test(file, name),
                None => ids.iter().any(|id| matches(proof, id)),
            };
            assert!(
                is_there,
                "{} names {proof}, which does not exist",
                row.hazard
            );
        }
    }
}

#[test]
fn every_proof_of_the_issuer_exists_or_is_said_to_be_missing() {
    for row in issuer_rows() {
        let says_open = OPEN.iter().any(|phrase| row.proof_text.contains(phrase));
        assert!(
            !row.proofs.is_empty() || says_open,
            "{} has no proof",
            row.hazard
        );
        for proof in &row.proofs {
            let is_there = proof
                .split_once("::")
                .is_some_and(|(file, name)| is_issuer_test(file, name));
            assert!(
                is_there,
                "{} names {proof}, which does not exist",
                row.hazard
            );
        }
    }
}

#[test]
fn every_code_of_a_row_is_reached_by_its_vectors() {
    let outcomes = outcomes();
    let builder = read("verifier/src/builder/error.rs");
    for row in rows() {
        let is_named = |id: &str| row.proofs.iter().any(|proof| matches(proof, id));
        let reached: BTreeSet<&str> = outcomes
            .iter()
            .filter(|(id, _)| is_named(id))
            .map(|(_, outcome)| outcome.as_str())
            .collect();
        for code in &row.codes {
            let is_setting = code.starts_with("config_");
            let is_known = if is_setting {
                builder.contains(&format!("\"{code}\""))
            } else {
                ErrorCode::ALL.iter().any(|known| known.as_str() == code)
            };
            assert!(is_known, "{}: {code} is no code", row.hazard);
            let outcome = if is_setting { "config_error" } else { code };
            let is_reached = reached.is_empty() || reached.contains(outcome);
            assert!(
                is_reached,
                "{}: none of its vectors reaches {code}",
                row.hazard
            );
        }
    }
}

/// Every proof that is named anywhere in the document, in its prose as in its table.
#[test]
fn every_test_that_the_prose_names_exists() {
    let named = quoted(&read("docs/threat-model.md"));
    let is_form = |name: &&String| name.as_str() != "file.rs::name";
    let mut count = 0;
    for name in named.iter().filter(is_form) {
        let is_there = if let Some((file, test)) = name.split_once(".rs::") {
            let file = format!("{file}.rs");
            is_test(&file, test) || is_issuer_test(&file, test) || is_sidecar_test(&file, test)
        } else if name.starts_with("tests/e2e/") {
            checkout().join(name).exists()
        } else {
            continue;
        };
        count += 1;
        assert!(is_there, "{name} is named and does not exist");
    }
    assert!(count > 70, "{count} found only");
}
