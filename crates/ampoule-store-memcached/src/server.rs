//! One server, and the connections to it. A connection whose exchange was not completed is dropped, never used again.
//!
//! This client is our own. The asynchronous one of the crate `memcache` (0.21, module `exp`, experimental) has meta
//! commands with tokens, and tells writes whose outcome is unknown; what it lacks is what the promises need:
//!
//! - **which start of the server a connection leads to.** After a restart the same token may name another writing (see
//!   [`handshake`](crate::handshake)), and its pool does not tell one connection from another: an update would be lost;
//! - **commands beside the meta commands**: `stats` for the server's time, its limits and whether it has tokens, and
//!   `lru_crawler metadump` for a scan;
//! - **bounds**: it reads lines of any length and values of any size that a server announces;
//! - Unix sockets, which only its blocking client has.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use ampoule_core::{Error, ErrorKind, Time};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::format::{self, Exptime};
use crate::handshake::{self, Peer, Reading};
use crate::options::MemcachedOptions;
use crate::wire::{self, Response, TOO_LARGE, Token, When, lost};

/// How many commands are sent before their answers are read. More could fill the buffers of both sides, each of which
/// then waits for the other.
const MAX_PIPELINED: usize = 64;

/// How old a reading of a server's clock may be, as this machine's and that one's do not run at the same rate.
const MAX_READING_AGE: Duration = Duration::from_secs(3_600);

pub(crate) struct Server {
    address: String,
    mark: String,
    idle: Mutex<Idle>,
    permits: Semaphore,
    connect_timeout: Duration,
    pool_timeout: Duration,
    command_timeout: Duration,
}

/// The connections that are not in use, all to the server as it was started last.
#[derive(Default)]
struct Idle {
    boot_id: u64,
    clock: Option<Reading>,
    connections: Vec<Connection>,
}

struct Connection {
    stream: BufStream<Box<dyn Socket>>,
    peer: Peer,
}

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

impl Server {
    pub(crate) fn new(address: String, options: &MemcachedOptions) -> Server {
        Server {
            address,
            mark: format!("{}life", options.prefix),
            idle: Mutex::default(),
            permits: Semaphore::new(options.pool.max_connections.clamp(1, Semaphore::MAX_PERMITS)),
            connect_timeout: options.pool.connect_timeout,
            pool_timeout: options.pool.pool_timeout,
            command_timeout: options.pool.command_timeout,
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) async fn get(&self, name: &str) -> Result<Response, Error> {
        self.about(async { only(self.read(&[wire::get(name)]).await?) }).await
    }

    /// The answers for many names, one after the other.
    pub(crate) async fn get_each(&self, names: &[String], mut each: impl FnMut(usize, Response)) -> Result<(), Error> {
        for (round, names) in names.chunks(MAX_PIPELINED).enumerate() {
            let commands: Vec<_> = names.iter().map(|name| wire::get(name)).collect();
            for (index, response) in self.about(self.read(&commands)).await?.into_iter().enumerate() {
                each(round * MAX_PIPELINED + index, response);
            }
        }
        Ok(())
    }

    /// Keeps it for so many seconds.
    pub(crate) async fn set(&self, name: &str, value: &[u8], ttl: u64, when: When) -> Result<Response, Error> {
        let exptime = match Exptime::of(ttl) {
            Exptime::Never => 0,
            Exptime::In(seconds) => seconds,
            Exptime::At(seconds) => format::moment(seconds, Box::pin(self.now()).await?),
        };
        self.about(self.write(wire::set(name, value, exptime, when), name.len() + value.len(), when)).await
    }

    pub(crate) async fn delete(&self, name: &str, token: Token) -> Result<Response, Error> {
        self.about(self.write(wire::delete(name, token), 0, When::Still(token))).await
    }

    /// The server's time, to two seconds, from an earlier reading if there is one.
    pub(crate) async fn now(&self) -> Result<Time, Error> {
        let reading = self.idle().clock;
        match reading {
            Some(reading) if reading.age() < MAX_READING_AGE => Ok(reading.now()),
            // An old reading is better than none where the server cannot be reached.
            old => self.time().await.or_else(|error| old.map(|reading| reading.now()).ok_or(error)),
        }
    }

    /// The server's time as it tells it now.
    pub(crate) async fn time(&self) -> Result<Time, Error> {
        self.about(self.ask_time()).await
    }

    async fn ask_time(&self) -> Result<Time, Error> {
        let _permit = self.permit().await?;
        if let Some(mut connection) = self.waiting().await {
            match self.in_time(handshake::ask_time(&mut connection.stream)).await {
                Ok(reading) => {
                    connection.peer.clock = reading;
                    self.idle().clock = Some(reading);
                    self.keep(connection);
                    return Ok(reading.now());
                }
                Err(error) if is_lost(&error) => self.idle().connections.clear(),
                Err(error) => return Err(error),
            }
        }
        let connection = self.connect().await?;
        let now = connection.peer.clock.now();
        self.keep(connection);
        Ok(now)
    }

    /// A list of any length that ends with END, on a connection of its own, as long as its lines are wanted.
    pub(crate) async fn list(&self, command: &[u8], mut wanted: impl FnMut(&str) -> bool) -> Result<(), Error> {
        let list = async {
            let _permit = self.permit().await?;
            let mut stream = self.connect().await?.stream;
            self.in_time(send(&mut stream, &[command])).await?;
            loop {
                let line = self.in_time(wire::read_line(&mut stream)).await?;
                if line == "END" || !wanted(&line) {
                    return Ok(());
                }
            }
        };
        self.about(list).await
    }

    /// Some reading commands, at most [`MAX_PIPELINED`], in one trip. If the connection was stale they are sent again.
    async fn read(&self, commands: &[Vec<u8>]) -> Result<Vec<Response>, Error> {
        let _permit = self.permit().await?;
        if let Some(connection) = self.waiting().await {
            match self.talk(connection, commands).await {
                // It ended while it was not in use, and so, most likely, did the others.
                Err(error) if is_lost(&error) => self.idle().connections.clear(),
                responses => return responses,
            }
        }
        let connection = self.connect().await?;
        self.talk(connection, commands).await
    }

    /// One writing command. It is sent once: if the connection breaks, it may have been carried out.
    async fn write(&self, command: Vec<u8>, size: usize, when: When) -> Result<Response, Error> {
        let _permit = self.permit().await?;
        let connection = match self.waiting().await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let Peer { boot_id, room, .. } = connection.peer;
        if matches!(when, When::Still(token) if token.boot_id != boot_id) {
            self.keep(connection);
            return Ok(Response::Changed);
        }
        if size > room {
            self.keep(connection);
            return Err(Error::new(ErrorKind::TooLarge, TOO_LARGE));
        }
        only(self.talk(connection, &[command]).await.map_err(in_doubt)?)
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, Error> {
        let permit = timeout(self.pool_timeout, self.permits.acquire()).await.ok().and_then(Result::ok);
        permit.ok_or_else(|| late("no connection to it was free", self.pool_timeout, "pool_timeout"))
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let connect = async {
            let mut stream = BufStream::new(open(&self.address).await.map_err(lost)?);
            let peer = handshake::greet(&mut stream, &self.mark).await?;
            Ok(Connection { stream, peer })
        };
        let connection = timeout(self.connect_timeout, connect).await;
        let what = "it could not be connected";
        let connection = connection.unwrap_or_else(|_| Err(late(what, self.connect_timeout, "connect_timeout")))?;
        let mut idle = self.idle();
        if idle.boot_id != connection.peer.boot_id {
            *idle = Idle { boot_id: connection.peer.boot_id, ..Idle::default() };
        }
        idle.clock = Some(connection.peer.clock);
        Ok(connection)
    }

    async fn talk(&self, mut connection: Connection, commands: &[Vec<u8>]) -> Result<Vec<Response>, Error> {
        let Connection { stream, peer } = &mut connection;
        let exchange = async {
            send(stream, commands).await?;
            let mut responses = Vec::with_capacity(commands.len());
            for _ in commands {
                responses.push(wire::read(stream, peer.boot_id, peer.room).await?);
            }
            Ok(responses)
        };
        let responses = self.in_time(exchange).await?;
        self.keep(connection);
        Ok(responses)
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let limit = self.command_timeout;
        timeout(limit, work).await.unwrap_or_else(|_| Err(late("it gave no answer", limit, "command_timeout")))
    }

    /// Says in an error which server it is about.
    async fn about<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        work.await.map_err(|error| error.about(format_args!("memcached at {}", self.address)))
    }

    /// A connection that is not in use and still open. One on which something has come since its last answer is dropped:
    /// be it the end or bytes that were not asked for.
    async fn waiting(&self) -> Option<Connection> {
        loop {
            let mut connection = self.idle().connections.pop()?;
            let quiet = poll_fn(|cx| Poll::Ready(Pin::new(&mut connection.stream).poll_fill_buf(cx).is_pending()));
            if quiet.await {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        if connection.peer.boot_id == idle.boot_id {
            idle.connections.push(connection);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), commands: &[impl AsRef<[u8]>]) -> Result<(), Error> {
    for command in commands {
        stream.write_all(command.as_ref()).await.map_err(lost)?;
    }
    stream.flush().await.map_err(lost)
}

fn only(responses: Vec<Response>) -> Result<Response, Error> {
    responses.into_iter().next().ok_or_else(|| Error::new(ErrorKind::Unavailable, "it gave no answer"))
}

fn late(what: &str, limit: Duration, option: &str) -> Error {
    Error::new(ErrorKind::Timeout, format!("{what} within {limit:?} ({option})"))
}

async fn open(address: &str) -> io::Result<Box<dyn Socket>> {
    #[cfg(unix)]
    if address.starts_with('/') {
        return Ok(Box::new(tokio::net::UnixStream::connect(address).await?));
    }
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

/// The error of a write, which may have been carried out if the connection broke.
fn in_doubt(error: Error) -> Error {
    if !is_lost(&error) {
        return error;
    }
    let message = "the connection broke before it answered; a write may or may not have happened";
    Error::new(ErrorKind::Timeout, message).because(error)
}

/// Whether the connection broke, rather than the server said no.
fn is_lost(error: &Error) -> bool {
    use std::error::Error as _;
    error.source().is_some_and(|source| source.is::<io::Error>())
}
