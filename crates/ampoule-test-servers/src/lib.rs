//! Real servers for Ampoule's tests, on private ports of loopback, with their files in a temporary folder.
//!
//! ```no_run
//! use ampoule_test_servers::{Kind, shared};
//!
//! let Some(redis) = shared(Kind::Redis) else { return };
//! println!("{}", redis.url());
//! ```
//!
//! A server ends with the process that started it, however that ends: a small shell stands between the two, waits for
//! the end of its input, and then stops the server by its process id and removes its folder.
//!
//! Where a server is not installed one line says so and there is none, so that a test can pass over it; with
//! `AMPOULE_TEST_REQUIRE_ALL=1` in the environment the test fails instead.

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
    /// Starts a server of one's own; `None` where it is not installed.
    ///
    /// # Panics
    /// If it does not start, or is missing where all are required.
    pub fn start(kind: Kind) -> Option<Server> {
        Server::start_with(kind, &Setup::default())
    }

    /// The same with more settings, which the databases and a single Redis know.
    ///
    /// # Panics
    /// As [`start`](Server::start).
    pub fn start_with(kind: Kind, setup: &Setup) -> Option<Server> {
        match kinds::start(kind, setup) {
            Ok(server) => Some(server),
            Err(tools::Failed::Missing(program)) => {
                tools::missing(&format!(
                    "{kind:?} needs `{program}`, which is not installed (Debian: {})",
                    kind.package()
                ));
                None
            }
            Err(tools::Failed::Start(why)) => panic!("{kind:?} does not start: {why}"),
        }
    }
}

/// The server of that kind that all tests of this process use together; each with keys of its own.
pub fn shared(kind: Kind) -> Option<&'static Server> {
    static SERVERS: OnceLock<Mutex<HashMap<Kind, Option<&'static Server>>>> = OnceLock::new();
    let mut servers = SERVERS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    *servers.entry(kind).or_insert_with(|| Server::start(kind).map(|server| &*Box::leak(Box::new(server))))
}

/// The server of that kind that speaks TLS, likewise.
pub fn shared_tls(kind: Kind) -> Option<&'static TlsServer> {
    static SERVERS: OnceLock<Mutex<HashMap<Kind, Option<&'static TlsServer>>>> = OnceLock::new();
    let mut servers = SERVERS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    *servers.entry(kind).or_insert_with(|| TlsServer::start(kind).map(|server| &*Box::leak(Box::new(server))))
}
