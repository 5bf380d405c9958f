//! The shared corpus of status lists, and what only the room itself can see.

use std::io::Write as _;

use base64_simd::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::list::StatusList;
use super::token::ListPolicy;
use crate::algorithm::Algorithm;
use crate::claims::RawClaims;
use crate::key::jwk;
use crate::policy::{HeaderPolicy, TypRule};
use crate::signature::CryptoBackend;

#[derive(Deserialize)]
struct Case {
    id: String,
    kind: String,
    expected: String,
    #[serde(default)]
    why: String,
    status_list: Option<Packed>,
    size: Option<usize>,
    #[serde(default)]
    statuses: Map<String, Value>,
    token: Option<String>,
    jwks: Option<Value>,
    #[serde(default)]
    alg_allowed: Vec<String>,
    referenced: Option<Value>,
    #[serde(default)]
    now: u64,
}

#[derive(Deserialize)]
struct Packed {
    bits: i64,
    lst: String,
}

fn corpus() -> (Value, Vec<Case>) {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/vectors/shared/statuslist/token_status_list.jsonl"
    );
    let text = std::fs::read_to_string(file).unwrap();
    let mut lines = text.lines();
    let meta: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    let case = |line| serde_json::from_str(line).unwrap();
    (meta["meta"]["defs"].clone(), lines.map(case).collect())
}

fn decode(case: &Case) {
    let packed = case.status_list.as_ref().unwrap();
    let list = StatusList::parse(packed.bits, &packed.lst).unwrap();
    assert_eq!(Some(list.len()), case.size, "{}", case.id);
    for (idx, status) in &case.statuses {
        let found = list.status(idx.parse().unwrap());
        assert_eq!(
            found.map(Value::from).as_ref(),
            Some(status),
            "{} {idx}",
            case.id
        );
    }
    let size = u32::try_from(list.len()).unwrap();
    assert_eq!(list.status(size), None, "{}", case.id);
    if packed.bits > 0 && case.id.contains("/spec_") && case.statuses.len() > 20 {
        let others = (0..size).filter(|idx| !case.statuses.contains_key(&idx.to_string()));
        assert!(
            others.into_iter().all(|idx| list.status(idx) == Some(0)),
            "{}",
            case.id
        );
    }
}

/// `status:N` or `error`, as the walk would find it.
fn outcome(case: &Case, defs: &Value) -> Option<u8> {
    let keys = match case.jwks.as_ref()? {
        Value::String(name) => &defs[name],
        given => given,
    };
    let algorithms: Vec<Algorithm> = case
        .alg_allowed
        .iter()
        .map(|name| name.parse().unwrap())
        .collect();
    let keys = jwk::parse_set(
        keys.to_string().as_bytes(),
        &algorithms,
        CryptoBackend::default(),
    );
    // The claim of the referenced token has its types, or the token is refused for its claims.
    let referenced = case.referenced.as_ref()?;
    let claims = json!({ "status": { "status_list": referenced } }).to_string();
    let claims = RawClaims::parse(claims.as_bytes()).ok()?;
    let reference = claims.status_list()?;
    let issuer = if case.id.ends_with("spec_jwt_es256") {
        "https://example.com"
    } else {
        "https://issuer.example.test"
    };
    let policy = ListPolicy {
        issuer: issuer.to_owned(),
        header: HeaderPolicy {
            algorithms,
            typ: TypRule::StatusList,
        },
        leeway: 0,
    };
    let token = policy
        .read(case.token.as_ref()?.as_bytes(), &keys.ok()?)
        .ok()?;
    token.judge(reference.uri.as_str(), 0, case.now).ok()?;
    token.list.status(reference.idx)
}

#[test]
fn token_status_list() {
    let (defs, cases) = corpus();
    for case in &cases {
        match (case.kind.as_str(), case.expected.as_str()) {
            ("decode", "ok") => decode(case),
            ("token", "policy") => drop(outcome(case, &defs)),
            ("token", expected) => {
                let status = expected.strip_prefix("status:");
                let status = status.map(|status| status.parse().unwrap());
                assert_eq!(outcome(case, &defs), status, "{}: {}", case.id, case.why);
            }
            other => panic!("{}: {other:?}", case.id),
        }
    }
    assert_eq!(cases.len(), 78);
}

fn packed(bits: i64, bytes: &[u8]) -> StatusList {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(bytes).unwrap();
    let lst = URL_SAFE_NO_PAD.encode_to_string(zlib.finish().unwrap());
    StatusList::parse(bits, &lst).unwrap()
}

/// Every pair of statuses at every place of a byte, against the rule in words.
#[test]
fn what_is_over_for_good_is_not_taken_back() {
    let is_over = |status: u8| status != 0 && status != 2;
    for bits in [1, 2, 4, 8] {
        let most = u8::MAX >> (8 - bits);
        for shift in (0..8).step_by(bits) {
            for (old, new) in (0..=most).flat_map(|old| (0..=most).map(move |new| (old, new))) {
                let list = |status: u8| packed(i64::try_from(bits).unwrap(), &[0, status << shift]);
                let (was, is) = (list(old), list(new));
                let expected = is_over(old) && !is_over(new);
                assert_eq!(was.is_taken_back_by(&is), expected, "{bits}: {old} {new}");
            }
        }
    }
    let short = packed(2, &[0]);
    assert!(packed(2, &[0, 0b0100]).is_taken_back_by(&short));
    assert!(!packed(2, &[0, 0b1000]).is_taken_back_by(&short));
    assert!(!short.is_taken_back_by(&packed(2, &[0, 0b0100])));
    assert!(short.is_taken_back_by(&packed(1, &[0])), "of other bits");
}
