//! The sockets that `serve` listens on.

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

/// A bound socket.
pub(crate) enum Listener {
    Tcp(TcpListener),
    /// With its file, unless another process created it.
    #[cfg(unix)]
    Unix {
        listener: UnixListener,
        _file: Option<SocketFile>,
    },
}

/// The file of a Unix socket, removed on drop.
#[cfg(unix)]
pub(crate) struct SocketFile(std::path::PathBuf);

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The address of a connection's other end; `None` for a Unix socket.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) Option<SocketAddr>);

impl Listener {
    /// The sockets that systemd or another process passed on (`LISTEN_FDS`), each with its printable address.
    ///
    /// # Errors
    /// A socket is neither TCP nor Unix.
    pub(crate) fn inherited() -> Result<Vec<(Listener, String)>, Failure> {
        let mut passed = listenfd::ListenFd::from_env();
        let all = (0..passed.len()).map(|number| {
            take_socket(&mut passed, number)
                .map_err(|error| Failure(format!("socket {number} of LISTEN_FDS cannot be served: {error}")))
        });
        all.collect()
    }

    /// # Errors
    /// The address cannot be bound.
    pub(crate) async fn bind(listen: &Listen) -> Result<Listener, Failure> {
        let bound = match listen {
            Listen::Tcp { host, port } => tcp(host, *port).await.map(Listener::Tcp),
            #[cfg(unix)]
            Listen::Unix { path, mode } => unix(path, *mode),
            #[cfg(not(unix))]
            Listen::Unix { .. } => Err(io::Error::other("this system has no Unix sockets")),
        };
        let shown = listen.to_string();
        let address = shown.strip_prefix("http://").unwrap_or(&shown);
        bound.map_err(|error| Failure(format!("cannot listen on {address}: {error}")))
    }

    /// The bound address, printable.
    pub(crate) fn address(&self, listen: &Listen) -> String {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map_or(listen.to_string(), |at| format!("http://{at}")),
            #[cfg(unix)]
            Listener::Unix { .. } => listen.to_string(),
        }
    }

    /// Accepts the next connection. The error of one does not affect the others.
    async fn accept(&mut self) -> (Connection, Peer) {
        match self {
            Listener::Tcp(listener) => {
                let (connection, peer) = axum::serve::Listener::accept(listener).await;
                // Sends writes at once: a response is written whole, and a stream may pause after each part.
                let _ = connection.set_nodelay(true);
                (Connection::Tcp(connection), Peer(Some(peer)))
            }
            #[cfg(unix)]
            Listener::Unix { listener, .. } => {
                (Connection::Unix(axum::serve::Listener::accept(listener).await.0), Peer(None))
            }
        }
    }

    /// Accepts connections until a shutdown is requested; each connection then finishes its current request.
    pub(crate) async fn serve(
        mut self,
        app: Router,
        limits: Arc<ConnectionLimits>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        loop {
            // One connection of each listener waits for a permit; further ones wait in the socket's queue.
            let next = async {
                let accepted = self.accept().await;
                (accepted, Arc::clone(&limits.permits).acquire_owned().await)
            };
            let (accepted, permit) = tokio::select! {
                next = next => next,
                () = shutdown_requested(&mut shutdown) => return,
            };
            let (app, limits, shutdown) = (app.clone(), Arc::clone(&limits), shutdown.clone());
            tokio::spawn(async move {
                let _permit = permit;
                match accepted {
                    (Connection::Tcp(connection), peer) => limits.serve(connection, peer, app, shutdown).await,
                    #[cfg(unix)]
                    (Connection::Unix(connection), peer) => limits.serve(connection, peer, app, shutdown).await,
                }
            });
        }
    }
}

/// Waits until a shutdown is requested. Drops the guard that `wait_for` returns, which holds a lock.
async fn shutdown_requested(shutdown: &mut watch::Receiver<bool>) {
    drop(shutdown.wait_for(|requested| *requested).await);
}

enum Connection {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// The limits on connections, shared by all listeners.
pub(crate) struct ConnectionLimits {
    limits: Limits,
    /// A permit for each connection.
    permits: Arc<Semaphore>,
}

impl ConnectionLimits {
    pub(crate) fn new(limits: Limits) -> Arc<ConnectionLimits> {
        Arc::new(ConnectionLimits { limits, permits: Arc::new(Semaphore::new(limits.max_connections)) })
    }

    /// Waits until all connections are closed.
    pub(crate) async fn all_closed(&self) {
        let all = u32::try_from(self.limits.max_connections).unwrap_or(u32::MAX);
        drop(self.permits.acquire_many(all).await);
    }

    async fn serve<C: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        connection: C,
        peer: Peer,
        app: Router,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let app = TowerToHyperService::new(app);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            app.call(request)
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.limits.header_timeout);
        builder.max_header_size(self.limits.max_header_size);
        let connection = builder.serve_connection(TokioIo::new(connection), service).with_upgrades();
        let mut connection = pin!(connection);
        let done = tokio::select! {
            done = connection.as_mut() => done,
            () = shutdown_requested(&mut shutdown) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = done {
            tracing::debug!("a connection ended: {error}");
        }
    }
}

fn take_socket(passed: &mut listenfd::ListenFd, number: usize) -> io::Result<(Listener, String)> {
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
            // The machine has no IPv6.
            TcpListener::bind(("0.0.0.0", port)).await
        }
        bound => bound,
    }
}

/// Binds a Unix socket. Replaces the file of a socket that nothing listens on any more, but no other file.
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
