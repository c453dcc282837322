//! `ampoule serve`: listens, serves, and ends gracefully.

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
use crate::listen::{Bounds, Listener};
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
    let signals = Signals::new()?;
    let listeners = listeners(&server).await?;
    for note in deployment.notes {
        output::say(&note);
    }
    for warning in deployment.warnings {
        output::say(&format!("warning: {warning}"));
    }
    for (_, address) in &listeners {
        output::say(&format!("listening on {address} (Ctrl-C ends it)"));
    }
    for layer in deployment.sessions {
        tokio::spawn(async move { ask_store(&layer).await });
    }
    let front = Arc::new(Front::new(server.proxies, is_https));
    let before = axum::middleware::from_fn_with_state(front, front::stand_before);
    let app = Router::new().fallback_service(deployment.app).layer(before);
    let listeners = listeners.into_iter().map(|(listener, _)| listener).collect();
    serve_until_told(listeners, app, Bounds::new(server.limits), signals).await
}

/// The sockets that were passed on, else those of the file, each with its address for people.
async fn listeners(server: &Server) -> Result<Vec<(Listener, String)>, Failure> {
    let passed = Listener::passed_on()?;
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

/// Until the first signal, and then until no request is under way, the grace is over, or the second one comes.
async fn serve_until_told(
    listeners: Vec<Listener>,
    app: Router,
    bounds: Arc<Bounds>,
    mut signals: Signals,
) -> Result<(), Failure> {
    let (told, ending) = watch::channel(false);
    let served = listeners.into_iter().map(|listener| listener.serve(app.clone(), Arc::clone(&bounds), ending.clone()));
    let served = tokio::spawn(join_all(served));
    notify("READY=1");
    signals.next().await;
    tracing::info!("ending: no new requests; those under way have {GRACE:?}; a second signal ends them at once");
    notify("STOPPING=1");
    let _ = told.send(true);
    let ended = async {
        let _ = served.await;
        bounds.all_ended().await;
    };
    tokio::select! {
        () = ended => Ok(()),
        () = tokio::time::sleep(GRACE) => {
            tracing::warn!("requests were still under way after {GRACE:?}; they are cut off");
            Ok(())
        }
        () = signals.next() => Err(Failure("a second signal came: requests that were under way are cut off".to_owned())),
    }
}

/// Tells systemd, if it started this process and wants to know.
fn notify(state: &str) {
    #[cfg(unix)]
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Custom(state)]) {
        tracing::warn!("systemd cannot be told {state}: {error}");
    }
    #[cfg(not(unix))]
    let _ = state;
}

/// Ctrl-C, and SIGTERM where there is such a thing. What comes between two calls is not lost.
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
