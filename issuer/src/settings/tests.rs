//! Values at their bounds, and who may be a caller.

use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::mail::{mailbox, target};
use super::value::{audiences, database, duration, issuer_url, show};
use super::{Environment, MailTarget, Settings, SmtpTls, callers};
use crate::db::Target;

const TOKEN: &str = "0123456789-abcdefghijklmnopqrstuvwxyz";

#[test]
fn durations_carry_their_unit_and_keep_their_bounds() {
    let parse = |text| duration(text, Duration::from_secs(30), Duration::from_secs(3_600));
    assert_eq!(parse("30s"), Ok(Duration::from_secs(30)));
    assert_eq!(parse("1h"), Ok(Duration::from_secs(3_600)));
    assert_eq!(parse("90000ms"), Ok(Duration::from_secs(90)));
    for text in [
        "",
        "30",
        "s",
        "29s",
        "61m",
        "1.5h",
        "-30s",
        "+30s",
        "30 s",
        "30S",
        "99999999999999999999s",
        "300000000000000d",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
    for (text, seconds) in [("90s", 90), ("1h", 3_600), ("1d", 86_400), ("0ms", 0)] {
        assert_eq!(show(Duration::from_secs(seconds)), text);
    }
}

#[test]
fn issuer_url_is_an_origin() {
    for url in [
        "https://id.example.com",
        "https://id.example.com:8443",
        "http://localhost:4100",
        "http://127.0.0.1:1",
        "http://[::1]:9",
    ] {
        assert_eq!(issuer_url(url).as_deref(), Ok(url));
    }
    for url in [
        "",
        "id.example.com",
        "https://",
        "https:///x",
        "https://id.example.com/",
        "https://id.example.com/a",
        "https://id.example.com?x",
        "https://id.example.com#x",
        "https://user@id.example.com",
        "http://id.example.com",
        "http://localhost.evil.example",
        "https://ID.example.com",
        "https://id.example.com ",
        "ftp://localhost",
        "https://id<b>.example.com",
    ] {
        assert!(issuer_url(url).is_err(), "{url}");
    }
}

#[test]
fn audiences_are_listed_once() {
    assert_eq!(
        audiences("raptor, velvet  console").unwrap(),
        ["raptor", "velvet", "console"]
    );
    for text in ["", " ,", "a a", "ä", "a\"b"] {
        assert!(audiences(text).is_err(), "{text}");
    }
}

#[test]
fn database_url_names_a_shared_place() {
    assert!(matches!(
        database("postgres://u:p@h:5432/d"),
        Ok(Target::Postgres(_))
    ));
    assert!(
        matches!(database("sqlite:/a/b.db"), Ok(Target::Sqlite(path)) if path.ends_with("b.db"))
    );
    assert!(
        matches!(database("sqlite://b.db?mode=rwc"), Ok(Target::Sqlite(path)) if path.ends_with("b.db"))
    );
    for url in [
        "",
        "sqlite:",
        "sqlite::memory:",
        "sqlite://x?mode=memory",
        "mysql://h/d",
        "/a/b.db",
        "postgres://h:notaport/d",
    ] {
        assert!(database(url).is_err(), "{url}");
    }
}

#[test]
fn callers_have_names_scopes_and_strong_tokens() {
    let resolve = |vars: &[(&str, &str)]| {
        let vars = vars
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        callers::resolve(&Environment(vars))
    };
    let raptor = resolve(&[("QUEUE_SERVICE_TOKEN_RAPTOR", TOKEN)]).unwrap();
    assert_eq!(
        (raptor[0].client_id.as_str(), raptor[0].scopes.len()),
        ("raptor", 5)
    );
    let scopes = ("QUEUE_SERVICE_SCOPES_NEW_ONE", "customers:read,audit:read");
    let own = resolve(&[("QUEUE_SERVICE_TOKEN_NEW_ONE", TOKEN), scopes]).unwrap();
    assert_eq!(
        (own[0].client_id.as_str(), own[0].scopes.len()),
        ("new_one", 2)
    );
    let same = "a".repeat(40);
    for wrong in [
        &[("QUEUE_SERVICE_TOKEN_NEW_ONE", TOKEN)][..],
        &[scopes],
        &[("QUEUE_SERVICE_TOKEN_RAPTOR", "")],
        &[("QUEUE_SERVICE_TOKEN_RAPTOR", &TOKEN[..31])],
        &[("QUEUE_SERVICE_TOKEN_RAPTOR", &same)],
        &[("QUEUE_SERVICE_TOKEN_raptor", TOKEN)],
        &[("QUEUE_SERVICE_TOKEN_", TOKEN)],
        &[
            ("QUEUE_SERVICE_TOKEN_RAPTOR", TOKEN),
            ("QUEUE_SERVICE_TOKEN_VELVET", TOKEN),
        ],
        &[
            ("QUEUE_SERVICE_TOKEN_RAPTOR", TOKEN),
            ("QUEUE_SERVICE_SCOPES_RAPTOR", "sessions:mint root"),
        ],
        &[
            ("QUEUE_SERVICE_TOKEN_RAPTOR", TOKEN),
            ("QUEUE_SERVICE_SCOPES_RAPTOR", ""),
        ],
    ] {
        let error = resolve(wrong).err().expect("refused");
        assert!(!error.to_string().contains(TOKEN));
    }
}

#[test]
fn empty_variables_count_as_absent() {
    let vars = [
        ("QUEUE_ISSUER_URL", ""),
        ("DATABASE_URL_QUEUE", ""),
        ("QUEUE_ISSUER_KEK", ""),
    ];
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = Settings::from_env(vars).unwrap();
    assert_eq!(settings.url, "http://localhost:4100");
    assert!(settings.has_sqlite() && settings.kek.is_none());
    assert!(!settings.flag.is_visible(), "dark unless switched on");
}

#[test]
fn a_verifier_has_a_minute_to_learn_of_a_key() {
    let resolve = |max_age: &str, allowance: &str| {
        let vars = [
            ("QUEUE_ISSUER_JWKS_MAX_AGE", max_age),
            ("QUEUE_ISSUER_REFRESH_ALLOWANCE", allowance),
        ];
        Settings::from_env(vars.map(|(name, value)| (name.to_owned(), value.to_owned())))
    };
    assert!(resolve("1s", "59s").is_ok() && resolve("59s", "1s").is_ok());
    let error = resolve("1s", "58999ms").err().unwrap();
    assert!(error.key().starts_with("QUEUE_ISSUER_REFRESH_ALLOWANCE"));
}

#[test]
fn mail_leaves_the_host_encrypted_or_not_at_all() {
    let smtp = |text: &str| match target(text) {
        Ok(MailTarget::Smtp(smtp)) => (smtp.host, smtp.port, smtp.tls),
        _ => panic!("{text}"),
    };
    let host = || "mail.example.com".to_owned();
    for (text, expect) in [
        ("smtps://mail.example.com", (host(), 465, SmtpTls::Wrapper)),
        (
            "smtps://u:p@mail.example.com:4650/",
            (host(), 4650, SmtpTls::Wrapper),
        ),
        ("smtp://mail.example.com", (host(), 587, SmtpTls::Required)),
        (
            "smtp://u:p@mail.example.com:25?tls=required",
            (host(), 25, SmtpTls::Required),
        ),
        (
            "smtp://localhost?tls=none",
            ("localhost".to_owned(), 25, SmtpTls::None),
        ),
        (
            "smtp://127.0.0.9:2525?tls=none",
            ("127.0.0.9".to_owned(), 2525, SmtpTls::None),
        ),
        (
            "smtp://[::1]:2525?tls=none",
            ("::1".to_owned(), 2525, SmtpTls::None),
        ),
    ] {
        assert_eq!(smtp(text), expect, "{text}");
    }
    let Ok(MailTarget::Smtp(smtp)) = target("smtps://a%40b.example:p%3A%2f%25@mail.example.com")
    else {
        panic!("expected a server");
    };
    let (user, password) = smtp.credentials.unwrap();
    assert_eq!(
        (user.as_str(), password.expose_secret()),
        ("a@b.example", "p:/%")
    );
    for text in ["", "file:"] {
        assert!(matches!(target(text), Ok(MailTarget::Files)), "{text}");
    }
    for text in [
        "mail.example.com",
        "smtp://",
        "smtp://:25?tls=none",
        "smtp://mail.example.com?tls=none",
        "smtp://10.0.0.1?tls=none",
        "smtp://localhost.example.com?tls=none",
        "smtp://localhost@mail.example.com?tls=none",
        "smtp://u:p@mail.example.com?tls=opportunistic",
        "smtp://mail.example.com?tls=required&tls=none",
        "smtps://mail.example.com?tls=none",
        "smtp://mail.example.com/path",
        "smtp://mail.example.com#x",
        "smtp://user@mail.example.com",
        "smtp://user:@mail.example.com",
        "smtp://u:%zz@mail.example.com",
        "smtp://u:%f@mail.example.com",
        "smtp://mail.example.com:0",
        "smtp://mail.example.com:99999",
        "http://mail.example.com",
        "file:/tmp/mail",
        "smtp://mail.example.com\r\n",
    ] {
        assert!(target(text).is_err(), "{text:?}");
    }
}

#[test]
fn sender_is_one_mailbox_on_one_line() {
    let parsed = mailbox("Antlers <no-reply@example.com>").unwrap();
    assert_eq!(parsed.name.as_deref(), Some("Antlers"));
    assert!(mailbox("no-reply@example.com").unwrap().name.is_none());
    let long = format!("{}@example.com", "a".repeat(300));
    for text in [
        "",
        "Antlers",
        "a@",
        "a@example.com, b@example.com",
        "Antlers\r\nBcc: <b@example.com>",
        "Antlers <a@example.com>\r\nBcc: b@example.com",
        "Antlers <a@example.com> <b@example.com>",
        "ä@example.com",
        &long,
    ] {
        assert!(mailbox(text).is_err(), "{text:?}");
    }
}

#[test]
fn passkeys_are_made_for_a_domain_all_origins_share() {
    let resolve = |url: &str, origins: &str, id: &str| {
        let vars = [
            ("QUEUE_ISSUER_URL", url),
            ("QUEUE_ISSUER_ORIGINS", origins),
            ("QUEUE_ISSUER_RP_ID", id),
        ];
        Settings::from_env(vars.map(|(name, value)| (name.to_owned(), value.to_owned())))
    };
    let id = |url, origins, id| resolve(url, origins, id).unwrap().rp_id;
    let both = "https://example.com https://shop.example.com:8443";
    assert_eq!(
        id("https://id.example.com", both, "example.com").as_deref(),
        Some("example.com")
    );
    assert_eq!(
        id("https://id.example.com", "", "").as_deref(),
        Some("id.example.com")
    );
    assert_eq!(
        id("http://localhost:4100", "", "").as_deref(),
        Some("localhost")
    );
    assert_eq!(id("http://127.0.0.1:4100", "", ""), None);
    assert_eq!(id("http://[::1]:4100", "", ""), None);
    for (origins, id) in [
        (both, ""),
        (both, "shop.example.com"),
        (both, "com"),
        (both, "Example.com"),
        (both, "ample.com"),
        (both, ".example.com"),
        (both, "example.com."),
        (both, "example.com:443"),
        ("https://badexample.com", "example.com"),
        ("https://example.com.evil.test", "example.com"),
        ("http://127.0.0.1:4100", "127.0.0.1"),
        ("http://127.0.0.1:4100", "0.1"),
    ] {
        let error = resolve("https://id.example.com", origins, id).err();
        let error = error.unwrap_or_else(|| panic!("{origins} {id}"));
        assert!(error.key().starts_with("QUEUE_ISSUER_RP_ID"), "{error}");
    }
}
