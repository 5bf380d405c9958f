//! Sealing: takes a secret and the key-encryption key, gives the bytes the database keeps, and back.
//!
//! **Invariant:** AES-256-GCM with a random nonce; what it is, the tenant and the `kid` or other name are
//! authenticated with it, so what is moved to another row or column does not open.
//! **Invariant:** there is no default key-encryption key, and a weak one is refused.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::{hmac, rand};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::db::Id;
use crate::extract::sha256;
use crate::settings::{Settings, SettingsError};

/// The key-encryption key.
pub(crate) struct Kek {
    key: RandomizedNonceKey,
    prk: Prk,
    id: String,
}

/// A sealed secret did not open, or one could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a secret sealed under this key-encryption key for this tenant and row")]
pub(crate) struct SealError;

impl Kek {
    /// The key the settings give, or for an embedded database the one in its data directory, made if absent.
    pub(crate) fn resolve(settings: &Settings) -> Result<Option<Self>, SettingsError> {
        if let Some(text) = &settings.kek {
            return Self::parse(text.expose_secret())
                .map(Some)
                .map_err(|what| SettingsError::new(KEK, what));
        }
        if let Some(path) = &settings.kek_file {
            return Self::read(path)
                .map(Some)
                .map_err(|what| SettingsError::new(KEK_FILE, what));
        }
        if !settings.has_sqlite() {
            return Ok(None);
        }
        let path = settings.data_dir.join("kek");
        let wrong = |what: String| SettingsError::new(KEK_FILE, what);
        if !path.exists() {
            create(&settings.data_dir, &path)
                .map_err(|error| wrong(format!("cannot make {}: {error}", path.display())))?;
        }
        Self::read(&path).map(Some).map_err(wrong)
    }

    /// A key from 32 bytes in base64.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected 32 random bytes in base64 (openssl rand -base64 32)";
        let text = text.trim().replace('-', "+").replace('_', "/");
        let bytes = base64_simd::STANDARD_NO_PAD
            .decode_to_vec(text.trim_end_matches('='))
            .map_err(|_| EXPECTED)?;
        let bytes = Zeroizing::new(bytes);
        if bytes.len() != 32 || is_weak(&bytes) {
            return Err(EXPECTED);
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| EXPECTED)?;
        let prk = Salt::new(HKDF_SHA256, b"queue derived keys").extract(&bytes);
        let named = [b"queue kek id\0".as_slice(), &bytes].concat();
        let id = sha256(&Zeroizing::new(named))
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self { key, prk, id })
    }

    fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|error| format!("expected a readable file at {}: {error}", path.display()))?;
        Self::parse(&text).map_err(str::to_owned)
    }

    /// Names the key without telling it.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The HMAC-SHA256 key of one `purpose` (RFC 5869): keys of two purposes tell nothing of each other.
    pub(crate) fn derive(&self, purpose: &'static str) -> hmac::Key {
        let info = [purpose.as_bytes()];
        let okm = self.prk.expand(&info, hmac::HMAC_SHA256);
        okm.map(hmac::Key::from)
            .expect("32 bytes are within the 8160 that HKDF-SHA256 gives")
    }

    /// Seals a private key for `tenant` and `kid`: version, nonce, ciphertext, tag.
    pub(crate) fn seal(&self, tenant: Id, kid: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        self.seal_as(SIGNING_KEY, tenant, kid.as_bytes(), secret)
    }

    /// Opens what [`Kek::seal`] made for the same `tenant` and `kid`.
    pub(crate) fn open(
        &self,
        tenant: Id,
        kid: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.open_as(SIGNING_KEY, tenant, kid.as_bytes(), sealed)
    }

    /// Seals `secret`, which is a `what` of `tenant` called `name`.
    pub(crate) fn seal_as(
        &self,
        what: &'static str,
        tenant: Id,
        name: &[u8],
        secret: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let mut sealed = secret.to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(aad(what, tenant, name)), &mut sealed)
            .map_err(|_| SealError)?;
        let nonce: &[u8; NONCE_LEN] = nonce.as_ref();
        Ok([&[VERSION], nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`Kek::seal_as`] made of the same `what`, `tenant` and `name`.
    pub(crate) fn open_as(
        &self,
        what: &'static str,
        tenant: Id,
        name: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let rest = sealed.strip_prefix(&[VERSION]).ok_or(SealError)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_LEN).ok_or(SealError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError)?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let length = self
            .key
            .open_in_place(nonce, Aad::from(aad(what, tenant, name)), &mut buffer)
            .map_err(|_| SealError)?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }
}

/// Whether anyone could have guessed the key: few different bytes, a run, or a sentence.
fn is_weak(bytes: &[u8]) -> bool {
    let kinds = bytes
        .iter()
        .collect::<std::collections::BTreeSet<_>>()
        .len();
    let is_run = bytes
        .windows(2)
        .all(|pair| pair[1].wrapping_sub(pair[0]) == bytes[1].wrapping_sub(bytes[0]));
    // 32 random bytes are all printable once in 10^13.
    let is_text = bytes
        .iter()
        .all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    kinds < 16 || is_run || is_text
}

/// Makes the key file whole or not at all: of several processes that try at once, the first link wins.
fn create(dir: &Path, path: &Path) -> std::io::Result<()> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| std::io::Error::other("no randomness"))?;
    let text = Zeroizing::new(base64_simd::STANDARD.encode_to_string(bytes.as_slice()));
    let draft = dir.join(format!("kek.{}.draft", uuid::Uuid::now_v7().simple()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

fn aad(what: &'static str, tenant: Id, name: &[u8]) -> Vec<u8> {
    [what.as_bytes(), b"\0", tenant.as_bytes(), name].concat()
}

const SIGNING_KEY: &str = "queue signing key";

/// Where the key comes from.
pub(crate) const KEK: &str = "QUEUE_ISSUER_KEK (kek)";
const KEK_FILE: &str = "QUEUE_ISSUER_KEK_FILE (kek_file)";
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::{Kek, is_weak};
    use crate::db::{DEFAULT_TENANT, Id};

    fn kek(fill: u8) -> Kek {
        let bytes: Vec<u8> = (0..32_u8)
            .map(|n| n.wrapping_mul(n).wrapping_mul(37) ^ fill)
            .collect();
        Kek::parse(&base64_simd::STANDARD.encode_to_string(&bytes)).unwrap()
    }

    #[test]
    fn sealed_key_opens_only_where_it_was_sealed() {
        let sealed = kek(1).seal(DEFAULT_TENANT, "kid-a", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(
            kek(1)
                .open(DEFAULT_TENANT, "kid-a", &sealed)
                .unwrap()
                .as_slice(),
            b"secret"
        );
        assert!(kek(1).open(DEFAULT_TENANT, "kid-b", &sealed).is_err());
        assert!(kek(1).open(Id::fixed(7), "kid-a", &sealed).is_err());
        assert!(kek(2).open(DEFAULT_TENANT, "kid-a", &sealed).is_err());
        assert!(
            kek(1)
                .open_as("queue mail", DEFAULT_TENANT, b"kid-a", &sealed)
                .is_err()
        );
        for place in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[place] ^= 1;
            assert!(
                kek(1).open(DEFAULT_TENANT, "kid-a", &bent).is_err(),
                "{place}"
            );
        }
        for length in 0..sealed.len() {
            assert!(
                kek(1)
                    .open(DEFAULT_TENANT, "kid-a", &sealed[..length])
                    .is_err(),
                "{length}"
            );
        }
    }

    #[test]
    fn sealing_twice_never_repeats() {
        let seal = || kek(1).seal(DEFAULT_TENANT, "kid", b"secret").unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn each_purpose_has_its_own_key() {
        let tag = |kek: &Kek, purpose| aws_lc_rs::hmac::sign(&kek.derive(purpose), b"x");
        let known = tag(&kek(1), "a");
        assert_eq!(known.as_ref(), tag(&kek(1), "a").as_ref());
        assert_ne!(known.as_ref(), tag(&kek(1), "b").as_ref());
        assert_ne!(known.as_ref(), tag(&kek(2), "a").as_ref());
    }

    #[test]
    fn weak_keys_are_refused() {
        let run: Vec<u8> = (0..32).collect();
        let down: Vec<u8> = (0..32).rev().collect();
        for weak in [
            &[0_u8; 32],
            &[0xff; 32],
            run.as_slice(),
            &down,
            b"abcdefghijklmnopqrstuvwxyz123456",
        ] {
            assert!(is_weak(weak));
            assert!(Kek::parse(&base64_simd::STANDARD.encode_to_string(weak)).is_err());
        }
        for text in ["", "short", "!!!!", "c2hvcnQ="] {
            assert!(Kek::parse(text).is_err(), "{text}");
        }
    }
}
