//! `ampoule serve`: listens, serves, and ends gracefully.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::time::Duration;

use ampoule::SessionLayer;
use ampoule_deploy::{Deployment, Registry, Server, load};
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::{Failure, Site, access, clocks, output};

/// Where to listen if the file does not say.
pub(crate) const DEFAULT_ADDRESS: &str = "http://127.0.0.1:8080";

/// How often expired sessions and cached values are swept.
const SWEEP: Duration = Duration::from_secs(60);

/// How long requests that are under way may take when the server is to end.
const GRACE: Duration = Duration::from_secs(10);

pub(crate) fn serve(site: &Site, registry: &Registry) -> Result<(), Failure> {
    log("info");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure(format!("no threads to serve with: {error}")))?;
    runtime.block_on(async {
        let deployment = load(&site.file, &site.name, &site.overrides, registry)?;
        listen_and_serve(deployment).await
    })
}

/// Writes the log to stderr, at this level unless the environment says another.
pub(crate) fn log(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // A program that set up a log of its own keeps it.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
}

/// Asks the store once, for the log: it may not work, and where a server keeps the time, its clock says when sessions end.
/// A store that is down now may answer later, so this ends nothing.
async fn ask_store(layer: &SessionLayer) {
    match layer.ping().await {
        Ok(time) => clocks::difference(layer, time).into_iter().for_each(|difference| tracing::warn!("{difference}")),
        Err(error) => tracing::warn!(
            session = layer.describe(),
            error = error.report(),
            "the session store does not work now; requests that need a session will fail"
        ),
    }
}

async fn listen_and_serve(deployment: Deployment) -> Result<(), Failure> {
    let default = || Server { host: "127.0.0.1".to_owned(), port: 8080 };
    let server = deployment.server.unwrap_or_else(default);
    let place = format!("{}:{}", server.host, server.port);
    let unable = |error: std::io::Error| Failure(format!("cannot listen on {place}: {error}"));
    let listener = TcpListener::bind((server.host.as_str(), server.port)).await.map_err(unable)?;
    let address = listener.local_addr().map_err(unable)?;
    for note in deployment.notes {
        output::say(&note);
    }
    output::say(&format!("listening on http://{address} (Ctrl-C ends it)"));
    for layer in deployment.sessions {
        tokio::spawn(async move { ask_store(&layer).await });
    }
    for caches in deployment.caches {
        tokio::spawn(async move { caches.sweep_periodically(SWEEP).await });
    }
    let app = Router::new().fallback_service(deployment.app).layer(axum::middleware::from_fn(access::log));
    serve_until_told(listener, app).await
}

async fn serve_until_told(listener: TcpListener, app: Router) -> Result<(), Failure> {
    let (told, mut ending) = watch::channel(false);
    tokio::spawn(async move {
        end_of_service().await;
        tracing::info!("ending: no new requests; those under way have {GRACE:?}");
        let _ = told.send(true);
    });
    let mut also_ending = ending.clone();
    let served = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move { drop(ending.wait_for(|told| *told).await) });
    let patience = async move {
        let _ = also_ending.wait_for(|told| *told).await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = served => served.map_err(|error| Failure(format!("serving ended: {error}"))),
        () = patience => {
            tracing::warn!("requests were still under way after {GRACE:?}; they are cut off");
            Ok(())
        }
    }
}

/// Ctrl-C, or SIGTERM where there is such a thing.
async fn end_of_service() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return,
                _ = terminate.recv() => return,
            }
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
