use super::{Http, safe_url};

#[test]
fn a_loopback_url_needs_no_trust_store() {
    let http = Http::new().expect("TLS without trust needs nothing of the machine");
    let loopback = safe_url("http://127.0.0.1:4100/jwks.json").expect("loopback");
    http.client_for(&loopback).expect("it is there already");
    assert!(http.secure.get().is_none(), "nothing was read");
}
