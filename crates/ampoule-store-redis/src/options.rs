//! The options of the store.

use std::sync::Arc;

use ampoule_core::internal::NonExhaustive;
use ampoule_core::{Clock, Error, ErrorKind, PoolOptions, TlsFiles};

/// Options for a [`RedisStore`](crate::RedisStore).
///
/// End a literal with `..RedisOptions::default()`: a later version may add options.
///
/// ```
/// use ampoule_store_redis::RedisOptions;
///
/// let options = RedisOptions { prefix: "shop:".to_owned(), replicas: 1, ..RedisOptions::default() };
/// ```
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// The prefix of the names of all keys: `ampoule:` by default. At most 100 bytes. Applications that share a
    /// database need different prefixes.
    pub prefix: String,
    /// How many replicas must receive a put or a delete before it succeeds, on a single server or behind Sentinel: 0 by
    /// default. If fewer confirm it within three quarters of `command_timeout`, the error is [`ErrorKind::Timeout`]:
    /// the server has the value, and may lose it in a failover.
    pub replicas: usize,
    /// The CAs that TLS trusts, and the client's own certificate. The URL's `tls_ca_file`, `tls_cert_file` and
    /// `tls_key_file` take precedence. Not used with the application's own client or connection.
    pub tls: TlsFiles,
    /// The number of connections that wait for replicas, and time limits.
    pub pool: PoolOptions,
    /// The clock that decides until when a value is live, for tests. `None`, the default, leaves the decision to the
    /// server's clock.
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
    /// Checks what can be checked without a server. `supports_wait` is whether writes can wait for replicas.
    pub(crate) fn validate(&self, supports_wait: Result<(), &'static str>) -> Result<(), Error> {
        if self.prefix.len() > 100 {
            return Err(Error::new(ErrorKind::Config, "invalid prefix: expected at most 100 bytes"));
        }
        match supports_wait {
            Err(why) if self.replicas > 0 => Err(Error::new(ErrorKind::Config, why)),
            _ => Ok(()),
        }
    }
}
