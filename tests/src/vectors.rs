//! The corpora in `tests/vectors/`, read once: cases with their tokens, keys and policies.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64_simd::STANDARD;
use queue_sidecar::Settings;
use queue_verifier::{
    Algorithm, ConfigError, CryptoBackend, KeySource, Profile, Require, StatusSource, Verifier,
    WhenStale,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::clock::FakeClock;

/// Issuer and audience of a verifier for a case that names none (layer `jws`).
const DEFAULT_ISSUER: &str = "https://issuer.example.test";
const DEFAULT_AUDIENCE: &str = "service.example.test";

/// One case of a JWT corpus.
#[derive(Debug, Clone)]
pub struct Case {
    /// Unique over all corpora.
    pub id: String,
    /// The token's bytes; not always text.
    pub token: Vec<u8>,
    /// `valid`, `invalid` or `policy` (verdict free, but the same at every door).
    pub expected: Expected,
    /// The exact code, in our own corpus.
    pub code: Option<String>,
    /// The key set itself must be refused.
    pub config_error: bool,
    /// Members the session must have, in our own corpus.
    pub session: Option<Map<String, Value>>,
    /// `jwt`, `jwks` (whole verifier) or `jws` (signature layer).
    pub layer: String,
    /// Remarks: `soft`, `nohttp`, `big` …
    pub tags: Vec<String>,
    /// How the verifier is set up.
    pub setup: Setup,
    /// What the call requires.
    pub require: Require,
    /// The same, as the sidecar takes it.
    pub require_json: Option<Value>,
    /// Why the case exists.
    pub why: String,
}

/// What a case expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the corpus' own words")]
pub enum Expected {
    Valid,
    Invalid,
    Policy,
}

/// Settings of the verifier of a case; equal settings can share a verifier.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the builder's own words")]
pub struct Setup {
    pub issuer: String,
    pub audience: String,
    pub jwk_set: String,
    pub algorithms: Vec<Algorithm>,
    pub leeway: u64,
    pub profile: Profile,
    pub now: u64,
    pub status_lists: Option<Vec<String>>,
    pub status_policy: StatusPolicy,
}

/// What a case says of the status room; left out, the defaults.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the builder's own words")]
pub struct StatusPolicy {
    pub max_age: Option<u64>,
    pub when_stale: Option<String>,
    #[serde(default)]
    pub required: bool,
}

impl Setup {
    /// Settings of a sidecar on a free port.
    #[must_use]
    pub fn sidecar(&self) -> Settings {
        let keys = KeySource::jwk_set(self.jwk_set.as_str());
        let mut settings = Settings::for_issuer(&self.issuer, [&self.audience], keys);
        settings.listen = Some("127.0.0.1:0".parse().expect("a loopback address"));
        let issuer = &mut settings.issuer;
        issuer.algorithms.clone_from(&self.algorithms);
        issuer.leeway = Duration::from_secs(self.leeway);
        issuer.profile = self.profile;
        issuer.status_required = self.status_policy.required;
        if let Some(lists) = &self.status_lists {
            issuer.status_lists = StatusSource::Documents(lists.clone());
        }
        if let Some(seconds) = self.status_policy.max_age {
            issuer.status_max_age = Duration::from_secs(seconds);
        }
        if self.status_policy.when_stale.as_deref() == Some("accept") {
            issuer.when_stale = WhenStale::Accept;
        }
        settings
    }

    /// Builds the verifier, its clock stopped at `now`.
    ///
    /// # Errors
    /// When the key set is refused.
    pub fn verifier(&self, backend: CryptoBackend) -> Result<Verifier, ConfigError> {
        let mut builder = Verifier::builder(self.issuer.as_str(), self.audience.as_str())
            .keys(KeySource::jwk_set(self.jwk_set.as_str()))
            .algorithms(self.algorithms.iter().copied())
            .leeway(Duration::from_secs(self.leeway))
            .profile(self.profile)
            .status_required(self.status_policy.required)
            .backend(backend)
            .clock(FakeClock::at(self.now) as Arc<_>);
        if let Some(lists) = &self.status_lists {
            builder = builder.status_lists(StatusSource::Documents(lists.clone()));
        }
        if let Some(seconds) = self.status_policy.max_age {
            builder = builder.status_max_age(Duration::from_secs(seconds));
        }
        if self.status_policy.when_stale.as_deref() == Some("accept") {
            builder = builder.when_stale(WhenStale::Accept);
        }
        builder.build()
    }
}

/// `tests/vectors` of this checkout.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// Every case of every JWT corpus, shared ones first, files in order of name.
#[must_use]
pub fn jwt_cases() -> Vec<Case> {
    ["shared/jwt", "queue"]
        .into_iter()
        .flat_map(|folder| folder_cases(&root().join(folder)))
        .collect()
}

fn folder_cases(folder: &Path) -> Vec<Case> {
    let entries = std::fs::read_dir(folder).expect("the corpus folder is part of the checkout");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no corpus in {}", folder.display());
    files.iter().flat_map(|file| file_cases(file)).collect()
}

fn file_cases(file: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(file).expect("a corpus is UTF-8");
    let mut lines = text.lines();
    let meta: MetaLine = parse(file, lines.next().expect("a corpus has a line of meta"));
    lines
        .map(|line| parse::<RawCase>(file, line).resolve(&meta.meta.defs))
        .collect()
}

fn parse<'a, T: Deserialize<'a>>(file: &Path, line: &'a str) -> T {
    serde_json::from_str(line)
        .unwrap_or_else(|error| panic!("{}: {error}: {line:.120}", file.display()))
}

#[derive(Deserialize)]
struct MetaLine {
    meta: Meta,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    defs: Map<String, Value>,
}

#[derive(Deserialize)]
struct RawCase {
    id: String,
    layer: String,
    now: u64,
    policy: Option<RawPolicy>,
    #[serde(default)]
    profile: Option<String>,
    alg_allowed: Vec<String>,
    jwks: Option<Value>,
    jwks_parts: Option<Vec<(String, usize)>>,
    jws: Option<String>,
    jws_b64: Option<String>,
    jws_parts: Option<Vec<(String, usize)>>,
    expected: Expected,
    code: Option<String>,
    #[serde(default)]
    config_error: bool,
    session: Option<Map<String, Value>>,
    require: Option<RawRequire>,
    status_lists: Option<Vec<String>>,
    #[serde(default)]
    status_policy: StatusPolicy,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    why: String,
}

#[derive(Deserialize)]
struct RawPolicy {
    iss: String,
    aud: Option<String>,
    leeway: u64,
}

#[derive(Deserialize, serde::Serialize, Clone)]
#[serde(deny_unknown_fields)]
struct RawRequire {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scope: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    acr: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_auth_age: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    authorized_parties: Vec<String>,
}

impl RawCase {
    fn resolve(self, defs: &Map<String, Value>) -> Case {
        let jwk_set = match (&self.jwks, &self.jwks_parts) {
            (Some(Value::String(name)), None) => defs
                .get(name)
                .unwrap_or_else(|| panic!("{name} in {}", self.id))
                .to_string(),
            (Some(given), None) => given.to_string(),
            (None, Some(parts)) => joined(parts),
            _ => panic!("{} has not exactly one form of key set", self.id),
        };
        let token = match (&self.jws, &self.jws_b64, &self.jws_parts) {
            (Some(text), None, None) => text.clone().into_bytes(),
            (None, Some(bytes), None) => STANDARD.decode_to_vec(bytes).expect("base64"),
            (None, None, Some(parts)) => joined(parts).into_bytes(),
            _ => panic!("{} has not exactly one form of token", self.id),
        };
        let (issuer, audience, leeway) = match self.policy {
            Some(policy) => (
                policy.iss,
                policy.aud.unwrap_or_else(|| DEFAULT_AUDIENCE.to_owned()),
                policy.leeway,
            ),
            None => (DEFAULT_ISSUER.to_owned(), DEFAULT_AUDIENCE.to_owned(), 0),
        };
        // An algorithm that does not exist here cannot be allowed: ES512, HS256.
        let algorithms = self
            .alg_allowed
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect();
        let profile = self
            .profile
            .as_deref()
            .unwrap_or("jwt")
            .parse()
            .expect("a profile");
        Case {
            id: self.id,
            token,
            expected: self.expected,
            code: self.code,
            config_error: self.config_error,
            session: self.session,
            layer: self.layer,
            tags: self.tags,
            setup: Setup {
                issuer,
                audience,
                jwk_set,
                algorithms,
                leeway,
                profile,
                now: self.now,
                status_lists: self.status_lists,
                status_policy: self.status_policy,
            },
            require: self
                .require
                .as_ref()
                .map_or_else(Require::new, RawRequire::build),
            require_json: self
                .require
                .map(|require| serde_json::to_value(require).expect("plain JSON")),
            why: self.why,
        }
    }
}

fn joined(parts: &[(String, usize)]) -> String {
    parts
        .iter()
        .map(|(text, count)| text.repeat(*count))
        .collect()
}

impl RawRequire {
    fn build(&self) -> Require {
        let mut require = Require::new().scope(&self.scope.join(" "));
        require = self.roles.iter().fold(require, Require::role);
        require = self.tenant.iter().fold(require, Require::tenant);
        require = self.acr.iter().fold(require, Require::acr);
        require = self
            .authorized_parties
            .iter()
            .fold(require, Require::authorized_party);
        match self.max_auth_age {
            Some(seconds) => require.max_auth_age(Duration::from_secs(seconds)),
            None => require,
        }
    }
}
