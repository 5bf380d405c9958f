//! Lists as bytes: the draft's own examples, packed here and read back by inflating alone.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use base64_simd::URL_SAFE_NO_PAD;
use flate2::read::ZlibDecoder;
use serde::Deserialize;

use super::list::{Bits, Encoded, OutOfRange, StatusList};

#[derive(Deserialize)]
struct Case {
    id: String,
    kind: String,
    expected: String,
    #[serde(default)]
    size: usize,
    #[serde(default)]
    statuses: BTreeMap<usize, u8>,
    status_list: Option<Wire>,
}

#[derive(Deserialize)]
struct Wire {
    bits: u8,
    lst: String,
}

fn inflate(lst: &str) -> Vec<u8> {
    let packed = URL_SAFE_NO_PAD.decode_to_vec(lst).unwrap();
    let mut bytes = Vec::new();
    ZlibDecoder::new(packed.as_slice())
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

fn encode(bits: u8, size: usize, statuses: impl IntoIterator<Item = (usize, u8)>) -> Encoded {
    let bits = match bits {
        1 => Bits::One,
        2 => Bits::Two,
        4 => Bits::Four,
        8 => Bits::Eight,
        _ => panic!("{bits} bits"),
    };
    let mut list = StatusList::new(bits, size);
    for (at, status) in statuses {
        list.set(at, status).unwrap();
    }
    list.encode().unwrap()
}

/// Token Status List §4.1 and §4.2.
#[test]
fn the_examples_of_the_draft_are_packed_alike() {
    let one = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1];
    let two = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3];
    for (bits, statuses, lst, bytes) in [
        (1, &one[..], "eNrbuRgAAhcBXQ", &[0xb9, 0xa3][..]),
        (2, &two[..], "eNo76fITAAPfAgc", &[0xc9, 0x44, 0xf9][..]),
    ] {
        let encoded = encode(bits, statuses.len(), statuses.iter().copied().enumerate());
        assert_eq!((encoded.bits, encoded.lst.as_str()), (bits, lst));
        assert_eq!(inflate(lst), bytes);
    }
}

/// The corpus is there when the tests of the checkout are.
#[test]
fn the_vectors_of_the_corpus_unpack_to_the_same_bytes() {
    let file = "../tests/vectors/shared/statuslist/token_status_list.jsonl";
    let Ok(text) = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)) else {
        return;
    };
    let mut seen = 0;
    for line in text.lines().skip(1) {
        let case: Case = serde_json::from_str(line).unwrap();
        let (Some(wire), "decode", "ok") = (&case.status_list, &*case.kind, &*case.expected) else {
            continue;
        };
        let encoded = encode(wire.bits, case.size, case.statuses);
        assert_eq!(inflate(&encoded.lst), inflate(&wire.lst), "{}", case.id);
        seen += 1;
    }
    assert!(seen >= 8, "{seen} lists");
}

#[test]
fn a_status_can_be_taken_back_and_touches_no_neighbour() {
    for (bits, most) in [
        (Bits::One, 1),
        (Bits::Two, 3),
        (Bits::Four, 15),
        (Bits::Eight, 255),
    ] {
        let mut list = StatusList::new(bits, 16);
        let bytes = |list: &StatusList| inflate(&list.encode().unwrap().lst);
        let empty = bytes(&list);
        for at in 0..16 {
            list.set(at, most).unwrap();
        }
        assert!(bytes(&list).iter().all(|byte| *byte == 0xff), "{bits:?}");
        for at in 0..16 {
            list.set(at, 0).unwrap();
        }
        assert_eq!(bytes(&list), empty, "{bits:?}");
    }
}

#[test]
fn out_of_range() {
    let mut list = StatusList::new(Bits::Two, 16);
    for (at, status) in [(16, 1), (usize::MAX, 1), (0, 4), (0, 255)] {
        assert_eq!(list.set(at, status), Err(OutOfRange), "{at} {status}");
    }
    assert_eq!(list.set(15, 3), Ok(()));
    let lst = list.encode().unwrap().lst;
    assert_eq!(inflate(&lst), [0, 0, 0, 0b1100_0000]);
}
