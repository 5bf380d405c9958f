//! Claims cannot be read before the signature is good: the compiler says so.
//!
//! Each file of `cases/` is compiled inside the crate, where what is private to it is in reach, and
//! must be refused with the code its first line names, for that reason alone. `control.rs` is the
//! honest walk and compiles, so that a refusal is not one of the harness.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

#[test]
fn every_misuse_is_refused_and_the_honest_walk_compiles() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile_fail/cases");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 6, "{cases:?}");
    for case in cases {
        let text = std::fs::read_to_string(&case).unwrap();
        let expected = match text.lines().next().unwrap().split_once("// error ") {
            Some((_, code)) => vec![code.to_owned()],
            None => Vec::new(),
        };
        assert_eq!(errors(&case), expected, "{}", case.display());
    }
}

/// The codes the compiler refuses the crate with, `case` inside it.
fn errors(case: &Path) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["rustc", "--offline", "--lib", "--message-format", "json"])
        .args(["--no-default-features", "--features", "ring"])
        .args(["--", "--cfg", "misuse"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("QUEUE_MISUSE", case)
        .output()
        .expect("the cargo that runs this test runs again");
    let lines = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let messages = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("cargo writes JSON"));
    let codes: Vec<String> = messages
        .filter_map(|message| code(&message, case))
        .collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), codes.is_empty(), "{errors}");
    codes
}

/// The code of an error; one outside of `case` is none we asked for.
fn code(message: &Value, case: &Path) -> Option<String> {
    let message = &message["message"];
    if message["level"] != "error" {
        return None;
    }
    // The closing summary has neither a code nor a place.
    let code = message["code"]["code"].as_str()?;
    let file = message["spans"][0]["file_name"]
        .as_str()
        .unwrap_or_default();
    assert!(case.ends_with(file) || Path::new(file) == case, "{message}");
    Some(code.to_owned())
}
