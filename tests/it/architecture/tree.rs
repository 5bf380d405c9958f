//! The checkout as text: files, the paths they import, what cargo says of the crates.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

pub(super) fn checkout() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("the crate is a folder of the checkout")
}

/// A Rust file of ours.
pub(super) struct Source {
    /// From the checkout on, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    /// The lines that are code; a comment may name anything.
    pub(super) fn code(&self) -> String {
        let lines = self.text.lines();
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        lines.filter(is_code).collect::<Vec<_>>().join("\n")
    }
}

pub(super) fn sources(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    walk(&checkout().join(folder), &mut files);
    files.sort();
    assert!(!files.is_empty(), "no source in {folder}");
    files
        .into_iter()
        .map(|file| Source {
            path: relative(&file),
            text: std::fs::read_to_string(&file).expect("source is UTF-8"),
        })
        .collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn relative(file: &Path) -> String {
    let path = file.strip_prefix(checkout()).expect("inside the checkout");
    path.to_string_lossy().replace('\\', "/")
}

/// Whether `code` names `word` as a path of its own: not inside another word, not behind `::`.
pub(super) fn names(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let is_inside = |c: char| c.is_alphanumeric() || c == '_';
        !before.is_some_and(|c| is_inside(c) || c == ':')
            && (word.ends_with(':') || !after.is_some_and(is_inside))
    })
}

/// The paths `code` takes from `crate::`, one name each: `use crate::key::{A, b::C}` gives
/// `key::A` and `key::b::C`.
pub(super) fn crate_paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        expand("", rest, &mut paths);
    }
    paths
}

fn expand(prefix: &str, text: &str, paths: &mut Vec<String>) {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let end = text.find(|c: char| !is_path(c)).unwrap_or(text.len());
    let (path, rest) = text.split_at(end);
    match rest.strip_prefix('{') {
        None => paths.push(format!("{prefix}{path}")),
        Some(rest) => {
            for item in items(rest) {
                expand(&format!("{prefix}{path}"), item.trim(), paths);
            }
        }
    }
}

/// The items of a `use` list up to its closing brace.
fn items(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match (c, depth) {
            ('}' | ',', 0) => {
                found.push(&text[start..at]);
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            ('{', _) => depth += 1,
            ('}', _) => depth -= 1,
            _ => {}
        }
    }
    found.retain(|item| !item.trim().is_empty());
    found
}

pub(super) fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(checkout())
        .output()
        .expect("the cargo that runs this test runs again");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

/// (package, the `queue-` packages it depends on outside its own tests)
pub(super) fn edges() -> Vec<(String, Vec<String>)> {
    let text = cargo(&[
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
        "--offline",
    ]);
    let metadata: Value = serde_json::from_str(&text).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("a list");
            let is_edge = |dependency: &&Value| {
                dependency["kind"] != "dev" && name(dependency).starts_with("queue-")
            };
            let siblings = dependencies.iter().filter(is_edge).map(name).collect();
            (name(package), siblings)
        })
        .collect()
}

pub(super) fn read(path: &str) -> String {
    let path = checkout().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
