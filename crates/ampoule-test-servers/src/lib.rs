//! Starts real servers for Ampoule's tests, on private ports of loopback, with their files in temporary folders.
//!
//! ```no_run
//! use ampoule_test_servers::{Kind, shared};
//!
//! let Some(redis) = shared(Kind::Redis) else { return };
//! println!("{}", redis.url());
//! ```
//!
//! A server ends with the process that started it, even if that process is killed: a small shell is the parent of the
//! server. When its input ends, it stops the server by its process id and removes its folder.
//!
//! If a server is not installed, the functions print one line and return `None`, so that the test can be skipped. If
//! `AMPOULE_TEST_REQUIRE_ALL` is set in the environment, they panic instead.

mod certificates;
mod clock;
mod kinds;
mod node;
mod privileges;
mod proxy;
mod server;
mod sql;
mod tls;
mod tools;

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

pub use self::certificates::{Authority, Certificate};
pub use self::clock::set_clock_off;
pub use self::kinds::Kind;
pub use self::node::{Node, free_port};
pub use self::privileges::without_capabilities;
pub use self::proxy::Proxy;
pub use self::server::Server;
pub use self::tls::TlsServer;
pub use self::tools::Setup;

impl Server {
    /// Starts a server for one test; returns `None` if it is not installed.
    ///
    /// # Panics
    /// If the server does not start, or if it is not installed and `AMPOULE_TEST_REQUIRE_ALL` is set.
    pub fn start(kind: Kind) -> Option<Server> {
        Server::start_with(kind, &Setup::default())
    }

    /// Starts a server with more settings. PostgreSQL, MariaDB and a single Redis use them; the other kinds ignore
    /// them.
    ///
    /// # Panics
    /// As [`start`](Server::start).
    pub fn start_with(kind: Kind, setup: &Setup) -> Option<Server> {
        match kinds::start(kind, setup) {
            Ok(server) => Some(server),
            Err(tools::StartError::NotInstalled(program)) => {
                tools::report_missing(&format!(
                    "{kind:?} needs `{program}`, which is not installed (Debian: {})",
                    kind.package()
                ));
                None
            }
            Err(tools::StartError::Failed(why)) => panic!("{kind:?} does not start: {why}"),
        }
    }
}

/// Returns the server of this kind that all tests of this process share; `None` if it is not installed. Each test must
/// use keys of its own.
///
/// # Panics
/// As [`Server::start`].
pub fn shared(kind: Kind) -> Option<&'static Server> {
    static SERVERS: OnceLock<Mutex<HashMap<Kind, Option<&'static Server>>>> = OnceLock::new();
    let mut servers = SERVERS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    *servers.entry(kind).or_insert_with(|| Server::start(kind).map(|server| &*Box::leak(Box::new(server))))
}

/// Returns the server of this kind with TLS that all tests of this process share; `None` if it is not installed.
///
/// # Panics
/// As [`TlsServer::start`].
pub fn shared_tls(kind: Kind) -> Option<&'static TlsServer> {
    static SERVERS: OnceLock<Mutex<HashMap<Kind, Option<&'static TlsServer>>>> = OnceLock::new();
    let mut servers = SERVERS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    *servers.entry(kind).or_insert_with(|| TlsServer::start(kind).map(|server| &*Box::leak(Box::new(server))))
}
