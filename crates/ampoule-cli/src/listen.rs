//! The sockets that `serve` listens at.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use ampoule_deploy::{Limits, Listen};
use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

use crate::Failure;

/// A socket that is bound.
pub(crate) enum Listener {
    Tcp(TcpListener),
    /// With the file that goes with it, unless another process made it.
    #[cfg(unix)]
    Unix {
        listener: UnixListener,
        _file: Option<SocketFile>,
    },
}

/// The file of a Unix socket, which goes with its server.
#[cfg(unix)]
pub(crate) struct SocketFile(std::path::PathBuf);

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The other end of a connection; none of a Unix socket.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) Option<SocketAddr>);

impl Listener {
    /// The sockets that systemd or another process passed on (`LISTEN_FDS`), each with what it is for people; none if none
    /// was.
    ///
    /// # Errors
    /// That one of them is of no kind that can be served.
    pub(crate) fn passed_on() -> Result<Vec<(Listener, String)>, Failure> {
        let mut passed = listenfd::ListenFd::from_env();
        let all = (0..passed.len()).map(|number| {
            take(&mut passed, number)
                .map_err(|error| Failure(format!("socket {number} of LISTEN_FDS cannot be served: {error}")))
        });
        all.collect()
    }

    /// # Errors
    /// That the address cannot be had, by its name.
    pub(crate) async fn bind(listen: &Listen) -> Result<Listener, Failure> {
        let bound = match listen {
            Listen::Tcp { host, port } => tcp(host, *port).await.map(Listener::Tcp),
            #[cfg(unix)]
            Listen::Unix { path, mode } => unix(path, *mode),
            #[cfg(not(unix))]
            Listen::Unix { .. } => Err(io::Error::other("this system has no Unix sockets")),
        };
        let shown = listen.to_string();
        let place = shown.strip_prefix("http://").unwrap_or(&shown);
        bound.map_err(|error| Failure(format!("cannot listen on {place}: {error}")))
    }

    /// The address as it was bound, for people.
    pub(crate) fn address(&self, listen: &Listen) -> String {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map_or(listen.to_string(), |at| format!("http://{at}")),
            #[cfg(unix)]
            Listener::Unix { .. } => listen.to_string(),
        }
    }

    /// The next connection. What is wrong with one does not concern the others.
    async fn accept(&mut self) -> (Connection, Peer) {
        match self {
            Listener::Tcp(listener) => {
                let (connection, peer) = axum::serve::Listener::accept(listener).await;
                // What is written is to go out: a response is whole, and a stream waits for what comes next.
                let _ = connection.set_nodelay(true);
                (Connection::Tcp(connection), Peer(Some(peer)))
            }
            #[cfg(unix)]
            Listener::Unix { listener, .. } => {
                (Connection::Unix(axum::serve::Listener::accept(listener).await.0), Peer(None))
            }
        }
    }

    /// Serves until `ending` says so, and gives requests that are under way the time that they need.
    pub(crate) async fn serve(mut self, app: Router, limits: Arc<Bounds>, mut ending: watch::Receiver<bool>) {
        loop {
            // One connection of each listener waits for a place; those behind it wait in the socket.
            let next = async {
                let accepted = self.accept().await;
                (accepted, Arc::clone(&limits.places).acquire_owned().await)
            };
            let (accepted, place) = tokio::select! {
                next = next => next,
                () = told(&mut ending) => return,
            };
            let (app, limits, ending) = (app.clone(), Arc::clone(&limits), ending.clone());
            tokio::spawn(async move {
                let _place = place;
                match accepted {
                    (Connection::Tcp(connection), peer) => limits.serve(connection, peer, app, ending).await,
                    #[cfg(unix)]
                    (Connection::Unix(connection), peer) => limits.serve(connection, peer, app, ending).await,
                }
            });
        }
    }
}

/// Until the server is to end. What is waited for is a lock, which must not be held on.
async fn told(ending: &mut watch::Receiver<bool>) {
    drop(ending.wait_for(|told| *told).await);
}

enum Connection {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// What the clients of all listeners may hold together.
pub(crate) struct Bounds {
    limits: Limits,
    /// One for each connection.
    places: Arc<Semaphore>,
}

impl Bounds {
    pub(crate) fn new(limits: Limits) -> Arc<Bounds> {
        Arc::new(Bounds { limits, places: Arc::new(Semaphore::new(limits.connections)) })
    }

    /// Until no connection is left.
    pub(crate) async fn all_ended(&self) {
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        drop(self.places.acquire_many(all).await);
    }

    async fn serve<C: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        connection: C,
        peer: Peer,
        app: Router,
        mut ending: watch::Receiver<bool>,
    ) {
        let app = TowerToHyperService::new(app);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            app.call(request)
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.limits.head_timeout);
        builder.max_header_size(self.limits.head_size);
        let connection = builder.serve_connection(TokioIo::new(connection), service).with_upgrades();
        let mut connection = pin!(connection);
        let done = tokio::select! {
            done = connection.as_mut() => done,
            () = told(&mut ending) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = done {
            tracing::debug!("a connection ended: {error}");
        }
    }
}

fn take(passed: &mut listenfd::ListenFd, number: usize) -> io::Result<(Listener, String)> {
    #[cfg(unix)]
    if let Ok(Some(listener)) = passed.take_unix_listener(number) {
        listener.set_nonblocking(true)?;
        let path = listener.local_addr()?.as_pathname().map(|path| path.display().to_string()).unwrap_or_default();
        let listener = UnixListener::from_std(listener)?;
        return Ok((Listener::Unix { listener, _file: None }, format!("unix:{path}")));
    }
    let listener = passed.take_tcp_listener(number)?.ok_or(io::ErrorKind::InvalidInput)?;
    listener.set_nonblocking(true)?;
    let address = format!("http://{}", listener.local_addr()?);
    Ok((Listener::Tcp(TcpListener::from_std(listener)?), address))
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((host, port)).await {
        Err(error)
            if host == "::" && ![io::ErrorKind::AddrInUse, io::ErrorKind::PermissionDenied].contains(&error.kind()) =>
        {
            // A machine without IPv6.
            TcpListener::bind(("0.0.0.0", port)).await
        }
        bound => bound,
    }
}

/// In place of a socket that nothing listens at any more, and of no other file.
#[cfg(unix)]
fn unix(path: &std::path::Path, mode: u32) -> io::Result<Listener> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let is_left = || {
        std::os::unix::net::UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    };
    if is_socket && is_left() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    let file = SocketFile(path.to_owned());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    Ok(Listener::Unix { listener, _file: Some(file) })
}
