//! Who may import whom, and what a file may hold; rules a reader could check by eye, checked.

mod secrets;
mod tree;

use std::process::Command;

use tree::{cargo, checkout, crate_paths, edges, names, read, sources};

/// The rooms of the walk, left to right.
const ROOMS: [&str; 7] = [
    "token",
    "header",
    "key",
    "signature",
    "claims",
    "status",
    "session",
];
/// What every room may use.
const GROUND: [&str; 7] = [
    "algorithm",
    "background",
    "clock",
    "error",
    "fetch",
    "json",
    "policy",
];
/// The one import to the right: a key owns the arithmetic that checks signatures with it, and
/// `signature` makes the verified payload. Nothing else of `signature` may be seen there.
const KEY_SEES: [&str; 2] = ["signature::CryptoBackend", "signature::SignatureVerifier"];
/// Folders of the crates.
const CRATES: [&str; 6] = [
    "verifier", "sidecar", "issuer", "bindings", "tests", "examples",
];
const MAX_LINES: usize = 400;

#[test]
fn every_crate_leans_on_the_verifier_and_the_verifier_on_none() {
    let edges = edges();
    assert_eq!(edges.len(), CRATES.len());
    for (package, siblings) in edges {
        let allowed: &[&str] = match package.as_str() {
            "queue-verifier" => &[],
            "queue-tests" => continue,
            _ => &["queue-verifier"],
        };
        assert_eq!(siblings, allowed, "siblings of {package}");
    }
    for source in sources("verifier/src") {
        for sibling in ["queue_sidecar", "queue_issuer", "queue_tests"] {
            assert!(
                !source.text.contains(sibling),
                "{} names {sibling}",
                source.path
            );
        }
    }
}

#[test]
fn the_verifier_holds_nothing_that_signs() {
    for source in sources("verifier/src") {
        for word in [
            "RsaKeyPair",
            "EcdsaKeyPair",
            "Ed25519KeyPair",
            "SigningKey",
            "EncodingKey",
        ] {
            assert!(
                !source.code().contains(word),
                "{} names {word}",
                source.path
            );
        }
    }
}

#[test]
fn the_issuer_meets_the_verifier_in_two_files() {
    for source in sources("issuer/src") {
        if names(&source.code(), "queue_verifier") {
            let is_allowed = ["issuer/src/token/selfcheck.rs", "issuer/src/caller.rs"];
            assert!(
                is_allowed.contains(&source.path.as_str()),
                "{}",
                source.path
            );
        }
    }
}

#[test]
fn a_slice_of_the_issuer_keeps_its_store_and_routes_to_itself() {
    for source in sources("issuer/src") {
        let inside = source.path.trim_start_matches("issuer/src/");
        // A file at the top joins the slices; it belongs to none.
        let Some((slice, _)) = inside.split_once('/') else {
            continue;
        };
        for path in crate_paths(&source.code()) {
            let mut parts = path.split("::");
            let is_other = parts.next().is_some_and(|other| other != slice);
            let is_private = parts.any(|part| part == "store" || part == "routes");
            assert!(!(is_other && is_private), "{} uses {path}", source.path);
        }
    }
}

#[test]
fn a_room_imports_rooms_to_its_left() {
    let mut looked_at = 0;
    for source in sources("verifier/src") {
        let inside = source.path.trim_start_matches("verifier/src/");
        let module = inside.split(['/', '.']).next().expect("a name");
        let allowed: Vec<&str> = match ROOMS.iter().position(|room| *room == module) {
            Some(place) => [&ROOMS[..=place], &GROUND].concat(),
            None if module == "error" => ROOMS.to_vec(),
            None if module == "policy" => vec!["algorithm"],
            None if module == "json" => vec!["policy"],
            None if GROUND.contains(&module) => Vec::new(),
            // The walk, its settings and its two façades see everything.
            None => continue,
        };
        looked_at += 1;
        for path in crate_paths(&source.code()) {
            let target = path.split("::").next().unwrap_or_default();
            let is_excepted = module == "key" && KEY_SEES.contains(&path.as_str());
            let is_allowed = allowed.contains(&target) || is_excepted;
            assert!(is_allowed, "{} imports {path}", source.path);
        }
        let climbs = source.code().contains("super::super::");
        let is_room_file = !inside.contains('/');
        let leaves = is_room_file && source.code().contains("use super::");
        assert!(
            !climbs && !leaves,
            "{} leaves its room by `super`",
            source.path
        );
    }
    assert!(looked_at > 15, "looked at {looked_at} files only");
}

#[test]
fn nobody_but_its_own_facades_imports_the_walk() {
    for source in sources("verifier/src") {
        let is_facade = ["builder.rs", "doctor.rs", "health.rs", "lib.rs"]
            .iter()
            .any(|file| source.path == format!("verifier/src/{file}"));
        let imports = crate_paths(&source.code());
        let is_walk = |path: &String| path.split("::").next() == Some("verifier");
        assert!(is_facade || !imports.iter().any(is_walk), "{}", source.path);
    }
}

#[test]
fn what_can_do_harm_is_named_in_one_place() {
    let homes: [(&str, &[&str]); 13] = [
        ("reqwest", &["fetch.rs"]),
        ("rustls", &["fetch.rs"]),
        ("std::net", &["fetch.rs"]),
        ("moka", &["key/unknown.rs", "remembered.rs"]),
        ("flate2", &["status/list.rs", "fuzzing/list.rs"]),
        ("ring::", &["signature.rs", "signature/ring.rs"]),
        ("aws_lc_rs", &["signature/aws_lc.rs"]),
        ("SystemTime::now", &["clock.rs"]),
        ("Instant::now", &["clock.rs"]),
        ("std::thread", &["background.rs", "blocking.rs"]),
        ("std::fs", &["builder.rs", "key/snapshot.rs"]),
        ("std::env", &[]),
        ("std::process", &[]),
    ];
    for source in sources("verifier/src") {
        let inside = source.path.trim_start_matches("verifier/src/");
        if inside.ends_with("tests.rs") {
            continue;
        }
        for (word, allowed) in homes {
            let is_named = names(&source.code(), word);
            assert!(
                !is_named || allowed.contains(&inside),
                "{inside} names {word}"
            );
        }
    }
}

/// Claims cannot be read before the signature is good: `verifier/tests/compile_fail` has what the
/// compiler refuses, here is who may call what it cannot tell apart.
#[test]
fn claims_are_read_behind_the_signature() {
    let rules: [(&str, &[&str]); 5] = [
        ("VerifiedPayload {", &["signature.rs"]),
        (
            "RawClaims::parse",
            &[
                "claims.rs",
                "doctor.rs",
                "fuzzing/walk.rs",
                "status/tests.rs",
            ],
        ),
        (
            "unverified_payload(",
            &["token.rs", "claims.rs", "doctor.rs", "fuzzing/mod.rs"],
        ),
        ("ListToken::parse", &["status/token.rs", "fuzzing/list.rs"]),
        ("into_payload(", &["token.rs", "signature.rs"]),
    ];
    for source in sources("verifier/src") {
        let inside = source.path.trim_start_matches("verifier/src/");
        if inside.starts_with("fuzzing/") {
            continue;
        }
        for (text, allowed) in rules {
            let is_there = source.code().contains(text);
            assert!(
                !is_there || allowed.contains(&inside),
                "{inside} has `{text}`"
            );
        }
    }
    let signature = read("verifier/src/signature.rs");
    assert_eq!(
        signature.matches("VerifiedPayload {").count(),
        3,
        "type, methods, one constructor"
    );
    assert!(read("verifier/src/claims.rs").contains("payload: &'a VerifiedPayload"));
    let gate = "#[cfg(any(test, fuzzing))]\n#[doc(hidden)]\npub mod fuzzing;";
    assert!(
        read("verifier/src/lib.rs").contains(gate),
        "fuzzing is in no release"
    );
}

/// The same walk, built without the feature `fetch`, has nothing in it that could reach a
/// network: of tokio only timers, channels and a runtime without I/O remain.
#[test]
fn the_walk_is_built_without_network_code() {
    let tree = cargo(&[
        "tree",
        "--offline",
        "-p",
        "queue-verifier",
        "--no-default-features",
        "--features",
        "ring",
        "-e",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p} {f}",
    ]);
    let packages: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(packages.contains(&"serde_json"), "{tree}");
    for network in [
        "reqwest",
        "hyper",
        "h2",
        "rustls",
        "socket2",
        "mio",
        "native-tls",
        "hickory-resolver",
    ] {
        assert!(!packages.contains(&network), "{network} in\n{tree}");
    }
    let tokio = tree
        .lines()
        .find(|line| line.starts_with("tokio "))
        .expect("tokio is there");
    assert!(!tokio.contains("net"), "{tokio}");
}

#[test]
fn validating_a_session_awaits_nothing() {
    let walk = read("verifier/src/verifier.rs");
    for name in [
        "pub fn validate_session(",
        "pub fn validate_session_requiring(",
        "pub fn validate_remembered(",
        "fn walk(",
    ] {
        assert_eq!(walk.matches(name).count(), 1, "{name}");
        assert!(
            !walk.contains(&format!("async {}", name.trim_start_matches("pub "))),
            "{name}"
        );
    }
}

#[test]
fn unsafe_code_is_forbidden_everywhere() {
    assert!(read("Cargo.toml").contains("unsafe_code = \"forbid\""));
    for folder in CRATES {
        let manifest = read(&format!("{folder}/Cargo.toml"));
        assert!(manifest.contains("[lints]\nworkspace = true"), "{folder}");
    }
}

#[test]
fn no_file_is_longer_than_a_reader_bears() {
    for folder in [
        "verifier/src",
        "sidecar/src",
        "issuer/src",
        "bindings/src",
        "tests/src",
        "tests/it",
    ] {
        for source in sources(folder) {
            let lines = source.text.lines().count();
            assert!(lines <= MAX_LINES, "{} has {lines} lines", source.path);
        }
    }
}

#[test]
fn nothing_tracked_is_unfinished_or_of_one_machine() {
    let listing = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(checkout())
        .output();
    let listing = listing.expect("git lists its files").stdout;
    let listing = String::from_utf8(listing).expect("names are UTF-8");
    let (mut seen, mut found) = (0, Vec::new());
    // Written in two parts, so that this file does not find itself.
    let paths = [["/wo", "rk/"], ["/ro", "ot/"], ["/ho", "me/"]].map(|parts| parts.concat());
    let unfinished = [
        ["to", "do!"],
        ["unimple", "mented!"],
        ["#[ig", "nore"],
        ["should_", "panic"],
    ]
    .map(|parts| parts.concat());
    for file in listing.split('\0').filter(|file| !file.is_empty()) {
        // A tracked file that is being removed has nothing in it.
        let Ok(bytes) = std::fs::read(checkout().join(file)) else {
            continue;
        };
        seen += 1;
        let text = String::from_utf8_lossy(&bytes);
        let mut words: Vec<&String> = paths.iter().collect();
        if file.ends_with(".rs") {
            words.extend(&unfinished);
        }
        found.extend(
            words
                .into_iter()
                .filter(|word| text.contains(*word))
                .map(|word| format!("{file}: {word}")),
        );
    }
    assert!(seen > 50, "git lists {seen} files only");
    assert!(found.is_empty(), "{}", found.join("\n"));
}
