//! A file ↔ the set at hand: a start without the issuer, and one fetch for all processes of a host.
//!
//! **Invariant:** nothing of a file is used unless this user alone can write it and its folder, its
//! checksum fits, and it is the configured issuer's. A file that is not ours is never replaced.
//! **Invariant:** it holds public keys only, and a set is as old here as anywhere: a restart makes
//! none younger, but for a wall clock that was set back between.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64_simd::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::cache::Vouched;
use super::fetch::{MAX_LIFETIME, MIN_LIFETIME, Stamp, Validator};
use super::succession::Held;
use crate::fetch::{HeaderValue, LONGEST_AGE, TOTAL_TIMEOUT, safe_url};
use crate::signature::CryptoBackend;

/// What every file of ours begins with.
const MARK: &[u8] = br#"{"queue_key_snapshot":"#;
const FORMAT: u32 = 1;
/// Most bytes of a file: a set of the largest size, every byte escaped, and what stands around it.
const MAX_FILE: u64 = 2 * 1024 * 1024;
/// Between two looks at a lock another process holds.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// The file of one issuer.
#[derive(Debug)]
pub(crate) struct Snapshot {
    path: PathBuf,
    issuer: String,
    max_age: Duration,
    /// By how much a file may be ahead of the wall clock.
    leeway: Duration,
    backend: CryptoBackend,
}

/// Held while one process fetches for all; let go when dropped, or when the process ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "it is held, not read")] File);

#[derive(Serialize, Deserialize)]
struct Document<C> {
    queue_key_snapshot: u32,
    /// SHA-256 of `content` as it stands, base64url.
    checksum: String,
    content: C,
}

/// What is kept.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    issuer: String,
    jwks_uri: String,
    etag: Option<String>,
    /// Unix seconds.
    fetched_at: u64,
    /// Seconds.
    lifetime: u64,
    /// Seconds.
    copy_age: u64,
    date: Option<u64>,
    jwk_set: String,
}

impl Snapshot {
    /// The file at `path` for keys of `issuer`; there need not be one yet.
    ///
    /// # Errors
    /// When the folder or the file is not this user's alone, or the file is not ours to replace.
    pub(crate) fn open(
        path: PathBuf,
        issuer: String,
        max_age: Duration,
        leeway: Duration,
        backend: CryptoBackend,
    ) -> Result<Self, SnapshotError> {
        let snapshot = Self {
            path,
            issuer,
            max_age,
            leeway,
            backend,
        };
        match snapshot.read() {
            // Damage is a reason to fetch, not to stay down.
            Ok(_) | Err(SnapshotError::Corrupt) => Ok(snapshot),
            Err(error) => Err(error),
        }
    }

    /// Never used past this age.
    pub(crate) const fn max_age(&self) -> Duration {
        self.max_age
    }

    /// What the file holds and how old it is at `now` (Unix seconds); nothing where there is none.
    ///
    /// # Errors
    /// When it must not be used.
    pub(crate) fn load(&self, now: u64) -> Result<Option<(Content, Duration)>, SnapshotError> {
        let Some(content) = self.read()? else {
            return Ok(None);
        };
        if content.fetched_at > now.saturating_add(self.leeway.as_secs()) {
            return Err(SnapshotError::FromTheFuture);
        }
        let age = Duration::from_secs(now.saturating_sub(content.fetched_at));
        if age > self.max_age {
            return Err(SnapshotError::TooOld);
        }
        Ok(Some((content, age)))
    }

    /// Waits for the lock, for as long as whoever holds it may fetch.
    pub(crate) async fn lock(&self) -> Option<Lock> {
        let polling = async {
            let file = self.lock_file().ok()?;
            loop {
                match file.try_lock() {
                    Ok(()) => return Some(Lock(file)),
                    Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_POLL).await,
                    Err(TryLockError::Error(_)) => return None,
                }
            }
        };
        tokio::time::timeout(TOTAL_TIMEOUT, polling).await.ok()?
    }

    /// Replaces the file, at once and whole; removes it where `held` must not be kept.
    ///
    /// # Errors
    /// When it is not ours, or cannot be written; when a private key was published.
    pub(crate) fn save(
        &self,
        _: &Lock,
        held: &Held,
        vouched: Vouched,
        fetched_at: u64,
    ) -> Result<(), SnapshotError> {
        match self.read() {
            Ok(_) | Err(SnapshotError::Corrupt) => {}
            Err(error) => return Err(error),
        }
        let Some(document) = held.document.clone() else {
            // What is there has the key as one to trust.
            self.remove().map_err(|_| SnapshotError::Unwritable)?;
            return Err(SnapshotError::PrivateKey);
        };
        let bytes = self.render(held, document, vouched, fetched_at)?;
        self.replace(&bytes).map_err(|_| SnapshotError::Unwritable)
    }
}

impl Content {
    /// Document, where it came from, and what its answer said of itself.
    ///
    /// # Errors
    /// When the file was not written by us.
    pub(crate) fn into_parts(self) -> Result<(Vec<u8>, Validator, Stamp), SnapshotError> {
        let uri = safe_url(&self.jwks_uri).map_err(|_| SnapshotError::Corrupt)?;
        let etag = self.etag.as_deref().map(HeaderValue::from_str).transpose();
        let etag = etag.map_err(|_| SnapshotError::Corrupt)?;
        let stamp = Stamp {
            lifetime: Duration::from_secs(self.lifetime).clamp(MIN_LIFETIME, MAX_LIFETIME),
            copy_age: Duration::from_secs(self.copy_age).min(LONGEST_AGE),
            date: self.date,
        };
        Ok((self.jwk_set.into_bytes(), Validator { uri, etag }, stamp))
    }
}

impl Snapshot {
    fn read(&self) -> Result<Option<Content>, SnapshotError> {
        self.check_folder()?;
        let file = match secured(OpenOptions::new().read(true)).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(_) => return Err(SnapshotError::NotAFile),
        };
        check_owner(&file)?;
        let mut bytes = Vec::new();
        let read = file.take(MAX_FILE + 1).read_to_end(&mut bytes);
        read.map_err(|_| SnapshotError::Corrupt)?;
        self.parse(&bytes).map(Some)
    }

    fn parse(&self, bytes: &[u8]) -> Result<Content, SnapshotError> {
        // Empty is what a crash of the file system leaves of a file.
        if !bytes.is_empty() && !bytes.starts_with(MARK) {
            return Err(SnapshotError::NotASnapshot);
        }
        let document: Document<&RawValue> =
            serde_json::from_slice(bytes).map_err(|_| SnapshotError::Corrupt)?;
        let content: Content =
            serde_json::from_str(document.content.get()).map_err(|_| SnapshotError::Corrupt)?;
        if content.issuer != self.issuer {
            return Err(SnapshotError::OtherIssuer);
        }
        let is_whole = document.checksum == self.checksum(document.content.get());
        if document.queue_key_snapshot != FORMAT || !is_whole {
            return Err(SnapshotError::Corrupt);
        }
        Ok(content)
    }

    fn render(
        &self,
        held: &Held,
        document: Vec<u8>,
        vouched: Vouched,
        fetched_at: u64,
    ) -> Result<Vec<u8>, SnapshotError> {
        let etag = held.validator.etag.as_ref();
        let content = Content {
            issuer: self.issuer.clone(),
            jwks_uri: held.validator.uri.to_string(),
            etag: etag.and_then(|etag| etag.to_str().ok()).map(str::to_owned),
            fetched_at,
            lifetime: vouched.lifetime.as_secs(),
            copy_age: held.copy_age.as_secs(),
            date: held.date,
            jwk_set: String::from_utf8(document).map_err(|_| SnapshotError::Unwritable)?,
        };
        let content =
            serde_json::value::to_raw_value(&content).map_err(|_| SnapshotError::Unwritable)?;
        let document = Document {
            queue_key_snapshot: FORMAT,
            checksum: self.checksum(content.get()),
            content,
        };
        serde_json::to_vec(&document).map_err(|_| SnapshotError::Unwritable)
    }

    fn checksum(&self, content: &str) -> String {
        URL_SAFE_NO_PAD.encode_to_string(self.backend.sha256(content.as_bytes()))
    }

    /// A new file beside the old one, then its name: a reader sees one or the other.
    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let new = self.beside(".new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = secured(OpenOptions::new().write(true).create_new(true)).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        File::open(self.folder())?.sync_all()
    }

    fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => File::open(self.folder())?.sync_all(),
        }
    }

    fn lock_file(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        secured(&mut options).open(self.beside(".lock"))
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// Whoever may write the folder may put another file in the place of ours.
    fn check_folder(&self) -> Result<(), SnapshotError> {
        let folder = fs::metadata(self.folder()).map_err(|_| SnapshotError::NoFolder)?;
        if !folder.is_dir() {
            return Err(SnapshotError::NoFolder);
        }
        check(folder.uid(), folder.mode())
    }
}

/// No link is followed and no pipe waited for; a new file is its owner's alone.
fn secured(options: &mut OpenOptions) -> &mut OpenOptions {
    use rustix::fs::OFlags;
    let flags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits();
    options.mode(0o600).custom_flags(flags.cast_signed())
}

fn check_owner(file: &File) -> Result<(), SnapshotError> {
    let metadata = file.metadata().map_err(|_| SnapshotError::NotAFile)?;
    if !metadata.is_file() {
        return Err(SnapshotError::NotAFile);
    }
    check(metadata.uid(), metadata.mode())
}

fn check(owner: u32, mode: u32) -> Result<(), SnapshotError> {
    if owner != rustix::process::geteuid().as_raw() {
        return Err(SnapshotError::OtherOwner);
    }
    if mode & 0o022 != 0 {
        return Err(SnapshotError::OthersWrite);
    }
    Ok(())
}

/// The snapshot file must not be used, or cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The folder of the file is not there.
    #[error("expected a folder for the snapshot file")]
    NoFolder,
    /// A link, a pipe, a folder, or not to be opened.
    #[error("expected the snapshot to be a regular file, no link, readable")]
    NotAFile,
    /// The file or its folder belongs to somebody else.
    #[error("expected the snapshot file and its folder to be this user's")]
    OtherOwner,
    /// Somebody else may write the file or its folder.
    #[error("expected the snapshot file and its folder to be writable by this user alone")]
    OthersWrite,
    /// Some other kind of file; it is left alone.
    #[error("expected a snapshot file or none, found another file")]
    NotASnapshot,
    /// The keys of another issuer; they are left alone.
    #[error("expected the snapshot of the configured issuer, found another issuer's")]
    OtherIssuer,
    /// The keys are of another `jwks_uri` than the configured one.
    #[error("expected the snapshot to be of the configured `jwks_uri`")]
    OtherSource,
    /// Damaged, or of a format not known; the next good fetch replaces it.
    #[error("expected a whole snapshot file, found a damaged one")]
    Corrupt,
    /// Written after now, by the wall clock.
    #[error("expected a snapshot of the past, found one of the future; check the clock")]
    FromTheFuture,
    /// Past the greatest age allowed.
    #[error("expected a younger snapshot")]
    TooOld,
    /// The issuer publishes a private key, which is not to lie about here as well.
    #[error("expected a set without private keys, which is not written to a file")]
    PrivateKey,
    /// The file could not be written.
    #[error("expected to write the snapshot file")]
    Unwritable,
}

/// What became of the snapshot file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SnapshotStatus {
    /// What was done last.
    pub state: SnapshotState,
    /// Why it was refused.
    pub problem: Option<String>,
}

/// What was done with the snapshot file last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SnapshotState {
    /// There is none yet.
    Absent,
    /// Its keys were taken.
    Loaded,
    /// It was written.
    Saved,
    /// It was not used, or not written.
    Refused,
}
