//! Customers: takes an address and a name, gives a customer with its default roles.
//!
//! **Invariant:** an address is compared in one normal form, and belongs to one customer of a tenant.

pub(crate) mod addresses;
mod lifecycle;
pub(crate) mod me;
pub(crate) mod routes;
pub(crate) mod store;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::app::Shared;
use crate::audit::{self, Actor, Event};
use crate::clock::Timestamp;
use crate::db::{DbError, Id, Tx};
use crate::problem::{Problem, ProblemCode};

/// An e-mail address: as its owner writes it, and as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Email {
    pub(crate) written: String,
    pub(crate) normalised: String,
}

impl Email {
    /// Takes ASCII `local@domain` addresses of at most 254 characters (RFC 5321 §4.5.3.1).
    ///
    /// Quoted local parts, address literals and non-ASCII are refused: no customer has one, and each
    /// brings a second spelling of the same address.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let refuse = || {
            Problem::new(ProblemCode::CustomerEmailInvalid).detail("expected local@domain in ASCII")
        };
        let written = text.trim_matches(' ');
        let (local, domain) = written.split_once('@').ok_or_else(refuse)?;
        let local_is_sound = (1..=64).contains(&local.len())
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && local.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte)
            });
        if !local_is_sound || !is_domain(domain) || written.len() > 254 {
            return Err(refuse());
        }
        Ok(Self {
            written: written.to_owned(),
            normalised: written.to_ascii_lowercase(),
        })
    }
}

/// Refuses a name that is empty, longer than 200 characters, or could forge a line of text.
pub(crate) fn check_display_name(name: &str) -> Result<(), Problem> {
    let length = name.chars().count();
    if !(1..=200).contains(&length) || name.trim().is_empty() || name.chars().any(is_unprintable) {
        return Err(Problem::new(ProblemCode::CustomerDisplayNameInvalid)
            .detail("expected 1 to 200 characters without control characters"));
    }
    Ok(())
}

/// A customer, as other services see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Customer {
    pub(crate) id: Id,
    tenant_id: Id,
    email: Option<String>,
    email_verified: bool,
    display_name: Option<String>,
    /// `active`, `suspended` or `erased`.
    state: String,
    roles: Vec<String>,
    authz_ver: i64,
    created_at: i64,
    updated_at: i64,
}

impl Customer {
    pub(crate) fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    pub(crate) fn display_name(&self) -> Option<&str> {
        self.display_name.as_deref()
    }
}

/// The customer `id`.
pub(crate) async fn find(shared: &Shared, id: Id) -> Result<Customer, Problem> {
    let customer = store::find(&shared.db, id).await?;
    customer.ok_or_else(|| Problem::new(ProblemCode::CustomerNotFound))
}

/// Makes `new` and writes the event; false when the address is taken, and nothing may be kept.
pub(crate) async fn make(tx: &mut Tx, new: &NewCustomer, actor: &Actor) -> Result<bool, DbError> {
    if !store::insert(tx, new).await? {
        return Ok(false);
    }
    let id = new.id.to_string();
    let event = Event {
        action: "customer.created",
        customer: Some(new.id),
        target_kind: "customer",
        target_id: &id,
    };
    audit::record(tx, actor, &event, new.now).await?;
    Ok(true)
}

/// A customer about to be made.
#[derive(Debug)]
pub(crate) struct NewCustomer {
    pub(crate) id: Id,
    pub(crate) email: Email,
    pub(crate) display_name: Option<String>,
    pub(crate) created_by: String,
    pub(crate) now: Timestamp,
}

/// A member that is there, be it `null`; with `#[serde(default)]`, one that is absent is `None`.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn is_domain(domain: &str) -> bool {
    let label_is_sound = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    domain.contains('.') && domain.split('.').all(label_is_sound)
}

/// Control characters, and those that reorder or hide text.
pub(crate) fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::{Email, check_display_name};

    #[test]
    fn addresses_are_compared_in_one_form() {
        let email = Email::parse(" Ada.Lovelace+queue@Example.COM ").unwrap();
        assert_eq!(email.written, "Ada.Lovelace+queue@Example.COM");
        assert_eq!(email.normalised, "ada.lovelace+queue@example.com");
    }

    #[test]
    fn unsound_addresses_are_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        for text in [
            "",
            "a",
            "@example.com",
            "a@",
            "a@b",
            "a@@example.com",
            "a@b@example.com",
            ".a@example.com",
            "a..b@example.com",
            "a@-example.com",
            "a@example..com",
            "a@example.com.",
            "a b@example.com",
            "a@exam ple.com",
            "a@example.com\r\nBcc: b@c.de",
            "\"a\"@example.com",
            "a@[127.0.0.1]",
            "ä@example.com",
            "a@exämple.com",
            "a\0@example.com",
            &long,
        ] {
            assert!(Email::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn forging_names_are_refused() {
        assert!(check_display_name("Ada <b>Lovelace</b> & Søn").is_ok());
        for name in ["", "   ", "a\nb", "a\u{202e}b", &"x".repeat(201)] {
            assert!(check_display_name(name).is_err(), "{name:?}");
        }
    }
}
