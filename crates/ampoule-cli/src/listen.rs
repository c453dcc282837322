//! The sockets that `serve` listens at.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use ampoule_deploy::Listen;
use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

use crate::Failure;

/// A socket that is bound.
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, SocketFile),
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

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Peer {
        Peer(Some(*stream.remote_addr()))
    }
}

#[cfg(unix)]
impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(_: IncomingStream<'_, UnixListener>) -> Peer {
        Peer(None)
    }
}

impl Listener {
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
            Listener::Unix(..) => listen.to_string(),
        }
    }

    pub(crate) async fn serve(self, app: Router, end: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let app = app.into_make_service_with_connect_info::<Peer>();
        match self {
            Listener::Tcp(listener) => axum::serve(listener, app).with_graceful_shutdown(end).await,
            #[cfg(unix)]
            Listener::Unix(listener, _file) => axum::serve(listener, app).with_graceful_shutdown(end).await,
        }
    }
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
    Ok(Listener::Unix(listener, file))
}
