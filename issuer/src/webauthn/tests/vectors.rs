//! Both ceremonies against the shared corpus, through the functions the routes call.

use std::path::Path;

use base64_simd::URL_SAFE_NO_PAD;
use ciborium::Value as Cbor;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use webauthn_rs::prelude::Passkey;

use crate::db::Id;
use crate::webauthn::ceremony::{RelyingParty, User};

#[derive(Deserialize)]
struct Case {
    id: String,
    kind: String,
    rp_id: String,
    origin: Origins,
    challenge: String,
    user_verification: String,
    credential: Box<RawValue>,
    expected: String,
    stored: Option<Stored>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Origins {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
struct Stored {
    credential_id: Option<String>,
    public_key_cose: String,
    sign_count: u32,
    backup_eligible: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Accepted,
    Refused,
    /// We offer no such algorithm, so there is no such passkey.
    NotOffered,
}

#[test]
fn shared_vectors_get_their_verdict() {
    let (mut valid, mut invalid, mut known, mut not_offered) = (0, 0, 0, Vec::new());
    let (mut accepted_by_policy, mut wrong) = (Vec::new(), Vec::new());
    for case in cases() {
        let verdict = judge(&case);
        match (case.expected.as_str(), verdict) {
            ("valid", Verdict::Accepted) => valid += 1,
            ("valid", Verdict::NotOffered) => not_offered.push(case.id),
            (_, verdict) if is_known(&case.id, verdict) => known += 1,
            ("invalid", Verdict::Refused | Verdict::NotOffered) => invalid += 1,
            ("policy", Verdict::Accepted) => accepted_by_policy.push(case.id),
            ("policy", Verdict::Refused) => {}
            (expected, got) => wrong.push(format!("{}: {expected}, but {got:?}", case.id)),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    not_offered.sort_unstable();
    accepted_by_policy.sort_unstable();
    assert_eq!(not_offered, NOT_OFFERED);
    assert_eq!(accepted_by_policy, ACCEPTED_BY_POLICY);
    assert_eq!(known, OTHERWISE.len());
    let otherwise_valid = OTHERWISE.len() - 1;
    assert_eq!(
        (valid, invalid),
        (42 - NOT_OFFERED.len() - otherwise_valid, 120 - 1)
    );
}

fn is_known(id: &str, verdict: Verdict) -> bool {
    OTHERWISE
        .iter()
        .any(|(known, expected, _)| (*known, *expected) == (id, verdict))
}

fn judge(case: &Case) -> Verdict {
    let mut origins = match &case.origin {
        Origins::One(origin) => vec![origin.clone()],
        Origins::Several(origins) => origins.clone(),
    };
    // The first must be of the domain; settings want that of all.
    origins.sort_by_key(|origin| !origin.contains(&case.rp_id));
    let party = RelyingParty::new(&case.rp_id, "vectors", &origins).unwrap();
    match case.kind.as_str() {
        "registration" => register(&party, case),
        "authentication" => authenticate(&party, case),
        kind => panic!("{kind}"),
    }
}

fn register(party: &RelyingParty, case: &Case) -> Verdict {
    let user = User {
        id: Id::fixed(1),
        name: "vectors",
        display_name: "vectors",
    };
    let (_, state) = party.begin_registration(&user, &[]).unwrap();
    let mut state = serde_json::to_value(&state).unwrap();
    pin(&mut state["rs"], case);
    let state = serde_json::from_value(state).unwrap();
    let answer: Value = serde_json::from_str(case.credential.get()).unwrap();
    match party.finish_registration(&state, &case.credential) {
        Ok(_) => Verdict::Accepted,
        Err(_) if !registers_what_is_offered(&answer) => Verdict::NotOffered,
        Err(_) => Verdict::Refused,
    }
}

fn authenticate(party: &RelyingParty, case: &Case) -> Verdict {
    let Some(passkey) = stored(case) else {
        return Verdict::NotOffered;
    };
    let (_, state) = party.begin_authentication(&[]).unwrap();
    let mut state = serde_json::to_value(&state).unwrap();
    pin(&mut state["ast"], case);
    let state = serde_json::from_value(state).unwrap();
    let answer = party.read_assertion(&case.credential);
    let done = answer.and_then(|answer| party.finish_authentication(state, &answer, &passkey));
    match done {
        Ok(_) => Verdict::Accepted,
        Err(_) => Verdict::Refused,
    }
}

/// The case's challenge and wish for user verification in place of our own.
fn pin(state: &mut Value, case: &Case) {
    assert!(state["challenge"].is_string() && state["policy"] == "required");
    state["challenge"] = json!(case.challenge);
    state["policy"] = json!(case.user_verification);
}

/// The passkey a registration would have left behind.
fn stored(case: &Case) -> Option<Passkey> {
    let stored = case.stored.as_ref().unwrap();
    let answer: Value = serde_json::from_str(case.credential.get()).unwrap();
    let id = stored.credential_id.clone();
    let id = id.unwrap_or_else(|| answer["rawId"].as_str().unwrap().to_owned());
    let flags = || decode(&answer["response"]["authenticatorData"])[32];
    let eligible = stored.backup_eligible.unwrap_or_else(|| flags() & 8 != 0);
    let key = cose(&decode(&json!(stored.public_key_cose)))?;
    let passkey = json!({ "cred": {
        "cred_id": id,
        "cred": key,
        "counter": stored.sign_count,
        "transports": null,
        "user_verified": false,
        "backup_eligible": eligible,
        "backup_state": false,
        "registration_policy": case.user_verification,
        "extensions": {
            "cred_protect": "NotRequested",
            "hmac_create_secret": "NotRequested",
            "appid": "NotRequested",
            "cred_props": "NotRequested",
        },
        "attestation": { "data": "None", "metadata": "None" },
        "attestation_format": "none",
    }});
    Some(serde_json::from_value(passkey).unwrap())
}

/// A COSE key in the library's JSON; none of an algorithm that is not offered.
fn cose(bytes: &[u8]) -> Option<Value> {
    let key: Cbor = ciborium::from_reader(bytes).unwrap();
    let members = key.into_map().unwrap();
    let member = |label: i64| {
        let found = members.iter().find(|(key, _)| *key == Cbor::from(label));
        found.map(|(_, value)| value.clone())
    };
    let bytes = |label: i64| member(label).unwrap().into_bytes().unwrap();
    let text = |label: i64| URL_SAFE_NO_PAD.encode_to_string(bytes(label));
    let algorithm = member(3).unwrap().into_integer().unwrap();
    let curve = |name: &str| json!({ "EC_EC2": { "curve": name, "x": text(-2), "y": text(-3) } });
    Some(match i64::try_from(algorithm).unwrap() {
        -7 => json!({ "type_": "ES256", "key": curve("SECP256R1") }),
        -35 => json!({ "type_": "ES384", "key": curve("SECP384R1") }),
        -257 => {
            let key = json!({ "RSA": { "n": text(-1), "e": bytes(-2) } });
            json!({ "type_": "RS256", "key": key })
        }
        _ => return None,
    })
}

fn registers_what_is_offered(answer: &Value) -> bool {
    let read = || {
        let object = answer["response"]["attestationObject"].as_str()?;
        let object = URL_SAFE_NO_PAD.decode_to_vec(object).ok()?;
        let object: Cbor = ciborium::from_reader(object.as_slice()).ok()?;
        let members = object.into_map().ok()?;
        let data = members
            .into_iter()
            .find(|(name, _)| *name == Cbor::from("authData"))?;
        let data = data.1.into_bytes().ok()?;
        let length = usize::from(u16::from_be_bytes([*data.get(53)?, *data.get(54)?]));
        let key: Cbor = ciborium::from_reader(data.get(55 + length..)?).ok()?;
        let members = key.into_map().ok()?;
        let algorithm = members
            .into_iter()
            .find(|(label, _)| *label == Cbor::from(3))?;
        i64::try_from(algorithm.1.into_integer().ok()?).ok()
    };
    // What cannot be read is refused for that.
    read().is_none_or(|algorithm| [-7, -35, -257].contains(&algorithm))
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = path.join("../tests/vectors/shared/webauthn/webauthn.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let cases: Vec<Case> = text
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(cases.len(), 191);
    cases
}

fn decode(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    URL_SAFE_NO_PAD.decode_to_vec(text).unwrap()
}

/// Valid, with EdDSA, ES512 or ML-DSA keys, which `webauthn-rs` does not offer.
const NOT_OFFERED: &[&str] = &[
    "py_webauthn/test_verify_attestation_with_okp_public_key",
    "py_webauthn/test_verify_authentication_response_with_OKP_public_key",
    "py_webauthn/test_verify_ml_dsa_44_response",
    "py_webauthn/test_verify_ml_dsa_65_response",
    "py_webauthn/test_verify_ml_dsa_87_response",
    "py_webauthn/test_verify_pqc_ml_dsa_87_packed_response",
    "w3c/packed-ed448/auth",
    "w3c/packed-ed448/reg",
    "w3c/packed-eddsa/reg",
    "w3c/packed-es512/auth",
];
/// Judged otherwise than the corpus says, and why.
const OTHERWISE: &[(&str, Verdict, &str)] = &[
    (
        "w3c/packed-rs256/reg",
        Verdict::Refused,
        "webauthn-rs takes RSA keys of 2048 bits alone",
    ),
    (
        "w3c/android-key-es256/reg",
        Verdict::Refused,
        "webauthn-rs wants a certificate of the vendor's form",
    ),
    (
        "mut/packed-es256/reg_att_alg_mismatch",
        Verdict::Accepted,
        "an attestation was not asked for, and nothing follows from one",
    ),
    (
        "py_webauthn/test_verifies_response_optional_user_presence",
        Verdict::Refused,
        "members under names that no browser sends",
    ),
    (
        "py_webauthn/test_verify_attestation_with_unsupported_token_binding",
        Verdict::Refused,
        "a token binding that is no object, of browsers long gone",
    ),
    (
        "py_webauthn/test_verify_attestation_dell_xps_13",
        Verdict::Refused,
        "standard base64",
    ),
    (
        "py_webauthn/test_verify_attestation_lenovo_carbon_x1",
        Verdict::Refused,
        "standard base64",
    ),
    (
        "py_webauthn/test_verify_attestation_surface_pro_4",
        Verdict::Refused,
        "standard base64",
    ),
    (
        "py_webauthn/test_verify_tpm_with_ecc_public_area_type",
        Verdict::Refused,
        "attested with SHA-1",
    ),
];
/// The specification leaves the verdict open, and these functions accept; the route holds the user handle
/// against the owner besides.
const ACCEPTED_BY_POLICY: &[&str] = &[
    "mut/none-es256/auth_re_token_binding",
    "mut/none-es256/auth_struct_clientDataJSON_std_b64",
    "mut/none-es256/auth_struct_userhandle_other",
    "mut/none-es256/reg_cose_private_d",
    "mut/none-es256/reg_struct_clientDataJSON_std_b64",
    "mut/packed-self-es256/auth_re_token_binding",
    "mut/packed-self-es256/auth_sig_malleable",
];
