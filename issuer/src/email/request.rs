//! Request: takes an address and a purpose, gives a proof that waits for its code, and perhaps the mail with
//! the code.
//!
//! **Invariant:** with and without a mail the same statements run, but for the one that queues it, in whose
//! place another one runs.

use super::store;
use super::{CODE_LIFE, LIMITED, MAX_MAILS, MAX_MAILS_HERE, Proof, Purpose, new_code};
use crate::app::Shared;
use crate::audit::{self, Actor, Event};
use crate::customers::{Email, addresses};
use crate::db::{Id, Tx};
use crate::mail::{self, Mail, Outgoing};
use crate::problem::{Problem, ProblemCode};
use crate::signed_in::SignedIn;

/// What was asked.
pub(super) struct Asked<'a> {
    pub(super) purpose: Purpose,
    pub(super) email: Option<Email>,
    /// Never `None` unless an account is recovered.
    pub(super) signed_in: Option<&'a SignedIn>,
    pub(super) binding: [u8; 32],
    pub(super) actor: &'a Actor,
}

/// Keeps a proof and mails its code to whom it may be mailed; the proof's id.
pub(super) async fn request(shared: &Shared, asked: &Asked<'_>) -> Result<Id, Problem> {
    let secrets = shared.secrets()?;
    let now = shared.clock.now();
    let mut tx = shared.db.begin().await?;
    let email = match &asked.email {
        Some(email) => email.clone(),
        None => own_address(&mut tx, asked.signed_in).await?,
    };
    store::hold(&mut tx, &email.normalised).await?;
    let recipient = recipient(shared, &mut tx, asked, &email).await?;
    let about = (asked.purpose, email.normalised.as_str());
    let customer = recipient.as_ref().map(|(customer, _)| *customer);
    let since = now.minus(LIMITED);
    let mailed = store::mailed_since(&mut tx, about, customer, &asked.binding, since).await?;
    let may_have = mailed.here < MAX_MAILS_HERE && mailed.in_all < MAX_MAILS;
    let recipient = recipient.filter(|_| may_have);
    let proof = Proof {
        id: Id::new(now),
        customer: recipient.as_ref().map(|(customer, _)| *customer),
        email_normalised: email.normalised.clone(),
        purpose: asked.purpose,
    };
    let code = new_code()?;
    let hash = proof.code_hash(secrets, &code);
    let times = (now, now.plus(CODE_LIFE));
    store::replace(&mut tx, &proof, &asked.binding, &hash, times).await?;
    let mail = Mail::VerificationCode {
        purpose: asked.purpose.of_mail(),
        code,
        minutes: u32::try_from(CODE_LIFE.as_secs() / 60).unwrap_or(u32::MAX),
    };
    let outgoing = Outgoing {
        to: recipient.as_ref().map_or(&email, |(_, to)| to),
        customer: proof.customer,
        mail: &mail,
        expires_at: times.1,
    };
    let kek = shared.keys.kek.as_ref();
    if recipient.is_some() {
        mail::enqueue(&mut tx, kek, &outgoing, now).await?;
    } else {
        store::hold(&mut tx, &email.normalised).await?;
    }
    let id = proof.id.to_string();
    let event = Event {
        action: "email.code_requested",
        customer: proof.customer,
        target_kind: "email_verification",
        target_id: &id,
    };
    audit::record(&mut tx, asked.actor, &event, now).await?;
    tx.commit().await?;
    shared.outbox.wake();
    Ok(proof.id)
}

/// Whose proof it is and where the code goes; none when nobody may have one.
async fn recipient(
    shared: &Shared,
    tx: &mut Tx,
    asked: &Asked<'_>,
    email: &Email,
) -> Result<Option<(Id, Email)>, Problem> {
    let owned = addresses::find(tx, &email.normalised).await?;
    let own = asked.signed_in.map(SignedIn::customer);
    Ok(match asked.purpose {
        Purpose::Verify => owned
            .filter(|address| Some(address.customer) == own)
            .map(|address| (address.customer, address.email)),
        // Who owns it already has no use for the code, and the one who asks learns nothing.
        Purpose::Change => own
            .filter(|_| owned.is_none())
            .map(|customer| (customer, email.clone())),
        Purpose::Recover => owned
            .filter(|address| address.is_primary && address.is_active)
            .filter(|address| shared.settings.flag.admits(address.customer))
            .map(|address| (address.customer, address.email)),
    })
}

async fn own_address(tx: &mut Tx, signed_in: Option<&SignedIn>) -> Result<Email, Problem> {
    let missing =
        || Problem::new(ProblemCode::CustomerEmailInvalid).detail("expected an address to prove");
    let customer = signed_in.map(SignedIn::customer).ok_or_else(missing)?;
    let primary = addresses::primary(tx, customer).await?;
    Ok(primary.ok_or_else(missing)?.email)
}
