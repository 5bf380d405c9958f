//! The routes of keys: the published set, and for operators `GET, POST /api/v1/keys`,
//! `POST /api/v1/keys/{kid}/publish, activate, retire, revoke`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::commands::{self, Verb};
use super::rotation::Refusal;
use super::{KeyError, KeyRow, KeyState, KeyView};
use crate::app::Shared;
use crate::caller::Caller;
use crate::discovery::{Cacheable, cache_control, cacheable};
use crate::extract::{JsonBody, PathText};
use crate::idempotency::IdempotencyKey;
use crate::openapi::Operation;
use crate::problem::{Problem, ProblemCode};
use crate::route_table::{RouteTable, routing};
use crate::router::{created, replayed};
use crate::sighting::{Anonymous, Holdings};

/// RFC 7517 §5.
#[derive(ToSchema)]
#[expect(dead_code, reason = "says what the published bytes have")]
pub(crate) struct JwkSet {
    keys: Vec<PublishedKey>,
}

/// RFC 7517 §4, RFC 7518 §6.3.1.
#[derive(ToSchema)]
#[expect(dead_code, reason = "says what the published bytes have")]
struct PublishedKey {
    kid: String,
    kty: String,
    alg: String,
    #[schema(rename = "use")]
    public_key_use: String,
    n: String,
    e: String,
}

/// `GET /.well-known/jwks.json`.
pub(crate) async fn jwk_set(
    State(shared): State<Shared>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let keys = shared.keys.current()?;
    let set = &keys.set;
    shared
        .sightings
        .note(&headers, keys.generation, &set.etag, shared.clock.now());
    Ok(cacheable(
        &headers,
        Cacheable {
            etag: &set.etag,
            content_type: "application/jwk-set+json",
            cache_control: cache_control(&shared),
            body: set.bytes.clone(),
        },
    ))
}

/// The operators' routes.
pub(crate) fn routes() -> RouteTable {
    RouteTable::new()
        .route(
            "/keys",
            routing::get(list)
                .says(
                    Operation::new("listKeys", "Lists signing keys and who holds which set")
                        .service(SCOPE)
                        .ok::<Keys>(),
                )
                .post(generate)
                .says(
                    Operation::new("generateKey", "Makes a signing key")
                        .service(SCOPE)
                        .idempotent()
                        .body::<GenerateKey>()
                        .created::<KeyView>()
                        .refuses(&[ProblemCode::KeyStateRefused, ProblemCode::KeyNotFound]),
                ),
        )
        .route(
            "/keys/{kid}/publish",
            routing::post(publish).says(
                Operation::new("publishKey", "Puts a key into the published set")
                    .service(SCOPE)
                    .ok::<KeyView>()
                    .refuses(&[ProblemCode::KeyNotFound, ProblemCode::KeyStateRefused]),
            ),
        )
        .route(
            "/keys/{kid}/activate",
            routing::post(activate).says(
                Operation::new("activateKey", "Makes a key the one that signs")
                    .service(SCOPE)
                    .optional_body::<ActivateKey>()
                    .ok::<KeyView>()
                    .refuses(&[
                        ProblemCode::KeyNotFound,
                        ProblemCode::KeyStateRefused,
                        ProblemCode::TooEarly,
                        ProblemCode::VerifiersBehind,
                    ]),
            ),
        )
        .route(
            "/keys/{kid}/retire",
            routing::post(retire).says(
                Operation::new(
                    "retireKey",
                    "Takes a key whose tokens are over out of the set",
                )
                .service(SCOPE)
                .ok::<KeyView>()
                .refuses(&[
                    ProblemCode::KeyNotFound,
                    ProblemCode::KeyStateRefused,
                    ProblemCode::KeyStillNeeded,
                ]),
            ),
        )
        .route(
            "/keys/{kid}/revoke",
            routing::post(revoke).says(
                Operation::new(
                    "revokeKey",
                    "Takes a key out of the set at once, whatever it signed",
                )
                .service(SCOPE)
                .ok::<KeyView>()
                .refuses(&[
                    ProblemCode::KeyNotFound,
                    ProblemCode::KeyStateRefused,
                    ProblemCode::KeyStillNeeded,
                ]),
            ),
        )
}

#[derive(Debug, Serialize, ToSchema)]
struct Keys {
    keys: Vec<KeyView>,
    verifiers: Verifiers,
}

/// Who holds which generation of the set.
#[derive(Debug, Serialize, ToSchema)]
struct Verifiers {
    #[serde(flatten)]
    holdings: Holdings,
    /// Those that have not proved the present generation.
    behind: i64,
    anonymous: Vec<Anonymous>,
}

async fn list(State(shared): State<Shared>, caller: Caller) -> Result<Response, Problem> {
    caller.require(SCOPE)?;
    write_sightings(&shared).await?;
    let rows = commands::list(&shared.keys).await?;
    let holdings = commands::holdings(&shared.keys).await?;
    let view = |row: &KeyRow| KeyView::new(row, &shared.keys.timing).held(row, &holdings);
    let keys = rows.iter().map(view).collect();
    let verifiers = Verifiers {
        behind: holdings.behind(shared.keys.current()?.generation),
        holdings,
        anonymous: shared.sightings.anonymous(),
    };
    Ok(Json(Keys { keys, verifiers }).into_response())
}

/// So that what this process saw counts at once.
async fn write_sightings(shared: &Shared) -> Result<(), Problem> {
    let silent_since = shared.keys.timing.silent_since(shared.clock.now());
    Ok(shared.sightings.flush(&shared.db, silent_since).await?)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GenerateKey {
    /// Whether the key enters the set at once; it does, unless it is held back.
    publish: Option<bool>,
}

async fn generate(
    State(shared): State<Shared>,
    caller: Caller,
    key: IdempotencyKey,
    body: JsonBody<GenerateKey>,
) -> Result<Response, Problem> {
    caller.require(SCOPE)?;
    let state = if body.value.publish == Some(false) {
        KeyState::Pending
    } else {
        KeyState::Published
    };
    let (row, is_new) = make(&shared, &caller, &key, body.hash, state).await?;
    let view = KeyView::new(&row, &shared.keys.timing);
    let location = format!("/api/v1/keys/{}", row.kid);
    Ok(if is_new {
        created(&location, &view)
    } else {
        replayed(&location, &view)
    })
}

async fn publish(
    shared: State<Shared>,
    caller: Caller,
    kid: PathText,
) -> Result<Response, Problem> {
    step(shared, caller, kid, Verb::Publish).await
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ActivateKey {
    /// Refuse while a known verifier has not proved that it holds the key.
    wait_for_verifiers: Option<bool>,
}

async fn activate(
    shared: State<Shared>,
    caller: Caller,
    kid: PathText,
    body: Option<JsonBody<ActivateKey>>,
) -> Result<Response, Problem> {
    let asked = body.map(|body| body.value).unwrap_or_default();
    let wait_for_verifiers = asked.wait_for_verifiers == Some(true);
    if wait_for_verifiers {
        write_sightings(&shared).await?;
    }
    step(shared, caller, kid, Verb::Activate { wait_for_verifiers }).await
}

async fn retire(shared: State<Shared>, caller: Caller, kid: PathText) -> Result<Response, Problem> {
    step(shared, caller, kid, Verb::Retire).await
}

async fn revoke(shared: State<Shared>, caller: Caller, kid: PathText) -> Result<Response, Problem> {
    step(shared, caller, kid, Verb::Revoke).await
}

async fn step(
    State(shared): State<Shared>,
    caller: Caller,
    PathText(kid): PathText,
    verb: Verb,
) -> Result<Response, Problem> {
    caller.require(SCOPE)?;
    let row = commands::step(&shared.keys, &kid, verb, &caller.operator(), false)
        .await
        .map_err(|error| refused(&shared, error))?;
    shared.keys.reload().await?;
    // Status lists are signed by the key that is active now.
    shared.lists.wake();
    Ok(Json(KeyView::new(&row, &shared.keys.timing)).into_response())
}

/// Makes a key, or finds the one the same request made before; true when it is new.
async fn make(
    shared: &Shared,
    caller: &Caller,
    key: &IdempotencyKey,
    hash: [u8; 32],
    state: KeyState,
) -> Result<(KeyRow, bool), Problem> {
    let keys = std::sync::Arc::clone(&shared.keys);
    let made = tokio::task::spawn_blocking(move || commands::generate(&keys))
        .await
        .map_err(Problem::fault)??;
    let now = shared.clock.now();
    let mut tx = shared.db.begin().await?;
    let earlier = shared
        .attempt(key, caller, "keys", hash, &made.kid)
        .claim(&mut tx, now)
        .await?;
    let is_new = earlier.is_none();
    let kid = earlier.unwrap_or_else(|| made.kid.clone());
    if is_new {
        commands::insert(&mut tx, &made, state, &caller.operator(), now).await?;
    }
    tx.commit().await?;
    shared.keys.reload().await?;
    let row = commands::list(&shared.keys)
        .await?
        .into_iter()
        .find(|row| row.kid == kid);
    Ok((row.ok_or(KeyError::NotFound)?, is_new))
}

/// A refusal with the instant from which it may succeed.
fn refused(shared: &Shared, error: KeyError) -> Problem {
    let now = shared.clock.now();
    match error {
        KeyError::Refused(Refusal::TooEarly { at }) => {
            Problem::from(error).not_before("activatable_at", at, now)
        }
        KeyError::Refused(Refusal::VerifiersBehind { behind, .. }) => {
            Problem::from(error).member("behind", behind)
        }
        KeyError::Refused(Refusal::StillNeeded { until }) => {
            Problem::from(error).not_before("needed_until", until, now)
        }
        error => error.into(),
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        let refuse = |code| Self::new(code).detail(error.to_string());
        match error {
            KeyError::NotFound => refuse(ProblemCode::KeyNotFound),
            KeyError::Refused(Refusal::TooEarly { .. }) => refuse(ProblemCode::TooEarly),
            KeyError::Refused(Refusal::VerifiersBehind { .. } | Refusal::VerifiersUncounted) => {
                refuse(ProblemCode::VerifiersBehind)
            }
            KeyError::Refused(Refusal::StillNeeded { .. } | Refusal::Signs) => {
                refuse(ProblemCode::KeyStillNeeded)
            }
            KeyError::Refused(Refusal::State { .. })
            | KeyError::PrivateHalfAbsent
            | KeyError::OtherKek => refuse(ProblemCode::KeyStateRefused),
            KeyError::KekMissing => refuse(ProblemCode::KeyStateRefused),
            KeyError::Unavailable => Self::new(ProblemCode::KeyUnavailable),
            KeyError::Db(error) => error.into(),
            error => Self::fault(error),
        }
    }
}

const SCOPE: &str = "ops:keys";
