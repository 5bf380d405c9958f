//! The documents a verifier finds its keys by.

use ::http::Method;

use crate::harness::{Database, FakeClock, Issuer, on_both_engines};

on_both_engines! {
    documents_name_the_issuer_of_the_settings
    etag_answers_304
}

async fn documents_name_the_issuer_of_the_settings(database: Database) {
    let more = [("QUEUE_ISSUER_URL", "https://id.example.com")];
    let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
    for path in [
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    ] {
        let answer = issuer.get(path).await;
        let document = answer.expect(200);
        assert_eq!(document["issuer"], "https://id.example.com");
        assert_eq!(
            document["jwks_uri"],
            "https://id.example.com/.well-known/jwks.json"
        );
        assert_eq!(
            document["id_token_signing_alg_values_supported"],
            serde_json::json!(["RS256"])
        );
        for endpoint in ["token", "introspection", "revocation"] {
            let path = endpoint
                .replace("introspection", "introspect")
                .replace("revocation", "revoke");
            assert_eq!(
                document[format!("{endpoint}_endpoint")],
                format!("https://id.example.com/api/v1/oauth/{path}")
            );
        }
        assert_eq!(
            document["grant_types_supported"],
            serde_json::json!(["client_credentials"])
        );
        assert_eq!(
            document["token_endpoint_auth_methods_supported"],
            serde_json::json!(["client_secret_basic", "client_secret_post"])
        );
        assert_eq!(answer.header("content-type"), "application/json");
    }
}

async fn etag_answers_304(database: Database) {
    let issuer = Issuer::start(&database).await;
    let paths = [
        "jwks.json",
        "openid-configuration",
        "oauth-authorization-server",
    ];
    for path in paths.map(|name| format!("/.well-known/{name}")) {
        let whole = issuer.get(&path).await;
        let etag = whole.header("etag").to_owned();
        assert!(etag.starts_with('"') && etag.len() > 3, "{etag}");
        assert_eq!(whole.header("cache-control"), "public, max-age=300");
        assert_eq!(whole.header("access-control-allow-origin"), "*");
        let listed = format!("\"other\", W/{etag}");
        for tag in [etag.as_str(), "*", &listed] {
            let same = issuer
                .call(Method::GET, &path, &[("if-none-match", tag)], None)
                .await;
            assert_eq!(
                (same.status.as_u16(), same.body.len(), same.header("etag")),
                (304, 0, etag.as_str())
            );
            assert_eq!(same.header("cache-control"), "public, max-age=300");
        }
        let other = issuer
            .call(Method::GET, &path, &[("if-none-match", "\"other\"")], None)
            .await;
        assert_eq!(other.status.as_u16(), 200);
    }
    assert_eq!(
        issuer
            .get("/.well-known/jwks.json")
            .await
            .header("content-type"),
        "application/jwk-set+json"
    );
}
