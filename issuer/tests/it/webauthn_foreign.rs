//! A client and an authenticator that we did not write: both ceremonies, from our options to our verdict.

use std::pin::Pin;

use passkey::authenticator::{Authenticator, UiHint, UserCheck, UserValidationMethod};
use passkey::client::{Client, DefaultClientData};
use passkey::crypto::aws_lc_rs::AwsLcRsBackend;
use passkey::types::Passkey;
use passkey::types::ctap2::{Aaguid, Ctap2Error};
use passkey::types::webauthn::{CredentialCreationOptions, CredentialRequestOptions};
use serde_json::{Value, json};
use webauthn_rs::prelude::Url;

use crate::browser::{
    Browser, LOGIN_OPTIONS, LOGIN_VERIFY, ORIGIN, REGISTER_OPTIONS, REGISTER_VERIFY,
};
use crate::harness::{Database, Issuer, on_both_engines};

on_both_engines! {
    foreign_authenticator_registers_and_signs_in
}

async fn foreign_authenticator_registers_and_signs_in(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = Browser::new(&issuer);
    let (store, origin) = (None::<Passkey>, Url::parse(ORIGIN).unwrap());
    let authenticator = Authenticator::new(Aaguid::new_empty(), store, Willing, AwsLcRsBackend);
    let mut client = Client::new(authenticator).allows_insecure_localhost(true);

    let ask = json!({ "email": "ada@example.com" });
    let options = browser.post(REGISTER_OPTIONS, ask).await.expect(200);
    let asked: CredentialCreationOptions = only_public_key(&options);
    let made = client.register(&origin, asked, DefaultClientData).await;
    let made = serde_json::to_value(made.unwrap()).unwrap();
    let answer = browser.verify(REGISTER_VERIFY, &options, made).await;
    let customer = answer.expect(200)["session"]["subject"].clone();

    for ask in [json!({}), json!({ "email": "ada@example.com" })] {
        let options = browser.post(LOGIN_OPTIONS, ask).await.expect(200);
        let asked: CredentialRequestOptions = only_public_key(&options);
        let shown = client.authenticate(&origin, asked, DefaultClientData).await;
        let shown = serde_json::to_value(shown.unwrap()).unwrap();
        let answer = browser.verify(LOGIN_VERIFY, &options, shown).await;
        assert_eq!(answer.expect(200)["session"]["subject"], customer);
    }
}

fn only_public_key<T: serde::de::DeserializeOwned>(options: &Value) -> T {
    serde_json::from_value(json!({ "publicKey": options["publicKey"] })).unwrap()
}

/// Present and verified, always.
struct Willing;

type Checked<'a> = Pin<Box<dyn Future<Output = Result<UserCheck, Ctap2Error>> + Send + 'a>>;

impl UserValidationMethod for Willing {
    type PasskeyItem = Passkey;

    fn check_user<'a, 'this, 'both>(
        &'this self,
        _hint: UiHint<'a, Passkey>,
        presence: bool,
        verification: bool,
    ) -> Checked<'both>
    where
        'a: 'both,
        'this: 'both,
        Self: 'both,
    {
        Box::pin(async move {
            Ok(UserCheck {
                presence,
                verification,
            })
        })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(true)
    }
}
