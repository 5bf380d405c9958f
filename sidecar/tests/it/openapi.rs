//! The OpenAPI document: the committed one, and the routes it describes.
//!
//! `UPDATE_DOCS=1` writes it anew.

use std::collections::BTreeSet;
use std::path::Path;

use queue_sidecar::openapi;
use serde_json::Value;

use crate::support::TestApp;

fn document() -> Value {
    serde_json::from_str(openapi()).expect("the document is JSON")
}

#[test]
fn the_document_is_committed_and_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/openapi-sidecar.json");
    if std::env::vars().any(|(name, _)| name == "UPDATE_DOCS") {
        std::fs::write(&path, openapi()).expect("the checkout can be written");
    }
    let committed = std::fs::read_to_string(&path).expect("the document is committed");
    assert!(
        committed == openapi(),
        "stale: UPDATE_DOCS=1 cargo test -p queue-sidecar openapi"
    );
    let app = TestApp::start();
    let response = app.get("/openapi.json", "");
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.text(), committed);
}

#[test]
fn every_route_is_described_and_no_other() {
    let table = include_str!("../../src/router.rs");
    let paths = table.split(".route(").skip(1).map(|rest| {
        let path = rest.split(',').next().expect("a path").trim();
        match path {
            "auth::PATH" => "/v1/auth",
            quoted => quoted.trim_matches('"'),
        }
    });
    // gRPC has its own description, and a path that ends at the prefix is one below it.
    let is_http = |path: &&str| !path.starts_with("grpc::") && *path != "/envoy/";
    let served: BTreeSet<String> = paths
        .filter(is_http)
        .map(|path| path.replace("{*rest}", "{rest}"))
        .collect();
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    let described: BTreeSet<String> = paths.keys().cloned().collect();
    assert_eq!(served, described);
}

#[test]
fn a_described_method_is_served_and_another_is_not() {
    let app = TestApp::start();
    for (path, methods) in document()["paths"].as_object().expect("paths") {
        let methods = methods.as_object().expect("methods");
        for method in ["get", "head", "post", "put", "patch", "delete", "options"] {
            let request = format!(
                "{} {path} HTTP/1.1\r\nHost: {{HOST}}\r\nContent-Length: 0\r\n\r\n",
                method.to_uppercase()
            );
            let mut client = app.connect();
            client.write(request);
            client.finish();
            let status = client.read().map(|response| response.status);
            // A HEAD announces a body that does not come.
            if method == "head" {
                continue;
            }
            let is_served = !matches!(status, Some(404 | 405));
            assert_eq!(
                is_served,
                methods.contains_key(method),
                "{method} {path}: {status:?}"
            );
        }
    }
}
