//! The routes of audit events for services: `GET /api/v1/audit/events`, `POST /api/v1/audit/events`.
//!
//! A service records under its own prefix, `<client_id>:`; our own actions have no colon, so none can be forged,
//! whatever a caller is called.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::EventView;
use super::details::{Details, is_code, is_id};
use super::entry::Entry;
use super::store::{self, Filter, Record};
use crate::app::Shared;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::db::Id;
use crate::extract::{JsonBody, QueryOf};
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::openapi::Operation;
use crate::problem::{Problem, ProblemCode};
use crate::route_table::{RouteTable, routing};
use crate::router::{created, replayed};

pub(crate) fn routes() -> RouteTable {
    RouteTable::new().route(
        "/audit/events",
        routing::get(list)
            .says(
                Operation::new("listAuditEvents", "Lists audit events, the newest first")
                    .service("audit:read")
                    .query::<Asked>()
                    .ok::<Page<'_>>(),
            )
            .post(create)
            .says(
                Operation::new(
                    "recordAuditEvent",
                    "Records an event under the own prefix of the service",
                )
                .service("audit:write")
                .idempotent()
                .body::<RecordEvent>()
                .created::<EventView<'_>>()
                .refuses(&[
                    ProblemCode::AuditActionNotAllowed,
                    ProblemCode::AuditEventInvalid,
                ]),
            ),
    )
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AuditQuery)]
pub(super) struct Asked {
    #[schema(format = "uuid")]
    customer_id: Option<String>,
    #[schema(max_length = 128)]
    action: Option<String>,
    /// Seconds since 1970: not before this.
    #[schema(minimum = 0, maximum = 253_402_300_799_i64)]
    from: Option<i64>,
    /// Seconds since 1970: before this.
    #[schema(minimum = 0, maximum = 253_402_300_799_i64)]
    to: Option<i64>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    #[schema(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEvents)]
pub(super) struct Page<'a> {
    events: Vec<EventView<'a>>,
    /// Where the next page, of older events, begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    QueryOf(asked): QueryOf<Asked>,
) -> Result<Response, Problem> {
    caller.require("audit:read")?;
    page(&shared, asked).await
}

/// One page of events, newest first, for whoever may read them.
pub(super) async fn page(shared: &Shared, asked: Asked) -> Result<Response, Problem> {
    let limit = asked.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(refuse("expected a limit from 1 to 100"));
    }
    let filter = filter(asked)?;
    // One more than asked for tells whether there is a next page.
    let mut entries = store::list(&shared.db, &filter, limit + 1).await?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = entries.len() > wanted;
    entries.truncate(wanted);
    let page = Page {
        next_cursor: entries.last().filter(|_| has_more).map(cursor_behind),
        events: entries.iter().map(EventView::from).collect(),
    };
    Ok(Json(page).into_response())
}

fn filter(asked: Asked) -> Result<Filter, Problem> {
    let customer = match asked.customer_id {
        Some(text) => {
            Some(Id::parse(&text).ok_or_else(|| refuse("expected a UUID as customer_id"))?)
        }
        None => None,
    };
    if asked
        .action
        .as_ref()
        .is_some_and(|action| action.len() > MAX_ACTION)
    {
        return Err(refuse("expected an action of at most 128 characters"));
    }
    let before = match asked.cursor {
        Some(text) => {
            let cursor = parse_cursor(&text);
            Some(cursor.ok_or_else(|| refuse("expected the next_cursor of an earlier page"))?)
        }
        None => None,
    };
    Ok(Filter {
        customer,
        action: asked.action,
        from: asked.from.map(instant).transpose()?,
        to: asked.to.map(instant).transpose()?,
        before,
    })
}

fn instant(seconds: i64) -> Result<Timestamp, Problem> {
    if (0..=LAST_SECOND).contains(&seconds) {
        return Ok(Timestamp::from_unix_seconds(seconds));
    }
    Err(refuse("expected whole seconds from 1970 to the year 9999"))
}

fn cursor_behind(entry: &Entry) -> String {
    format!("{}.{}", entry.occurred_at.unix_micros(), entry.id)
}

fn parse_cursor(text: &str) -> Option<(Timestamp, Id)> {
    let (micros, id) = text.split_once('.')?;
    let micros = micros.parse::<i64>().ok()?;
    let is_sound = (0..=LAST_SECOND).contains(&(micros.div_euclid(1_000_000)));
    let at = is_sound.then(|| Timestamp::from_unix_micros(micros))?;
    Some((at, Id::parse(id)?))
}

fn refuse(what: &str) -> Problem {
    Problem::new(ProblemCode::RequestQueryMalformed).detail(what)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RecordAuditEvent)]
struct RecordEvent {
    /// `<client_id>:` and a name, such as `raptor:order.shipped`.
    #[schema(max_length = 128)]
    action: String,
    #[schema(format = "uuid")]
    customer_id: Option<String>,
    #[schema(min_length = 1, max_length = 64)]
    target_kind: String,
    #[schema(min_length = 1, max_length = 128)]
    target_id: String,
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, Value>)]
    details: Details,
}

async fn create(
    State(shared): State<Shared>,
    caller: Caller,
    key: IdempotencyKey,
    body: JsonBody<RecordEvent>,
) -> Result<Response, Problem> {
    caller.require("audit:write")?;
    let event = body.value;
    let customer = check(&caller, &event)?;
    let id = Id::new(shared.clock.now());
    let text = id.to_string();
    let attempt = shared.attempt(&key, &caller, "audit/events", body.hash, &text);
    let record = Record {
        id,
        action: &event.action,
        customer,
        target_kind: &event.target_kind,
        target_id: &event.target_id,
        details: &event.details,
    };
    let (entry, is_new) = insert(&shared, &caller, &record, &attempt).await?;
    let location = format!("/api/v1/audit/events/{}", entry.id);
    let view = EventView::from(&entry);
    Ok(if is_new {
        created(&location, &view)
    } else {
        replayed(&location, &view)
    })
}

/// The customer the event is about, if everything in it is sound.
fn check(caller: &Caller, event: &RecordEvent) -> Result<Option<Id>, Problem> {
    let wrong = |what: &str| Problem::new(ProblemCode::AuditEventInvalid).detail(what);
    let own = event.action.split_once(':');
    let Some((_, name)) = own.filter(|(prefix, _)| *prefix == caller.client_id()) else {
        return Err(
            Problem::new(ProblemCode::AuditActionNotAllowed).detail(format!(
                "expected an action that begins with {}:",
                caller.client_id()
            )),
        );
    };
    if !name.split('.').all(|part| is_code(part, MAX_PART)) || event.action.len() > MAX_ACTION {
        return Err(wrong(
            "expected an action such as caller:order.shipped, at most 128 characters",
        ));
    }
    if !is_code(&event.target_kind, MAX_PART) {
        return Err(wrong(
            "expected a target_kind of a-z, 0-9 and _, at most 64 characters",
        ));
    }
    if !is_id(&event.target_id) {
        return Err(wrong(
            "expected a target_id of letters, digits and -._:/, at most 128 characters",
        ));
    }
    event.details.check()?;
    match &event.customer_id {
        Some(text) => match Id::parse(text) {
            Some(id) => Ok(Some(id)),
            None => Err(wrong("expected a UUID as customer_id")),
        },
        None => Ok(None),
    }
}

/// Writes the event, or finds the one the same request wrote before; true when it is new.
async fn insert(
    shared: &Shared,
    caller: &Caller,
    record: &Record<'_>,
    attempt: &Attempt<'_>,
) -> Result<(Entry, bool), Problem> {
    let missing = || Problem::new(ProblemCode::DatabaseUnavailable);
    let now = shared.clock.now();
    let mut tx = shared.db.begin().await?;
    if let Some(earlier) = attempt.claim(&mut tx, now).await? {
        let id = Id::parse(&earlier).ok_or_else(missing)?;
        let entry = store::find(&mut tx, id).await?.ok_or_else(missing)?;
        return Ok((entry, false));
    }
    store::insert(&mut tx, &caller.actor(), record, now).await?;
    let entry = store::find(&mut tx, record.id).await?.ok_or_else(missing)?;
    tx.commit().await?;
    Ok((entry, true))
}

const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 100;
const MAX_ACTION: usize = 128;
const MAX_PART: usize = 64;
/// 9999-12-31T23:59:59Z: the last second both engines keep.
const LAST_SECOND: i64 = 253_402_300_799;
