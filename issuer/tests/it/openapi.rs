//! The documents of the interface: they say what is served, they are served, and the committed ones are the same.

use std::collections::BTreeSet;
use std::path::Path;

use ::http::Method;
use queue_issuer::{Listener, openapi, routes};
use serde_json::Value;

use crate::harness::{Database, Issuer};
use crate::http::{request, send};

const LISTENERS: [(Listener, &str); 2] = [
    (Listener::Public, "openapi.json"),
    (Listener::Operators, "openapi-operators.json"),
];

#[test]
fn documents_have_every_route_and_no_other() {
    for (listener, name) in LISTENERS {
        let document: Value = serde_json::from_str(&openapi(listener)).unwrap();
        let described: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                methods.map(|method| (path.clone(), method.to_ascii_uppercase()))
            })
            .collect();
        let served: BTreeSet<(String, String)> = routes()
            .into_iter()
            .filter(|route| route.listener == listener)
            .map(|route| (route.path, route.method.to_string()))
            .collect();
        assert_eq!(described, served, "{name}");
    }
}

#[test]
fn committed_documents_are_those_of_the_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference");
    for (listener, name) in LISTENERS {
        let path = folder.join(name);
        let text = openapi(listener);
        if std::env::vars().any(|(name, _)| name == "UPDATE_DOCS") {
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{name} is not what the code says: run UPDATE_DOCS=1 cargo test -p queue-issuer --test it openapi"
        );
    }
}

#[test]
fn bodies_with_unknown_fields_are_refused_by_the_documents_too() {
    for (listener, name) in LISTENERS {
        let document: Value = serde_json::from_str(&openapi(listener)).unwrap();
        let mut looked_at = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            for operation in item.as_object().unwrap().values() {
                let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                let Some(reference) = schema["$ref"].as_str() else {
                    continue;
                };
                let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
                looked_at += 1;
                assert_eq!(schema["additionalProperties"], false, "{name} {path}");
            }
        }
        assert!(looked_at > 4, "{name}: {looked_at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_listener_serves_its_document() {
    let database = Database::sqlite();
    let issuer = Issuer::start(&database).await;
    for (to, (listener, name)) in [issuer.public, issuer.ops].into_iter().zip(LISTENERS) {
        let ask = |headers: &[(&str, &str)]| request(Method::GET, "/openapi.json", headers, None);
        let answer = send(to, ask(&[])).await;
        assert_eq!(answer.status, 200, "{name}");
        assert!(answer.text() == openapi(listener), "{name}");
        let etag = answer.header("etag").to_owned();
        let again = send(to, ask(&[("if-none-match", &etag)])).await;
        assert_eq!(again.status, 304, "{name}");
    }
}
