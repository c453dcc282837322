//! One server, and the connections to it. A connection whose exchange was not completed is dropped, never used again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ampoule_core::{Error, ErrorKind};
use tokio::io::{AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::MemcachedOptions;
use crate::tokens::Tokens;
use crate::wire::{self, Said, lost};

pub(crate) type Stream = BufStream<TcpStream>;

pub(crate) struct Server {
    address: String,
    idle: Mutex<Vec<Stream>>,
    permits: Semaphore,
    tokens: Arc<Tokens>,
    connect_timeout: Duration,
    pool_timeout: Duration,
    command_timeout: Duration,
}

impl Server {
    pub(crate) fn new(address: String, options: &MemcachedOptions, tokens: &Arc<Tokens>) -> Server {
        let MemcachedOptions { max_connections, connect_timeout, pool_timeout, command_timeout, .. } = *options;
        let permits = Semaphore::new(max_connections.max(1));
        let tokens = Arc::clone(tokens);
        Server { address, idle: Mutex::default(), permits, tokens, connect_timeout, pool_timeout, command_timeout }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// One command.
    pub(crate) async fn ask(&self, command: Vec<u8>) -> Result<Said, Error> {
        let said = self.ask_all(&[command]).await?;
        said.into_iter().next().ok_or_else(|| Error::new(ErrorKind::Unavailable, "memcached gave no answer"))
    }

    /// Several commands in one trip. All may be sent twice: reads, and writes that know their own version.
    pub(crate) async fn ask_all(&self, commands: &[Vec<u8>]) -> Result<Vec<Said>, Error> {
        let _permit = self.permit().await?;
        let idle = self.idle().pop();
        if let Some(stream) = idle {
            match self.talk(stream, commands).await {
                // It was closed while nobody used it, and so, most likely, were the others.
                Err(error) if is_lost(&error) => self.idle().clear(),
                answer => return answer,
            }
        }
        let stream = self.connect().await?;
        self.talk(stream, commands).await
    }

    /// The lines of a list that ends with END.
    pub(crate) async fn list(&self, command: &[u8]) -> Result<Vec<String>, Error> {
        let _permit = self.permit().await?;
        let mut stream = self.connect().await?;
        let read = async {
            stream.write_all(command).await.map_err(lost)?;
            stream.flush().await.map_err(lost)?;
            let mut lines = Vec::new();
            loop {
                match wire::read_line(&mut stream, 4_096).await? {
                    end if end == "END" => return Ok(lines),
                    line if line.starts_with("key=") => lines.push(line),
                    line => return Err(wire::refused(&line)),
                }
            }
        };
        // As long as it takes, if lines keep coming; a server of millions of keys needs seconds.
        timeout(self.command_timeout * 20, read).await.unwrap_or_else(|_| Err(self.no_answer()))
    }

    async fn permit(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Error> {
        let message = "no connection to memcached was free in time (pool_timeout)";
        let permit = timeout(self.pool_timeout, self.permits.acquire()).await.ok().and_then(Result::ok);
        permit.ok_or_else(|| Error::new(ErrorKind::Timeout, message))
    }

    async fn connect(&self) -> Result<Stream, Error> {
        // It may be another server than before, or one that begins anew.
        self.tokens.forget_all();
        let stream = timeout(self.connect_timeout, TcpStream::connect(&self.address)).await.map_err(|_| {
            Error::new(ErrorKind::Timeout, "memcached could not be connected in time (connect_timeout)")
        })?;
        let stream = stream.map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        Ok(BufStream::new(stream))
    }

    async fn talk(&self, mut stream: Stream, commands: &[Vec<u8>]) -> Result<Vec<Said>, Error> {
        let exchange = async {
            for command in commands {
                stream.write_all(command).await.map_err(lost)?;
            }
            stream.flush().await.map_err(lost)?;
            let mut said = Vec::with_capacity(commands.len());
            for _ in commands {
                said.push(wire::read(&mut stream).await?);
            }
            Ok(said)
        };
        let said = timeout(self.command_timeout, exchange).await.unwrap_or_else(|_| Err(self.no_answer()))?;
        self.idle().push(stream);
        Ok(said)
    }

    fn no_answer(&self) -> Error {
        let message = format!("memcached gave no answer within {:?} (command_timeout)", self.command_timeout);
        Error::new(ErrorKind::Timeout, message)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Stream>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the connection broke, rather than the server said no.
fn is_lost(error: &Error) -> bool {
    use std::error::Error as _;
    error.source().is_some_and(|source| source.is::<std::io::Error>())
}
