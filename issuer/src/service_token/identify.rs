//! Identify: takes what a caller presented, gives the service client it stands for.
//!
//! **Invariant:** a stored token is looked up at every call and nothing of it is remembered, so a
//! revocation holds at once in every process.
//! **Invariant:** an access token is good for as long as the credential it was got with, and for what that
//! credential's client still may do; a customer's session is no service, whoever presents it.

use super::ServiceClient;
use super::store::{self, TokenRow};
use super::text::Presented;
use crate::app::Shared;
use crate::clock::Timestamp;
use crate::db::Id;
use crate::problem::{Problem, ProblemCode};
use crate::token::selfcheck::ReadToken;
use crate::token::service::ServiceIdentity;

/// A secret that was presented: a token of the environment or a stored one.
pub(crate) struct Credential {
    pub(crate) client: ServiceClient,
    /// Which stored token, and when it dies.
    pub(crate) stored: Option<(Id, Timestamp)>,
}

/// The service the bearer token `presented` stands for.
pub(crate) async fn bearer(
    shared: &Shared,
    presented: &str,
) -> Result<Option<ServiceClient>, Problem> {
    if let Some(credential) = secret(shared, presented).await? {
        return Ok(Some(credential.client));
    }
    let Some(session) = read(shared, presented)? else {
        return Ok(None);
    };
    let is_for_us = session.audience().eq([shared.settings.url.as_str()]);
    match ServiceIdentity::of(&session) {
        Some(service) if is_for_us => live(shared, &service).await,
        _ => Ok(None),
    }
}

/// The service whose secret `presented` is.
pub(crate) async fn secret(
    shared: &Shared,
    presented: &str,
) -> Result<Option<Credential>, Problem> {
    if let Some(client) = shared.services.identify(presented) {
        return Ok(Some(Credential {
            client: client.clone(),
            stored: None,
        }));
    }
    let now = shared.clock.now();
    let Some(row) = stored(shared, presented).await? else {
        return Ok(None);
    };
    if !row.is_live(now) {
        return Ok(None);
    }
    shared.uses.note(&row, now);
    Ok(Some(Credential {
        stored: Some((row.id, row.expires_at)),
        client: client(row),
    }))
}

/// The stored token `presented` is, dead or alive.
pub(crate) async fn stored(shared: &Shared, presented: &str) -> Result<Option<TokenRow>, Problem> {
    match Presented::parse(presented) {
        Some(presented) => Ok(store::find_presented(&shared.db, &presented).await?),
        None => Ok(None),
    }
}

/// What an access token of ours says, checked against the published set; none when it is none.
pub(crate) fn read(shared: &Shared, presented: &str) -> Result<Option<ReadToken>, Problem> {
    if !presented.starts_with("eyJ") {
        return Ok(None);
    }
    let keys = shared.keys.current()?;
    let Some(check) = &keys.check else {
        return Err(Problem::new(ProblemCode::KeyUnavailable));
    };
    check
        .read(presented)
        .map_err(|error| Problem::new(ProblemCode::KeyUnavailable).source(error))
}

/// The service of a token, with those of its scopes that its credential still gives.
pub(crate) async fn live(
    shared: &Shared,
    service: &ServiceIdentity,
) -> Result<Option<ServiceClient>, Problem> {
    let holder = match service.credential {
        Some(id) => {
            let now = shared.clock.now();
            let row = store::find(&shared.db, id).await?;
            row.filter(|row| row.is_live(now)).map(client)
        }
        None => shared.services.named(&service.client_id).cloned(),
    };
    Ok(holder
        .filter(|holder| holder.client_id == service.client_id)
        .map(|holder| ServiceClient {
            scopes: service
                .scopes
                .iter()
                .filter(|scope| holder.has(scope))
                .cloned()
                .collect(),
            client_id: holder.client_id,
        }))
}

fn client(row: TokenRow) -> ServiceClient {
    ServiceClient {
        client_id: row.client_id,
        scopes: row.scopes,
    }
}
