//! The snapshot file: a start without the issuer, and what is refused.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use queue_tests::clock::NOW;
use queue_tests::forge::{jwk_set, session_claims};
use queue_tests::{FakeClock, FakeIssuer, Forge, Reply};
use queue_verifier::errors::SnapshotError;
use queue_verifier::report::{KeySetState, SnapshotState, SnapshotStatus};
use queue_verifier::{Builder, ConfigError, ErrorCode, KeySource, Session, Verifier};
use serde_json::json;

/// A folder that this user alone can write; gone when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let name = format!("queue-snapshot-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new folder");
        let folder = Self(path);
        mode(&folder.0, 0o700);
        folder
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("keys.json")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours to change");
}

pub(crate) struct Host {
    pub(crate) folder: Folder,
    pub(crate) issuer: FakeIssuer,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) key: Forge,
}

impl Host {
    pub(crate) async fn new() -> Self {
        let (issuer, key) = (FakeIssuer::start().await, Forge::new("k1"));
        issuer.publish(&[&key]);
        Self {
            folder: Folder::new(),
            issuer,
            clock: FakeClock::at(NOW),
            key,
        }
    }

    /// A host whose snapshot holds the issuer's first set, as of now.
    pub(crate) async fn with_snapshot() -> Self {
        let host = Self::new().await;
        let verifier = host.build();
        verifier.refresh().await.expect("the issuer answers");
        assert_eq!(snapshot(&verifier).state, SnapshotState::Saved);
        host
    }

    fn builder(&self) -> Builder {
        Verifier::builder(self.issuer.name(), "raptor")
            .keys(KeySource::jwks_uri(self.issuer.jwks_uri()))
            .clock(Arc::clone(&self.clock) as Arc<_>)
            .snapshot(self.folder.file())
    }

    pub(crate) fn build(&self) -> Verifier {
        self.builder().build().expect("good settings")
    }

    fn refused(&self) -> SnapshotError {
        match self.builder().build().expect_err("settings to refuse") {
            ConfigError::Snapshot(error) => error,
            other => panic!("{other}"),
        }
    }

    pub(crate) fn validate(&self, verifier: &Verifier, key: &Forge) -> Result<Session, ErrorCode> {
        use queue_verifier::Clock as _;
        let claims = session_claims(self.issuer.name(), "raptor", self.clock.now());
        let verdict = verifier.validate_session(key.sign(&claims));
        verdict.map_err(|error| error.code())
    }

    fn is_down(&self) {
        self.issuer.says(FakeIssuer::JWKS, Reply::error());
    }

    pub(crate) fn fetches(&self) -> usize {
        self.issuer.requests(FakeIssuer::JWKS).len()
    }
}

fn snapshot(verifier: &Verifier) -> SnapshotStatus {
    let status = verifier.status();
    let refresh = status.issuers[0].refresh.clone();
    refresh
        .and_then(|refresh| refresh.snapshot)
        .expect("asked for")
}

#[tokio::test]
async fn a_start_without_the_issuer_works_from_the_snapshot_at_its_true_age() {
    let host = Host::with_snapshot().await;
    host.is_down();
    let state = |verifier: &Verifier| {
        let session = host.validate(verifier, &host.key)?;
        Ok((session.freshness().key_set, session.freshness().key_set_age))
    };
    for (pass, expected) in [
        (0, Ok((KeySetState::Fresh, 0))),
        (300, Ok((KeySetState::Fresh, 300))),
        (1, Ok((KeySetState::Stale, 301))),
        (3599, Ok((KeySetState::Stale, 3900))),
        (1, Err(ErrorCode::KeySetUnavailable)),
    ] {
        host.clock.advance(pass);
        let verifier = host.build();
        if expected.is_ok() {
            verifier.ready().await;
        }
        assert_eq!(verifier.is_ready(), expected.is_ok());
        assert_eq!(state(&verifier), expected, "after {pass} s more");
        assert_eq!(snapshot(&verifier).state, SnapshotState::Loaded);
    }
}

#[tokio::test]
async fn a_snapshot_past_its_greatest_age_is_not_used_nor_used_on() {
    let host = Host::with_snapshot().await;
    host.is_down();
    let limited = || {
        let builder = host.builder().snapshot_max_age(Duration::from_secs(600));
        builder.build().expect("good settings")
    };
    host.clock.advance(600);
    let verifier = limited();
    assert!(host.validate(&verifier, &host.key).is_ok());
    host.clock.advance(1);
    let unavailable = Err(ErrorCode::KeySetUnavailable);
    assert_eq!(host.validate(&verifier, &host.key), unavailable);
    let verifier = limited();
    assert_eq!(host.validate(&verifier, &host.key), unavailable);
    let problem = snapshot(&verifier).problem.expect("named");
    assert_eq!(problem, SnapshotError::TooOld.to_string());
}

#[tokio::test]
async fn a_snapshot_of_the_future_is_refused_beyond_the_leeway() {
    let host = Host::with_snapshot().await;
    host.is_down();
    host.clock.jump_to(NOW - 30);
    let verifier = host.build();
    assert_eq!(snapshot(&verifier).state, SnapshotState::Loaded);
    host.clock.jump_to(NOW - 31);
    let verifier = host.build();
    let problem = snapshot(&verifier).problem.expect("named");
    assert_eq!(problem, SnapshotError::FromTheFuture.to_string());
    assert!(!verifier.is_ready());
}

#[tokio::test]
async fn the_set_of_a_snapshot_follows_the_rules_of_any_other() {
    let host = Host::with_snapshot().await;
    let reused = Forge::new("k1");
    let verifier = host.build();
    host.issuer.publish(&[&reused]);
    host.clock.advance(5);
    verifier.refresh().await.expect("the issuer answers");
    for key in [&host.key, &reused] {
        let verdict = host.validate(&verifier, key);
        assert_eq!(verdict, Err(ErrorCode::KeyUnusable), "one kid, two keys");
    }
    // Generation 2 stands in the file: the copy of a CDN is older for a new process as well.
    let stale = Reply::generation(1, jwk_set(&[&host.key]));
    host.issuer.says(FakeIssuer::JWKS, stale);
    let verifier = host.build();
    assert!(verifier.refresh().await.is_err());
    assert_eq!(host.validate(&verifier, &reused).map(|_| ()), Ok(()));
}

#[tokio::test]
async fn a_damaged_snapshot_is_refused_and_replaced_by_the_next_fetch() {
    let host = Host::with_snapshot().await;
    let whole = fs::read_to_string(host.folder.file()).expect("written");
    let strange = Forge::new("k7").jwk()["n"]
        .as_str()
        .expect("text")
        .to_owned();
    let ours = host.key.jwk()["n"].as_str().expect("text").to_owned();
    for (name, text) in [
        ("cut short", whole[..whole.len() / 2].to_owned()),
        ("empty", String::new()),
        ("another key", whole.replace(&ours, &strange)),
        (
            "made younger",
            whole.replace(&NOW.to_string(), &(NOW + 9).to_string()),
        ),
        ("another format", whole.replacen(":1,", ":2,", 1)),
    ] {
        assert_ne!(text, whole, "{name}");
        fs::write(host.folder.file(), &text).expect("ours to write");
        host.is_down();
        let verifier = host.build();
        let status = snapshot(&verifier);
        assert_eq!(status.state, SnapshotState::Refused, "{name}");
        assert_eq!(
            status.problem,
            Some(SnapshotError::Corrupt.to_string()),
            "{name}"
        );
        assert!(!verifier.is_ready(), "{name}");
        host.issuer.says(
            FakeIssuer::JWKS,
            Reply::generation(1, jwk_set(&[&host.key])),
        );
        verifier.refresh().await.expect("the issuer is back");
        assert_eq!(snapshot(&verifier).state, SnapshotState::Saved, "{name}");
        assert_eq!(
            fs::read_to_string(host.folder.file()).expect("written"),
            whole
        );
    }
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_refused_and_left_alone() {
    let host = Host::with_snapshot().await;
    let whole = fs::read_to_string(host.folder.file()).expect("written");
    let others = whole.replace(host.issuer.name(), "https://other.example.com");
    for (text, expected) in [
        (others.as_str(), SnapshotError::OtherIssuer),
        ("[user]\nname = somebody\n", SnapshotError::NotASnapshot),
    ] {
        let running = host.build();
        fs::write(host.folder.file(), text).expect("ours to write");
        assert_eq!(host.refused(), expected);
        running
            .refresh()
            .await
            .expect("keys do not hang on the file");
        assert_eq!(snapshot(&running).problem, Some(expected.to_string()));
        assert_eq!(fs::read_to_string(host.folder.file()).expect("there"), text);
        fs::write(host.folder.file(), &whole).expect("ours to write");
    }
}

#[tokio::test]
async fn keys_of_another_jwks_uri_are_not_used() {
    let host = Host::with_snapshot().await;
    host.issuer.says("/keys", Reply::error());
    let moved = host
        .builder()
        .keys(KeySource::jwks_uri(host.issuer.url("/keys")));
    let verifier = moved.build().expect("good settings");
    assert!(!verifier.is_ready());
    let problem = snapshot(&verifier).problem;
    assert_eq!(problem, Some(SnapshotError::OtherSource.to_string()));
}

#[tokio::test]
async fn a_file_or_folder_that_others_can_write_is_refused() {
    let host = Host::with_snapshot().await;
    let (file, folder) = (host.folder.file(), host.folder.0.clone());
    let written = fs::metadata(&file).expect("written").permissions().mode();
    assert_eq!(written & 0o777, 0o600);
    for bits in [0o620, 0o602, 0o666] {
        mode(&file, bits);
        assert_eq!(host.refused(), SnapshotError::OthersWrite, "{bits:o}");
    }
    mode(&file, 0o600);
    for bits in [0o770, 0o707, 0o1777] {
        mode(&folder, bits);
        assert_eq!(host.refused(), SnapshotError::OthersWrite, "{bits:o}");
    }
    mode(&folder, 0o700);
    let elsewhere = folder.join("elsewhere.json");
    fs::rename(&file, &elsewhere).expect("ours to move");
    symlink(&elsewhere, &file).expect("a link");
    assert_eq!(host.refused(), SnapshotError::NotAFile, "a link");
    fs::remove_file(&file).expect("ours to remove");
    fs::create_dir(&file).expect("a folder");
    assert_eq!(host.refused(), SnapshotError::NotAFile, "a folder");
    let nowhere = host
        .builder()
        .snapshot(folder.join("none/keys.json"))
        .build();
    assert_eq!(nowhere.unwrap_err().code(), "config_snapshot_unusable");
}

#[tokio::test]
async fn a_snapshot_holds_public_keys_only() {
    let host = Host::new().await;
    let mut leak = Forge::new("k2").jwk();
    leak["d"] = "c2VjcmV0".into();
    let set = json!({"keys": [host.key.jwk(), leak]}).to_string();
    host.issuer.says(FakeIssuer::JWKS, Reply::set(set));
    let verifier = host.build();
    verifier.ready().await;
    verifier.refresh().await.expect("one key is good");
    assert!(!host.folder.file().exists(), "not even for a moment");
    let problem = snapshot(&verifier).problem;
    assert_eq!(problem, Some(SnapshotError::PrivateKey.to_string()));
}

#[tokio::test]
async fn a_snapshot_that_is_there_goes_when_a_private_key_is_published() {
    let host = Host::with_snapshot().await;
    let verifier = host.build();
    assert!(host.validate(&verifier, &host.key).is_ok());
    let other = Forge::new("k2");
    let mut leak = host.key.jwk();
    leak["d"] = "c2VjcmV0".into();
    let set = json!({"keys": [other.jwk(), leak]}).to_string();
    host.issuer.says(FakeIssuer::JWKS, Reply::set(set));
    host.clock.advance(1);
    verifier.refresh().await.expect("one key is good");
    let unusable = Err(ErrorCode::KeyUnusable);
    assert_eq!(host.validate(&verifier, &host.key), unusable);
    assert!(!host.folder.file().exists(), "it had the key as a good one");
    let problem = snapshot(&verifier).problem;
    assert_eq!(problem, Some(SnapshotError::PrivateKey.to_string()));
    host.is_down();
    let restarted = host.build();
    let unavailable = Err(ErrorCode::KeySetUnavailable);
    assert_eq!(host.validate(&restarted, &host.key), unavailable);
}

#[tokio::test]
async fn numbers_of_a_snapshot_are_held_to_the_bounds_of_any_answer() {
    let host = Host::with_snapshot().await;
    let mut text = fs::read_to_string(host.folder.file()).expect("written");
    for (name, value) in [("lifetime", 300), ("copy_age", 0)] {
        let (old, new) = (format!("{value},"), format!("{},", u64::MAX));
        let field = |number| format!("\"{name}\":{number}");
        assert!(text.contains(&field(&old)), "{text}");
        text = text.replace(&field(&old), &field(&new));
    }
    let (head, content) = text.split_once(r#""content":"#).expect("it has one");
    let content = content.strip_suffix('}').expect("an object");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content.as_bytes());
    let sum = base64_simd::URL_SAFE_NO_PAD.encode_to_string(digest);
    let mark = head.split_once(r#""checksum""#).expect("it has one").0;
    let text = format!(r#"{mark}"checksum":"{sum}","content":{content}}}"#);
    fs::write(host.folder.file(), text).expect("ours to write");
    host.is_down();
    let verifier = host.build();
    assert_eq!(snapshot(&verifier).state, SnapshotState::Loaded);
    host.clock.advance(2 * 3600); // the longest lifetime, and the stale limit
    assert!(host.validate(&verifier, &host.key).is_ok());
    host.clock.advance(1);
    let unavailable = Err(ErrorCode::KeySetUnavailable);
    assert_eq!(host.validate(&verifier, &host.key), unavailable);
    host.issuer.publish(&[&Forge::new("k2")]);
    verifier
        .refresh()
        .await
        .expect("a set of any age is followed");
}
