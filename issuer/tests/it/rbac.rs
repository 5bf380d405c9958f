//! RBAC as Console uses it: roles are listed, granted and revoked, and the next token says so.

use std::time::Duration;

use ::http::Method;
use serde_json::{Value, json};

use crate::harness::{Database, FakeClock, Issuer, START, bearer, look_into, on_both_engines};
use crate::http::Answer;

on_both_engines! {
    granted_role_is_in_the_next_token
    etag_follows_authz_ver
    idempotency_key_repeats_the_grant
    idempotency_key_of_a_revoked_role_is_refused
    insufficient_scope_of_a_reader
}

async fn granted_role_is_in_the_next_token(database: Database) {
    let console = Console::start(&database).await;
    let ada = console.issuer.customer("ada@example.com").await;
    let before = console.effective(&ada).await;
    assert_eq!(console.token(&ada).await, before);
    assert_eq!(before, (vec!["antlers-user".to_owned()], 2));
    let path = format!("/customers/{ada}/assignments");
    let granted = console.grant(&ada, "console-admin", None).await;
    let expect = json!({
        "customer_id": ada, "role": "console-admin", "granted_at": START, "granted_by": "console", "authz_ver": 3,
    });
    assert_eq!(granted.expect(201), expect);
    assert_eq!(
        granted.header("location"),
        format!("/api/v1/rbac{path}/console-admin")
    );
    console.issuer.clock.advance(Duration::from_secs(60));
    assert_eq!(
        console.grant(&ada, "console-admin", None).await.expect(200),
        expect
    );
    let after = console.effective(&ada).await;
    assert_eq!(console.token(&ada).await, after);
    assert_eq!(
        after,
        (
            vec!["antlers-user".to_owned(), "console-admin".to_owned()],
            3
        )
    );
    let effective = console.get(&format!("/customers/{ada}/effective")).await;
    assert_eq!(
        effective.expect(200)["permissions"],
        json!(["rbac.read", "rbac.write"])
    );
    let eve = console.issuer.customer("eve@example.com").await;
    console.grant(&eve, "console-admin", None).await.expect(201);
    for _ in 0..2 {
        let revoked = console.revoke(&ada, "console-admin", None).await;
        assert_eq!((revoked.status.as_u16(), revoked.body.len()), (204, 0));
        assert_eq!(
            console.token(&ada).await,
            (vec!["antlers-user".to_owned()], 4)
        );
        assert_eq!(console.effective(&ada).await, console.token(&ada).await);
    }
    for (action, times) in [("rbac.role_granted", 1), ("rbac.role_revoked", 1)] {
        let events = format!(
            "SELECT COUNT(*) FROM customer_audit_events WHERE action = '{action}' AND actor_id = 'console'
             AND target_kind = 'role' AND target_id = 'console-admin' AND customer_id = '{ada}'"
        );
        assert_eq!(database.number(&events).await, times, "{action}");
    }
}

async fn etag_follows_authz_ver(database: Database) {
    let console = Console::start(&database).await;
    let ada = console.issuer.customer("ada@example.com").await;
    for room in ["assignments", "effective"] {
        let path = format!("/customers/{ada}/{room}");
        let first = console.get(&path).await;
        let version = first.expect(200)["authz_ver"].as_i64().unwrap();
        let etag = first.header("etag");
        assert!(etag.starts_with(&format!("\"{version}-")), "{etag}");
        assert_eq!(first.header("cache-control"), "private, no-cache");
        assert_eq!(first.header("access-control-allow-origin"), "");
        let same = console.get_unless(&path, etag).await;
        assert_eq!((same.status.as_u16(), same.body.len()), (304, 0));
        console.grant(&ada, "console-admin", None).await.expect(201);
        let changed = console.get_unless(&path, etag).await;
        assert_eq!(changed.expect(200)["authz_ver"], version + 1);
        assert_ne!(changed.header("etag"), etag);
        // Somebody has to stay.
        let eve = console
            .issuer
            .customer(&format!("{room}@example.com"))
            .await;
        console.grant(&eve, "console-admin", None).await.expect(201);
        console.revoke(&ada, "console-admin", None).await;
    }
    let held = console.get(&format!("/customers/{ada}/assignments")).await;
    let expect = json!([{ "role": "antlers-user", "granted_at": START, "granted_by": "raptor" }]);
    assert_eq!(held.expect(200)["assignments"], expect);
}

async fn idempotency_key_repeats_the_grant(database: Database) {
    let console = Console::start(&database).await;
    let ada = console.issuer.customer("ada@example.com").await;
    let eve = console.issuer.customer("eve@example.com").await;
    let key = [("idempotency-key", "order-1")];
    let first = console.grant_with(&ada, "console-admin", &key).await;
    let second = console.grant_with(&ada, "console-admin", &key).await;
    assert_eq!(first.expect(201), second.expect(201));
    assert_eq!(
        (
            first.header("idempotency-replayed"),
            second.header("idempotency-replayed")
        ),
        ("", "true")
    );
    // The same body for somebody else is another request.
    console
        .grant_with(&eve, "console-admin", &key)
        .await
        .expect_problem(422, "idempotency_key_reused");
    assert_eq!(console.effective(&eve).await.1, 2);
    let granted = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'rbac.role_granted'";
    assert_eq!(database.number(granted).await, 1);
}

async fn idempotency_key_of_a_revoked_role_is_refused(database: Database) {
    let console = Console::start(&database).await;
    console.make_role(&database, "auditor", &[]).await;
    let ada = console.issuer.customer("ada@example.com").await;
    let key = [("idempotency-key", "order-1")];
    console.grant_with(&ada, "auditor", &key).await.expect(201);
    console.revoke(&ada, "auditor", None).await;
    console
        .grant_with(&ada, "auditor", &key)
        .await
        .expect_problem(409, "rbac_assignment_ended");
    assert_eq!(console.effective(&ada).await.0, ["antlers-user"]);
}

async fn insufficient_scope_of_a_reader(database: Database) {
    let more = [
        ("QUEUE_SERVICE_TOKEN_CONSOLE", CONSOLE),
        ("QUEUE_SERVICE_SCOPES_CONSOLE", "rbac:read"),
    ];
    let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
    let ada = issuer.customer("ada@example.com").await;
    let console = Console { issuer };
    console.get("/roles").await.expect(200);
    let grant = console.grant(&ada, "console-admin", None).await;
    grant.expect_problem(403, "insufficient_scope");
    let revoke = console.revoke(&ada, "antlers-user", None).await;
    revoke.expect_problem(403, "insufficient_scope");
    for path in [
        "/roles".to_owned(),
        "/permissions".to_owned(),
        format!("/customers/{ada}/assignments"),
        format!("/customers/{ada}/effective"),
    ] {
        let path = format!("/api/v1/rbac{path}");
        let refused = console.issuer.raptor(Method::GET, &path, None).await;
        refused.expect_problem(403, "insufficient_scope");
        console
            .issuer
            .get(&path)
            .await
            .expect_problem(401, "bearer_missing");
    }
    let body = json!({ "checks": [check(&ada, "rbac.read")] });
    let refused = console
        .issuer
        .raptor(Method::POST, "/api/v1/rbac/check", Some(body))
        .await;
    refused.expect_problem(403, "insufficient_scope");
    assert_eq!(console.effective(&ada).await.1, 2);
}

/// An issuer, and Console that may read and write.
pub(crate) struct Console {
    pub(crate) issuer: Issuer,
}

impl Console {
    pub(crate) async fn start(database: &Database) -> Self {
        let more = [
            ("QUEUE_SERVICE_TOKEN_CONSOLE", CONSOLE),
            ("QUEUE_SERVICE_SCOPES_CONSOLE", "rbac:read rbac:write"),
        ];
        let issuer = Issuer::start_with(database, &more, FakeClock::new()).await;
        Self { issuer }
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        more: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let bearer = bearer(CONSOLE);
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend_from_slice(more);
        let path = format!("/api/v1/rbac{path}");
        self.issuer.call(method, &path, &headers, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], None).await
    }

    pub(crate) async fn get_unless(&self, path: &str, etag: &str) -> Answer {
        let unless = [("if-none-match", etag)];
        self.call(Method::GET, path, &unless, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    pub(crate) async fn grant(&self, customer: &str, role: &str, acting: Option<&str>) -> Answer {
        let path = format!("/customers/{customer}/assignments");
        let body = json!({ "role": role, "on_behalf_of": acting });
        self.post(&path, body).await
    }

    async fn grant_with(&self, customer: &str, role: &str, more: &[(&str, &str)]) -> Answer {
        let path = format!("/customers/{customer}/assignments");
        let body = json!({ "role": role });
        self.call(Method::POST, &path, more, Some(body)).await
    }

    pub(crate) async fn revoke(&self, customer: &str, role: &str, acting: Option<&str>) -> Answer {
        let query = acting.map_or(String::new(), |acting| format!("?on_behalf_of={acting}"));
        let path = format!("/customers/{customer}/assignments/{role}{query}");
        self.call(Method::DELETE, &path, &[], None).await
    }

    /// A new customer who is an admin.
    pub(crate) async fn admin(&self, email: &str) -> String {
        let customer = self.issuer.customer(email).await;
        self.grant(&customer, "console-admin", None)
            .await
            .expect(201);
        customer
    }

    /// The roles and the `authz_ver` in force.
    pub(crate) async fn effective(&self, customer: &str) -> (Vec<String>, i64) {
        let answer = self.get(&format!("/customers/{customer}/effective")).await;
        roles_of(&answer.expect(200))
    }

    /// The roles and the `authz_ver` of a token minted now.
    async fn token(&self, customer: &str) -> (Vec<String>, i64) {
        let minted = self.issuer.mint(customer).await.expect(201);
        roles_of(&look_into(minted["access_token"].as_str().unwrap()).1)
    }

    /// A role past the issuer: there is no route that makes one.
    pub(crate) async fn make_role(&self, database: &Database, name: &str, permissions: &[&str]) {
        let (id, at) = (uuid::Uuid::now_v7(), now(database));
        let tenant = "00000000-0000-7000-8000-000000000001";
        let mut sql = format!(
            "INSERT INTO queue_roles (id, tenant_id, name, created_at, updated_at)
             VALUES ('{id}', '{tenant}', '{name}', {at}, {at});"
        );
        for permission in permissions {
            let permission_id = uuid::Uuid::now_v7();
            sql += &format!(
                "INSERT INTO queue_permissions (id, tenant_id, name, created_at)
                 VALUES ('{permission_id}', '{tenant}', '{permission}', {at}) ON CONFLICT DO NOTHING;
                 INSERT INTO queue_role_permissions (tenant_id, role_id, permission_id, granted_at)
                 SELECT '{tenant}', '{id}', id, {at} FROM queue_permissions WHERE name = '{permission}';"
            );
        }
        database.execute(&sql).await.unwrap();
    }
}

pub(crate) async fn suspend(database: &Database, customer: &str) {
    try_suspend(database, customer).await.unwrap();
}

pub(crate) async fn try_suspend(database: &Database, customer: &str) -> Result<(), sqlx::Error> {
    let now = now(database);
    database
        .execute(&format!(
            "UPDATE queue_customers SET state = 'suspended', suspended_at = {now} WHERE id = '{customer}'"
        ))
        .await
}

pub(crate) fn now(database: &Database) -> &'static str {
    if database.is_postgres() {
        "now()"
    } else {
        "unixepoch() * 1000000"
    }
}

pub(crate) fn check(customer: &str, permission: &str) -> Value {
    json!({ "customer_id": customer, "permission": permission })
}

fn roles_of(claims: &Value) -> (Vec<String>, i64) {
    let roles = serde_json::from_value(claims["roles"].clone()).unwrap();
    (roles, claims["authz_ver"].as_i64().unwrap())
}

const CONSOLE: &str = "console-0123456789-abcdefghijklmnopqrstuvwxyz";
