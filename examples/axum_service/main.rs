//! An axum service with one protected route: the session is an argument of the handler.
//!
//! ```text
//! QUEUE_ISSUER=http://localhost:4100 QUEUE_AUDIENCE=raptor cargo run -p queue-examples --bin axum_service
//! curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:4150/me
//! ```

mod session;

use axum::extract::FromRef;
use axum::routing::get;
use axum::{Json, Router};
use queue_verifier::{KeySource, Verifier};
use serde_json::{Value, json};

use session::SignedIn;

/// What the handlers share.
#[derive(Clone, FromRef)]
struct App {
    verifier: Verifier,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings: std::collections::HashMap<String, String> = std::env::vars().collect();
    let setting = |name: &str, default: &str| {
        settings
            .get(name)
            .map_or(default, String::as_str)
            .to_owned()
    };
    let issuer = setting("QUEUE_ISSUER", "http://localhost:4100");
    let audience = setting("QUEUE_AUDIENCE", "raptor");

    // Keys are discovered from the issuer, unless their place is given, and kept fresh in the
    // background.
    let keys = settings
        .get("QUEUE_JWKS_URI")
        .map_or(KeySource::Discovery, KeySource::jwks_uri);
    let verifier = Verifier::builder(issuer, audience).keys(keys).build()?;
    let app = Router::new()
        .route("/me", get(me))
        .with_state(App { verifier });

    let listener = tokio::net::TcpListener::bind(setting("LISTEN", "127.0.0.1:4150")).await?;
    announce(listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(interrupted())
        .await?;
    Ok(())
}

async fn me(SignedIn(session): SignedIn) -> Json<Value> {
    Json(json!({
        "subject": session.subject(),
        "roles": session.roles().collect::<Vec<_>>(),
        "expires_at": session.expires_at(),
        "key_set_age": session.freshness().key_set_age,
    }))
}

#[expect(
    clippy::print_stdout,
    reason = "whoever starts the service waits for this line"
)]
fn announce(address: std::net::SocketAddr) {
    println!("listening on http://{address}");
}

async fn interrupted() {
    // Without a signal handler the process ends as any other does.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
