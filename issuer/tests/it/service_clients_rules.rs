//! What stored service tokens may not be: the same rules over HTTP, on the command line, in the database.

use std::process::Command;

use ::http::Method;
use serde_json::{Value, json};

use crate::harness::{Database, FakeClock, Issuer, bearer, on_both_engines};
use crate::http::{request, send};
use crate::service_clients::{create, make, revoke, status};

on_both_engines! {
    refused_requests_make_nothing
    service_scopes_differ
    operators_scopes_are_handed_on_by_those_who_hold_them
    database_keeps_the_rules
}

async fn refused_requests_make_nothing(database: Database) {
    let issuer = Issuer::start(&database).await;
    let long = "x".repeat(33);
    let with = |client: &str, scopes: Value, life: Value| json!({ "client_id": client, "scopes": scopes, "expires_in": life });
    let good = json!(["customers:read"]);
    for client in [
        "", "Velour", "1velour", "ve-lour", "ve lour", "vélour", &long,
    ] {
        create(&issuer, with(client, good.clone(), json!(60)))
            .await
            .expect_problem(422, "service_client_id_invalid");
    }
    for scopes in [
        json!([]),
        json!(["customer"]),
        json!(["customers:read", "root"]),
        json!(["*"]),
        json!([""]),
    ] {
        create(&issuer, with("velour", scopes, json!(60)))
            .await
            .expect_problem(422, "service_scope_invalid");
    }
    for life in [0_u64, 59, 366 * 86_400 + 1, u64::MAX] {
        create(&issuer, with("velour", good.clone(), json!(life)))
            .await
            .expect_problem(422, "service_token_life_invalid");
    }
    for body in [
        json!({ "client_id": "velour", "scopes": good, "state": "active" }),
        json!({ "client_id": "velour" }),
        with("velour", good.clone(), json!(-1)),
        with("velour", json!("customers:read"), json!(60)),
    ] {
        create(&issuer, body)
            .await
            .expect_problem(400, "request_malformed");
    }
    for life in [60, 366 * 86_400] {
        create(&issuer, with("velour", good.clone(), json!(life)))
            .await
            .expect(201);
    }
    assert_eq!(
        database
            .number("SELECT COUNT(*) FROM queue_service_clients")
            .await,
        1
    );
    // Not on the public listener, and not for everyone.
    issuer
        .raptor(Method::GET, "/api/v1/service-tokens", None)
        .await
        .expect_problem(404, "route_not_found");
    let raptor = bearer(crate::harness::RAPTOR);
    let ask = request(
        Method::GET,
        "/api/v1/service-tokens",
        &[("authorization", &raptor)],
        None,
    );
    send(issuer.ops, ask)
        .await
        .expect_problem(403, "insufficient_scope");
}

async fn service_scopes_differ(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (id, token) = make(&issuer, "velour", &["customers:read", "rbac:read"]).await;
    create(
        &issuer,
        json!({ "client_id": "velour", "scopes": ["customers:read"] }),
    )
    .await
    .expect_problem(409, "service_scopes_differ");
    // Order and repetition make no other scopes.
    let same =
        json!({ "client_id": "velour", "scopes": ["rbac:read", "customers:read", "rbac:read"] });
    let twin = create(&issuer, same).await.expect(201);
    assert_eq!(status(&issuer, &token).await.0, 404);
    for id in [id.as_str(), twin["id"].as_str().unwrap()] {
        revoke(&issuer, id).await.expect(200);
    }
    let (_, narrow) = make(&issuer, "velour", &["rbac:read"]).await;
    assert_eq!(
        status(&issuer, &narrow).await,
        (403, "insufficient_scope".to_owned())
    );
}

async fn operators_scopes_are_handed_on_by_those_who_hold_them(database: Database) {
    let clerk = "clerk-0123456789-abcdefghijklmnopqrstuvwxyz";
    let more = [
        ("QUEUE_SERVICE_TOKEN_CLERK", clerk),
        ("QUEUE_SERVICE_SCOPES_CLERK", "ops:services"),
    ];
    let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
    let ask = async |path: &str, body: Value| {
        let headers = [("authorization", &*bearer(clerk))];
        send(
            issuer.ops,
            request(Method::POST, path, &headers, Some(body.to_string())),
        )
        .await
    };
    let path = "/api/v1/service-tokens";
    for scope in ["ops:*", "ops:keys"] {
        ask(
            path,
            json!({ "client_id": "velour", "scopes": ["customers:read", scope] }),
        )
        .await
        .expect_problem(403, "insufficient_scope");
    }
    ask(
        path,
        json!({ "client_id": "velour", "scopes": ["ops:services"] }),
    )
    .await
    .expect(201);
    let (id, token) = make(&issuer, "root", &["ops:*"]).await;
    ask(&format!("{path}/{id}/rotate"), json!({}))
        .await
        .expect_problem(403, "insufficient_scope");
    // A stored token with ops:* is an operator's like any other.
    let headers = [("authorization", &*bearer(&token))];
    let keys = request(Method::GET, "/api/v1/keys", &headers, None);
    send(issuer.ops, keys).await.expect(200);
}

async fn database_keeps_the_rules(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (id, _) = make(&issuer, "velour", &["customers:read"]).await;
    let (_, _) = make(&issuer, "velour", &["customers:read"]).await;
    let (other, _) = make(&issuer, "other", &["customers:read"]).await;
    revoke(&issuer, &other).await.expect(200);
    for sql in [
        format!("UPDATE queue_service_tokens SET slot = 3 WHERE id = '{id}'"),
        format!("UPDATE queue_service_tokens SET slot = 2 WHERE id = '{id}'"),
        format!("UPDATE queue_service_tokens SET slot = 1 WHERE id = '{other}'"),
        format!(
            "UPDATE queue_service_tokens SET revoked_at = NULL, revoked_by = NULL WHERE id = '{other}'"
        ),
        format!(
            "UPDATE queue_service_tokens SET token_hash = (SELECT token_hash FROM queue_service_tokens WHERE id = '{other}') WHERE id = '{id}'"
        ),
        "DELETE FROM queue_service_tokens".to_owned(),
        "UPDATE queue_service_clients SET client_id = 'renamed' WHERE client_id = 'other'"
            .to_owned(),
        "UPDATE queue_service_clients SET state = 'root'".to_owned(),
    ] {
        assert!(database.execute(&sql).await.is_err(), "{sql}");
    }
}

#[test]
fn token_commands_obey_the_rules() {
    for database in [Database::sqlite(), Database::postgres()] {
        let run = |args: &[&str]| {
            let output = Command::new(env!("CARGO_BIN_EXE_queue-issuer"))
                .args(args)
                .env_clear()
                .envs(database.env(&[]))
                .current_dir(&database.dir)
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            (output.status.code().unwrap(), lines)
        };
        let tokens = |args: &[&str]| run(&[&["service-tokens"], args].concat());
        run(&["migrate", "up"]);
        let create = ["create", "velour", "--scopes", "rbac:read,customers:read"];
        let (code, would) = tokens(&[&create[..], &["--dry-run"]].concat());
        assert_eq!((code, would.len()), (0, 1));
        assert!(would[0].starts_with("would be: ") && !would[0].contains("qst_"));
        assert!(tokens(&["list"]).1.is_empty());
        let (_, made) = tokens(&create);
        assert!(
            made[0].contains("live    velour [customers:read rbac:read]"),
            "{made:?}"
        );
        assert!(made[1].starts_with("qst_") && made[1].len() == 66);
        let id = made[0].split(' ').next().unwrap().to_owned();
        let (_, second) = tokens(&["rotate", &id, "--expires-in", "3600"]);
        assert!(second[1].starts_with("qst_"));
        assert_eq!(tokens(&["rotate", &id]).0, 2);
        assert!(tokens(&["revoke", &id, "--dry-run"]).1[0].starts_with("would be: "));
        assert_eq!(
            tokens(&["list"])
                .1
                .iter()
                .filter(|line| line.contains(" live "))
                .count(),
            2
        );
        assert!(tokens(&["revoke", &id]).1[0].contains(" revoked "));
        assert_eq!(
            tokens(&["list"])
                .1
                .iter()
                .filter(|line| line.contains(" live "))
                .count(),
            1
        );
        assert!(!tokens(&["list"]).1.concat().contains("qst_"));
        for wrong in [
            &["create", "velour"][..],
            &["create", "Velour", "--scopes", "rbac:read"],
            &["create", "velour", "--scopes", "root"],
            &[
                "create",
                "velour",
                "--scopes",
                "rbac:read",
                "--expires-in",
                "1",
            ],
            &["revoke", "nothing"],
            &["rotate"],
        ] {
            assert_eq!(tokens(wrong).0, 64, "{wrong:?}");
        }
        assert_eq!(tokens(&["create", "velour", "--scopes", "audit:read"]).0, 2);
    }
}
