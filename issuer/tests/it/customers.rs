//! Customers: made once, found by id and by address.

use ::http::Method;
use serde_json::json;

use crate::harness::{Database, Issuer, RAPTOR, bearer, on_both_engines};

on_both_engines! {
    customer_is_made_and_found
    customer_email_taken
    customer_email_taken_once_of_many_at_once
    customer_email_invalid
    customer_not_found
    idempotency_key_repeats_the_answer
    idempotency_key_reused
    idempotency_key_at_once_makes_one_customer
    failing_transaction_leaves_nothing
}

async fn customer_is_made_and_found(database: Database) {
    let issuer = Issuer::start(&database).await;
    let body = json!({ "email": "Ada@Example.com", "display_name": "Ada" });
    let made = issuer
        .raptor(Method::POST, "/api/v1/customers", Some(body))
        .await;
    let customer = made.expect(201);
    let id = customer["id"].as_str().unwrap();
    assert_eq!(made.header("location"), format!("/api/v1/customers/{id}"));
    assert_eq!(made.header("cache-control"), "no-store");
    assert_eq!(customer["email"], "Ada@Example.com");
    assert_eq!(customer["email_verified"], false);
    assert_eq!(customer["roles"], json!(["antlers-user"]));
    for path in [
        format!("/api/v1/customers/{id}"),
        "/api/v1/customers?email=ADA@example.COM".to_owned(),
    ] {
        assert_eq!(
            issuer.raptor(Method::GET, &path, None).await.expect(200),
            customer,
            "{path}"
        );
    }
    let events = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'customer.created' AND actor_id = 'raptor'";
    assert_eq!(database.number(events).await, 1);
}

async fn customer_email_taken(database: Database) {
    let issuer = Issuer::start(&database).await;
    issuer.customer("ada@example.com").await;
    let again = issuer
        .raptor(
            Method::POST,
            "/api/v1/customers",
            Some(json!({ "email": "ADA@EXAMPLE.COM" })),
        )
        .await;
    again.expect_problem(409, "customer_email_taken");
    assert_eq!(
        database
            .number("SELECT COUNT(*) FROM queue_customers")
            .await,
        1
    );
}

async fn customer_email_taken_once_of_many_at_once(database: Database) {
    let issuer = Issuer::start(&database).await;
    let create = || {
        issuer.raptor(
            Method::POST,
            "/api/v1/customers",
            Some(json!({ "email": "ada@example.com" })),
        )
    };
    let (a, b, c, d) = tokio::join!(create(), create(), create(), create());
    let mut statuses = [a, b, c, d].map(|answer| answer.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409]);
    assert_eq!(
        database
            .number("SELECT COUNT(*) FROM queue_customers")
            .await,
        1
    );
    assert_eq!(
        database
            .number("SELECT COUNT(*) FROM customer_audit_events WHERE action LIKE 'customer.%'")
            .await,
        1
    );
}

async fn customer_email_invalid(database: Database) {
    let issuer = Issuer::start(&database).await;
    for email in [
        "",
        "ada",
        "ada@",
        "@example.com",
        "a b@example.com",
        "ada@example.com\r\nBcc: x@y.zz",
    ] {
        let answer = issuer
            .raptor(
                Method::POST,
                "/api/v1/customers",
                Some(json!({ "email": email })),
            )
            .await;
        answer.expect_problem(422, "customer_email_invalid");
    }
    let answer = issuer
        .raptor(
            Method::POST,
            "/api/v1/customers",
            Some(json!({ "email": "a@b.cc", "display_name": "a\nb" })),
        )
        .await;
    answer.expect_problem(422, "customer_display_name_invalid");
}

async fn customer_not_found(database: Database) {
    let issuer = Issuer::start(&database).await;
    for path in [
        "/api/v1/customers/01a20b00-94db-741f-9219-ec14c43ddf3b",
        "/api/v1/customers?email=no@example.com",
    ] {
        issuer
            .raptor(Method::GET, path, None)
            .await
            .expect_problem(404, "customer_not_found");
    }
}

async fn idempotency_key_repeats_the_answer(database: Database) {
    let issuer = Issuer::start(&database).await;
    let bearer = bearer(RAPTOR);
    let headers = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", "order-1"),
    ];
    let create = || {
        issuer.call(
            Method::POST,
            "/api/v1/customers",
            &headers,
            Some(json!({ "email": "ada@example.com" })),
        )
    };
    let first = create().await;
    let second = create().await;
    assert_eq!(first.expect(201), second.expect(201));
    assert_eq!(
        (
            first.header("idempotency-replayed"),
            second.header("idempotency-replayed")
        ),
        ("", "true")
    );
    let kept = "SELECT COUNT(*) FROM queue_idempotency_keys";
    assert_eq!(database.number(kept).await, 1);
    issuer.clock.advance(std::time::Duration::from_secs(86_400));
    create().await.expect_problem(409, "customer_email_taken");
}

async fn idempotency_key_reused(database: Database) {
    let issuer = Issuer::start(&database).await;
    let bearer = bearer(RAPTOR);
    let headers = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", "order-1"),
    ];
    let create = |email: &str| {
        let body = Some(json!({ "email": email }));
        issuer.call(Method::POST, "/api/v1/customers", &headers, body)
    };
    create("ada@example.com").await.expect(201);
    create("eve@example.com")
        .await
        .expect_problem(422, "idempotency_key_reused");
    assert_eq!(
        database
            .number("SELECT COUNT(*) FROM queue_customers")
            .await,
        1
    );
    let long = "k".repeat(256);
    for key in ["", "a b", long.as_str()] {
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        let answer = issuer
            .call(
                Method::POST,
                "/api/v1/customers",
                &headers,
                Some(json!({ "email": "x@y.zz" })),
            )
            .await;
        answer.expect_problem(400, "idempotency_key_malformed");
    }
}

async fn idempotency_key_at_once_makes_one_customer(database: Database) {
    let issuer = Issuer::start(&database).await;
    let bearer = bearer(RAPTOR);
    let headers = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", "order-1"),
    ];
    let create = || {
        issuer.call(
            Method::POST,
            "/api/v1/customers",
            &headers,
            Some(json!({ "email": "ada@example.com" })),
        )
    };
    let (a, b, c) = tokio::join!(create(), create(), create());
    assert_eq!(a.expect(201), b.expect(201));
    assert_eq!(b.expect(201), c.expect(201));
    assert_eq!(
        database
            .number("SELECT COUNT(*) FROM queue_customers")
            .await,
        1
    );
}

async fn failing_transaction_leaves_nothing(database: Database) {
    let issuer = Issuer::start(&database).await;
    // The audit event is the last write of the request: whatever came before must go with it.
    let sabotage = if database.is_postgres() {
        "CREATE TRIGGER sabotage BEFORE INSERT ON customer_audit_events FOR EACH ROW EXECUTE FUNCTION queue_refuse('no')"
    } else {
        "CREATE TRIGGER sabotage BEFORE INSERT ON customer_audit_events BEGIN SELECT RAISE(ABORT, 'no'); END"
    };
    database.execute(sabotage).await.unwrap();
    let bearer = bearer(RAPTOR);
    let headers = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", "order-1"),
    ];
    let create = || {
        issuer.call(
            Method::POST,
            "/api/v1/customers",
            &headers,
            Some(json!({ "email": "ada@example.com" })),
        )
    };
    create().await.expect_problem(500, "internal_error");
    for table in [
        "queue_customers",
        "queue_customer_emails",
        "queue_customer_roles",
        "queue_idempotency_keys",
    ] {
        assert_eq!(
            database
                .number(&format!("SELECT COUNT(*) FROM {table}"))
                .await,
            0,
            "{table}"
        );
    }
    let drop = if database.is_postgres() {
        "DROP TRIGGER sabotage ON customer_audit_events"
    } else {
        "DROP TRIGGER sabotage"
    };
    database.execute(drop).await.unwrap();
    create().await.expect(201);
}
