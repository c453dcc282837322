//! `ampoule serve`: listens, serves, and ends gracefully.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use ampoule::SessionLayer;
use ampoule_deploy::{Deployment, Registry, Server, log_filter};
use axum::Router;
use futures_util::future::try_join_all;
use tokio::sync::watch;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::front::{self, Front};
use crate::listen::Listener;
use crate::site::Site;
use crate::{Failure, clocks, output};

/// How long requests that are under way may take when the server is to end.
const GRACE: Duration = Duration::from_secs(10);

pub(crate) fn serve(site: &Site, registry: &Registry) -> Result<(), Failure> {
    log(&site.place().ok().and_then(|(file, _)| log_filter(file)).unwrap_or_else(|| "info".to_owned()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure(format!("no threads to serve with: {error}")))?;
    runtime.block_on(async { listen_and_serve(site.load(registry)?).await })
}

/// Writes the log to stderr, at these levels unless `RUST_LOG` says others: `debug`, or `warn,ampoule=debug`. It may not
/// name spans, for which the filter would need regular expressions, and they a tenth of the time of a build.
pub(crate) fn log(levels: &str) {
    let asked = std::env::var("RUST_LOG").ok().and_then(|directives| directives.parse::<Targets>().ok());
    let filter = asked.or_else(|| levels.parse().ok()).unwrap_or_default();
    let lines =
        tracing_subscriber::fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    // A program that set up a log of its own keeps it.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
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
    let is_https = deployment.is_https();
    let server = deployment.server.unwrap_or_else(|| Server::new("127.0.0.1", 8080));
    let listeners = try_join_all(server.listen.iter().map(Listener::bind)).await?;
    for note in deployment.notes {
        output::say(&note);
    }
    for warning in deployment.warnings {
        output::say(&format!("warning: {warning}"));
    }
    for (listener, listen) in listeners.iter().zip(&server.listen) {
        output::say(&format!("listening on {} (Ctrl-C ends it)", listener.address(listen)));
    }
    for layer in deployment.sessions {
        tokio::spawn(async move { ask_store(&layer).await });
    }
    let front = Arc::new(Front::new(server.proxies, is_https));
    let before = axum::middleware::from_fn_with_state(front, front::stand_before);
    let app = Router::new().fallback_service(deployment.app).layer(before);
    serve_until_told(listeners, app).await
}

async fn serve_until_told(listeners: Vec<Listener>, app: Router) -> Result<(), Failure> {
    let (told, mut ending) = watch::channel(false);
    tokio::spawn(async move {
        end_of_service().await;
        tracing::info!("ending: no new requests; those under way have {GRACE:?}");
        let _ = told.send(true);
    });
    let servers = listeners.into_iter().map(|listener| {
        let mut ending = ending.clone();
        listener.serve(app.clone(), async move { drop(ending.wait_for(|told| *told).await) })
    });
    let served = try_join_all(servers);
    let patience = async move {
        let _ = ending.wait_for(|told| *told).await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = served => served.map(drop).map_err(|error| Failure(format!("serving ended: {error}"))),
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
