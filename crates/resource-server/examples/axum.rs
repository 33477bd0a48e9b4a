//! A small ingest service, which takes what Counterfoil's clients send it.
//!
//! ```sh
//! cargo run -p counterfoil-resource-server --features axum --example axum -- \
//!     http://127.0.0.1:8080 ingest ingest:write
//! curl --oauth2-bearer "$ACCESS_TOKEN" --data-binary @lines http://127.0.0.1:9000/ingest
//! ```

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use counterfoil_resource_server::{AccessToken, Verifier};
use serde_json::{Value, json};
use std::error::Error;
use tokio::net::TcpListener;

#[tokio::main]
#[expect(clippy::print_stderr, reason = "this is how it says where it is")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(issuer), Some(audience), scope) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: axum ISSUER AUDIENCE [SCOPE [ADDRESS]]".into());
    };
    // The service may be started before Counterfoil; until then /readyz says that it is not.
    let verifier = Verifier::builder(issuer, audience).start_without_keys().build().await?;
    let mut guard = verifier.guard();
    if let Some(scope) = scope {
        guard = guard.requires(scope.parse()?);
    }
    let ready = async move || {
        if verifier.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    };
    let app = Router::new()
        .route("/ingest", post(ingest).route_layer(guard))
        .route("/readyz", get(ready));
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let listener = TcpListener::bind(listen).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// Nobody gets here without a token: the argument is made by the guard alone.
async fn ingest(token: AccessToken, lines: Bytes) -> Json<Value> {
    Json(json!({
        "organization": token.organization(),
        "account": token.account(),
        "bytes": lines.len(),
    }))
}
