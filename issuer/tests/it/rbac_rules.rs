//! The rules of RBAC: nobody grants above their own, the last admin stays, and the database holds both.

use ::http::Method;
use serde_json::json;

use crate::harness::{Database, eventually, on_both_engines};
use crate::rbac::{Console, now, suspend, try_suspend};

on_both_engines! {
    rbac_grant_exceeds_own
    admin_grants_what_it_holds
    rbac_last_admin
    rbac_last_admin_of_two_at_once
    last_admins_revoked_and_suspended_at_once
    admins_who_revoke_each_other_at_once
    customer_suspended_and_erased
    role_not_found_and_customer_not_found
    on_behalf_of_is_never_dropped
    database_keeps_the_last_admin
    database_grows_authz_ver
    failing_transaction_leaves_the_role_as_it_was
}

async fn rbac_grant_exceeds_own(database: Database) {
    let console = Console::start(&database).await;
    let admin = console.admin("ada@example.com").await;
    let suspended = console.admin("eve@example.com").await;
    suspend(&database, &suspended).await;
    let plain = console.issuer.customer("bob@example.com").await;
    let reader = console.issuer.customer("zoe@example.com").await;
    let permissions = ["rbac.read", "audit.read"];
    console.make_role(&database, "auditor", &permissions).await;
    console.make_role(&database, "reader", &["rbac.read"]).await;
    console.grant(&reader, "reader", None).await.expect(201);
    let target = console.issuer.customer("tom@example.com").await;
    console.grant(&target, "auditor", None).await.expect(201);
    let nobody = "01a20b00-94db-741f-9219-ec14c43ddf3b";
    for (acting, role) in [
        (plain.as_str(), "console-admin"),
        (plain.as_str(), "antlers-user"),
        (reader.as_str(), "reader"),
        (admin.as_str(), "auditor"),
        (suspended.as_str(), "reader"),
        (nobody, "reader"),
    ] {
        for customer in [&target, &plain] {
            let grant = console.grant(customer, role, Some(acting)).await;
            grant.expect_problem(403, "rbac_grant_exceeds_own");
            let revoke = console.revoke(customer, role, Some(acting)).await;
            revoke.expect_problem(403, "rbac_grant_exceeds_own");
        }
    }
    let own = console.grant(&plain, "console-admin", Some(&plain)).await;
    own.expect_problem(403, "rbac_grant_exceeds_own");
    assert_eq!(console.effective(&plain).await.1, 2);
    let held = console.effective(&target).await;
    assert_eq!(held.0, ["antlers-user", "auditor"]);
    let acted = "SELECT COUNT(*) FROM customer_audit_events WHERE actor_id LIKE 'console for %'";
    assert_eq!(database.number(acted).await, 0);
}

async fn admin_grants_what_it_holds(database: Database) {
    let console = Console::start(&database).await;
    let admin = console.admin("ada@example.com").await;
    let eve = console.issuer.customer("eve@example.com").await;
    let granted = console.grant(&eve, "console-admin", Some(&admin)).await;
    let by = format!("console for {admin}");
    assert_eq!(granted.expect(201)["granted_by"], by);
    let revoked = console.revoke(&eve, "console-admin", Some(&admin)).await;
    assert_eq!(revoked.status, 204);
    let events = format!(
        "SELECT COUNT(*) FROM customer_audit_events WHERE action LIKE 'rbac.role_%' AND actor_kind = 'service'
         AND actor_id = '{by}' AND customer_id = '{eve}' AND target_id = 'console-admin'"
    );
    assert_eq!(database.number(&events).await, 2);
}

async fn rbac_last_admin(database: Database) {
    let console = Console::start(&database).await;
    let ada = console.admin("ada@example.com").await;
    let eve = console.admin("eve@example.com").await;
    suspend(&database, &eve).await;
    // One who is suspended administers nothing, so does not count and may go.
    for acting in [None, Some(ada.as_str())] {
        let refused = console.revoke(&ada, "console-admin", acting).await;
        refused.expect_problem(409, "rbac_last_admin");
    }
    assert_eq!(console.effective(&ada).await.1, 3);
    let gone = console.revoke(&eve, "console-admin", None).await;
    assert_eq!(gone.status, 204);
    let tom = console.admin("tom@example.com").await;
    let revoked = console.revoke(&ada, "console-admin", None).await;
    assert_eq!(revoked.status, 204);
    let last = console.revoke(&tom, "console-admin", None).await;
    last.expect_problem(409, "rbac_last_admin");
    // Other roles of the last admin go, and so does a role that is not held.
    for (customer, role) in [(&tom, "antlers-user"), (&ada, "console-admin")] {
        let revoked = console.revoke(customer, role, None).await;
        assert_eq!(revoked.status, 204);
    }
}

async fn rbac_last_admin_of_two_at_once(database: Database) {
    let console = Console::start(&database).await;
    let ada = console.admin("ada@example.com").await;
    let eve = console.admin("eve@example.com").await;
    for _ in 0..5 {
        let (a, b) = at_once(
            &database,
            console.revoke(&ada, "console-admin", None),
            console.revoke(&eve, "console-admin", None),
        )
        .await;
        let (gone, refused) = if a.status == 204 { (a, b) } else { (b, a) };
        assert_eq!(gone.status, 204, "{}", gone.text());
        refused.expect_problem(409, "rbac_last_admin");
        assert_eq!(database.number(ADMINS).await, 1);
        for admin in [&ada, &eve] {
            console.grant(admin, "console-admin", None).await;
        }
    }
}

async fn last_admins_revoked_and_suspended_at_once(database: Database) {
    let console = Console::start(&database).await;
    for round in 0..5 {
        let ada = console.admin(&format!("ada{round}@example.com")).await;
        let eve = console.admin(&format!("eve{round}@example.com")).await;
        let others =
            format!("DELETE FROM queue_customer_roles WHERE customer_id NOT IN ('{ada}', '{eve}')");
        database.execute(&others).await.unwrap();
        let (revoked, suspended) = at_once(
            &database,
            console.revoke(&ada, "console-admin", None),
            try_suspend(&database, &eve),
        )
        .await;
        if suspended.is_ok() {
            revoked.expect_problem(409, "rbac_last_admin");
        } else {
            assert_eq!(revoked.status, 204, "{}", revoked.text());
        }
        assert_eq!(database.number(ACTIVE_ADMINS).await, 1);
    }
}

async fn admins_who_revoke_each_other_at_once(database: Database) {
    let console = Console::start(&database).await;
    let ada = console.admin("ada@example.com").await;
    let eve = console.admin("eve@example.com").await;
    console.admin("tom@example.com").await;
    for _ in 0..5 {
        let (a, b) = at_once(
            &database,
            console.revoke(&ada, "console-admin", Some(&eve)),
            console.revoke(&eve, "console-admin", Some(&ada)),
        )
        .await;
        let (gone, refused) = if a.status == 204 { (a, b) } else { (b, a) };
        assert_eq!(gone.status, 204, "{}", gone.text());
        refused.expect_problem(403, "rbac_grant_exceeds_own");
        assert_eq!(database.number(ADMINS).await, 2);
        for admin in [&ada, &eve] {
            console.grant(admin, "console-admin", None).await;
        }
    }
}

async fn customer_suspended_and_erased(database: Database) {
    let console = Console::start(&database).await;
    let ada = console.issuer.customer("ada@example.com").await;
    suspend(&database, &ada).await;
    let grant = console.grant(&ada, "console-admin", None).await;
    grant.expect_problem(409, "customer_suspended");
    let revoke = console.revoke(&ada, "antlers-user", None).await;
    assert_eq!(revoke.status, 204);
    let now = now(&database);
    let erase = format!(
        "UPDATE queue_customers SET state = 'erased', erased_at = {now}, display_name = NULL WHERE id = '{ada}'"
    );
    database.execute(&erase).await.unwrap();
    let grant = console.grant(&ada, "antlers-user", None).await;
    grant.expect_problem(409, "customer_erased");
    let revoke = console.revoke(&ada, "antlers-user", None).await;
    revoke.expect_problem(409, "customer_erased");
    let past = format!(
        "INSERT INTO queue_customer_roles (tenant_id, customer_id, role_id, granted_at, granted_by)
         SELECT tenant_id, '{ada}', id, {now}, 'x' FROM queue_roles"
    );
    database.execute(&past).await.unwrap_err();
}

async fn role_not_found_and_customer_not_found(database: Database) {
    let console = Console::start(&database).await;
    let ada = console.issuer.customer("ada@example.com").await;
    for role in ["nothing", "Console-Admin", "", "a\0b"] {
        let grant = console.grant(&ada, role, None).await;
        grant.expect_problem(404, "role_not_found");
    }
    for role in ["nothing", "Console-Admin", "%00", "a%2Fb"] {
        let revoke = console.revoke(&ada, role, None).await;
        revoke.expect_problem(404, "role_not_found");
    }
    let nobody = "01a20b00-94db-741f-9219-ec14c43ddf3b";
    let grant = console.grant(nobody, "console-admin", None).await;
    grant.expect_problem(404, "customer_not_found");
    let revoke = console.revoke(nobody, "console-admin", None).await;
    revoke.expect_problem(404, "customer_not_found");
    for room in ["assignments", "effective"] {
        console
            .get(&format!("/customers/{nobody}/{room}"))
            .await
            .expect_problem(404, "customer_not_found");
        console
            .get(&format!("/customers/1/{room}"))
            .await
            .expect_problem(400, "request_path_malformed");
    }
    for path in [
        "/customers/1/assignments/x",
        &format!("/customers/{ada}/assignments/%ff"),
    ] {
        let refused = console.call(Method::DELETE, path, &[], None).await;
        refused.expect_problem(400, "request_path_malformed");
    }
}

async fn on_behalf_of_is_never_dropped(database: Database) {
    let console = Console::start(&database).await;
    let ada = console.admin("ada@example.com").await;
    let path = format!("/customers/{ada}/assignments/antlers-user");
    let body = Some(json!({ "on_behalf_of": ada }));
    let in_body = console.call(Method::DELETE, &path, &[], body).await;
    in_body.expect_problem(400, "request_malformed");
    for query in [
        "on_behalf_of=",
        "on_behalf_of=1",
        &format!("on_behalf_of={ada}&on_behalf_of={ada}"),
        &format!("on_behalf={ada}"),
    ] {
        let path = format!("{path}?{query}");
        let refused = console.call(Method::DELETE, &path, &[], None).await;
        refused.expect_problem(400, "request_query_malformed");
    }
    for body in [
        json!({ "role": "reader", "on_behalf_of": "" }),
        json!({ "role": "reader", "on_behalf_of": 1 }),
        json!({ "role": "reader", "on_behalf": ada }),
        json!({}),
    ] {
        let path = format!("/customers/{ada}/assignments");
        let refused = console.post(&path, body).await;
        refused.expect_problem(400, "request_malformed");
    }
    assert_eq!(console.effective(&ada).await.1, 3);
}

async fn database_keeps_the_last_admin(database: Database) {
    let console = Console::start(&database).await;
    let ada = console.admin("ada@example.com").await;
    let revoke = |customer: &str| {
        format!(
            "DELETE FROM queue_customer_roles WHERE customer_id = '{customer}'
             AND role_id IN (SELECT id FROM queue_roles WHERE is_admin)"
        )
    };
    database.execute(&revoke(&ada)).await.unwrap_err();
    try_suspend(&database, &ada).await.unwrap_err();
    let eve = console.admin("eve@example.com").await;
    let everyone = "DELETE FROM queue_customer_roles";
    database.execute(everyone).await.unwrap_err();
    try_suspend(&database, &ada).await.unwrap();
    database.execute(&revoke(&eve)).await.unwrap_err();
    database.execute(&revoke(&ada)).await.unwrap();
    let moved = format!(
        "UPDATE queue_customer_roles SET customer_id = '{ada}' WHERE customer_id = '{eve}'
         AND role_id IN (SELECT id FROM queue_roles WHERE is_admin)"
    );
    for (forbidden, why) in [
        ("UPDATE queue_roles SET is_admin = (1 = 0)", "final"),
        ("UPDATE queue_roles SET name = 'x' || name", "final"),
        ("UPDATE queue_permissions SET name = 'x' || name", "final"),
        (&moved, "never moved"),
        (
            "UPDATE queue_role_permissions SET role_id = (SELECT id FROM queue_roles WHERE name = 'antlers-user')",
            "never moved",
        ),
        (
            "UPDATE queue_customers SET authz_ver = authz_ver - 1",
            "only grows",
        ),
    ] {
        let refused = database.execute(forbidden).await.unwrap_err().to_string();
        assert!(refused.contains(why), "{forbidden}: {refused}");
    }
    assert_eq!(database.number(ADMINS).await, 1);
}

async fn database_grows_authz_ver(database: Database) {
    let console = Console::start(&database).await;
    console.make_role(&database, "reader", &["rbac.read"]).await;
    let ada = console.issuer.customer("ada@example.com").await;
    let eve = console.issuer.customer("eve@example.com").await;
    console.grant(&ada, "reader", None).await.expect(201);
    let of_reader = "role_id = (SELECT id FROM queue_roles WHERE name = 'reader')";
    for (sql, expect) in [
        (
            format!("DELETE FROM queue_role_permissions WHERE {of_reader}"),
            4,
        ),
        (
            format!(
                "INSERT INTO queue_role_permissions (tenant_id, role_id, permission_id, granted_at)
                 SELECT r.tenant_id, r.id, p.id, {} FROM queue_roles r, queue_permissions p
                 WHERE r.name = 'reader' AND p.name = 'rbac.write'",
                now(&database)
            ),
            5,
        ),
        (
            format!("DELETE FROM queue_customer_roles WHERE customer_id = '{ada}' AND {of_reader}"),
            6,
        ),
    ] {
        database.execute(&sql).await.unwrap();
        assert_eq!(console.effective(&ada).await.1, expect, "{sql}");
        assert_eq!(console.effective(&eve).await.1, 2, "{sql}");
    }
    suspend(&database, &ada).await;
    assert_eq!(console.effective(&ada).await.1, 7);
}

async fn failing_transaction_leaves_the_role_as_it_was(database: Database) {
    let console = Console::start(&database).await;
    let ada = console.issuer.customer("ada@example.com").await;
    let sabotage = if database.is_postgres() {
        "CREATE TRIGGER sabotage BEFORE INSERT ON customer_audit_events FOR EACH ROW EXECUTE FUNCTION queue_refuse('no')"
    } else {
        "CREATE TRIGGER sabotage BEFORE INSERT ON customer_audit_events BEGIN SELECT RAISE(ABORT, 'no'); END"
    };
    database.execute(sabotage).await.unwrap();
    let grant = console.grant(&ada, "console-admin", None).await;
    grant.expect_problem(500, "internal_error");
    let revoke = console.revoke(&ada, "antlers-user", None).await;
    revoke.expect_problem(500, "internal_error");
    let held = console.effective(&ada).await;
    assert_eq!(held, (vec!["antlers-user".to_owned()], 2));
}

/// Both requests, released together once both wait for the database; SQLite lets writers in one by one anyway.
async fn at_once<A, B>(
    database: &Database,
    one: impl Future<Output = A>,
    other: impl Future<Output = B>,
) -> (A, B) {
    if !database.is_postgres() {
        return tokio::join!(one, other);
    }
    let held = database.hold_writes().await;
    let release = async {
        eventually("both wait", async || database.number(WAITING).await >= 2).await;
        held.release().await;
    };
    let (one, other, ()) = tokio::join!(one, other, release);
    (one, other)
}

const ADMINS: &str = "
    SELECT COUNT(*) FROM queue_customer_roles WHERE role_id IN (SELECT id FROM queue_roles WHERE is_admin)";
const ACTIVE_ADMINS: &str = "
    SELECT COUNT(*) FROM queue_customer_roles a JOIN queue_customers c ON c.id = a.customer_id AND c.state = 'active'
    WHERE a.role_id IN (SELECT id FROM queue_roles WHERE is_admin)";
const WAITING: &str = "
    SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
