//! Where the issuer compares secrets: in one place, in constant time.

use super::tree::{Source, read, sources};

/// How a comparison in constant time is spelled; its home is `secret.rs`.
const CONSTANT: [&str; 4] = [
    "ct_eq",
    "constant_time",
    "verify_slices_are_equal",
    "hmac::verify",
];
/// What is said of a secret or of what was made of one.
const SECRET: [&str; 5] = [
    "expose_secret()",
    "code_hash",
    "Fingerprint",
    "hmac::sign(",
    ".tag",
];
/// Two settings are told apart at the start; nobody outside is there to take the time.
const AT_THE_START: &str = "issuer/src/settings/callers.rs";

/// The code of a file that leaves with the program.
fn shipped(source: &Source) -> String {
    let code = source.code();
    let end = code.find("#[cfg(test)]").unwrap_or(code.len());
    code[..end].to_owned()
}

#[test]
fn secrets_are_compared_in_one_place() {
    let mut seen = 0;
    for source in sources("issuer/src") {
        let is_test = source.path.ends_with("tests.rs") || source.path.contains("/tests/");
        if is_test {
            continue;
        }
        let code = shipped(&source);
        let is_home = source.path == "issuer/src/secret.rs";
        for word in CONSTANT {
            let is_here = code.contains(word);
            assert!(is_home || !is_here, "{} names {word}", source.path);
        }
        for line in code.lines() {
            let is_of_secrets = SECRET.iter().any(|word| line.contains(word));
            seen += usize::from(is_of_secrets);
            let compares = ["==", "!=", ".eq(", ".ne(", "matches!("];
            let is_compared = compares.iter().any(|sign| line.contains(sign));
            let is_bad = is_of_secrets && is_compared && source.path != AT_THE_START;
            assert!(!is_bad, "{} compares in `{}`", source.path, line.trim());
        }
    }
    assert!(seen > 15, "saw {seen} lines only");
}

/// What a presented secret is held against is kept as a type without `==`.
#[test]
fn what_is_made_of_a_secret_has_no_equality() {
    let home = read("issuer/src/secret.rs");
    assert!(home.contains("#[derive(Clone, Copy)]\npub(crate) struct Fingerprint([u8; 32]);"));
    for (file, field) in [
        ("issuer/src/session/refresh_token.rs", "tag: Fingerprint,"),
        ("issuer/src/service_token/text.rs", "hash: Fingerprint,"),
        (
            "issuer/src/service_token/mod.rs",
            "known: Vec<(Fingerprint, ServiceClient)>,",
        ),
    ] {
        assert!(read(file).contains(field), "{file}");
    }
}
