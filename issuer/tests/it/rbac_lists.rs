//! What RBAC shows: roles, permissions and what a customer may do, in bounded pages and batches.

use serde_json::{Value, json};

use crate::harness::{Database, on_both_engines};
use crate::rbac::{Console, check, suspend};

on_both_engines! {
    roles_and_permissions_are_listed
    lists_go_on_where_the_page_ended
    page_size_out_of_bounds
    checks_are_answered_in_order
    checks_out_of_bounds
}

async fn roles_and_permissions_are_listed(database: Database) {
    let console = Console::start(&database).await;
    let answer = console.get("/roles").await;
    let expect = json!({
        "roles": [
            { "name": "antlers-user", "description": "Uses Antlers as a customer", "is_default": true,
              "is_admin": false, "permissions": [] },
            { "name": "console-admin", "description": "Administers customers and their roles in Console",
              "is_default": false, "is_admin": true, "permissions": ["rbac.read", "rbac.write"] },
        ],
        "next_cursor": null,
    });
    assert_eq!(answer.expect(200), expect);
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    let permissions = console.get("/permissions").await;
    assert_eq!(
        names(&permissions.expect(200)["permissions"]),
        ["rbac.read", "rbac.write"]
    );
    for (path, answer) in [("/roles", answer), ("/permissions", permissions)] {
        let etag = answer.header("etag");
        assert!(etag.starts_with('"') && etag.len() == 34, "{etag}");
        let again = console.get_unless(path, etag).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
        assert_eq!(again.header("etag"), etag);
        assert_eq!(again.header("cache-control"), "private, no-cache");
    }
    let etag = console.get("/roles").await.header("etag").to_owned();
    console.make_role(&database, "auditor", &[]).await;
    let grown = console.get_unless("/roles", &etag).await;
    assert_eq!(grown.expect(200)["roles"].as_array().unwrap().len(), 3);
}

async fn lists_go_on_where_the_page_ended(database: Database) {
    let console = Console::start(&database).await;
    console
        .make_role(&database, "auditor", &["rbac.read"])
        .await;
    let mut seen = Vec::new();
    let mut path = "/roles?page_size=1".to_owned();
    loop {
        let page = console.get(&path).await.expect(200);
        seen.extend(names(&page["roles"]));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/roles?page_size=1&cursor={cursor}");
    }
    assert_eq!(seen, ["antlers-user", "auditor", "console-admin"]);
    let page = console.get("/permissions?page_size=1").await.expect(200);
    assert_eq!(names(&page["permissions"]), ["rbac.read"]);
    assert_eq!(page["next_cursor"], "rbac.read");
    let last = console
        .get("/permissions?page_size=200&cursor=rbac.read")
        .await;
    assert_eq!(names(&last.expect(200)["permissions"]), ["rbac.write"]);
    assert_eq!(last.json()["next_cursor"], Value::Null);
}

async fn page_size_out_of_bounds(database: Database) {
    let console = Console::start(&database).await;
    for list in ["/roles", "/permissions"] {
        for query in [
            "page_size=0",
            "page_size=201",
            "page_size=-1",
            "page_size=9223372036854775807",
            "page_size=99999999999999999999",
            "page_size=1.5",
            "page_size=",
            "page_size=1&page_size=2",
            "cursor=A",
            "cursor=%00",
            "offset=1",
        ] {
            console
                .get(&format!("{list}?{query}"))
                .await
                .expect_problem(400, "request_query_malformed");
        }
    }
}

async fn checks_are_answered_in_order(database: Database) {
    let console = Console::start(&database).await;
    let admin = console.admin("ada@example.com").await;
    let other = console.admin("eve@example.com").await;
    let plain = console.issuer.customer("bob@example.com").await;
    suspend(&database, &other).await;
    let nobody = "01a20b00-94db-741f-9219-ec14c43ddf3b";
    let asked = [
        (admin.as_str(), "rbac.write", true, json!(3)),
        (plain.as_str(), "rbac.write", false, json!(2)),
        (other.as_str(), "rbac.write", false, json!(4)),
        (admin.as_str(), "rbac.nothing", false, json!(3)),
        (nobody, "rbac.read", false, Value::Null),
        (admin.as_str(), "rbac.read", true, json!(3)),
    ];
    let checks: Vec<Value> = asked
        .iter()
        .map(|(customer, permission, ..)| check(customer, permission))
        .collect();
    let answer = console.post("/check", json!({ "checks": checks })).await;
    let expect: Vec<Value> = asked
        .iter()
        .map(|(customer, permission, allowed, authz_ver)| {
            json!({ "customer_id": customer, "permission": permission, "allowed": allowed, "authz_ver": authz_ver })
        })
        .collect();
    assert_eq!(answer.expect(200), json!({ "results": expect }));
    assert_eq!(answer.header("cache-control"), "no-store");
    let effective = console.get(&format!("/customers/{other}/effective")).await;
    let effective = effective.expect(200);
    assert_eq!(effective["state"], "suspended");
    assert_eq!(
        (&effective["roles"], &effective["permissions"]),
        (&json!([]), &json!([]))
    );
}

async fn checks_out_of_bounds(database: Database) {
    let console = Console::start(&database).await;
    let ada = console.issuer.customer("ada@example.com").await;
    let many = |count: usize| json!({ "checks": vec![check(&ada, "rbac.read"); count] });
    let most = console.post("/check", many(100)).await.expect(200);
    assert_eq!(most["results"].as_array().unwrap().len(), 100);
    for body in [
        many(0),
        many(101),
        json!({}),
        json!({ "checks": [check("1", "rbac.read")] }),
        json!({ "checks": [check(&ada, "RBAC")] }),
        json!({ "checks": [check(&ada, "a\0")] }),
        json!({ "checks": [{ "customer_id": ada, "permission": "rbac.read", "tenant": "x" }] }),
    ] {
        console
            .post("/check", body)
            .await
            .expect_problem(400, "request_malformed");
    }
}

fn names(rows: &Value) -> Vec<String> {
    let rows = rows.as_array().unwrap();
    rows.iter()
        .map(|row| row["name"].as_str().unwrap().to_owned())
        .collect()
}
