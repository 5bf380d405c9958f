//! Secret source: takes the word of a setting, gives where its secret is kept, and its text when it is needed.
//!
//! A word is the secret itself, `file:/path`, or `ssm:/path`. Files are read when settings are resolved;
//! a parameter of AWS SSM is only named then, and read before the database is opened, so that
//! `check-config` needs no network.
//!
//! **Invariant:** no message holds a secret, nor what a foreign endpoint said.

#[cfg(feature = "aws-ssm")]
mod ssm;

use secrecy::SecretString;

use crate::settings::SettingsError;

/// Where a secret is kept.
pub(crate) enum Source {
    Here(SecretString),
    #[cfg(feature = "aws-ssm")]
    Ssm(ssm::Parameter),
}

impl Source {
    /// What `word` says; reads a file at once.
    pub(crate) fn parse(word: &str) -> Result<Self, String> {
        if let Some(name) = word.strip_prefix(SSM) {
            return parameter(name);
        }
        let Some(path) = word.strip_prefix(FILE) else {
            return Ok(Self::Here(SecretString::from(word)));
        };
        std::fs::read_to_string(path)
            .map(|text| Self::Here(SecretString::from(text)))
            .map_err(|error| format!("expected a readable file at {path}: {error}"))
    }

    /// Whether `word` names a place rather than being the secret.
    pub(crate) fn is_elsewhere(word: &str) -> bool {
        word.starts_with(SSM) || word.starts_with(FILE)
    }

    /// The secret of the setting `key`.
    #[cfg_attr(
        not(feature = "aws-ssm"),
        expect(unused_variables, reason = "what is here is never refused")
    )]
    pub(crate) async fn read(&self, key: &'static str) -> Result<SecretString, SettingsError> {
        match self {
            Self::Here(text) => Ok(text.clone()),
            #[cfg(feature = "aws-ssm")]
            Self::Ssm(parameter) => parameter
                .read()
                .await
                .map_err(|refusal| SettingsError::new(key, format!("{parameter}: {refusal}"))),
        }
    }
}

#[cfg(feature = "aws-ssm")]
fn parameter(name: &str) -> Result<Source, String> {
    ssm::Parameter::parse(name).map(Source::Ssm)
}

#[cfg(not(feature = "aws-ssm"))]
fn parameter(_: &str) -> Result<Source, String> {
    Err(
        "reading from AWS SSM is not in this build (feature aws-ssm); give file:/path or the value"
            .to_owned(),
    )
}

const FILE: &str = "file:";
const SSM: &str = "ssm:";
