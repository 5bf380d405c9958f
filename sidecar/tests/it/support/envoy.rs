//! Envoy's side of `ext_authz` over gRPC: a CheckRequest's bytes, and what a CheckResponse says.

use std::collections::BTreeMap;

use serde_json::Value;

use super::TestApp;
use super::grpc::{Answer, Field, GrpcClient, fields, message};

pub(crate) const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

pub(crate) fn entry(key: &[u8], value: &[u8]) -> Vec<u8> {
    message(&[
        Field::Bytes(1, key.to_vec()),
        Field::Bytes(2, value.to_vec()),
    ])
}

/// A CheckRequest: `headers` of the map, `raw` ones, and what the route's configuration adds.
pub(crate) fn request(
    headers: &[(&[u8], &[u8])],
    raw: &[(&[u8], &[u8])],
    extensions: &[(&str, &str)],
) -> Vec<u8> {
    let mut http = vec![
        Field::Bytes(2, b"GET".to_vec()),
        Field::Bytes(4, b"/orders?scope=admin".to_vec()),
        Field::Bytes(5, b"shop.example.com".to_vec()),
    ];
    http.extend(
        headers
            .iter()
            .map(|(key, value)| Field::Bytes(3, entry(key, value))),
    );
    if !raw.is_empty() {
        let raw = raw.iter().map(|(key, value)| {
            let header = [
                Field::Bytes(1, key.to_vec()),
                Field::Bytes(3, value.to_vec()),
            ];
            Field::Bytes(1, message(&header))
        });
        http.push(Field::Bytes(13, message(&raw.collect::<Vec<_>>())));
    }
    let request = message(&[Field::Bytes(2, message(&http))]);
    let mut attributes = vec![Field::Bytes(4, request)];
    let extensions = extensions.iter();
    attributes.extend(
        extensions.map(|(key, value)| Field::Bytes(10, entry(key.as_bytes(), value.as_bytes()))),
    );
    message(&[Field::Bytes(1, message(&attributes))])
}

pub(crate) fn bearing(token: &str) -> Vec<u8> {
    let value = format!("Bearer {token}");
    request(&[(b"authorization", value.as_bytes())], &[], &[])
}

/// What a CheckResponse says.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) rpc: u64,
    /// 2 denied, 3 ok, 5 error.
    pub(crate) kind: u32,
    pub(crate) http: u64,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) removed: Vec<String>,
    pub(crate) body: Value,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("what we write is UTF-8")
}

pub(crate) fn number_of(bytes: &[u8], wanted: u32) -> u64 {
    let found = fields(bytes).into_iter().find_map(|field| match field {
        Field::Number(number, value) if number == wanted => Some(value),
        _ => None,
    });
    found.unwrap_or(0)
}

fn header(option: &[u8]) -> (String, String) {
    assert_eq!(number_of(option, 3), 2, "it overwrites");
    assert_eq!(number_of(option, 4), 1, "it is kept when empty");
    let (mut name, mut value) = (String::new(), String::new());
    for field in fields(option) {
        let Field::Bytes(1, header) = field else {
            continue;
        };
        for field in fields(&header) {
            match field {
                Field::Bytes(1, bytes) => name = text(&bytes),
                Field::Bytes(2, bytes) => value = text(&bytes),
                other => panic!("no such field: {other:?}"),
            }
        }
    }
    (name, value)
}

#[track_caller]
pub(crate) fn decision(answer: &Answer) -> Decision {
    let mut decision = Decision {
        rpc: 0,
        kind: 0,
        http: 0,
        headers: BTreeMap::new(),
        removed: Vec::new(),
        body: Value::Null,
    };
    for field in fields(answer.message()) {
        let Field::Bytes(number, bytes) = field else {
            panic!("a CheckResponse has messages");
        };
        if number == 1 {
            decision.rpc = number_of(&bytes, 1);
            continue;
        }
        assert_eq!(decision.kind, 0, "one decision");
        decision.kind = number;
        for field in fields(&bytes) {
            match (number, field) {
                (_, Field::Bytes(2, option)) => decision.headers.extend([header(&option)]),
                (3, Field::Bytes(5, name)) => decision.removed.push(text(&name)),
                (2 | 5, Field::Bytes(1, status)) => decision.http = number_of(&status, 1),
                (2 | 5, Field::Bytes(3, body)) => {
                    decision.body = serde_json::from_slice(&body).expect("a problem");
                }
                other => panic!("no such field: {other:?}"),
            }
        }
    }
    decision
}

pub(crate) fn check(app: &TestApp, request: &[u8]) -> Decision {
    decision(&GrpcClient { port: app.port }.call(CHECK, request))
}
