//! Serves the example at http://localhost:3000/, with your provider:
//!
//! ```console
//! $ OIDC_ISSUER=https://accounts.example OIDC_CLIENT=… OIDC_SECRET=… cargo run
//! ```
//!
//! Register `http://localhost:3000/callback` there; for a real site, its own URL with TLS.

use std::env::var;
use std::sync::Arc;

use ampoule::{MemoryStore, Secret};
use ampoule_oidc_example::{Provider, site};
use openidconnect::reqwest::{Client, redirect::Policy};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let http = Client::builder().redirect(Policy::none()).build()?;
    let (id, secret) = (var("OIDC_CLIENT")?, var("OIDC_SECRET")?);
    let callback = "http://localhost:3000/callback";
    let provider = Provider::discover(http, &var("OIDC_ISSUER")?, (&id, &secret), callback).await?;
    let app = site(provider, Arc::new(MemoryStore::default()), &Secret::new(Secret::generate())?)?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app).await?)
}
