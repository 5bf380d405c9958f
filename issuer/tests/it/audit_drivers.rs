//! How services and operators perform each of their mutating routes.

use std::time::Duration;

use ::http::Method;
use queue_issuer::Listener;
use serde_json::{Value, json};

use crate::audit_routes::{CONSOLE, Call, Driver, LEDGER, Prepared, World, post};
use crate::harness::{OPS, RAPTOR};
use crate::oauth::basic;

/// Every mutating route of services and operators: how it is performed, and the action it writes.
pub(crate) const DRIVERS: &[Driver] = &[
    Driver::new(
        "public POST /api/v1/audit/events",
        "ledger:order.shipped",
        record_event,
    ),
    Driver::new(
        "public POST /api/v1/customers",
        "customer.created",
        create_customer,
    ),
    Driver::new(
        "public POST /api/v1/service/sessions",
        "session.minted",
        mint_session,
    ),
    Driver::new(
        "public POST /api/v1/service/sessions/{sid}/revoke",
        "session.revoked",
        revoke_session,
    ),
    Driver::new(
        "public PATCH /api/v1/customers/{id}",
        "customer.renamed",
        rename_customer,
    ),
    Driver::new(
        "public PATCH /api/v1/customers/{id}",
        "customer.suspended",
        suspend_customer,
    )
    .writing(2),
    Driver::new(
        "public POST /api/v1/customers/{id}/erase",
        "customer.erased",
        erase_customer,
    )
    .writing(2),
    Driver::new(
        "public POST /api/v1/rbac/customers/{id}/assignments",
        "rbac.role_granted",
        grant_role,
    ),
    Driver::new(
        "public DELETE /api/v1/rbac/customers/{id}/assignments/{role}",
        "rbac.role_revoked",
        revoke_role,
    ),
    Driver::new(
        "public POST /api/v1/oauth/token",
        "service.token_issued",
        issue_access_token,
    ),
    Driver::new(
        "public POST /api/v1/oauth/revoke",
        "session.revoked",
        revoke_token,
    ),
    Driver::new(
        "operators POST /api/v1/mail/test",
        "mail.test_queued",
        queue_test_mail,
    ),
    Driver::new(
        "operators POST /api/v1/service-tokens",
        "service_token.created",
        create_service_token,
    ),
    Driver::new(
        "operators POST /api/v1/service-tokens/{id}/rotate",
        "service_token.rotated",
        rotate_service_token,
    ),
    Driver::new(
        "operators DELETE /api/v1/service-tokens/{id}",
        "service_token.revoked",
        revoke_service_token,
    ),
    Driver::new("operators POST /api/v1/keys", "key.generated", generate_key),
    Driver::new(
        "operators POST /api/v1/keys/{kid}/publish",
        "key.published",
        publish_key,
    ),
    Driver::new(
        "operators POST /api/v1/keys/{kid}/activate",
        "key.activated",
        activate_key,
    ),
    Driver::new(
        "operators POST /api/v1/keys/{kid}/retire",
        "key.destroyed",
        retire_key,
    ),
    Driver::new(
        "operators POST /api/v1/keys/{kid}/revoke",
        "key.revoked",
        revoke_key,
    ),
];

fn record_event(_: &World) -> Prepared<'_> {
    let body =
        json!({ "action": "ledger:order.shipped", "target_kind": "order", "target_id": "7" });
    let call = post(Listener::Public, "/api/v1/audit/events", LEDGER, Some(body));
    Box::pin(async { call })
}

fn create_customer(world: &World) -> Prepared<'_> {
    let body = json!({ "email": world.address() });
    Box::pin(async { post(Listener::Public, "/api/v1/customers", RAPTOR, Some(body)) })
}

fn mint_session(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let customer = world.issuer.customer(&world.address()).await;
        let body = json!({ "customer_id": customer });
        post(
            Listener::Public,
            "/api/v1/service/sessions",
            RAPTOR,
            Some(body),
        )
    })
}

fn revoke_session(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let (_, minted) = world.session().await;
        let sid = minted["session"]["session_id"].as_str().unwrap();
        let path = format!("/api/v1/service/sessions/{sid}/revoke");
        post(Listener::Public, &path, RAPTOR, None)
    })
}

fn generate_key(_: &World) -> Prepared<'_> {
    Box::pin(async { post(Listener::Operators, "/api/v1/keys", OPS, Some(json!({}))) })
}

fn publish_key(world: &World) -> Prepared<'_> {
    Box::pin(async { world.key_step(json!({ "publish": false }), "publish").await })
}

fn activate_key(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let call = world.key_step(json!({}), "activate").await;
        world.issuer.clock.advance(Duration::from_secs(630));
        call
    })
}

fn retire_key(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let revoke = world.key_step(json!({}), "revoke").await;
        world.send(&revoke).await.expect(200);
        Call {
            path: revoke.path.replace("/revoke", "/retire"),
            ..revoke
        }
    })
}

fn revoke_key(world: &World) -> Prepared<'_> {
    Box::pin(async { world.key_step(json!({}), "revoke").await })
}

fn rename_customer(world: &World) -> Prepared<'_> {
    Box::pin(async {
        world
            .change_customer(json!({ "display_name": "Ada" }))
            .await
    })
}

fn suspend_customer(world: &World) -> Prepared<'_> {
    Box::pin(async { world.change_customer(json!({ "state": "suspended" })).await })
}

fn erase_customer(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let (customer, _) = world.session().await;
        let path = format!("/api/v1/customers/{customer}/erase");
        post(Listener::Public, &path, RAPTOR, None)
    })
}

fn grant_role(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let customer = world.issuer.customer(&world.address()).await;
        let path = format!("/api/v1/rbac/customers/{customer}/assignments");
        let body = json!({ "role": "console-admin" });
        post(Listener::Public, &path, CONSOLE, Some(body))
    })
}

fn revoke_role(world: &World) -> Prepared<'_> {
    Box::pin(async {
        // The last admin cannot be revoked.
        let other = grant_role(world).await;
        world.send(&other).await.expect(201);
        let grant = grant_role(world).await;
        world.send(&grant).await.expect(201);
        Call {
            method: Method::DELETE,
            path: format!("{}/console-admin", grant.path),
            body: None,
            ..grant
        }
    })
}

fn issue_access_token(_: &World) -> Prepared<'_> {
    let call = form_post("/api/v1/oauth/token", "grant_type=client_credentials");
    Box::pin(async { call })
}

fn revoke_token(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let (_, minted) = world.session().await;
        let token = minted["access_token"].as_str().unwrap();
        form_post("/api/v1/oauth/revoke", &format!("token={token}"))
    })
}

fn queue_test_mail(world: &World) -> Prepared<'_> {
    let body = json!({ "to": world.address() });
    Box::pin(async { post(Listener::Operators, "/api/v1/mail/test", OPS, Some(body)) })
}

fn create_service_token(world: &World) -> Prepared<'_> {
    let address = world.address();
    let name = address.split('@').next().unwrap_or_default();
    let body = json!({ "client_id": format!("client_{name}"), "scopes": ["customers:read"] });
    let call = post(
        Listener::Operators,
        "/api/v1/service-tokens",
        OPS,
        Some(body),
    );
    Box::pin(async { call })
}

fn rotate_service_token(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let path = format!("{}/rotate", world.service_token().await);
        post(Listener::Operators, &path, OPS, None)
    })
}

fn revoke_service_token(world: &World) -> Prepared<'_> {
    Box::pin(async {
        let path = world.service_token().await;
        let call = post(Listener::Operators, &path, OPS, None);
        Call {
            method: Method::DELETE,
            ..call
        }
    })
}

/// A form, by Raptor's secret.
fn form_post(path: &str, body: &str) -> Call {
    let form = "application/x-www-form-urlencoded".to_owned();
    Call {
        listener: Listener::Public,
        method: Method::POST,
        path: path.to_owned(),
        headers: vec![
            ("authorization".to_owned(), basic("raptor", RAPTOR)),
            ("content-type".to_owned(), form),
        ],
        body: Some(json!(body)),
    }
}

impl World {
    /// A new customer with one live session, and the answer that minted it.
    async fn session(&self) -> (String, Value) {
        let customer = self.issuer.customer(&self.address()).await;
        let minted = self.issuer.mint(&customer).await.expect(201);
        (customer, minted)
    }

    async fn change_customer(&self, body: Value) -> Call {
        let (customer, _) = self.session().await;
        let path = format!("/api/v1/customers/{customer}");
        let call = post(Listener::Public, &path, RAPTOR, Some(body));
        Call {
            method: Method::PATCH,
            ..call
        }
    }

    /// Where a new service token is.
    async fn service_token(&self) -> String {
        let made = create_service_token(self).await;
        let made = self.send(&made).await.expect(201);
        format!("/api/v1/service-tokens/{}", made["id"].as_str().unwrap())
    }
}
