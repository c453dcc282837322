//! How the store works.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::TlsFiles;
use ampoule_core::internal::NonExhaustive;
use ampoule_core::{Clock, Error, ErrorKind};

/// How a [`RedisStore`](crate::RedisStore) works.
///
/// End a literal with `..RedisOptions::default()`: a later version may have more of them.
#[derive(Clone)]
pub struct RedisOptions {
    /// What the names of all keys start with: `ampoule:` by default. Applications on one server need different ones.
    pub prefix: String,
    /// How many replicas must have received a put or a delete before it counts, on a single server or behind Sentinel: 0 by
    /// default. Where fewer answer within `command_timeout` it is [`ErrorKind::Timeout`]: the server has the value, and
    /// may lose it.
    pub replicas: usize,
    /// What TLS trusts and shows. The URL's `tls_ca_file`, `tls_cert_file` and `tls_key_file` count more. Not for a client
    /// of your own.
    pub tls: TlsFiles,
    /// How many connections wait for replicas at once: 16 by default. Without `replicas` there is one connection, which all
    /// requests share.
    pub max_connections: usize,
    /// How long making a connection may take, finding the master included: 2 seconds by default.
    pub connect_timeout: Duration,
    /// How long a command may take: 3 seconds by default.
    pub command_timeout: Duration,
    /// What tells the time, for tests: a value is then live until this clock reaches the deadline in it. `None`, the
    /// default, leaves that to the server's clock.
    pub clock: Option<Arc<dyn Clock>>,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl Default for RedisOptions {
    fn default() -> RedisOptions {
        RedisOptions {
            prefix: "ampoule:".to_owned(),
            replicas: 0,
            tls: TlsFiles::default(),
            max_connections: 16,
            connect_timeout: Duration::from_secs(2),
            command_timeout: Duration::from_secs(3),
            clock: None,
            __non_exhaustive: NonExhaustive::NEW,
        }
    }
}

impl RedisOptions {
    /// Checks what can be checked without a server. `waits` says whether connections can be had that wait for replicas.
    pub(crate) fn check(&self, waits: Result<(), &'static str>) -> Result<(), Error> {
        if self.prefix.len() > 100 {
            return Err(Error::new(ErrorKind::Config, "a prefix has 100 bytes at most"));
        }
        match waits {
            Err(why) if self.replicas > 0 => Err(Error::new(ErrorKind::Config, why)),
            _ => Ok(()),
        }
    }
}
