use std::time::Duration;

use reqwest::header::{AGE, HeaderMap};

use super::{HeaderValue, Headers, Http, LONGEST_AGE, safe_url};

#[test]
fn a_loopback_url_needs_no_trust_store() {
    let http = Http::new().expect("TLS without trust needs nothing of the machine");
    let loopback = safe_url("http://127.0.0.1:4100/jwks.json").expect("loopback");
    http.client_for(&loopback).expect("it is there already");
    assert!(http.secure.get().is_none(), "nothing was read");
}

#[test]
fn an_age_is_digits_and_bounded() {
    let age = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(AGE, HeaderValue::from_str(text).unwrap());
        Headers(headers).age()
    };
    let endless = "9".repeat(40);
    for text in ["31536000", "31536001", "18446744073709551615", &endless] {
        assert_eq!(age(text), LONGEST_AGE, "{text}");
    }
    assert_eq!(
        (age("0"), age("59")),
        (Duration::ZERO, Duration::from_secs(59))
    );
    for text in ["", "-1", "+1", "1.5", "1e3", "soon"] {
        assert_eq!(age(text), Duration::ZERO, "{text}");
    }
}
