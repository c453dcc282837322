//! `ampoule serve`: listens, serves, and shuts down gracefully.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use ampoule::SessionLayer;
use ampoule_deploy::{Deployment, Registry, Server, log_filter};
use axum::Router;
#[cfg(unix)]
use futures_util::future::select_all;
use futures_util::future::{join_all, try_join_all};
use tokio::sync::watch;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::front::{self, Front};
use crate::listen::{ConnectionLimits, Listener};
use crate::site::Site;
use crate::{Failure, clocks, output};

/// The time limit for requests in progress at a shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn serve(site: &Site, registry: &Registry) -> Result<(), Failure> {
    log(&site.file_and_app().ok().and_then(|(file, _)| log_filter(file)).unwrap_or_else(|| "info".to_owned()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure(format!("no threads to serve with: {error}")))?;
    runtime.block_on(async { listen_and_serve(site.load(registry)?).await })
}

/// Writes the log to stderr, at the levels of `RUST_LOG` or else at these: `debug`, or `warn,ampoule=debug`. Filters by
/// span are not supported: they need regular expressions, which take a tenth of the build time.
pub(crate) fn log(levels: &str) {
    let asked = std::env::var("RUST_LOG").ok().and_then(|directives| directives.parse::<Targets>().ok());
    let filter = asked.or_else(|| levels.parse().ok()).unwrap_or_default();
    let lines =
        tracing_subscriber::fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    // Fails if the program has set up a log of its own, which then stays.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
}

/// Pings the store, and logs a warning if it does not answer or its clock differs. The server keeps running, since the
/// store may answer later.
async fn check_store(layer: &SessionLayer) {
    match layer.ping().await {
        Ok(time) => clocks::difference(layer, time).into_iter().for_each(|difference| tracing::warn!("{difference}")),
        Err(error) => tracing::warn!(
            session = layer.describe(),
            error = error.report(),
            "the session store does not answer; requests that need a session will fail until it does"
        ),
    }
}

async fn listen_and_serve(deployment: Deployment) -> Result<(), Failure> {
    let is_https = deployment.is_https();
    let server = deployment.server.unwrap_or_else(|| Server::new("127.0.0.1", 8080));
    let signals = Signals::new()?;
    let listeners = listeners(&server).await?;
    for note in deployment.notes {
        output::print(&note);
    }
    for warning in deployment.warnings {
        output::print(&format!("warning: {warning}"));
    }
    for (_, address) in &listeners {
        output::print(&format!("listening on {address} (Ctrl-C ends it)"));
    }
    for layer in deployment.sessions {
        tokio::spawn(async move { check_store(&layer).await });
    }
    let front = Arc::new(Front::new(server.proxies, is_https));
    let front = axum::middleware::from_fn_with_state(front, front::middleware);
    let app = Router::new().fallback_service(deployment.app).layer(front);
    let listeners = listeners.into_iter().map(|(listener, _)| listener).collect();
    serve_until_signal(listeners, app, ConnectionLimits::new(server.limits), signals).await
}

/// The sockets that were passed on, or else those of the file, each with its printable address.
async fn listeners(server: &Server) -> Result<Vec<(Listener, String)>, Failure> {
    let passed = Listener::inherited()?;
    if !passed.is_empty() {
        return Ok(passed);
    }
    let bind = async |listen| {
        let listener = Listener::bind(listen).await?;
        let address = listener.address(listen);
        Ok((listener, address))
    };
    try_join_all(server.listen.iter().map(bind)).await
}

/// Serves until the first signal, then until all connections are closed, the time limit passes, or a second signal
/// arrives.
async fn serve_until_signal(
    listeners: Vec<Listener>,
    app: Router,
    limits: Arc<ConnectionLimits>,
    mut signals: Signals,
) -> Result<(), Failure> {
    let (shutdown, requested) = watch::channel(false);
    let served =
        listeners.into_iter().map(|listener| listener.serve(app.clone(), Arc::clone(&limits), requested.clone()));
    let served = tokio::spawn(join_all(served));
    notify("READY=1");
    signals.next().await;
    tracing::info!("shutting down: requests in progress have {SHUTDOWN_TIMEOUT:?}; a second signal aborts them");
    notify("STOPPING=1");
    let _ = shutdown.send(true);
    let ended = async {
        let _ = served.await;
        limits.all_closed().await;
    };
    tokio::select! {
        () = ended => Ok(()),
        () = tokio::time::sleep(SHUTDOWN_TIMEOUT) => {
            tracing::warn!("requests were still in progress after {SHUTDOWN_TIMEOUT:?}; they are aborted");
            Ok(())
        }
        () = signals.next() => Err(Failure("a second signal arrived: requests in progress are aborted".to_owned())),
    }
}

/// Notifies systemd, if it started this process with `Type=notify`.
fn notify(state: &str) {
    #[cfg(unix)]
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Custom(state)]) {
        tracing::warn!("systemd cannot be notified of {state}: {error}");
    }
    #[cfg(not(unix))]
    let _ = state;
}

/// Ctrl-C, and on Unix SIGTERM. There a signal between two calls of `next` is not lost.
struct Signals {
    #[cfg(unix)]
    streams: [tokio::signal::unix::Signal; 2],
}

impl Signals {
    #[cfg(unix)]
    fn new() -> Result<Signals, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let stream = |kind| signal(kind).map_err(|error| Failure(format!("signals cannot be received: {error}")));
        Ok(Signals { streams: [stream(SignalKind::interrupt())?, stream(SignalKind::terminate())?] })
    }

    #[cfg(not(unix))]
    fn new() -> Result<Signals, Failure> {
        Ok(Signals {})
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        let each = self.streams.iter_mut().map(|stream| Box::pin(stream.recv()));
        select_all(each).await;
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
