//! What mails say, and what they cannot be made to say.

use std::time::Duration;

use super::letter::Letterhead;
use super::worker::backoff;
use super::{Content, Mail, Purpose, SEALED_AS};
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, Id};
use crate::key::sealing::Kek;

const AT: i64 = 1_795_528_500;

fn all() -> Vec<Mail> {
    let at = AT;
    let code = |purpose| Mail::VerificationCode {
        purpose,
        code: "01234567".to_owned(),
        minutes: 10,
    };
    vec![
        code(Purpose::Verify),
        code(Purpose::Change),
        code(Purpose::Recover),
        Mail::AddressChanged { at },
        Mail::NewSignIn {
            device: "Firefox on Linux".to_owned(),
            at,
        },
        Mail::RecoveryUsed { at },
        Mail::PasskeyAdded {
            name: "Phone".to_owned(),
            at,
        },
        Mail::PasskeyRemoved {
            name: "Phone".to_owned(),
            at,
        },
        Mail::BackupCodesMade { at },
        Mail::BackupCodeSpent { left: 0, at },
        Mail::BackupCodeSpent { left: 1, at },
        Mail::BackupCodeSpent { left: 7, at },
        Mail::Test,
    ]
}

fn letterhead(from: &str) -> Letterhead {
    Letterhead {
        from: from.parse().unwrap(),
        link: "https://account.example.com".to_owned(),
    }
}

/// The message as it goes over the wire, with soft line breaks taken out.
fn written(from: &str, mail: &Mail) -> String {
    let message = letterhead(from)
        .write(
            Id::fixed(7),
            "ada@example.com",
            mail,
            Timestamp::from_unix_seconds(AT),
        )
        .unwrap();
    let text = String::from_utf8(message.formatted()).unwrap();
    text.replace("=\r\n", "").replace("=3D", "=")
}

#[test]
fn every_mail_is_plain_friendly_and_without_strangers() {
    for mail in all() {
        let text = written("Antlers <no-reply@example.com>", &mail);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nTo: ada@example.com"), "{head}");
        assert!(
            head.contains("From: \"Antlers\" <no-reply@example.com>")
                || head.contains("From: Antlers <no-reply@example.com>"),
            "{head}"
        );
        assert!(
            head.contains(&format!("Message-ID: <{}@example.com>", Id::fixed(7))),
            "{head}"
        );
        assert!(head.contains("Auto-Submitted: auto-generated"), "{head}");
        assert!(head.contains("Date: Tue, 24 Nov 2026"), "{head}");
        assert!(head.contains("Antlers"), "{head}");
        assert!(body.contains("text/plain") && body.contains("text/html"));
        assert!(
            body.contains("Hello,\r\n\r\n") && body.contains("Antlers"),
            "{body}"
        );
        assert!(body.contains("color-scheme: light dark"));
        assert!(
            !body.contains("{{") && !body.contains("{%") && !body.contains("\r\n\r\n\r\n"),
            "{body}"
        );
        for foreign in ["<img", "<script", "<link", "url(", "Queue"] {
            assert!(!body.contains(foreign), "{foreign} in {body}");
        }
        for link in body.split("http").skip(1) {
            assert!(link.starts_with("s://account.example.com"), "{link}");
        }
    }
}

#[test]
fn each_mail_says_its_own() {
    let says = |place: usize, words: &[&str]| {
        let text = written("Antlers <no-reply@example.com>", &all()[place]);
        let flowing = text.replace("\r\n", " ");
        for word in words {
            assert!(flowing.matches(word).count() >= 2, "{word} twice in {text}");
        }
    };
    says(
        0,
        &["01234567", "10 minutes", "confirms your e-mail address"],
    );
    says(1, &["01234567", "new e-mail address"]);
    says(2, &["01234567", "back into your"]);
    says(3, &["2026-11-24 13:55 UTC", "Was this not you?"]);
    says(
        4,
        &["Firefox on Linux", "2026-11-24 13:55 UTC", "Was this you?"],
    );
    says(5, &["was recovered", "2026-11-24 13:55 UTC"]);
    says(6, &["Phone", "was added"]);
    says(7, &["Phone", "was removed"]);
    says(8, &["old ones no longer work"]);
    says(9, &["None is left"]);
    says(10, &["One is left"]);
    says(11, &["7 are left"]);
}

#[test]
fn names_are_escaped_and_inert() {
    let name = "<b>Ada</b> & \"Co.\" https://evil.example/a?b=c www.evil.example me@evil.example\r\nBcc: x@y.example";
    let mail = Mail::PasskeyAdded {
        name: name.to_owned(),
        at: AT,
    };
    let text = written("Antlers <no-reply@example.com>", &mail);
    let (plain, html) = text.split_once("text/html").unwrap();
    assert!(
        plain.contains("<b>Ada< b> & \"Co \" https evil example a b c"),
        "{plain}"
    );
    assert!(html.contains("&#60;b&#62;Ada&#60; b&#62; &#38;"), "{html}");
    assert!(!html.contains("<b>"), "{html}");
    for live in ["evil.example", "https://evil", "@evil", "Bcc:", "y.example"] {
        assert!(!text.contains(live), "{live} in {text}");
    }
    for hidden in ["a\u{202e}b", "a\u{200b}b", "a\nb", "a\0b"] {
        let mail = Mail::NewSignIn {
            device: hidden.to_owned(),
            at: AT,
        };
        assert!(
            written("a@example.com", &mail).contains("    a b\r\n"),
            "{hidden:?}"
        );
    }
    let long = Mail::PasskeyRemoved {
        name: "x".repeat(500),
        at: AT,
    };
    assert!(!written("a@example.com", &long).contains(&"x".repeat(61)));
}

#[test]
fn addresses_that_forge_headers_are_refused() {
    for to in [
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com\nx",
        "ada@example.com, eve@example.com",
        "ada@example.com> <eve@example.com",
        "",
    ] {
        let message = letterhead("a@example.com").write(
            Id::fixed(7),
            to,
            &Mail::Test,
            Timestamp::from_unix_seconds(AT),
        );
        assert!(message.is_err(), "{to:?}");
    }
}

#[test]
fn words_open_only_in_their_row_and_under_their_kek() {
    let kek = |text: &[u8; 32]| {
        Kek::parse(&base64_simd::STANDARD.encode_to_string(crate::extract::sha256(text))).unwrap()
    };
    let (ours, other) = (kek(&[1; 32]), kek(&[2; 32]));
    for mail in all() {
        let content = Content {
            to: "ada@example.com".to_owned(),
            mail: mail.clone(),
        };
        let plain = serde_json::to_vec(&content).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&plain).unwrap();
        assert_eq!(json["mail"]["kind"], mail.kind());
        let id = Id::fixed(7);
        let sealed = ours
            .seal_as(SEALED_AS, DEFAULT_TENANT, id.as_bytes(), &plain)
            .unwrap();
        assert!(!sealed.windows(4).any(|window| window == b"ada@"));
        let opened = Content::open(&ours, id, &sealed).unwrap();
        assert!(opened.mail == mail && opened.to == "ada@example.com");
        assert!(Content::open(&ours, Id::fixed(8), &sealed).is_none());
        assert!(Content::open(&other, id, &sealed).is_none());
    }
}

#[test]
fn tries_lie_further_and_further_apart() {
    for (attempts, seconds) in [(1, 1), (2, 5), (3, 30), (4, 120), (5, 300), (99, 300)] {
        let least = Duration::from_secs(seconds);
        assert_eq!(backoff(attempts, 0), least);
        let most = backoff(attempts, 255);
        assert!(most > least && most < least * 5 / 4, "{most:?}");
    }
}
