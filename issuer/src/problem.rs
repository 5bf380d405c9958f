//! Problem: takes what went wrong, gives the RFC 9457 answer; the only table of codes and statuses.
//!
//! **Invariant:** a 5xx answer says nothing of its cause; the cause goes to the log, once.
//! **Invariant:** every refusal of the service, axum's own included, is `application/problem+json`.
//!
//! RFC 9457; RFC 6750 §3 for `WWW-Authenticate`.

use std::error::Error;
use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use crate::clock::Timestamp;
use crate::db::DbError;
use crate::request_id::RequestId;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $status:ident, $title:literal;)+) => {
        /// Every code an answer of the issuer can carry; never renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum ProblemCode {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ProblemCode {
            /// Every code, in the order of the manual.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code as callers see it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The HTTP status it travels with.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)+ }
            }

            /// The same for every occurrence (RFC 9457 §3.1.3).
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }
        }
    };
}

codes! {
    /// The body is not the JSON object the route takes, or has a field it does not know.
    RequestMalformed = "request_malformed", BAD_REQUEST, "The request body cannot be read";
    /// A path segment is not what the route takes.
    RequestPathMalformed = "request_path_malformed", BAD_REQUEST, "The path cannot be read";
    /// The query is not what the route takes.
    RequestQueryMalformed = "request_query_malformed", BAD_REQUEST, "The query cannot be read";
    /// The body is larger than 64 KiB.
    RequestTooLarge = "request_too_large", PAYLOAD_TOO_LARGE, "The request body is too large";
    /// The body is not labelled as JSON.
    RequestMediaTypeUnsupported = "request_media_type_unsupported", UNSUPPORTED_MEDIA_TYPE, "The request body must be JSON";
    /// The request took longer than the issuer gives it.
    RequestTimedOut = "request_timed_out", SERVICE_UNAVAILABLE, "The request took too long";
    /// No such route.
    RouteNotFound = "route_not_found", NOT_FOUND, "There is nothing here";
    /// The route exists, the method does not.
    RouteMethodNotAllowed = "route_method_not_allowed", METHOD_NOT_ALLOWED, "The method is not allowed here";
    /// More requests than the address, the account or the calling service may send.
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "There are too many requests";
    /// `FLAG_QUEUE_V1` keeps Queue dark, for everyone or for this customer.
    QueueDisabled = "queue_disabled", NOT_FOUND, "Queue is not switched on";
    /// No credentials were sent.
    BearerMissing = "bearer_missing", UNAUTHORIZED, "A bearer token is required";
    /// The `Authorization` header is not one bearer token.
    BearerMalformed = "bearer_malformed", BAD_REQUEST, "The Authorization header cannot be read";
    /// The token names no caller.
    ServiceTokenInvalid = "service_token_invalid", UNAUTHORIZED, "The token is not valid";
    /// The access token is not one of ours, or its session or customer is over.
    AccessTokenInvalid = "access_token_invalid", UNAUTHORIZED, "The access token is not valid";
    /// The route asks for a passkey shown a short while ago (RFC 9470 §3).
    InsufficientUserAuthentication = "insufficient_user_authentication", UNAUTHORIZED, "A passkey must be shown again";
    /// The refresh token is unknown, spent, or of a session or customer that is over.
    RefreshTokenInvalid = "refresh_token_invalid", UNAUTHORIZED, "The refresh token is not valid";
    /// Nobody was signed in: what was shown is wrong, spent or unknown, or its owner may not sign in.
    AuthenticationFailed = "authentication_failed", UNAUTHORIZED, "Signing in failed";
    /// The code is wrong, expired, spent or another's, or what it was asked for cannot be done any more.
    VerificationFailed = "verification_failed", UNPROCESSABLE_ENTITY, "The code proves nothing";
    /// The answer to a registration is not sound, its challenge is over, or the address cannot be had.
    RegistrationFailed = "registration_failed", UNPROCESSABLE_ENTITY, "The passkey cannot be registered";
    /// The customer has no such passkey.
    WebauthnCredentialNotFound = "webauthn_credential_not_found", NOT_FOUND, "There is no such passkey";
    /// The passkey's name is empty, too long or has control characters.
    WebauthnCredentialNameInvalid = "webauthn_credential_name_invalid", UNPROCESSABLE_ENTITY, "The passkey's name is not valid";
    /// The passkey is registered already.
    WebauthnCredentialTaken = "webauthn_credential_taken", CONFLICT, "The passkey is registered already";
    /// The customer has as many passkeys as it may have.
    WebauthnCredentialsFull = "webauthn_credentials_full", CONFLICT, "There are too many passkeys";
    /// The passkey is the customer's last.
    WebauthnLastCredential = "webauthn_last_credential", CONFLICT, "The last passkey cannot be removed";
    /// The request does not come from a page this issuer knows.
    OriginRefused = "origin_refused", FORBIDDEN, "The page may not do this";
    /// There is no key-encryption key, so no customer can sign in here.
    SignInNotConfigured = "sign_in_not_configured", SERVICE_UNAVAILABLE, "Signing in is not configured";
    /// No such stored service token.
    ServiceTokenNotFound = "service_token_not_found", NOT_FOUND, "There is no such service token";
    /// The client has two live tokens already.
    ServiceTokenLimit = "service_token_limit", CONFLICT, "The client has two live tokens already";
    /// The token to rotate is expired or revoked.
    ServiceTokenEnded = "service_token_ended", CONFLICT, "The service token has ended";
    /// The life asked for is not one a service token may have.
    ServiceTokenLifeInvalid = "service_token_life_invalid", UNPROCESSABLE_ENTITY, "The life of the service token is not valid";
    /// The name is not one a service client may have.
    ServiceClientIdInvalid = "service_client_id_invalid", UNPROCESSABLE_ENTITY, "The client id is not valid";
    /// A scope is none of those a service can hold, or there is none.
    ServiceScopeInvalid = "service_scope_invalid", UNPROCESSABLE_ENTITY, "The scopes are not valid";
    /// Live tokens of the client have other scopes.
    ServiceScopesDiffer = "service_scopes_differ", CONFLICT, "The client has other scopes";
    /// The service client is suspended and gets no token.
    ServiceClientSuspended = "service_client_suspended", CONFLICT, "The service client is suspended";
    /// The caller lacks the scope the route requires.
    InsufficientScope = "insufficient_scope", FORBIDDEN, "The caller may not do this";
    /// `Idempotency-Key` is empty, too long or not visible ASCII.
    IdempotencyKeyMalformed = "idempotency_key_malformed", BAD_REQUEST, "The Idempotency-Key cannot be read";
    /// The same `Idempotency-Key` came with another request.
    IdempotencyKeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY, "The Idempotency-Key belongs to another request";
    /// No such customer.
    CustomerNotFound = "customer_not_found", NOT_FOUND, "There is no such customer";
    /// The address is not one the issuer takes.
    CustomerEmailInvalid = "customer_email_invalid", UNPROCESSABLE_ENTITY, "The e-mail address is not valid";
    /// The address belongs to a customer already.
    CustomerEmailTaken = "customer_email_taken", CONFLICT, "The e-mail address is taken";
    /// The display name is empty, too long or has control characters.
    CustomerDisplayNameInvalid = "customer_display_name_invalid", UNPROCESSABLE_ENTITY, "The display name is not valid";
    /// The customer is suspended and gets no session and no role.
    CustomerSuspended = "customer_suspended", CONFLICT, "The customer is suspended";
    /// The customer is erased and gets no session and no role.
    CustomerErased = "customer_erased", CONFLICT, "The customer is erased";
    /// The audience is not one this issuer mints for.
    SessionAudienceNotAllowed = "session_audience_not_allowed", UNPROCESSABLE_ENTITY, "The audience is not allowed";
    /// No such session.
    SessionNotFound = "session_not_found", NOT_FOUND, "There is no such session";
    /// The session a repeated request made is expired or revoked.
    SessionEnded = "session_ended", CONFLICT, "The session has ended";
    /// No such role.
    RoleNotFound = "role_not_found", NOT_FOUND, "There is no such role";
    /// The customer for whom the service acts lacks `rbac.write` or a permission of the role.
    RbacGrantExceedsOwn = "rbac_grant_exceeds_own", FORBIDDEN, "The acting customer may not grant or revoke this role";
    /// The customer is the only active holder of the admin role.
    RbacLastAdmin = "rbac_last_admin", CONFLICT, "The last admin stays";
    /// The role that a repeated request granted was revoked since.
    RbacAssignmentEnded = "rbac_assignment_ended", CONFLICT, "The role was revoked meanwhile";
    /// No such status list, or its last session is dead.
    StatusListNotFound = "status_list_not_found", NOT_FOUND, "There is no such status list";
    /// As many subscribers as there may be are told of new versions; the list itself is served.
    StatusListSubscribersFull = "status_list_subscribers_full", SERVICE_UNAVAILABLE, "There are too many subscribers";
    /// The address has as many subscribers as one may have; the list itself is served.
    StatusListAddressFull = "status_list_address_full", TOO_MANY_REQUESTS, "There are too many subscribers at this address";
    /// The action is not under the caller's own prefix, `<client_id>:`.
    AuditActionNotAllowed = "audit_action_not_allowed", UNPROCESSABLE_ENTITY, "The action is not the caller's to record";
    /// A field of the audit event is too long or is not a code, an id, a number or a truth value.
    AuditEventInvalid = "audit_event_invalid", UNPROCESSABLE_ENTITY, "The audit event is not valid";
    /// No such signing key.
    KeyNotFound = "key_not_found", NOT_FOUND, "There is no such key";
    /// Verifiers may still hold a set without this key.
    TooEarly = "too_early", CONFLICT, "The key cannot be activated yet";
    /// A known verifier has not proved a set with this key, and the caller asked to wait for it.
    VerifiersBehind = "verifiers_behind", CONFLICT, "Verifiers do not hold the key yet";
    /// Tokens signed by the key are alive, or it is the one that signs.
    KeyStillNeeded = "key_still_needed", CONFLICT, "The key is still needed";
    /// The key's state does not allow this.
    KeyStateRefused = "key_state_refused", CONFLICT, "The key is in another state";
    /// There is no signing key that can be used.
    KeyUnavailable = "key_unavailable", SERVICE_UNAVAILABLE, "No signing key is available";
    /// The database cannot be reached or is busy.
    DatabaseUnavailable = "database_unavailable", SERVICE_UNAVAILABLE, "The service cannot answer now";
    /// A fault of the issuer.
    InternalError = "internal_error", INTERNAL_SERVER_ERROR, "The service failed";
}

/// A refusal on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Problem(Arc<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    code: ProblemCode,
    detail: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    members: Map<String, Value>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Problem {
    pub(crate) fn new(code: ProblemCode) -> Self {
        let mut headers = Vec::new();
        if code.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.push((RETRY_AFTER, HeaderValue::from_static("1")));
        }
        Self(Arc::new(Inner {
            code,
            detail: None,
            headers,
            members: Map::new(),
            source: None,
        }))
    }

    pub(crate) fn code(&self) -> ProblemCode {
        self.0.code
    }

    /// A fault of ours: `source` goes to the log, never to the caller.
    pub(crate) fn fault(source: impl Error + Send + Sync + 'static) -> Self {
        Self::new(ProblemCode::InternalError).source(source)
    }

    /// Whether the issuer, and not the caller, is to blame.
    pub(crate) fn is_fault(&self) -> bool {
        self.0.code.status().is_server_error()
    }

    /// Says what was expected, in one lower-case clause.
    pub(crate) fn detail(self, detail: impl Into<String>) -> Self {
        self.with(|inner| inner.detail = Some(detail.into()))
    }

    pub(crate) fn source(self, source: impl Error + Send + Sync + 'static) -> Self {
        self.with(|inner| inner.source = Some(Arc::new(source)))
    }

    /// Challenges the caller (RFC 6750 §3).
    pub(crate) fn challenge(self, challenge: &str) -> Self {
        let value = HeaderValue::from_str(challenge).unwrap_or(HeaderValue::from_static("Bearer"));
        self.with(|inner| inner.headers.push((WWW_AUTHENTICATE, value)))
    }

    /// Asks the caller to stay away for some seconds.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        self.header((RETRY_AFTER, HeaderValue::from(seconds)))
    }

    /// Names the instant from which the same request may succeed, as a member and as `Retry-After`.
    pub(crate) fn not_before(self, member: &str, at: Timestamp, now: Timestamp) -> Self {
        let wait = at.unix_seconds().saturating_sub(now.unix_seconds()).max(1);
        self.with(|inner| {
            inner
                .members
                .insert(member.to_owned(), json!(at.unix_seconds()));
            inner.headers.push((RETRY_AFTER, HeaderValue::from(wait)));
        })
    }

    /// Sends a header along.
    pub(crate) fn header(self, (name, value): (HeaderName, HeaderValue)) -> Self {
        self.with(|inner| inner.headers.push((name, value)))
    }

    /// Tells a number by name.
    pub(crate) fn member(self, name: &str, value: i64) -> Self {
        self.with(|inner| drop(inner.members.insert(name.to_owned(), json!(value))))
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    fn body(&self, request_id: &str) -> String {
        let code = self.0.code;
        let mut members = self.0.members.clone();
        members.insert(
            "type".to_owned(),
            json!(format!("urn:queue:problem:{}", code.as_str())),
        );
        members.insert("title".to_owned(), json!(code.title()));
        members.insert("status".to_owned(), json!(code.status().as_u16()));
        members.insert("code".to_owned(), json!(code.as_str()));
        members.insert("instance".to_owned(), json!(request_id));
        if let Some(detail) = self
            .0
            .detail
            .as_ref()
            .filter(|_| !code.status().is_server_error())
        {
            members.insert("detail".to_owned(), json!(detail));
        }
        Value::Object(members).to_string()
    }
}

impl IntoResponse for Problem {
    /// The body waits for [`render`], which knows the request id.
    fn into_response(self) -> Response {
        let mut response = self.0.code.status().into_response();
        response
            .headers_mut()
            .extend(self.0.headers.iter().cloned());
        response.extensions_mut().insert(self);
        response
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        let code = match error {
            DbError::Unavailable(_) => ProblemCode::DatabaseUnavailable,
            DbError::Refused(_) => ProblemCode::InternalError,
        };
        Self::new(code).source(error)
    }
}

/// Writes the body of each problem that passes, and logs the cause of each fault.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let request_id = RequestId::of(request.extensions());
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    if problem.0.code.status().is_server_error() {
        let cause = problem
            .0
            .source
            .as_ref()
            .map(|source| chain(source.as_ref()));
        tracing::error!(code = problem.0.code.as_str(), request_id = %request_id, cause, "request failed");
    }
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(
        http::header::CACHE_CONTROL,
        HeaderValue::from_static("no-store"),
    );
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(http::header::CONTENT_LENGTH);
    Response::from_parts(parts, problem.body(request_id.as_str()).into())
}

/// The messages of `error` and of each cause below it.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
