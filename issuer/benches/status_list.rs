//! What a status list of a million sessions costs: bytes on the wire, time to pack, sign and unpack, memory.
//!
//! The list is the issuer's own code; what stands in for the rest of the issuer is below it.

#[expect(dead_code, reason = "one bit a session is what is measured")]
#[path = "../src/status_list/list.rs"]
mod list;

use std::hint::black_box;
use std::io::Read as _;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use flate2::read::ZlibDecoder;
use serde_json::json;

use key::jwk_set::base64url;
use list::{Bits, StatusList};

const ROUNDS: usize = 21;
const SESSIONS: usize = 1 << 20;

/// As in the issuer.
mod key {
    pub(crate) mod jwk_set {
        pub(crate) fn base64url(bytes: &[u8]) -> String {
            base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
        }
    }
}

struct Row {
    revoked: usize,
    lst: usize,
    wire: usize,
    set: Duration,
    pack: Duration,
    sign: Duration,
    unpack: Duration,
}

fn main() {
    let pair = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
    let per_mille = [0, 1, 10, 100, 500];
    let rows: Vec<Row> = per_mille.into_iter().map(|n| measure(&pair, n)).collect();
    print(&rows);
}

fn measure(pair: &RsaKeyPair, per_mille: usize) -> Row {
    let places = places(SESSIONS * per_mille / 1_000);
    let mut list = StatusList::new(Bits::One, SESSIONS);
    let set = time(1, || {
        for place in &places {
            list.set(*place, 1).expect("within the list");
        }
    });
    let pack = time(ROUNDS, || drop(black_box(list.encode())));
    let status_list = serde_json::to_value(list.encode().expect("packed")).expect("JSON");
    let lst = status_list["lst"].as_str().expect("text").to_owned();
    let uri = "https://id.example.com/status-lists/01a20b00-94db-741f-9219-ec14c43ddf3b";
    let claims = json!({ "sub": uri, "iat": 1_795_478_400, "exp": 1_795_564_800, "ttl": 5, "status_list": status_list });
    let payload = claims.to_string();
    let sign = time(ROUNDS, || drop(black_box(jws(pair, payload.as_bytes()))));
    let unpack = time(ROUNDS, || drop(black_box(inflate(&lst))));
    Row {
        revoked: places.len(),
        lst: lst.len(),
        wire: jws(pair, payload.as_bytes()).len(),
        set,
        pack,
        sign,
        unpack,
    }
}

/// `count` different places, strewn.
fn places(count: usize) -> Vec<usize> {
    let mut taken = vec![false; SESSIONS];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut places = Vec::with_capacity(count);
    while places.len() < count {
        // xorshift64: reproducible, and random enough for a packer.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let place = usize::try_from(state >> 44).expect("20 bits");
        if !taken[place] {
            taken[place] = true;
            places.push(place);
        }
    }
    places
}

fn jws(pair: &RsaKeyPair, payload: &[u8]) -> String {
    let header = json!({ "typ": "statuslist+jwt", "alg": "RS256", "kid": "K".repeat(43) });
    let mut jws = format!(
        "{}.{}",
        base64url(header.to_string().as_bytes()),
        base64url(payload)
    );
    let mut signature = vec![0; pair.public_modulus_len()];
    let random = SystemRandom::new();
    pair.sign(&RSA_PKCS1_SHA256, &random, jws.as_bytes(), &mut signature)
        .expect("signed");
    jws.push('.');
    jws.push_str(&base64url(&signature));
    jws
}

fn inflate(lst: &str) -> Vec<u8> {
    let packed = base64_simd::URL_SAFE_NO_PAD
        .decode_to_vec(lst)
        .expect("base64url");
    let mut bytes = Vec::with_capacity(SESSIONS / 8);
    ZlibDecoder::new(packed.as_slice())
        .read_to_end(&mut bytes)
        .expect("zlib");
    bytes
}

/// The median of `rounds`.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn time(rounds: usize, mut call: impl FnMut()) -> Duration {
    let mut took: Vec<Duration> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed()
        })
        .collect();
    took.sort_unstable();
    took[rounds / 2]
}

#[expect(clippy::print_stdout, reason = "the report")]
fn print(rows: &[Row]) {
    println!(
        "one list of {SESSIONS} sessions, {} KiB in memory, medians of {ROUNDS} rounds",
        SESSIONS / 8 / 1024
    );
    println!(
        "{:>8} {:>10} {:>10} {:>8} {:>9} {:>9} {:>9} {:>10}",
        "revoked", "lst bytes", "JWS bytes", "bits", "set ms", "pack ms", "sign ms", "unpack ms"
    );
    for row in rows {
        let ms = |took: Duration| took.as_secs_f64() * 1e3;
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let share = (row.wire * 8) as f64 / SESSIONS as f64;
        println!(
            "{:>8} {:>10} {:>10} {:>8.3} {:>9.3} {:>9.3} {:>9.3} {:>10.3}",
            row.revoked,
            row.lst,
            row.wire,
            share,
            ms(row.set),
            ms(row.pack),
            ms(row.sign),
            ms(row.unpack)
        );
    }
}
