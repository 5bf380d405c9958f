//! What no browser sends: assertions and registrations with one thing bent.

use ciborium::Value as Cbor;
use serde_json::{Value, json};

use crate::authenticator::{
    ATTESTED, Assertion, BACKUP_ELIGIBLE, BACKUP_STATE, EXTENSIONS, PRESENT, Registration,
    VERIFIED, base64url, encode,
};
use crate::browser::{
    Browser, LOGIN_OPTIONS, LOGIN_VERIFY, ORIGIN, REGISTER_OPTIONS, REGISTER_VERIFY, sign_up,
};
use crate::harness::{Database, Issuer, on_both_engines};

on_both_engines! {
    authentication_failed_for_bent_assertions
    authentication_failed_for_a_flip_of_backup_eligibility
    registration_failed_for_bent_answers
}

/// Each bends one thing of an answer that is sound without.
async fn authentication_failed_for_bent_assertions(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = sign_up(&issuer, "ada@example.com").await;
    let own = base64url(&browser.authenticator.passkeys[0].user_handle);
    type Bend = Box<dyn Fn(&mut Assertion)>;
    let origin = |origin: &'static str| -> Bend {
        Box::new(move |draft| draft.client_data["origin"] = json!(origin))
    };
    let bends: Vec<(&str, Bend)> = vec![
        ("UV=0", Box::new(|draft| draft.flags = PRESENT)),
        ("UP=0", Box::new(|draft| draft.flags = VERIFIED)),
        ("BS=1, BE=0", Box::new(|draft| draft.flags |= BACKUP_STATE)),
        (
            "other rp",
            Box::new(|draft| draft.rp_id = "example.com".to_owned()),
        ),
        (
            "AT in an assertion",
            Box::new(|draft| draft.flags |= ATTESTED),
        ),
        ("trailing bytes", Box::new(|draft| draft.tail = vec![0])),
        (
            "ED without extensions",
            Box::new(|draft| draft.flags |= EXTENSIONS),
        ),
        (
            "extension twice",
            Box::new(|draft| {
                draft.flags |= EXTENSIONS;
                draft.tail = b"\xa2\x61a\x01\x61a\x02".to_vec();
            }),
        ),
        ("other origin", origin("http://badlocalhost:4100")),
        (
            "origin as a prefix",
            origin("http://localhost:4100.evil.test"),
        ),
        ("other port", origin("http://localhost:4101")),
        ("no port", origin("http://localhost")),
        ("other scheme", origin("https://localhost:4100")),
        ("subdomain", origin("http://a.localhost:4100")),
        ("trailing slash", origin("http://localhost:4100/")),
        ("upper case", origin("HTTP://LOCALHOST:4100")),
        ("null", origin("null")),
        (
            "in a frame",
            Box::new(|draft| draft.client_data["crossOrigin"] = json!(true)),
        ),
        (
            "in a frame of somebody",
            Box::new(|draft| draft.client_data["topOrigin"] = json!("https://evil.test")),
        ),
        (
            "made, not shown",
            Box::new(|draft| draft.client_data["type"] = json!("webauthn.create")),
        ),
        (
            "other challenge",
            Box::new(|draft| draft.client_data["challenge"] = json!(base64url(&[1; 32]))),
        ),
        (
            "origin twice",
            Box::new(|draft| {
                let text = draft.client_data.to_string();
                let evil = r#"{"origin":"https://evil.test","#;
                draft.client_data_text = Some(text.replacen('{', evil, 1));
            }),
        ),
        (
            "no user handle",
            Box::new(|draft| draft.user_handle = json!(null)),
        ),
        (
            "other user handle",
            Box::new(|draft| draft.user_handle = json!(base64url(&[1; 16]))),
        ),
        (
            "a longer user handle",
            Box::new(move |draft| draft.user_handle = json!(format!("{own}AAAA"))),
        ),
        ("counter stands", Box::new(|draft| draft.counter = 1)),
    ];
    let sessions = "SELECT COUNT(*) FROM queue_sessions";
    for (what, bend) in bends {
        let answer = try_login(&mut browser, |draft| bend(draft)).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        let problem = answer.expect_problem(401, "authentication_failed");
        assert!(problem.get("detail").is_none(), "{what}: {problem}");
        assert!(!answer.headers.contains_key("set-cookie"), "{what}");
        assert_eq!(database.number(sessions).await, 1, "{what}");
    }
    // Nor for what is no assertion at all.
    let id = base64url(&browser.authenticator.passkeys[0].id);
    for credential in [
        json!(null),
        json!([]),
        json!({}),
        json!({ "id": id, "rawId": id }),
    ] {
        let options = browser.post(LOGIN_OPTIONS, json!({})).await.expect(200);
        let answer = browser.verify(LOGIN_VERIFY, &options, credential).await;
        answer.expect_problem(401, "authentication_failed");
    }
    for bend in [
        |answer: &mut Value| answer["id"] = json!("AAAA"),
        |answer: &mut Value| answer["type"] = json!("password"),
        |answer: &mut Value| answer["response"]["signature"] = json!(""),
        |answer: &mut Value| answer["response"]["signature"] = json!(base64url(&[7; 70])),
        |answer: &mut Value| answer["response"]["signature"] = json!(base64url(&[7; 1025])),
        |answer: &mut Value| {
            let large = base64url(&[7; 17 * 1024]);
            answer["response"]["authenticatorData"] = json!(large);
        },
    ] {
        let options = browser.post(LOGIN_OPTIONS, json!({})).await.expect(200);
        let mut credential = browser.authenticator.sign_in(&options, ORIGIN);
        bend(&mut credential);
        let answer = browser.verify(LOGIN_VERIFY, &options, credential).await;
        answer.expect_problem(401, "authentication_failed");
    }
    try_login(&mut browser, |draft| draft.counter = 100)
        .await
        .expect(200);
}

async fn authentication_failed_for_a_flip_of_backup_eligibility(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut browser = sign_up(&issuer, "ada@example.com").await;
    let flipped = |draft: &mut Assertion| draft.flags |= BACKUP_ELIGIBLE;
    let answer = try_login(&mut browser, flipped).await;
    answer.expect_problem(401, "authentication_failed");
    let mut synced = Browser::new(&issuer);
    let bend = |draft: &mut Registration| draft.flags |= BACKUP_ELIGIBLE | BACKUP_STATE;
    let answer = try_register(&mut synced, "eve@example.com", bend).await;
    answer.expect(200);
    try_login(&mut synced, |_| {})
        .await
        .expect_problem(401, "authentication_failed");
    // That a backup exists or not may change.
    let answer = try_login(&mut synced, |draft| draft.flags |= BACKUP_ELIGIBLE).await;
    answer.expect(200);
    let kept = "SELECT COUNT(*) FROM queue_webauthn_credentials WHERE backup_eligible AND NOT backup_state";
    assert_eq!(database.number(kept).await, 1);
}

/// Each bends one thing of an answer that is sound without.
async fn registration_failed_for_bent_answers(database: Database) {
    let issuer = Issuer::start(&database).await;
    type Bend = fn(&mut Registration);
    let label = |draft: &mut Registration, label: i64, value: Option<Cbor>| {
        let Cbor::Map(members) = &mut draft.cose_key else {
            panic!("a map");
        };
        members.retain(|(key, _)| *key != Cbor::from(label));
        members.extend(value.map(|value| (Cbor::from(label), value)));
    };
    let bends: Vec<(&str, Bend)> = vec![
        ("UV=0", |draft| draft.flags = PRESENT | ATTESTED),
        ("UP=0", |draft| draft.flags = VERIFIED | ATTESTED),
        ("AT=0", |draft| draft.flags = PRESENT | VERIFIED),
        ("BS=1, BE=0", |draft| draft.flags |= BACKUP_STATE),
        ("other rp", |draft| draft.rp_id = "example.com".to_owned()),
        ("other origin", |draft| {
            draft.client_data["origin"] = json!("http://badlocalhost:4100");
        }),
        ("other port", |draft| {
            draft.client_data["origin"] = json!("http://localhost:4101");
        }),
        ("other scheme", |draft| {
            draft.client_data["origin"] = json!("https://localhost:4100");
        }),
        ("in a frame", |draft| {
            draft.client_data["crossOrigin"] = json!(true);
        }),
        ("below somebody", |draft| {
            draft.client_data["topOrigin"] = json!("https://evil.test");
        }),
        ("shown, not made", |draft| {
            draft.client_data["type"] = json!("webauthn.get");
        }),
        ("unknown format", |draft| draft.format = "evil"),
        ("short id", |draft| draft.credential_id = vec![1; 15]),
        ("long id", |draft| draft.credential_id = vec![1; 1024]),
        ("trailing bytes", |draft| draft.tail = vec![0]),
        ("trailing CBOR", |draft| draft.object_tail = vec![0xa0]),
        ("ED without extensions", |draft| draft.flags |= EXTENSIONS),
        ("member twice", |draft| {
            draft.members = vec![(Cbor::from("fmt"), Cbor::from("none"))];
        }),
        ("oversize", |draft| {
            let large = Cbor::Bytes(vec![0; 16 * 1024]);
            draft.members = vec![(Cbor::from("x"), large)];
        }),
        ("deep", |draft| {
            let deep = (0..40).fold(Cbor::Null, |inner, _| Cbor::Array(vec![inner]));
            draft.members = vec![(Cbor::from("x"), deep)];
        }),
        ("tagged", |draft| {
            let tagged = Cbor::Tag(1, Box::new(Cbor::from(1)));
            draft.members = vec![(Cbor::from("x"), tagged)];
        }),
    ];
    let mut browser = Browser::new(&issuer);
    let mut refused = async |what: &str, bend: &dyn Fn(&mut Registration)| {
        let answer = try_register(&mut browser, "ada@example.com", bend).await;
        assert_eq!(answer.status, 422, "{what}: {}", answer.text());
        let problem = answer.expect_problem(422, "registration_failed");
        assert!(problem.get("detail").is_none(), "{what}");
        let left = "SELECT COUNT(*) FROM queue_customers";
        assert_eq!(database.number(left).await, 0, "{what}");
    };
    for (what, bend) in bends {
        refused(what, &bend).await;
    }
    for algorithm in [-8, -6, -37, -65535, -257, 0, 7] {
        let bend = |draft: &mut Registration| label(draft, 3, Some(Cbor::from(algorithm)));
        refused("algorithm", &bend).await;
    }
    let bend = |draft: &mut Registration| label(draft, -2, None);
    refused("no x", &bend).await;
    let bend = |draft: &mut Registration| label(draft, -2, Some(Cbor::Bytes(vec![1; 32])));
    refused("off the curve", &bend).await;
    let twice = |draft: &mut Registration| {
        let Cbor::Map(members) = &mut draft.cose_key else {
            panic!("a map");
        };
        let again = members[0].clone();
        members.push(again);
        assert!(encode(&draft.cose_key).starts_with(&[0xa6]));
    };
    refused("label twice", &twice).await;
    let answer = try_register(&mut browser, "ada@example.com", |_| {}).await;
    answer.expect(200);
}

/// Signs in anew with the first passkey, after `bend`.
pub(crate) async fn try_login(
    browser: &mut Browser,
    bend: impl Fn(&mut Assertion),
) -> crate::http::Answer {
    browser.token = None;
    let options = browser.post(LOGIN_OPTIONS, json!({})).await.expect(200);
    let passkey = &browser.authenticator.passkeys[0];
    let mut draft = passkey.draft(&options, ORIGIN);
    draft.counter = 2;
    bend(&mut draft);
    let credential = passkey.sign(&draft);
    browser.verify(LOGIN_VERIFY, &options, credential).await
}

/// Registers `email` with a new passkey, after `bend`.
pub(crate) async fn try_register(
    browser: &mut Browser,
    email: &str,
    bend: impl Fn(&mut Registration),
) -> crate::http::Answer {
    let ask = json!({ "email": email });
    let options = browser.post(REGISTER_OPTIONS, ask).await.expect(200);
    let mut draft = browser.authenticator.draft_registration(&options, ORIGIN);
    bend(&mut draft);
    let credential = draft.seal();
    browser.verify(REGISTER_VERIFY, &options, credential).await
}
