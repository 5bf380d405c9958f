//! Errors: one variant per room, one stable code per way to fail.
//!
//! **Invariant:** a code never changes its meaning and is never reused; a message names what was
//! expected and carries no byte of the token but times and an escaped, cut `kid`.

use std::fmt;

use crate::claims::ClaimsError;
use crate::header::HeaderError;
use crate::key::KeyError;
use crate::signature::SignatureError;
use crate::status::StatusError;
use crate::token::TokenError;

/// Why a token was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are no compact JWS.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The header is not acceptable.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// No key can be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The signature is wrong.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The claims are not acceptable.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// The session was revoked, or nobody can tell.
    #[error(transparent)]
    Status(#[from] StatusError),
}

impl Error {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Token(TokenError::TooLarge { .. }) => ErrorCode::TokenTooLarge,
            Self::Token(TokenError::Segments | TokenError::Base64) => ErrorCode::TokenMalformed,
            Self::Header(error) => match error {
                HeaderError::Malformed => ErrorCode::HeaderMalformed,
                HeaderError::AlgNotAllowed => ErrorCode::HeaderAlgNotAllowed,
                HeaderError::TypMismatch { .. } => ErrorCode::HeaderTypMismatch,
                HeaderError::CritUnsupported => ErrorCode::HeaderCritUnsupported,
                HeaderError::KidMissing => ErrorCode::HeaderKidMissing,
            },
            Self::Key(error) => match error {
                KeyError::NotFound { .. } => ErrorCode::KeyNotFound,
                KeyError::Unusable { .. } => ErrorCode::KeyUnusable,
                KeyError::SetUnavailable => ErrorCode::KeySetUnavailable,
            },
            Self::Signature(SignatureError::Invalid) => ErrorCode::SignatureInvalid,
            Self::Claims(error) => match error {
                ClaimsError::Malformed => ErrorCode::ClaimsMalformed,
                ClaimsError::Missing { .. } => ErrorCode::ClaimsMissing,
                ClaimsError::IssMismatch => ErrorCode::ClaimsIssMismatch,
                ClaimsError::AudMismatch => ErrorCode::ClaimsAudMismatch,
                ClaimsError::Expired { .. } => ErrorCode::ClaimsExpired,
                ClaimsError::NotYetValid { .. } => ErrorCode::ClaimsNotYetValid,
                ClaimsError::IssuedInFuture { .. } => ErrorCode::ClaimsIssuedInFuture,
                ClaimsError::SenderConstrained => ErrorCode::ClaimsSenderConstrained,
                ClaimsError::ClientNotAllowed => ErrorCode::ClaimsClientNotAllowed,
                ClaimsError::TenantMismatch => ErrorCode::ClaimsTenantMismatch,
                ClaimsError::ScopeMissing { .. } => ErrorCode::ClaimsScopeMissing,
                ClaimsError::RoleMissing { .. } => ErrorCode::ClaimsRoleMissing,
                ClaimsError::AcrInsufficient => ErrorCode::ClaimsAcrInsufficient,
                ClaimsError::AuthTooOld { .. } => ErrorCode::ClaimsAuthTooOld,
            },
            Self::Status(error) => match error {
                StatusError::Revoked { .. } => ErrorCode::StatusRevoked,
                StatusError::Suspended => ErrorCode::StatusSuspended,
                StatusError::Unavailable { .. } | StatusError::NotFresh => {
                    ErrorCode::StatusUnavailable
                }
            },
        }
    }

    /// Whether the token is bad, or we cannot tell.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.code().kind()
    }
}

/// Whether the token is bad, or we cannot tell; both refuse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The token is bad: 401 or 403; asking again changes nothing.
    Verdict,
    /// We cannot tell: 503; asking again may help.
    Fault,
}

macro_rules! codes {
    ($($variant:ident $text:literal $kind:ident $doc:literal;)*) => {
        /// A stable code, `<room>_<what>`: the contract with callers in every language.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $(#[doc = $doc] $variant,)*
        }

        impl ErrorCode {
            /// Every code, in the order of the walk.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it appears on every wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Whether it says that the token is bad, or that we cannot tell.
            #[must_use]
            pub const fn kind(self) -> ErrorKind {
                match self { $(Self::$variant => ErrorKind::$kind,)* }
            }

            /// One sentence on what it means.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $doc,)* }
            }
        }
    };
}

codes! {
    TokenTooLarge "token_too_large" Verdict "The token is longer than 16 KiB.";
    TokenMalformed "token_malformed" Verdict "The token is not three segments of strict base64url.";
    HeaderMalformed "header_malformed" Verdict "The header is not a JSON object with a string `alg`, exceeds a bound, or repeats a member.";
    HeaderCritUnsupported "header_crit_unsupported" Verdict "The header has `crit` or `b64`, which ask for an extension.";
    HeaderAlgNotAllowed "header_alg_not_allowed" Verdict "The header's `alg` is not in the allow-list.";
    HeaderTypMismatch "header_typ_mismatch" Verdict "The header's `typ` is that of another kind of token.";
    HeaderKidMissing "header_kid_missing" Verdict "The header has no `kid` and not exactly one key fits.";
    KeyNotFound "key_not_found" Verdict "The issuer's key set has no key of this `kid`.";
    KeyUnusable "key_unusable" Verdict "The key set has the key, but the key must not verify this token.";
    KeySetUnavailable "key_set_unavailable" Fault "There is no key set young enough to judge by.";
    SignatureInvalid "signature_invalid" Verdict "The signature was not made by the key over these bytes.";
    ClaimsMalformed "claims_malformed" Verdict "The claims are not a JSON object, repeat a member, or have a claim of the wrong type.";
    ClaimsMissing "claims_missing" Verdict "A claim that the profile requires is absent.";
    ClaimsIssMismatch "claims_iss_mismatch" Verdict "`iss` is not the configured issuer.";
    ClaimsAudMismatch "claims_aud_mismatch" Verdict "`aud` names no configured audience.";
    ClaimsExpired "claims_expired" Verdict "The clock has reached `exp`.";
    ClaimsNotYetValid "claims_not_yet_valid" Verdict "The clock has not reached `nbf`.";
    ClaimsIssuedInFuture "claims_issued_in_future" Verdict "`iat` lies in the future.";
    ClaimsSenderConstrained "claims_sender_constrained" Verdict "`cnf` binds the token to a key whose proof was not checked.";
    ClaimsClientNotAllowed "claims_client_not_allowed" Verdict "`azp`, else `client_id`, is not an authorized party.";
    ClaimsTenantMismatch "claims_tenant_mismatch" Verdict "`tenant_id` is not the required tenant.";
    ClaimsScopeMissing "claims_scope_missing" Verdict "A required scope value is not granted.";
    ClaimsRoleMissing "claims_role_missing" Verdict "A required role is not held.";
    ClaimsAcrInsufficient "claims_acr_insufficient" Verdict "`acr` is none of those required.";
    ClaimsAuthTooOld "claims_auth_too_old" Verdict "The customer authenticated longer ago than required.";
    StatusRevoked "status_revoked" Verdict "The issuer's status list says that the session is over.";
    StatusSuspended "status_suspended" Verdict "The issuer's status list says that the session is suspended.";
    StatusUnavailable "status_unavailable" Fault "There is no status list young enough to judge the session by.";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
