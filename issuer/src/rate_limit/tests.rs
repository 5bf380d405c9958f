//! Buckets, tables and addresses, apart from any request.

mod check;

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::bucket::{Charge, Rate, Table, seconds};
use super::{ClientAddress, ForwardedHeader, TrustedProxies};

const SECOND: Duration = Duration::from_secs(1);

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

fn is_taken(table: &Table, key: u64, now: Duration) -> bool {
    matches!(table.charge(key, now), Charge::Taken { .. })
}

/// A stranger's key, spread over the sets as a keyed hash would be.
fn stranger(number: u64) -> u64 {
    let mixed = (number ^ 0x5851_f42d_4c95_7f2d).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93) ^ (mixed >> 29)
}

#[test]
fn rates_keep_their_bounds() {
    for text in ["1/h", "30/m", "1000/s", "1000000/s"] {
        assert!(text.parse::<Rate>().is_ok(), "{text}");
    }
    for text in [
        "",
        "30",
        "/m",
        "0/m",
        "-1/m",
        "+1/m",
        "1.5/m",
        "30/d",
        "30/ m",
        "30 /m",
        "30/min",
        "1000001/s",
        "4294967296/s",
        "30/m/m",
    ] {
        assert!(text.parse::<Rate>().is_err(), "{text}");
    }
}

#[test]
fn bucket_gives_its_quota_then_one_each_interval() {
    let table = Table::new(rate("5/m"), 16);
    let start = SECOND * 100;
    for left in (0..5).rev() {
        let whole = SECOND * (60 - 12 * left);
        let remaining = u64::from(left);
        let expect = Charge::Taken { remaining, whole };
        assert_eq!(table.charge(7, start), expect);
    }
    let wait = SECOND * 12;
    assert_eq!(table.charge(7, start), Charge::Refused { wait });
    // A refused request is not charged: the wait does not grow.
    assert_eq!(table.charge(7, start), Charge::Refused { wait });
    let just_before = start + wait - Duration::from_nanos(1);
    let wait = Duration::from_nanos(1);
    assert_eq!(table.charge(7, just_before), Charge::Refused { wait });
    assert!(is_taken(&table, 7, start + SECOND * 12));
    assert!(!is_taken(&table, 7, start + SECOND * 12));
    for _ in 0..5 {
        assert!(is_taken(&table, 7, start + SECOND * 600));
    }
    assert!(!is_taken(&table, 7, start + SECOND * 600));
    assert_eq!(seconds(Duration::from_nanos(1)), 1);
    assert_eq!(seconds(SECOND * 12), 12);
}

#[test]
fn odd_quota_is_given_whole() {
    for quota in [1_u32, 7, 11, 999_983] {
        let table = Table::new(rate(&format!("{quota}/s")), 16);
        for _ in 0..quota {
            assert!(is_taken(&table, 1, SECOND));
        }
        assert!(!is_taken(&table, 1, SECOND), "{quota}");
    }
}

/// A million addresses at one instant, in a table of the size the issuer has.
#[test]
fn flood_of_addresses_makes_a_table_neither_grow_nor_forget() {
    let table = Table::new(rate("120/m"), super::PLACES);
    let size = table.size();
    assert!(size <= super::PLACES * 32, "{size} bytes");
    let attackers: Vec<u64> = (0..100).map(|n| stranger(u64::MAX - n)).collect();
    for attacker in &attackers {
        while is_taken(&table, *attacker, SECOND) {}
    }
    for number in 0..1_000_000 {
        table.charge(stranger(number), SECOND);
    }
    assert_eq!(table.size(), size);
    for attacker in &attackers {
        assert!(!is_taken(&table, *attacker, SECOND), "a bucket was reset");
    }
    let strangers = 1_000_000..1_000_100;
    let admitted = strangers.filter(|number| is_taken(&table, stranger(*number), SECOND));
    assert_eq!(admitted.count(), 100, "a stranger pays for the flood");
}

/// Whoever loses its place finds, on its return, at least what it owed.
#[test]
fn what_is_owed_is_never_understated() {
    let table = Table::new(rate("100/m"), 16);
    let owed = |key| match table.charge(key, SECOND) {
        Charge::Taken { whole, .. } => whole,
        Charge::Refused { wait } => wait + SECOND * 60,
    };
    let mut before = std::collections::BTreeMap::<u64, u32>::new();
    for step in 0_u64..1_500 {
        let key = 1 + stranger(step) % 40;
        let times = before.entry(key).or_default();
        *times += 1;
        let truth = Duration::from_millis(600) * (*times).min(100);
        assert!(owed(key) >= truth, "key {key} at step {step}");
    }
}

#[test]
fn every_spelling_of_an_address_is_one_client() {
    let client = |text: &str| ClientAddress::from(text.parse::<IpAddr>().unwrap());
    for same in [
        ["192.0.2.1", "::ffff:192.0.2.1"],
        ["192.0.2.1", "::FFFF:c000:201"],
        ["2001:db8::1", "2001:DB8:0:0:ffff:ffff:ffff:ffff"],
        ["2001:db8:1:2::", "2001:0db8:0001:0002:dead:beef:0000:0001"],
    ] {
        assert_eq!(client(same[0]), client(same[1]), "{same:?}");
    }
    for other in [
        ["192.0.2.1", "192.0.2.2"],
        ["2001:db8::1", "2001:db8:0:1::1"],
        ["0.0.0.1", "::1"],
    ] {
        assert_ne!(client(other[0]), client(other[1]), "{other:?}");
    }
}

#[test]
fn networks_are_canonical_and_never_everyone() {
    let parse = |text: &str| text.parse::<TrustedProxies>();
    for text in ["", "10.0.0.0/8", "127.0.0.1, ::1", "fd00::/8 192.0.2.7/32"] {
        assert!(parse(text).is_ok(), "{text}");
    }
    for text in [
        "10.0.0.1/8",
        "0.0.0.0/0",
        "::/0",
        "10.0.0.0/33",
        "10.0.0/8",
        "localhost",
        "::ffff:10.0.0.1",
        "::ffff:10.0.0.0/104",
        "10.0.0.0/-1",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
    assert!(parse(&"192.0.2.1 ".repeat(65)).is_err());
}

#[track_caller]
fn check(header: ForwardedHeader, peer: &str, lines: &[&str], expect: &str) {
    let proxies: TrustedProxies = "10.0.0.0/8 fd00::/8".parse().unwrap();
    let mut headers = HeaderMap::new();
    let name = match header {
        ForwardedHeader::XForwardedFor => "x-forwarded-for",
        ForwardedHeader::Forwarded => "forwarded",
    };
    for line in lines {
        headers.append(name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
    }
    let client = proxies.client(peer.parse().unwrap(), &headers, header);
    assert_eq!(client, expect.parse::<IpAddr>().unwrap(), "{lines:?}");
}

#[test]
fn header_counts_as_far_as_trusted_proxies_wrote_it() {
    let check = |peer, lines: &[&str], expect| {
        check(ForwardedHeader::XForwardedFor, peer, lines, expect);
    };
    check("192.0.2.9", &["198.51.100.1"], "192.0.2.9");
    check("10.0.0.1", &[], "10.0.0.1");
    check("10.0.0.1", &["198.51.100.1"], "198.51.100.1");
    check("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1");
    check("10.0.0.1", &["203.0.113.5, 198.51.100.1"], "198.51.100.1");
    check(
        "10.0.0.1",
        &["1.1.1.1,198.51.100.1 , 10.9.9.9"],
        "198.51.100.1",
    );
    check(
        "10.0.0.1",
        &["203.0.113.5", "198.51.100.1", "fd00::7"],
        "198.51.100.1",
    );
    check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
    check("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1");
    check("10.0.0.1", &["[2001:DB8::1]:4711"], "2001:db8::1");
    check("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1");
    for malformed in [
        "",
        ",",
        "unknown",
        "198.51.100.1,",
        "198.51.100",
        "[192.0.2.1]",
        "fe80::1%1",
        "é",
        "\u{80}",
    ] {
        check("10.0.0.1", &["198.51.100.1", malformed], "10.0.0.1");
        let behind = format!("{malformed}, 10.0.0.2");
        check("10.0.0.1", &["198.51.100.1", &behind], "10.0.0.2");
        let before = format!("{malformed}, 198.51.100.1");
        check("10.0.0.1", &[&before], "198.51.100.1");
    }
}

#[test]
fn forwarded_is_read_by_its_own_grammar() {
    let check = |lines: &[&str], expect| {
        check(ForwardedHeader::Forwarded, "10.0.0.1", lines, expect);
    };
    check(&["for=198.51.100.1"], "198.51.100.1");
    check(
        &["For=\"[2001:db8::1]:4711\";proto=https;by=10.0.0.1"],
        "2001:db8::1",
    );
    check(
        &["for=203.0.113.5, proto=https;FOR=198.51.100.1"],
        "198.51.100.1",
    );
    check(
        &["for=203.0.113.5, for=198.51.100.1, for=10.0.0.2"],
        "198.51.100.1",
    );
    check(&["for=\"203.0.113.5, for=198.51.100.1"], "198.51.100.1");
    for malformed in [
        "proto=https",
        "for=unknown",
        "for=_hidden",
        "for=",
        "for=\"198.51.100.1",
        "for=198.51.100.1;for=203.0.113.5",
        "198.51.100.1",
    ] {
        check(&["for=198.51.100.9", malformed], "10.0.0.1");
    }
}
