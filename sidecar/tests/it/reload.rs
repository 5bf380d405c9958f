//! SIGHUP: other settings come into force, whole or not at all, and nobody is refused meanwhile.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use queue_sidecar::settings::RawSettings;
use queue_sidecar::{LoopbackAddr, ReloadError, Settings, SettingsError};
use queue_verifier::KeySource;
use serde_json::json;

use crate::support::{
    Client, FakeClock, Issuer, NOW, Sidecar, TestApp, claims, file, forge, good_today, jwk_set,
    other_forge, settings, wait_until,
};

fn good() -> String {
    forge().sign(&claims(json!({})))
}

fn reload(app: &TestApp, settings: Settings) -> Result<(), ReloadError> {
    let waiting = begin(app, Ok(settings));
    wait_until("it is done or refused", || waiting.is_finished());
    waiting.join().expect("no panic")
}

/// A reload under way.
fn begin(
    app: &TestApp,
    read: Result<Settings, SettingsError>,
) -> JoinHandle<Result<(), ReloadError>> {
    let reloader = app.reloader.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime starts");
        runtime.block_on(reloader.reload(read))
    })
}

fn code(outcome: Result<(), ReloadError>) -> &'static str {
    outcome.map_or_else(|error| error.code(), |()| "done")
}

fn reloads(app: &TestApp, outcome: &str) -> u64 {
    app.metric(&format!(
        "queue_sidecar_reloads_total{{code=\"{outcome}\"}}"
    ))
}

#[test]
fn what_can_be_reloaded_is_in_force_on_open_connections() {
    let app = TestApp::start();
    let mut client = app.connect();
    let cookie = format!(
        "GET /v1/auth HTTP/1.1\r\nHost: {{HOST}}\r\nCookie: at={}\r\n\r\n",
        good()
    );
    client.send(&cookie).problem(401, "bearer_missing");
    let mut other = settings();
    other.cookie = Some("at".to_owned());
    other.hosts = vec!["sidecar:4140".to_owned()];
    assert_eq!(code(reload(&app, other.clone())), "done");
    assert_eq!(client.send(&cookie).status, 200);
    let named = "GET /livez HTTP/1.1\r\nHost: sidecar:4140\r\n\r\n";
    assert_eq!(client.send(named).status, 200);
    other.issuer.audiences = vec!["other".to_owned()];
    assert_eq!(code(reload(&app, other)), "done");
    client.send(&cookie).problem(401, "claims_aud_mismatch");
    assert_eq!(reloads(&app, "done"), 2);
    // What was counted before goes on.
    let valid = "queue_sidecar_validations_total{code=\"valid\"}";
    assert_eq!(app.metric(valid), 1);
}

#[test]
fn a_token_remembered_under_the_old_is_judged_by_the_new() {
    let mut remembering = settings();
    remembering.remember = 100;
    let app = TestApp::with(&remembering);
    assert_eq!(app.validate(&good()).status, 200);
    assert_eq!(app.validate(&good()).status, 200);
    remembering.issuer.keys = KeySource::jwk_set(jwk_set(&[other_forge()]));
    assert_eq!(code(reload(&app, remembering)), "done");
    app.validate(&good()).problem(401, "key_not_found");
}

#[test]
fn reload_needs_restart() {
    let app = TestApp::start();
    let mut other = settings();
    other.cookie = Some("at".to_owned());
    other.workers += 1;
    other.listen = Some(LoopbackAddr::port(4140));
    let refused = reload(&app, other).expect_err("only a start can do that");
    assert_eq!(refused.code(), "reload_needs_restart");
    assert_eq!(
        refused.to_string(),
        "expected a restart to change listen, workers"
    );
    assert_eq!(reloads(&app, "reload_needs_restart"), 1);
    // Not even the part that could have been done.
    let cookie = format!("Cookie: at={}\r\n", good());
    app.get("/v1/auth", &cookie).problem(401, "bearer_missing");
}

#[test]
fn reload_config_refused() {
    let app = TestApp::start();
    let mut other = settings();
    other.issuer.keys = KeySource::jwk_set("{}");
    assert_eq!(code(reload(&app, other)), "reload_config_refused");
    assert_eq!(app.validate(&good()).status, 200);
}

#[test]
fn reload_settings_invalid() {
    let app = TestApp::start();
    let raw = RawSettings::from_toml("issuer = 'i'").expect("it is TOML");
    let waiting = begin(&app, Settings::resolve(&raw));
    let refused = waiting.join().expect("no panic");
    assert_eq!(code(refused), "reload_settings_invalid");
    assert_eq!(reloads(&app, "reload_settings_invalid"), 1);
    assert_eq!(app.validate(&good()).status, 200);
}

#[test]
fn the_old_serve_until_the_new_have_keys() {
    let issuer = Issuer::hanging();
    let clock = FakeClock::at(NOW);
    let app = TestApp::at(&settings(), clock.clone());
    let mut other = settings();
    other.issuer.keys = issuer.keys();
    let waiting = begin(&app, Ok(other));
    wait_until("the new ask for keys", || issuer.fetches() > 0);
    assert_eq!(app.validate(&good()).status, 200);
    assert_eq!(app.get("/readyz", "").status, 200);
    wait_until("their time is over", || {
        clock.advance(Duration::from_secs(10));
        waiting.is_finished()
    });
    let refused = waiting.join().expect("no panic");
    assert_eq!(code(refused), "reload_not_ready");
    assert_eq!(reloads(&app, "reload_not_ready"), 1);
    assert_eq!(app.get("/readyz", "").status, 200);
}

#[test]
fn without_keys_the_new_come_at_once() {
    let issuer = Issuer::failing();
    let mut fetching = settings();
    fetching.issuer.keys = issuer.keys();
    let app = TestApp::with(&fetching);
    app.get("/readyz", "").problem(503, "not_ready");
    assert_eq!(code(reload(&app, settings())), "done");
    assert_eq!(app.get("/readyz", "").status, 200);
    assert_eq!(app.validate(&good()).status, 200);
}

#[test]
fn an_issuer_that_stays_is_not_asked_again() {
    let issuer = Issuer::publishing(jwk_set(&[forge()]));
    let mut fetching = settings();
    fetching.issuer.keys = issuer.keys();
    let app = TestApp::with(&fetching);
    wait_until("the first fetch", || app.metric("queue_sidecar_ready") == 1);
    issuer.fail();
    fetching.cookie = Some("at".to_owned());
    let fetches = issuer.fetches();
    assert_eq!(code(reload(&app, fetching)), "done");
    assert_eq!(app.validate(&good()).status, 200);
    assert_eq!(issuer.fetches(), fetches);
}

#[test]
fn a_hang_up_refuses_nobody() {
    let issuer = Issuer::publishing(jwk_set(&[forge()]));
    let write = |more: &str| {
        let text = format!(
            "issuer = 'https://auth.example.com'\naudience = 'raptor'\njwks = '{}'\n{more}",
            issuer.uri()
        );
        file("a_hang_up.toml", &text)
    };
    let config = write("");
    let sidecar = Sidecar::start(&["--config", &config], &[]);
    let ready = "GET /readyz HTTP/1.1\r\nHost: {HOST}\r\n\r\n";
    wait_until("it is ready", || {
        sidecar.connect().send(ready).status == 200
    });
    let token = good_today();
    let ask = format!(
        "POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let reloads = |code: &str| {
        let page = "GET /metrics HTTP/1.1\r\nHost: {HOST}\r\n\r\n";
        let page = sidecar.connect().send(page).text();
        let sample = format!("queue_sidecar_reloads_total{{code=\"{code}\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&sample));
        line.expect("it is counted")
            .parse::<u64>()
            .expect("a number")
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::connect(sidecar.port);
                while !stop.load(Relaxed) {
                    assert_eq!(client.send(&ask).status, 200);
                    answered.fetch_add(1, Relaxed);
                }
            });
        }
        for round in 0..6 {
            // Every time another policy, so every time another verifier that has to fetch.
            write(&format!("leeway = {}\nlog = 'debug'\n", 10 + round));
            sidecar.signal("HUP");
            wait_until("it is in force", || reloads("done") == round + 1);
            let before = answered.load(Relaxed);
            wait_until("requests go on", || answered.load(Relaxed) > before + 20);
        }
        write("leeway = 'long'\n");
        sidecar.signal("HUP");
        wait_until("it is refused", || reloads("reload_settings_invalid") == 1);
        write("workers = 7\nlog_format = 'json'\n");
        sidecar.signal("HUP");
        wait_until("it is refused", || reloads("reload_needs_restart") == 1);
        let before = answered.load(Relaxed);
        wait_until("requests go on", || answered.load(Relaxed) > before + 20);
        stop.store(true, Relaxed);
    });
    sidecar.signal("TERM");
    let (exit, log) = sidecar.wait();
    assert_eq!(exit, Some(0));
    for part in [
        "reload_settings_invalid",
        "leeway (--leeway, QUEUE_SIDECAR_LEEWAY)",
        "expected a restart to change workers, log_format",
        // The level is another since the first reload.
        "DEBUG",
    ] {
        assert!(log.contains(part), "{part} in\n{log}");
    }
}
