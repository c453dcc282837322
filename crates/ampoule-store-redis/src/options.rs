//! How the store works.

use std::sync::Arc;

use ampoule_core::internal::NonExhaustive;
use ampoule_core::{Clock, Error, ErrorKind, PoolOptions, TlsFiles};

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
    /// How the store uses its connections.
    pub pool: PoolOptions,
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
            pool: PoolOptions::default(),
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
