//! Where settings come from and what is wrong with them.

use std::collections::BTreeMap;
use std::time::Duration;

use queue_sidecar::settings::{IssuerSettings, REFERENCE, RawSettings};
use queue_sidecar::{LoopbackAddr, Settings, SettingsError};

use crate::support::{file, forge, jwk_set, run};

fn from(toml: &str) -> Result<Settings, SettingsError> {
    let required = "issuer = 'i'\naudience = 'a'\n";
    Settings::resolve(&RawSettings::from_toml(&format!("{required}{toml}"))?)
}

#[test]
fn the_defaults_are_those_of_the_reference() {
    let settings = from("").expect("only the required keys are required");
    let shown = settings.to_string();
    for key in REFERENCE.iter().filter(|key| !key.default.is_empty()) {
        let default = match key.default {
            "1h" => "3600s",
            "24h" => "86400s",
            default => default,
        };
        let line = match default.parse::<u64>() {
            Ok(number) => format!("{} = {number}\n", key.name),
            Err(_) if default == "false" => format!("{} = false\n", key.name),
            Err(_) if key.is_list => format!("{} = [\"{default}\"]\n", key.name),
            Err(_) => format!("{} = \"{default}\"\n", key.name),
        };
        assert!(shown.contains(&line), "{line} in\n{shown}");
    }
}

#[test]
fn what_is_shown_can_be_read_again() {
    let given = "cookie = 'at'\nhosts = ['a:1', 'b']\nalg = ['RS256', 'ES256']\nlog_format = 'json'\n\
        leeway = '5s'\ndeadline = '250ms'\nworkers = 2\njwks = 'https://auth.example.com/jwks'\n\
        snapshot = '/var/cache/queue/keys.json'\nstatus_max_age = '2m'\nwhen_stale = 'accept'\n\
        status_required = true\nstatus_origin = 'https://lists.example.com'\nremember = 0\n\
        listen = 'none'\nsocket = '/run/queue/s'\nsocket_allow_uid = ['1', '2']\n\
        socket_allow_gid = 3\nprobe_listen = '[::]:4141'\nshadow = true\n\
        [[also]]\nissuer = 'https://other.example.com'\naudience = 'b'\nprofile = 'jwt'\n\
        status_list = 'named'\n";
    let settings = from(given).expect("it is right").to_string();
    for line in [
        "listen = \"none\"\nsocket = \"/run/queue/s\"\nsocket_allow_uid = [\"1\", \"2\"]\n",
        "socket_allow_gid = [\"3\"]\nprobe_listen = \"[::]:4141\"\n",
        "shadow = true\n",
    ] {
        assert!(settings.contains(line), "{line} in\n{settings}");
    }
    let again = Settings::resolve(&RawSettings::from_toml(&settings).expect("it is TOML"));
    assert_eq!(again.expect("it is right").to_string(), settings);
}

#[test]
fn flag_before_environment_before_file_before_default() {
    let config = file(
        "flag_before_environment.toml",
        "issuer = 'file'\naudience = ['file']\ncookie = 'file'\nleeway = 1\njwks = '{}'\n",
    );
    let keys = jwk_set(&[forge()]);
    let output = run(
        &[
            "check-config",
            "--config",
            &config,
            "--issuer=flag",
            "--jwks",
            &keys,
            "--status-required",
            "--status-list=named",
            "--remember=7",
        ],
        &[
            ("QUEUE_SIDECAR_ISSUER", "environment"),
            ("QUEUE_SIDECAR_AUDIENCE", "one, two"),
            ("QUEUE_SIDECAR_LEEWAY", "7"),
            (
                "QUEUE_JWT_PUBLIC_KEY",
                "overruled by the flag that names the keys",
            ),
        ],
        b"",
    );
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    for line in [
        "issuer = \"flag\"\n",
        "audience = [\"one\", \"two\"]\n",
        "cookie = \"file\"\n",
        "leeway = \"7s\"\n",
        "profile = \"session\"\n",
        "jwks = \"<redacted>\"\n",
        "status_required = true\n",
        "remember = 7\n",
    ] {
        assert!(output.stdout.contains(line), "{line} in\n{}", output.stdout);
    }
}

#[test]
fn no_key_material_is_shown() {
    let pem = forge().pem();
    let secret = pem.lines().nth(2).expect("a PEM has lines");
    for arguments in [
        &["--check-config"][..],
        &["serve", "--check-config"],
        &["check-config"],
    ] {
        let output = run(
            &[
                arguments,
                &["--issuer=i", "--audience=a", "--public-key", &pem],
            ]
            .concat(),
            &[],
            b"",
        );
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        assert!(
            output.stdout.contains("public_key = \"<redacted>\"\n"),
            "{}",
            output.stdout
        );
        assert!(!output.stdout.contains(secret));
    }
}

#[test]
fn a_wrong_setting_ends_with_64_and_says_which() {
    let keys = jwk_set(&[forge()]);
    let check = |arguments: &[&str], environment: &[(&str, &str)], expected: &[&str]| {
        let output = run(arguments, environment, b"");
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (Some(64), ""),
            "{}",
            output.stderr
        );
        for part in expected {
            assert!(output.stderr.contains(part), "{part} in {}", output.stderr);
        }
    };
    let issuer = ["--issuer", "QUEUE_SIDECAR_ISSUER", "`issuer` in the file"];
    check(&[], &[], &issuer);
    check(&["validate"], &[], &issuer);
    check(&["doctor", "x"], &[], &issuer);
    let audience = [
        "--audience",
        "QUEUE_SIDECAR_AUDIENCE",
        "`audience` in the file",
    ];
    check(&["--issuer=i"], &[], &audience);
    let base = ["--issuer=i", "--audience=a", "--jwks", keys.as_str()];
    let and = |more: &[&'static str]| [&base[..], more].concat();
    check(
        &and(&["--listen=0.0.0.0:4140"]),
        &[],
        &["listen", "loopback"],
    );
    check(&and(&["--listen=[::ffff:127.0.0.1]:1"]), &[], &["loopback"]);
    check(&and(&["--listen=4140"]), &[], &["loopback"]);
    check(&and(&["--listen=none"]), &[], &["listen", "a socket"]);
    check(&and(&["--socket=s"]), &[], &["socket", "absolute path"]);
    check(&and(&["--socket=/tmp/.."]), &[], &["socket"]);
    check(
        &and(&["--socket-allow-uid=www-data"]),
        &[],
        &["socket_allow_uid", "numbers"],
    );
    check(&and(&["--socket-allow-gid=-1"]), &[], &["numbers"]);
    check(&and(&["--probe-listen=4141"]), &[], &["probe_listen"]);
    check(&and(&["--shadow=maybe"]), &[], &["shadow"]);
    check(
        &and(&["--deadline=5"]),
        &[],
        &["deadline (--deadline, QUEUE_SIDECAR_DEADLINE)", "unit"],
    );
    check(
        &and(&["--leeway=301s"]),
        &[],
        &["config_leeway_out_of_bounds"],
    );
    check(
        &and(&["--profile=JWT"]),
        &[],
        &["profile", "session, rfc9068, jwt"],
    );
    check(&and(&["--alg=HS256"]), &[], &["alg", "RS256"]);
    check(&and(&["--alg=none"]), &[], &["alg"]);
    check(&and(&["--cookie=a b"]), &[], &["cookie"]);
    check(&and(&["--hosts=http://x"]), &[], &["hosts"]);
    check(&and(&["--workers=0"]), &[], &["workers", "1 to 64"]);
    check(&and(&["--log=loud"]), &[], &["log"]);
    check(&and(&["--log-format=xml"]), &[], &["log_format"]);
    check(&and(&["--public-key=/nowhere"]), &[], &["not both"]);
    check(
        &and(&[]),
        &[("QUEUE_SIDECAR_COOKIE", "")],
        &["QUEUE_SIDECAR_COOKIE", "expected a value"],
    );
    let of = |keys| ["--issuer=i", "--audience=a", "--jwks", keys];
    check(
        &of("http://auth.example.com/jwks"),
        &[],
        &["config_jwks_uri_unusable"],
    );
    check(
        &of("ftp://127.0.0.1/jwks"),
        &[],
        &["config_jwks_uri_unusable"],
    );
    check(&of("/nowhere.json"), &[], &["config_key_file_unreadable"]);
    check(&of("{}"), &[], &["config_key_set_unusable"]);
    let config = file("a_wrong_setting.toml", "isuer = 'i'\n");
    check(&["--config", &config], &[], &["--config", "isuer"]);
    let config = file("no_toml.toml", "issuer = \n");
    check(&["--config", &config], &[], &["--config"]);
    check(
        &["--config", "/nowhere.toml"],
        &[],
        &["--config", "readable"],
    );
}

#[test]
fn keys_of_every_layer_are_one_decision() {
    let environment = BTreeMap::from([("QUEUE_SIDECAR_JWKS".to_owned(), "set.json".to_owned())]);
    let upper = RawSettings::from_env(&environment).expect("it is right");
    let lower = RawSettings::from_toml("public_key = '/nowhere'").expect("it is TOML");
    assert!(IssuerSettings::resolve_keys(&upper.clone().over(lower.clone())).is_ok());
    assert!(IssuerSettings::resolve_keys(&lower.over(upper)).is_err());
}

#[test]
fn a_loopback_address_holds_nothing_else() {
    for good in ["127.0.0.1:4140", "127.1.2.3:1", "[::1]:4140", "localhost:0"] {
        assert!(good.parse::<LoopbackAddr>().is_ok(), "{good}");
    }
    for bad in [
        "0.0.0.0:4140",
        "[::]:4140",
        "10.0.0.1:4140",
        "[::ffff:127.0.0.1]:4140",
        "127.0.0.1",
        "example.com:4140",
        "localhost",
        ":4140",
        "",
    ] {
        assert!(bad.parse::<LoopbackAddr>().is_err(), "{bad}");
    }
}

#[test]
fn durations_carry_units() {
    let deadline =
        |text: &str| from(&format!("deadline = {text}")).map(|settings| settings.deadline);
    assert_eq!(deadline("'250ms'"), Ok(Duration::from_millis(250)));
    assert_eq!(deadline("'1m'"), Ok(Duration::from_secs(60)));
    for bad in [
        "5",
        "'5'",
        "'5 s'",
        "'-1s'",
        "'1.5s'",
        "'61s'",
        "'9ms'",
        "''",
        "'99999999999999999999s'",
    ] {
        assert!(deadline(bad).is_err(), "{bad}");
    }
    let leeway =
        |text: &str| from(&format!("leeway = {text}")).map(|settings| settings.issuer.leeway);
    assert_eq!(leeway("5"), Ok(Duration::from_secs(5)));
    assert_eq!(leeway("'5'"), Ok(Duration::from_secs(5)));
    assert_eq!(leeway("'5s'"), Ok(Duration::from_secs(5)));
}

#[test]
fn every_key_is_named_alike_everywhere() {
    for key in REFERENCE {
        assert_eq!(key.flag, format!("--{}", key.name.replace('_', "-")));
        assert_eq!(
            key.env,
            format!("QUEUE_SIDECAR_{}", key.name.to_uppercase())
        );
        assert!(key.doc.ends_with('.'), "{}", key.doc);
    }
}
