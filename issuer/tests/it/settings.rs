//! The command line: settings from four places, refused before a port is bound, and the key commands.

use std::process::{Command, Output};

use queue_issuer::Settings;
use queue_issuer::settings::REFERENCE;

use crate::harness::{Database, KEK, RAPTOR};

fn run(database: &Database, args: &[&str], more: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_queue-issuer"))
        .args(args)
        .env_clear()
        .envs(database.env(more))
        .current_dir(&database.dir)
        .output()
        .unwrap()
}

#[test]
fn wrong_settings_end_with_64_and_name_the_key() {
    let database = Database::sqlite();
    let long = "x".repeat(40);
    let twin = [("QUEUE_SERVICE_TOKEN_VELVET", RAPTOR)];
    let cases: [&[(&str, &str)]; 35] = [
        &[("QUEUE_ISSUER_URL", "http://example.com")],
        &[("QUEUE_ISSUER_URL", "https://example.com/")],
        &[("QUEUE_ISSUER_URL", "https://u:p@example.com")],
        &[("QUEUE_ISSUER_URL", "ftp://example.com")],
        &[("QUEUE_ISSUER_LISTEN", "localhost")],
        &[("QUEUE_ISSUER_OPS_LISTEN", "127.0.0.1")],
        &[("DATABASE_URL_QUEUE", "mysql://secret@localhost/x")],
        &[("DATABASE_URL_QUEUE", "sqlite::memory:")],
        &[("QUEUE_ISSUER_AUDIENCES", " , ")],
        &[("QUEUE_ISSUER_TOKEN_LIFE", "300")],
        &[("QUEUE_ISSUER_TOKEN_LIFE", "2h")],
        &[("QUEUE_ISSUER_SESSION_LIFE", "1s")],
        &[("QUEUE_ISSUER_RSA_BITS", "1024")],
        &[("QUEUE_ISSUER_STATUS_LIST_SIZE", "1016")],
        &[("QUEUE_ISSUER_STATUS_LIST_SIZE", "1028")],
        &[("QUEUE_ISSUER_STATUS_LIST_TTL", "999ms")],
        &[("QUEUE_ISSUER_STATUS_LIST_TTL", "301s")],
        &[("QUEUE_ISSUER_STATUS_LIST_SUBSCRIBERS", "65537")],
        &[
            ("QUEUE_ISSUER_REFRESH_ALLOWANCE", "58999ms"),
            ("QUEUE_ISSUER_JWKS_MAX_AGE", "1s"),
        ],
        &[("QUEUE_ISSUER_MAIL_URL", "smtp://u:secret@10.0.0.1?tls=none")],
        &[("QUEUE_ISSUER_MAIL_URL", "ftp://u:secret@localhost")],
        &[
            ("QUEUE_ISSUER_MAIL_FROM", ""),
            ("QUEUE_ISSUER_MAIL_URL", "smtps://u:secret@localhost"),
        ],
        &[("QUEUE_ISSUER_MAIL_FROM", "Antlers")],
        &[("QUEUE_ISSUER_MAIL_FROM", "a@b.example\r\nBcc: c@d.example")],
        &[("QUEUE_ISSUER_FRONT_URL", "http://example.com")],
        &[("QUEUE_ISSUER_LOG_FORMAT", "xml")],
        &[("QUEUE_ISSUER_LOG", "=!=")],
        &[("FLAG_QUEUE_V1", "yes")],
        &[("FLAG_QUEUE_V1", "101%")],
        &[("QUEUE_JWT_SIGNING_KEY", "ssm:/queue/key")],
        &[("QUEUE_JWT_SIGNING_KEY", "file:/nothing/here")],
        &[("QUEUE_SERVICE_TOKEN_RAPTOR", "")],
        &[("QUEUE_SERVICE_TOKEN_RAPTOR", "tooshort")],
        &[("QUEUE_SERVICE_TOKEN_RAPTOR", &long)],
        &twin,
    ];
    for case in cases {
        let output = run(&database, &[], case);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{case:?}: {message}");
        assert!(
            message.starts_with(&format!("queue-issuer: {}", case[0].0)),
            "{case:?}: {message}"
        );
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(
            !message.contains("secret") && !message.contains("tooshort"),
            "{message}"
        );
    }
    for (name, value) in [
        (
            "QUEUE_JWT_SIGNING_KEY",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        ),
        ("QUEUE_ISSUER_KEK", "AAAA"),
    ] {
        let output = run(&database, &[], &[(name, value)]);
        assert_eq!(output.status.code(), Some(64), "{name}");
        assert!(!String::from_utf8(output.stderr).unwrap().contains("AAAA"));
    }
    let scopes = [("QUEUE_SERVICE_SCOPES_RAPTOR", "sessions:mint everything")];
    assert_eq!(run(&database, &[], &scopes).status.code(), Some(64));
    assert_eq!(run(&database, &["--nonsense"], &[]).status.code(), Some(64));
    assert_eq!(
        run(&database, &["keys", "activate"], &[]).status.code(),
        Some(64)
    );
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let database = Database::sqlite();
    let file = database.dir.join("queue.toml");
    std::fs::write(&file, "token_life = \"100s\"\nsession_life = \"1h\"\nrsa_bits = 3072\naudiences = [\"a\", \"b\"]\n").unwrap();
    let more = [
        ("QUEUE_ISSUER_CONFIG", file.to_str().unwrap()),
        ("QUEUE_ISSUER_SESSION_LIFE", "2h"),
        ("QUEUE_ISSUER_TOKEN_LIFE", "200s"),
    ];
    let output = run(&database, &["check-config", "--session-life", "3h"], &more);
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "session_life = \"3h\"",
        "token_life = \"200s\"",
        "rsa_bits = \"3072\"",
        "audiences = \"a b\"",
        "leeway = \"30s\"",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} in\n{text}");
    }
    std::fs::write(&file, "tokn_life = \"100s\"\n").unwrap();
    let output = run(&database, &["check-config"], &more);
    assert_eq!(output.status.code(), Some(64));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("tokn_life")
    );
    std::fs::write(&file, "\nkek = geheim\n").unwrap();
    let output = run(&database, &["check-config"], &more);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("queue.toml:2") && !message.contains("geheim"),
        "{message}"
    );
}

#[test]
fn check_config_shows_every_key_and_no_secret() {
    let database = Database::sqlite();
    let output = run(&database, &["check-config"], &[]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for key in REFERENCE {
        assert!(
            text.lines()
                .any(|line| line.starts_with(&format!("{} = ", key.name))),
            "{}",
            key.name
        );
    }
    for secret in [KEK, RAPTOR, database.url.as_str()] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(text.contains("kek = \"<redacted>\""));
    let settings = Settings::from_env(database.env(&[])).unwrap();
    assert!(!format!("{settings:?}").contains(KEK));
    assert!(toml::from_str::<toml::Table>(&text).is_ok());
}

#[test]
fn reference_documents_every_key() {
    for key in REFERENCE {
        assert!(key.doc.ends_with('.') && key.doc.len() > 10, "{}", key.name);
        assert!(
            key.env.starts_with("QUEUE_")
                || ["DATABASE_URL_QUEUE", "FLAG_QUEUE_V1"].contains(&key.env),
            "{}",
            key.env
        );
    }
}

#[test]
fn key_commands_obey_the_rules() {
    for database in [Database::sqlite(), Database::postgres()] {
        let keys = |args: &[&str]| run(&database, &[&["keys"], args].concat(), &[]);
        let before = keys(&["list"]);
        assert_eq!(
            before.status.code(),
            Some(1),
            "nothing to list before the migrations"
        );
        let would = run(&database, &["migrate", "up", "--dry-run"], &[]);
        assert!(lines(&would)[0].ends_with("would be applied"));
        assert!(lines(&run(&database, &["migrate", "up"], &[]))[1].ends_with("applied now"));
        assert!(
            lines(&run(&database, &["migrate", "status"], &[]))
                .iter()
                .all(|line| line.ends_with("applied"))
        );
        assert!(lines(&keys(&["list"])).is_empty());
        assert!(lines(&keys(&["generate", "--dry-run"]))[0].starts_with("would add"));
        assert!(lines(&keys(&["list"])).is_empty());
        let first = lines(&keys(&["generate"]))[0]
            .split(' ')
            .next()
            .unwrap()
            .to_owned();
        let would = lines(&keys(&["activate", &first, "--dry-run"]));
        assert!(
            would[0].starts_with("would be: ") && would[0].contains("active"),
            "{would:?}"
        );
        assert!(lines(&keys(&["list"]))[0].contains("published"));
        assert!(lines(&keys(&["activate", &first]))[0].contains("active"));
        let second = lines(&keys(&["generate", "--pending"]))[0]
            .split(' ')
            .next()
            .unwrap()
            .to_owned();
        assert_eq!(keys(&["activate", &second]).status.code(), Some(2));
        assert!(lines(&keys(&["publish", &second]))[0].contains("activatable"));
        assert_eq!(
            keys(&["activate", &second]).status.code(),
            Some(2),
            "too early"
        );
        assert_eq!(keys(&["retire", &first]).status.code(), Some(2));
        assert!(lines(&keys(&["revoke", &second]))[0].contains("revoked"));
        assert!(lines(&keys(&["retire", &second]))[0].contains("destroyed"));
        assert_eq!(keys(&["revoke", "nothing"]).status.code(), Some(64));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn activation_on_the_command_line_can_wait_for_verifiers() {
    for database in [Database::sqlite(), Database::postgres()] {
        let keys = |args: &[&str]| run(&database, &[&["keys"], args].concat(), &[]);
        let new = || {
            let made = lines(&keys(&["generate"]));
            made[0].split(' ').next().unwrap().to_owned()
        };
        run(&database, &["migrate", "up"], &[]);
        let (first, second) = (new(), new());
        assert!(keys(&["activate", &first]).status.success());
        let (now, ago) = if database.is_postgres() {
            ("now()", "now() - INTERVAL '1 day'")
        } else {
            ("unixepoch() * 1000000", "(unixepoch() - 86400) * 1000000")
        };
        let arrange = format!(
            "INSERT INTO queue_verifier_sightings VALUES ('00000000-0000-7000-8000-000000000001',
                 'AAECAwQFBgcICQoLDA0ODw', 1, {now}, {now});
             UPDATE queue_signing_keys SET published_at = {ago} WHERE kid = '{second}'"
        );
        database.execute(&arrange).await.unwrap();
        let listed = lines(&keys(&["list"]));
        for (kid, held) in [(&first, 1), (&second, 0)] {
            let end = format!(", held by {held} of 1 verifiers");
            let is_told = |line: &String| line.starts_with(kid) && line.ends_with(&end);
            assert!(listed.iter().any(is_told), "{listed:?}");
        }
        let waiting = keys(&["activate", &second, "--wait-for-verifiers"]);
        assert_eq!(waiting.status.code(), Some(2));
        let message = String::from_utf8(waiting.stderr).unwrap();
        assert!(message.contains("1 of 1 known verifiers"), "{message}");
        assert!(lines(&keys(&["activate", &second]))[0].contains("active"));
    }
}

fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}
