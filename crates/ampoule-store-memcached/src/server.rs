//! One server and its connections. A connection whose exchange was not completed is dropped, never reused.
//!
//! This client is our own. The asynchronous client of the crate `memcache` (0.21, module `exp`, experimental) has meta
//! commands with tokens, and reports writes whose outcome is unknown, but it lacks what the promises need:
//!
//! - **The run of the server that a connection belongs to.** After a restart the same token may name another write (see
//!   [`handshake`](crate::handshake)), and its pool does not tell connections apart: an update would be lost.
//! - **Commands beside the meta commands**: `stats` for the server's time, its limits and whether it has tokens, and
//!   `lru_crawler metadump` for a scan.
//! - **Bounds**: it reads lines of any length, and values of any size that a server announces.
//! - Unix sockets, which only its blocking client supports.

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
use crate::handshake::{self, ClockReading, Peer};
use crate::options::MemcachedOptions;
use crate::wire::{self, Condition, Response, TOO_LARGE, Token, connection_lost};

/// How many commands are sent before their answers are read. More could fill the buffers of both sides, each of which
/// would then wait for the other.
const MAX_PIPELINED: usize = 64;

/// The maximum age of a reading of a server's clock, since the clocks of two machines drift.
const MAX_READING_AGE: Duration = Duration::from_secs(3_600);

pub(crate) struct Server {
    address: String,
    boot_id_name: String,
    idle: Mutex<Idle>,
    permits: Semaphore,
    connect_timeout: Duration,
    pool_timeout: Duration,
    command_timeout: Duration,
}

/// The idle connections, all to the server's latest run.
#[derive(Default)]
struct Idle {
    boot_id: u64,
    clock: Option<ClockReading>,
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
            boot_id_name: format!("{}life", options.prefix),
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
        self.with_address(async { single(self.read(&[wire::get(name)]).await?) }).await
    }

    /// Reads many names, and calls `each` with every answer.
    pub(crate) async fn get_each(&self, names: &[String], mut each: impl FnMut(usize, Response)) -> Result<(), Error> {
        for (round, names) in names.chunks(MAX_PIPELINED).enumerate() {
            let commands: Vec<_> = names.iter().map(|name| wire::get(name)).collect();
            for (index, response) in self.with_address(self.read(&commands)).await?.into_iter().enumerate() {
                each(round * MAX_PIPELINED + index, response);
            }
        }
        Ok(())
    }

    /// Writes an item with this time to live in seconds.
    pub(crate) async fn set(&self, name: &str, value: &[u8], ttl: u64, when: Condition) -> Result<Response, Error> {
        let exptime = match Exptime::of(ttl) {
            Exptime::Never => 0,
            Exptime::In(seconds) => seconds,
            Exptime::At(seconds) => format::timestamp(seconds, Box::pin(self.now()).await?),
        };
        self.with_address(self.write(wire::set(name, value, exptime, when), name.len() + value.len(), when)).await
    }

    pub(crate) async fn delete(&self, name: &str, token: Token) -> Result<Response, Error> {
        self.with_address(self.write(wire::delete(name, token), 0, Condition::HasToken(token))).await
    }

    /// Returns the server's time, to two seconds, computed from an earlier reading if there is one.
    pub(crate) async fn now(&self) -> Result<Time, Error> {
        let reading = self.idle().clock;
        match reading {
            Some(reading) if reading.age() < MAX_READING_AGE => Ok(reading.now()),
            // An old reading is better than none if the server cannot be reached.
            old => self.time().await.or_else(|error| old.map(|reading| reading.now()).ok_or(error)),
        }
    }

    /// Returns the server's time from a new reading.
    pub(crate) async fn time(&self) -> Result<Time, Error> {
        self.with_address(self.read_time()).await
    }

    async fn read_time(&self) -> Result<Time, Error> {
        let _permit = self.permit().await?;
        if let Some(mut connection) = self.take_idle().await {
            match self.with_timeout(handshake::read_time(&mut connection.stream)).await {
                Ok(reading) => {
                    connection.peer.clock = reading;
                    self.idle().clock = Some(reading);
                    self.put_back(connection);
                    return Ok(reading.now());
                }
                Err(error) if is_connection_error(&error) => self.idle().connections.clear(),
                Err(error) => return Err(error),
            }
        }
        let connection = self.connect().await?;
        let now = connection.peer.clock.now();
        self.put_back(connection);
        Ok(now)
    }

    /// Reads a list of any length that ends with END, on a new connection, until `wanted` returns false.
    pub(crate) async fn list(&self, command: &[u8], mut wanted: impl FnMut(&str) -> bool) -> Result<(), Error> {
        let list = async {
            let _permit = self.permit().await?;
            let mut stream = self.connect().await?.stream;
            self.with_timeout(send(&mut stream, &[command])).await?;
            loop {
                let line = self.with_timeout(wire::read_line(&mut stream)).await?;
                if line == "END" || !wanted(&line) {
                    return Ok(());
                }
            }
        };
        self.with_address(list).await
    }

    /// Sends read commands, at most [`MAX_PIPELINED`], in one round trip. They are sent again if the connection was
    /// stale.
    async fn read(&self, commands: &[Vec<u8>]) -> Result<Vec<Response>, Error> {
        let _permit = self.permit().await?;
        if let Some(connection) = self.take_idle().await {
            match self.round_trip(connection, commands).await {
                // The connection broke while it was idle, and so did the others, most likely.
                Err(error) if is_connection_error(&error) => self.idle().connections.clear(),
                responses => return responses,
            }
        }
        let connection = self.connect().await?;
        self.round_trip(connection, commands).await
    }

    /// Sends a write command, once: if the connection breaks, the write may have been done.
    async fn write(&self, command: Vec<u8>, size: usize, when: Condition) -> Result<Response, Error> {
        let _permit = self.permit().await?;
        let connection = match self.take_idle().await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let Peer { boot_id, max_item_size, .. } = connection.peer;
        if matches!(when, Condition::HasToken(token) if token.boot_id != boot_id) {
            self.put_back(connection);
            return Ok(Response::Changed);
        }
        if size > max_item_size {
            self.put_back(connection);
            return Err(Error::new(ErrorKind::TooLarge, TOO_LARGE));
        }
        single(self.round_trip(connection, &[command]).await.map_err(unknown_outcome)?)
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, Error> {
        let permit = timeout(self.pool_timeout, self.permits.acquire()).await.ok().and_then(Result::ok);
        permit.ok_or_else(|| timeout_error("no connection was free", self.pool_timeout, "pool_timeout"))
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let connect = async {
            let mut stream = BufStream::new(open_socket(&self.address).await.map_err(connection_lost)?);
            let peer = handshake::perform(&mut stream, &self.boot_id_name).await?;
            Ok(Connection { stream, peer })
        };
        let connection = timeout(self.connect_timeout, connect).await;
        let what = "no connection was made";
        let connection =
            connection.unwrap_or_else(|_| Err(timeout_error(what, self.connect_timeout, "connect_timeout")))?;
        let mut idle = self.idle();
        if idle.boot_id != connection.peer.boot_id {
            *idle = Idle { boot_id: connection.peer.boot_id, ..Idle::default() };
        }
        idle.clock = Some(connection.peer.clock);
        Ok(connection)
    }

    async fn round_trip(&self, mut connection: Connection, commands: &[Vec<u8>]) -> Result<Vec<Response>, Error> {
        let Connection { stream, peer } = &mut connection;
        let exchange = async {
            send(stream, commands).await?;
            let mut responses = Vec::with_capacity(commands.len());
            for _ in commands {
                responses.push(wire::read(stream, peer.boot_id, peer.max_item_size).await?);
            }
            Ok(responses)
        };
        let responses = self.with_timeout(exchange).await?;
        self.put_back(connection);
        Ok(responses)
    }

    async fn with_timeout<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let limit = self.command_timeout;
        timeout(limit, work).await.unwrap_or_else(|_| Err(timeout_error("no answer", limit, "command_timeout")))
    }

    /// Adds the server's address to an error.
    async fn with_address<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        work.await.map_err(|error| error.about(format_args!("memcached at {}", self.address)))
    }

    /// Takes an idle connection that is still open. It drops a connection on which something has arrived since its last
    /// answer: the end, or bytes that were not requested.
    async fn take_idle(&self) -> Option<Connection> {
        loop {
            let mut connection = self.idle().connections.pop()?;
            let quiet = poll_fn(|cx| Poll::Ready(Pin::new(&mut connection.stream).poll_fill_buf(cx).is_pending()));
            if quiet.await {
                return Some(connection);
            }
        }
    }

    fn put_back(&self, connection: Connection) {
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
        stream.write_all(command.as_ref()).await.map_err(connection_lost)?;
    }
    stream.flush().await.map_err(connection_lost)
}

fn single(responses: Vec<Response>) -> Result<Response, Error> {
    responses.into_iter().next().ok_or_else(|| Error::new(ErrorKind::Unavailable, "it gave no answer"))
}

fn timeout_error(what: &str, limit: Duration, option: &str) -> Error {
    Error::new(ErrorKind::Timeout, format!("{what} within {limit:?} ({option})"))
}

async fn open_socket(address: &str) -> io::Result<Box<dyn Socket>> {
    #[cfg(unix)]
    if address.starts_with('/') {
        return Ok(Box::new(tokio::net::UnixStream::connect(address).await?));
    }
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

/// Returns the error of a write, which may have been done if the connection broke.
fn unknown_outcome(error: Error) -> Error {
    if !is_connection_error(&error) {
        return error;
    }
    let message = "the connection broke during a write, which may have been executed";
    Error::new(ErrorKind::Timeout, message).because(error)
}

/// Returns whether the connection broke, as opposed to an answer that is an error.
fn is_connection_error(error: &Error) -> bool {
    use std::error::Error as _;
    error.source().is_some_and(|source| source.is::<io::Error>())
}
