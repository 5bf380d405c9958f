//! `docs/reference/errors.md`, held against the crate and against the vectors.

use std::collections::BTreeSet;
use std::path::Path;

use queue_tests::vectors::jwt_cases;
use queue_verifier::{ErrorCode, ErrorKind};

/// Needs a key source that fails; `keys.rs` reaches it.
const WITHOUT_VECTOR: [ErrorCode; 1] = [ErrorCode::KeySetUnavailable];

fn read(path: &str) -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = tests.join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the table under `heading`; the first cell, a code, without its back-ticks.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let text = read("docs/reference/errors.md");
    let sections = text.split("\n## ");
    let section = sections
        .into_iter()
        .find_map(|section| section.strip_prefix(heading))
        .unwrap_or_else(|| panic!("expected a section `{heading}`"));
    let lines = section.lines().filter(|line| line.starts_with("| `"));
    lines
        .map(|line| {
            let cells = line.trim_matches('|').split(" | ").map(str::trim);
            let mut cells: Vec<String> = cells.map(str::to_owned).collect();
            cells[0] = cells[0].trim_matches('`').to_owned();
            cells
        })
        .collect()
}

/// `^[a-z]+(_[a-z]+)+$`
fn is_well_formed(code: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    code.contains('_') && code.split('_').all(is_word)
}

#[test]
fn the_table_is_the_crate_row_for_row() {
    let rows = rows("Codes of the verifier");
    assert_eq!(rows.len(), ErrorCode::ALL.len());
    for (row, code) in rows.iter().zip(ErrorCode::ALL) {
        let [name, kind, status, challenge, meaning, advice] = &row[..] else {
            panic!("expected six cells: {row:?}");
        };
        let (expected_kind, statuses): (_, &[&str]) = match code.kind() {
            ErrorKind::Verdict => ("verdict", &["401", "403"]),
            ErrorKind::Fault => ("fault", &["503"]),
        };
        assert_eq!(name, code.as_str());
        assert_eq!(kind, expected_kind, "{name}");
        assert_eq!(meaning, code.meaning(), "{name}");
        assert!(statuses.contains(&status.as_str()), "{name}: {status}");
        assert_eq!(challenge, expected_challenge(*code), "{name}");
        let is_forbidden = challenge == "`insufficient_scope`";
        assert_eq!(status == "403", is_forbidden, "{name}");
        assert!(advice.ends_with('.'), "{name} says what to do");
    }
}

/// Contract with callers: RFC 6750 §3.1, RFC 9470 §3.
fn expected_challenge(code: ErrorCode) -> &'static str {
    match code {
        _ if code.kind() == ErrorKind::Fault => "none; `Retry-After`",
        ErrorCode::ClaimsScopeMissing
        | ErrorCode::ClaimsRoleMissing
        | ErrorCode::ClaimsTenantMismatch => "`insufficient_scope`",
        ErrorCode::ClaimsAcrInsufficient | ErrorCode::ClaimsAuthTooOld => {
            "`insufficient_user_authentication`"
        }
        _ => "`invalid_token`",
    }
}

#[test]
fn the_settings_are_those_of_the_builder() {
    let source = read("verifier/src/builder/error.rs");
    let in_source: Vec<&str> = source
        .split('"')
        .filter(|text| text.starts_with("config_"))
        .collect();
    let listed: Vec<String> = rows("Codes of the settings")
        .into_iter()
        .map(|row| row[0].clone())
        .collect();
    assert_eq!(listed, in_source);
}

#[test]
fn the_edges_have_two_codes_that_are_not_the_verifiers() {
    let listed: Vec<String> = rows("Codes of the edges")
        .into_iter()
        .map(|row| row[0].clone())
        .collect();
    assert_eq!(listed, ["bearer_missing", "bearer_malformed"]);
}

#[test]
fn a_code_is_words_of_lower_case_and_used_once() {
    let mut seen = BTreeSet::new();
    for heading in [
        "Codes of the verifier",
        "Codes of the edges",
        "Codes of the settings",
    ] {
        for row in rows(heading) {
            assert!(is_well_formed(&row[0]), "{}", row[0]);
            assert!(seen.insert(row[0].clone()), "{} twice", row[0]);
        }
    }
}

#[test]
fn vectors_reach_every_code_and_no_other() {
    let expected: BTreeSet<String> = jwt_cases()
        .into_iter()
        .filter_map(|case| case.code)
        .collect();
    let known: BTreeSet<String> = ErrorCode::ALL
        .iter()
        .filter(|code| !WITHOUT_VECTOR.contains(code))
        .map(|code| code.as_str().to_owned())
        .collect();
    assert_eq!(expected, known);
}
