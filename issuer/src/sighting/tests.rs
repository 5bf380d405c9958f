//! What a request shows, and how much of it is remembered.

use http::header::IF_NONE_MATCH;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{GENERATIONS, HEADER, Holding, Holdings, Instance, MOST, Sightings, held};
use crate::clock::Timestamp;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_478_400);
const ETAG: HeaderValue = HeaderValue::from_static("\"7-0123abcd\"");

fn with(name: &HeaderName, values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

#[test]
fn generation_is_read_from_one_etag_of_ours() {
    for (tags, expect) in [
        (&["\"7-0123abcd\""][..], Some(7)),
        (&["W/\"7-0123abcd\""], Some(7)),
        (&["\"6-00000000\""], Some(6)),
        (&["\"1-ffffffff\""], Some(1)),
        // The present number over other bytes: of a database that was restored since.
        (&["\"7-00000000\""], None),
        (&["\"8-0123abcd\""], None),
        (&["\"0-0123abcd\""], None),
        (&["\"-1-0123abcd\""], None),
        (&["\"6-0123abc\""], None),
        (&["\"6-0123abcg\""], None),
        (&["\"6\""], None),
        (&["6-0123abcd"], None),
        (&["*"], None),
        (&[""], None),
        (&["\"6-00000000\", \"7-0123abcd\""], None),
        (&["\"7-0123abcd\"", "\"7-0123abcd\""], None),
        (&["\"99999999999999999999-0123abcd\""], None),
    ] {
        assert_eq!(
            held(&with(&IF_NONE_MATCH, tags), 7, &ETAG),
            expect,
            "{tags:?}"
        );
    }
    assert_eq!(held(&HeaderMap::new(), 7, &ETAG), None);
}

#[test]
fn name_is_sixteen_bytes_in_one_form() {
    let name = HeaderName::from_static(HEADER);
    let good = "AAECAwQFBgcICQoLDA0ODw";
    let found = Instance::of(&with(&name, &[good])).unwrap();
    assert_eq!(found.as_str(), good);
    for bad in [
        &[][..],
        &[good, good],
        &["AAECAwQFBgcICQoLDA0ODw=="],
        &["AAECAwQFBgcICQoLDA0OD"],
        &["AAECAwQFBgcICQoLDA0ODx"],
        &["AAECAwQFBgcICQoLDA0OD+"],
        &["AAECAwQFBgcICQoLDA0ODw, x"],
        &["%%%%%%%%%%%%%%%%%%%%%%"],
        &[""],
    ] {
        assert_eq!(Instance::of(&with(&name, bad)), None, "{bad:?}");
    }
}

#[test]
fn memory_is_bounded_and_keeps_who_is_known() {
    let sightings = Sightings::default();
    let name = |n: usize| {
        let bytes = u128::try_from(n).unwrap().to_be_bytes();
        base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
    };
    let note = |n: usize| {
        let headers = with(&HeaderName::from_static(HEADER), &[&name(n)]);
        sightings.note(&headers, 7, &ETAG, NOW);
    };
    (0..MOST + 10).for_each(note);
    let taken = sightings.take();
    assert_eq!(taken.len(), MOST);
    assert!(taken.is_sorted_by(|(a, _), (b, _)| a < b));
    note(3);
    sightings.give_back(taken);
    assert_eq!(sightings.take().len(), MOST);
    for generation in 1..100 {
        let tag = format!("\"{generation}-0123abcd\"");
        let etag = HeaderValue::from_str(&tag).unwrap();
        sightings.note(&with(&IF_NONE_MATCH, &[&tag]), generation, &etag, NOW);
    }
    assert_eq!(sightings.anonymous().len(), GENERATIONS);
}

#[test]
fn nothing_is_proved_of_more_than_are_counted() {
    let holding = |generation, count| Holding {
        generation,
        count,
        last_seen: 0,
    };
    let few = Holdings::new(vec![holding(7, 2), holding(6, 1), holding(0, 1)]);
    assert_eq!((few.total(), few.behind(7), few.behind(6)), (4, 2, 1));
    assert!(!few.prove(7) && !few.prove(1) && few.prove(0));
    assert!(Holdings::new(Vec::new()).prove(7));
    let most = i64::try_from(MOST).unwrap();
    assert!(Holdings::new(vec![holding(7, most - 1)]).prove(7));
    assert!(!Holdings::new(vec![holding(7, most)]).prove(7));
}
