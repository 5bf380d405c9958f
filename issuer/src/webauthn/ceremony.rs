//! Ceremony: takes the browser's answer and the state it answers to, gives a passkey or whose it is.
//!
//! **Invariant:** the library checks what the specification says; what it leaves open is checked here, on the
//! same bytes and before it: exact origins, frames, identity of id and raw id, strict CBOR, sizes.
//! **Invariant:** user verification is required, always.

use base64_simd::URL_SAFE_NO_PAD;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use webauthn_rs::prelude::{
    AuthenticationResult, DiscoverableAuthentication, Passkey, PasskeyRegistration,
    PublicKeyCredential, RegisterPublicKeyCredential, Url, Uuid, WebauthnError,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};

use super::authenticator_data::{self, Attested};
use super::client_data;
use crate::db::Id;
use crate::settings::Settings;

/// The party passkeys are made for.
pub(crate) struct RelyingParty {
    webauthn: Webauthn,
    pub(crate) id: String,
    /// Compared whole.
    pub(crate) origins: Vec<String>,
}

/// Whom a new passkey is for.
#[derive(Debug)]
pub(super) struct User<'a> {
    pub(super) id: Id,
    pub(super) name: &'a str,
    pub(super) display_name: &'a str,
}

/// A passkey the browser may look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) credential_id: Vec<u8>,
    pub(crate) transports: Vec<String>,
}

/// A new passkey.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) passkey: Passkey,
    pub(super) attested: Attested,
    pub(super) transports: String,
}

/// An answer that is well formed and about our page; whether it is true is not known yet.
#[derive(Debug)]
pub(super) struct Assertion(PublicKeyCredential);

/// Why an answer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Answer,
    /// The passkey was used more often than it says: there may be two of it.
    CounterRegressed,
}

impl RelyingParty {
    /// # Errors
    /// The domain is no domain of the first origin; settings have refused that before.
    pub(crate) fn new(id: &str, name: &str, origins: &[String]) -> Result<Self, WebauthnError> {
        let mut urls = Vec::new();
        for origin in origins {
            urls.push(Url::parse(origin).map_err(|_| WebauthnError::Configuration)?);
        }
        let (first, others) = urls.split_first().ok_or(WebauthnError::Configuration)?;
        let mut builder = WebauthnBuilder::new(id, first)?.rp_name(name);
        for url in others {
            builder = builder.append_allowed_origin(url);
        }
        Ok(Self {
            webauthn: builder.build()?,
            id: id.to_owned(),
            origins: origins.to_vec(),
        })
    }

    /// The party of `settings`; none where the issuer is a bare address.
    pub(crate) fn of(settings: &Settings) -> Result<Option<Self>, WebauthnError> {
        let id = settings.rp_id.as_deref();
        id.map(|id| Self::new(id, &settings.rp_name, &settings.origins))
            .transpose()
    }

    /// What the browser is asked, and what its answer will be held against.
    pub(super) fn begin_registration(
        &self,
        user: &User<'_>,
        exclude: &[Descriptor],
    ) -> Result<(Value, PasskeyRegistration), WebauthnError> {
        let ids = exclude.iter().map(|known| known.credential_id.clone());
        let (options, state) = self.webauthn.start_passkey_registration(
            Uuid::from_bytes(*user.id.as_bytes()),
            user.name,
            user.display_name,
            Some(ids.collect()),
        )?;
        let mut options = serde_json::to_value(&options)?;
        let asked = &mut options["publicKey"];
        asked["excludeCredentials"] = descriptors(exclude);
        // The library would rather have no discoverable credential; without one there is no signing in
        // without a name.
        asked["authenticatorSelection"]["residentKey"] = json!("required");
        asked["authenticatorSelection"]["requireResidentKey"] = json!(true);
        Ok((options, state))
    }

    /// The passkey in `answer`.
    pub(super) fn finish_registration(
        &self,
        state: &PasskeyRegistration,
        answer: &RawValue,
    ) -> Result<Registered, Refused> {
        let answer: RegisterPublicKeyCredential = read(answer)?;
        let response = &answer.response;
        let attested = Attested::read(&response.attestation_object).ok_or(Refused::Answer)?;
        if !is_named_alike(&answer.id, &answer.raw_id, &answer.type_)
            || attested.credential_id != answer.raw_id
            || !client_data::is_sound(
                &response.client_data_json,
                client_data::CREATE,
                &self.origins,
            )
        {
            return Err(Refused::Answer);
        }
        let passkey = self.webauthn.finish_passkey_registration(&answer, state);
        let passkey = passkey.map_err(|error| refuse(&error))?;
        let given = serde_json::to_value(&response.transports).unwrap_or_default();
        let given = given.as_array().map_or(&[][..], Vec::as_slice);
        let known = TRANSPORTS.iter().copied();
        let transports: Vec<&str> = known.filter(|name| given.contains(&json!(name))).collect();
        Ok(Registered {
            passkey,
            attested,
            transports: transports.join(" "),
        })
    }

    /// What the browser is asked; without `allowed` it offers whatever passkeys it has for this domain.
    pub(super) fn begin_authentication(
        &self,
        allowed: &[Descriptor],
    ) -> Result<(Value, DiscoverableAuthentication), WebauthnError> {
        let (options, state) = self.webauthn.start_discoverable_authentication()?;
        let mut options = serde_json::to_value(&options)?;
        let asked = &mut options["publicKey"];
        asked["allowCredentials"] = descriptors(allowed);
        // How the customer was verified (`uvm`) is nothing we keep.
        asked
            .as_object_mut()
            .map(|asked| asked.remove("extensions"));
        if !allowed.is_empty() {
            options.as_object_mut().map(|all| all.remove("mediation"));
        }
        Ok((options, state))
    }

    /// Reads an answer to [`Self::begin_authentication`].
    pub(super) fn read_assertion(&self, answer: &RawValue) -> Result<Assertion, Refused> {
        let answer: PublicKeyCredential = read(answer)?;
        let response = &answer.response;
        let handle = response.user_handle.as_deref();
        if !is_named_alike(&answer.id, &answer.raw_id, &answer.type_)
            || handle.is_some_and(|handle| handle.len() > MAX_HANDLE)
            || !(1..=MAX_SIGNATURE).contains(&response.signature.len())
            || !authenticator_data::is_sound_assertion(&response.authenticator_data)
            || !client_data::is_sound(&response.client_data_json, client_data::GET, &self.origins)
        {
            return Err(Refused::Answer);
        }
        Ok(Assertion(answer))
    }

    /// Holds `assertion` against the passkey it names.
    pub(super) fn finish_authentication(
        &self,
        state: DiscoverableAuthentication,
        assertion: &Assertion,
        passkey: &Passkey,
    ) -> Result<AuthenticationResult, Refused> {
        let done =
            self.webauthn
                .finish_discoverable_authentication_v2(&assertion.0, state, passkey);
        done.map_err(|error| refuse(&error))
    }
}

impl Assertion {
    pub(super) fn credential_id(&self) -> &[u8] {
        &self.0.raw_id
    }

    /// Whom the authenticator believes the passkey to be of.
    pub(super) fn user_handle(&self) -> Option<&[u8]> {
        self.0.response.user_handle.as_deref()
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: &RawValue) -> Result<T, Refused> {
    if answer.get().len() > MAX_ANSWER {
        return Err(Refused::Answer);
    }
    serde_json::from_str(answer.get()).map_err(|_| Refused::Answer)
}

fn is_named_alike(id: &str, raw_id: &[u8], kind: &str) -> bool {
    kind == "public-key"
        && CREDENTIAL_ID.contains(&raw_id.len())
        && URL_SAFE_NO_PAD.encode_to_string(raw_id) == id
}

fn refuse(error: &WebauthnError) -> Refused {
    tracing::debug!(cause = %error, "passkey refused");
    match error {
        WebauthnError::CredentialPossibleCompromise => Refused::CounterRegressed,
        _ => Refused::Answer,
    }
}

fn descriptors(of: &[Descriptor]) -> Value {
    let each = |known: &Descriptor| {
        json!({
            "type": "public-key",
            "id": URL_SAFE_NO_PAD.encode_to_string(&known.credential_id),
            "transports": known.transports,
        })
    };
    of.iter().map(each).collect()
}

/// W3C WebAuthn Level 3 §5.8.4, those that can be of use to a browser later.
const TRANSPORTS: &[&str] = &["usb", "nfc", "ble", "internal", "hybrid"];
/// Bytes of a credential id (§4, credential id); the database takes the same.
const CREDENTIAL_ID: std::ops::RangeInclusive<usize> = 16..=1023;
const MAX_ANSWER: usize = 32 * 1024;
/// §5.4.3.
const MAX_HANDLE: usize = 64;
/// An RSA key of 4096 bits makes 512.
const MAX_SIGNATURE: usize = 1024;
