//! AWS SSM: takes the name of a parameter, gives its decrypted value or why there is none.
//!
//! Region, credentials and endpoint come from the standard AWS environment (`AWS_REGION`,
//! `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL_SSM`, roles of containers and machines): the one place that
//! reads what settings do not resolve.
//!
//! **Invariant:** the answer, or the refusal, is there within [`LONGEST`], attempts repeated included.

use std::fmt;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_ssm::Client;
use aws_sdk_ssm::config::ProvideCredentials as _;
use aws_sdk_ssm::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use secrecy::SecretString;

/// The name of a parameter, as SSM writes it.
pub(crate) struct Parameter(String);

/// Why a parameter cannot be had. The texts are those of the manual and do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("no region (AWS_REGION)")]
    NoRegion,
    #[error("no credentials")]
    NoCredentials,
    #[error("unreachable")]
    Unreachable,
    #[error("access denied")]
    AccessDenied,
    #[error("not found")]
    NotFound,
    #[error("refused by the service")]
    Refused,
    #[error("empty")]
    Empty,
}

impl Parameter {
    /// A path of the characters SSM allows (`/queue/issuer/kek`).
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let is_name = (2..=1_011).contains(&name.len())
            && name.starts_with('/')
            && !name.ends_with('/')
            && !name.contains("//")
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"/_.-".contains(&byte));
        if is_name {
            Ok(Self(name.to_owned()))
        } else {
            Err("expected ssm:/path of letters, digits and _.-".to_owned())
        }
    }

    /// The decrypted value.
    pub(super) async fn read(&self) -> Result<SecretString, Refusal> {
        tokio::time::timeout(LONGEST, self.fetch())
            .await
            .unwrap_or(Err(Refusal::Unreachable))
    }

    async fn fetch(&self) -> Result<SecretString, Refusal> {
        let config = load().await;
        if config.region().is_none() {
            return Err(Refusal::NoRegion);
        }
        let provider = config
            .credentials_provider()
            .ok_or(Refusal::NoCredentials)?;
        provider
            .provide_credentials()
            .await
            .map_err(|_| Refusal::NoCredentials)?;
        let answer = Client::new(&config)
            .get_parameter()
            .name(&self.0)
            .with_decryption(true)
            .send()
            .await
            .map_err(|error| refusal(&error))?;
        answer
            .parameter
            .and_then(|parameter| parameter.value)
            .filter(|value| !value.trim().is_empty())
            .map(SecretString::from)
            .ok_or(Refusal::Empty)
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ssm parameter {}", self.0)
    }
}

async fn load() -> SdkConfig {
    let http = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(LONGEST)
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .load()
        .await
}

fn refusal(error: &SdkError<GetParameterError>) -> Refusal {
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    let code = error.as_service_error().and_then(|service| service.code());
    match (code, status) {
        (Some("ParameterNotFound" | "ParameterVersionNotFound"), _) => Refusal::NotFound,
        (Some(code), _) if DENIED.contains(&code) => Refusal::AccessDenied,
        // Whoever stands between may refuse in words of its own.
        (_, Some(401 | 403)) => Refusal::AccessDenied,
        (_, Some(_)) => Refusal::Refused,
        (_, None) => Refusal::Unreachable,
    }
}

/// What SSM, IAM and KMS call a caller who may not.
const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "NotAuthorized",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

const CONNECT: Duration = Duration::from_secs(2);
const ATTEMPT: Duration = Duration::from_secs(4);
const ATTEMPTS: u32 = 3;
/// Longest time a parameter may take, credentials included.
const LONGEST: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use aws_sdk_ssm::config::http::HttpResponse;
    use aws_sdk_ssm::error::{ErrorMetadata, SdkError};
    use aws_sdk_ssm::operation::get_parameter::GetParameterError;

    use super::{Parameter, Refusal, refusal};

    #[test]
    fn answers_have_stable_words() {
        for (code, status, expect) in [
            ("ParameterNotFound", 400, Refusal::NotFound),
            ("AccessDeniedException", 400, Refusal::AccessDenied),
            ("UnrecognizedClientException", 400, Refusal::AccessDenied),
            ("Unheard", 403, Refusal::AccessDenied),
            ("ThrottlingException", 400, Refusal::Refused),
            ("InternalServerError", 500, Refusal::Refused),
        ] {
            let meta = ErrorMetadata::builder()
                .code(code)
                .message("a secret")
                .build();
            let status = u16::try_into(status).unwrap();
            let answer = HttpResponse::new(status, "".into());
            let error = SdkError::service_error(GetParameterError::generic(meta), answer);
            let refused = refusal(&error);
            assert_eq!(refused, expect, "{code}");
            assert!(!refused.to_string().contains("secret"));
        }
        let cut = SdkError::timeout_error("no answer");
        assert_eq!(refusal(&cut), Refusal::Unreachable);
    }

    #[test]
    fn names_are_paths() {
        for name in ["/k", "/queue/issuer/kek", "/Queue_1/a.b-c"] {
            assert!(Parameter::parse(name).is_ok(), "{name}");
        }
        let long = format!("/{}", "a".repeat(1_011));
        for name in [
            "", "/", "k", "//k", "/k/", "/a//b", "/k k", "/k\n", "/k:1", "/ä", &long,
        ] {
            assert!(Parameter::parse(name).is_err(), "{name}");
        }
    }
}
