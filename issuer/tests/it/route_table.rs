//! The route table: what is listed is served, and nothing else is.

use std::path::Path;

use ::http::Method;
use queue_issuer::{Listener, Route, routes};

use crate::harness::{Database, Issuer, OPS, bearer};
use crate::http::{Answer, request, send};

const METHODS: [Method; 5] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listed_methods_are_served_and_no_others() {
    let database = Database::sqlite();
    let issuer = Issuer::start(&database).await;
    let routes = routes();
    assert!(routes.len() > 20, "{routes:?}");
    for route in &routes {
        for method in METHODS {
            let is_listed = routes.iter().any(|other| {
                other.listener == route.listener
                    && other.path == route.path
                    && other.method == method
            });
            let answer = ask(&issuer, route, method.clone()).await;
            let is_served = answer.status != 405
                && !(answer.status == 404 && answer.json()["code"] == "route_not_found");
            assert_eq!(
                is_served,
                is_listed,
                "{method} {route:?}: {}",
                answer.text()
            );
        }
    }
}

#[test]
fn routes_are_registered_in_tables_alone() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut looked_at = 0;
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let inside = path.strip_prefix(&src).unwrap().display().to_string();
            looked_at += 1;
            let is_table = inside == "route_table.rs";
            let is_router = inside == "router.rs";
            let of_axum = text.contains("axum::routing")
                || text
                    .lines()
                    .any(|line| line.starts_with("use axum::") && line.contains("routing"));
            assert!(is_table || !of_axum, "{inside} takes routing from axum");
            let makes = text.contains("Router::new()");
            assert!(is_table || is_router || !makes, "{inside} makes a router");
            // The one router there takes what the tables give.
            assert!(!is_router || text.matches("Router::new()").count() == 1);
        }
    }
    assert!(looked_at > 50, "looked at {looked_at} files only");
}

async fn ask(issuer: &Issuer, route: &Route, method: Method) -> Answer {
    let some = "01a20b00-94db-741f-9219-ec14c43ddf3b";
    let path: String = route
        .path
        .split('/')
        .map(|part| if part.starts_with('{') { some } else { part })
        .collect::<Vec<_>>()
        .join("/");
    let to = match route.listener {
        Listener::Public => issuer.public,
        Listener::Operators => issuer.ops,
    };
    // Known, and on the public listener allowed nothing.
    let headers = [("authorization", &*bearer(OPS))];
    let headers: &[(&str, &str)] = if method == Method::GET { &headers } else { &[] };
    send(to, request(method, &path, headers, None)).await
}
