//! Sessions for Rust web services.
//!
//! A session is data that the server keeps for one client between its requests, found by a cookie. Ampoule's are loaded
//! only when they are touched, written only when they are saved, and kept in a store that can be exchanged. It descends
//! from Beaker, the session library of Pylons, and keeps promises that Beaker did not. The README lists the exceptions.
//!
//! | | promise |
//! |---|---|
//! | P1 | **no lost update**: requests that run at once on one session lose nothing |
//! | P2 | **no resurrection**: once a session is ended, no slower request brings it back |
//! | P3 | **no fixation**: no token issued before a login reads or writes anything of after it |
//! | P4 | **zero cost until used**: no store call, no signature check, no Set-Cookie |
//! | P5 | **one round trip**: at most one to load and one to save |
//! | P6 | **safe rotation**: no data is lost whatever happens to the response that carries a new token |
//! | P7 | **saved is saved**: it survives the process; damage is an error, never an empty session |
//! | P8 | **a leaked store cannot be used to hijack sessions**: it holds digests of the tokens' secrets, not the secrets |
//! | P9 | **bounded**: memory, keys, principals, cookies, headers and sweeps |
//! | P10 | **explicit outages**: a clear error within a time limit, only where the session is needed |
//! | P11 | **no lock-out**: a client that continues with what it holds reaches a working session |
//!
//! | cargo feature | what it brings |
//! |---|---|
//! | `axum` (default) | the layer as a [service of tower][SessionService], extractors, and errors as responses |
//! | `file` (default), `sqlite`, `postgres`, `mysql`, `redis`, `memcached`, or `all-stores` | [stores](store), each by its type or by URL |
//! | `redis-1`, `deadpool-postgres-0_14`, `mysql_async-0_37`, `rusqlite-0` | a store on a client, a pool or connections of the application's own; their drivers' types are public with these alone |
//! | `cache` | [a cache][cache] over the same stores: values, functions and responses |
//! | `auth` | [protected routes][RequireLogin] and [the user][User] of a request |
//! | `throttle` | [a throttle of logins][LoginThrottle], over `auth` and `cache` |
//! | `forms` | [secure forms][CsrfLayer]: state-changing requests of other sites are rejected |
//! | `language` | [the language of a session][Language], negotiated among those of the application |
//! | `error-pages` | [pages][StatusCodeRedirect] for statuses, panics and errors, and [all layers in their order][Stack] |
//! | `sea-orm` | [`merge`]: compares a database model that was kept in a session with its current row |
//! | `askama`, `minijinja` | [`SafeHtml`] in their templates |
//! | `metrics` | counters and histograms for the recorder of the crate `metrics`; the spans of `tracing` are always there |
//!
//! | with `metrics` | labels | |
//! |---|---|---|
//! | `ampoule_store_operations` | `operation`, `outcome`, `store` | calls of the store, counted by how they ended |
//! | `ampoule_store_seconds` | `operation`, `store` | how long they took |
//! | `ampoule_store_refusals` | `operation`, `store` | calls that were not made, since the circuit was open |
//! | `ampoule_session_conflicts` | | saves that met another writer, and tried again |
//! | `ampoule_sessions` | `event` | created, forked, rotated, destroyed, expired, replayed, conflicting |
//! | `ampoule_swept` | `store` | expired values that were removed |
//! | `ampoule_cache` | `cache`, `event` | events of a cache: lookups by outcome, creations, failures |
//! | `ampoule_logins_refused` | `by` | logins that a throttle refused, by the count that was exceeded |
//!
//! Their descriptions reach a recorder that is installed before the layer is created; call `describe_metrics` after a
//! later one.
//!
//! # A first session
//!
//! ```toml
//! [dependencies]
//! ampoule = "0.1"
//! axum = "0.8"
//! tokio = { version = "1", features = ["macros", "net", "rt-multi-thread"] }
//! ```
//!
//! ```no_run
//! use ampoule::{Error, Session, Settings};
//! use axum::{Router, routing::{get, post}};
//!
//! async fn home(session: Session) -> Result<String, Error> {
//!     Ok(match session.get::<String>("name").await? {
//!         Some(name) => format!("Hello, {name}."),
//!         None => "Hello, stranger.".to_owned(),
//!     })
//! }
//!
//! async fn login(session: Session) -> Result<&'static str, Error> {
//!     session.login("user:42").await?;
//!     session.insert("name", "Ada")?;
//!     session.save().await?;
//!     Ok("welcome")
//! }
//!
//! async fn logout(session: Session) -> Result<&'static str, Error> {
//!     session.logout().await?;
//!     Ok("goodbye")
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let sessions = Settings::parse(std::env::vars())?.layer()?;
//!     let app = Router::new()
//!         .route("/", get(home))
//!         .route("/login", post(login))
//!         .route("/logout", post(logout))
//!         .layer(sessions);
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
//!     Ok(axum::serve(listener, app).await?)
//! }
//! ```
//!
//! [`Settings::parse`] reads the environment, or an ini file's pairs of name and value. One option is required:
//!
//! ```sh
//! export AMPOULE_SESSION_SECRET=$(openssl rand -base64 32)
//! export AMPOULE_SESSION_DATA_DIR=data/sessions   # else the sessions are in memory, and end with the process
//! cargo run
//! ```
//!
//! In code the same layer is created from [`Options`] and a store, by its type or by [URL](store::open):
//!
//! ```
//! use ampoule::{Options, Secret, SessionLayer, store};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let secret = Secret::generate();
//! let options = Options { secrets: vec![Secret::new(secret)?], ..Options::default() };
//! let sessions = SessionLayer::new(store::open("memory:", &Default::default())?, options)?;
//! # Ok(()) }
//! ```
// Items of features that are not enabled are linked to docs.rs.
#![cfg_attr(
    not(feature = "axum"),
    doc = "[SessionService]: https://docs.rs/ampoule/latest/ampoule/struct.SessionService.html"
)]
#![cfg_attr(not(feature = "cache"), doc = "[cache]: https://docs.rs/ampoule/latest/ampoule/cache/index.html")]
#![cfg_attr(
    not(feature = "auth"),
    doc = "[RequireLogin]: https://docs.rs/ampoule/latest/ampoule/struct.RequireLogin.html"
)]
#![cfg_attr(not(feature = "auth"), doc = "[User]: https://docs.rs/ampoule/latest/ampoule/struct.User.html")]
#![cfg_attr(
    not(feature = "throttle"),
    doc = "[LoginThrottle]: https://docs.rs/ampoule/latest/ampoule/struct.LoginThrottle.html"
)]
#![cfg_attr(not(feature = "forms"), doc = "[CsrfLayer]: https://docs.rs/ampoule/latest/ampoule/struct.CsrfLayer.html")]
#![cfg_attr(not(feature = "language"), doc = "[Language]: https://docs.rs/ampoule/latest/ampoule/struct.Language.html")]
#![cfg_attr(
    not(feature = "error-pages"),
    doc = "[StatusCodeRedirect]: https://docs.rs/ampoule/latest/ampoule/struct.StatusCodeRedirect.html"
)]
#![cfg_attr(not(feature = "error-pages"), doc = "[Stack]: https://docs.rs/ampoule/latest/ampoule/struct.Stack.html")]
#![cfg_attr(not(feature = "sea-orm"), doc = "[`merge`]: https://docs.rs/ampoule/latest/ampoule/fn.merge.html")]
// Each item says its feature, where docs.rs builds the pages.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

#[cfg(feature = "auth")]
mod auth;
mod backend;
#[cfg(feature = "cache")]
pub mod cache;
mod csrf;
mod endings;
#[cfg(feature = "error-pages")]
mod error_pages;
mod event;
mod flash;
mod http;
pub mod inspect;
#[cfg(feature = "language")]
mod language;
mod layer;
#[cfg(feature = "sea-orm")]
mod model;
mod observe;
mod options;
#[cfg(feature = "axum")]
mod service;
mod session;
mod shared;
pub mod store;
mod sweeper;
pub mod testing;

#[cfg(feature = "axum")]
mod axum;

pub use ampoule_core::{
    AsKey, Clock, Durability, Error, ErrorKind, Key, KeyFor, KeyOf, ManualClock, MemoryBounds, MemoryStore,
    PoolOptions, SessionId, Store, SweepReport, SystemClock, Time, TlsFiles,
};
pub use ampoule_seal::{Secret, Token};
#[cfg(feature = "file")]
pub use ampoule_store_file::{FileOptions, FileStore};
#[cfg(feature = "memcached")]
pub use ampoule_store_memcached::{MemcachedOptions, MemcachedStore};
#[cfg(feature = "mysql")]
pub use ampoule_store_mysql::{MySqlOptions, MySqlStore};
#[cfg(feature = "postgres")]
pub use ampoule_store_postgres::{PostgresOptions, PostgresStore};
#[cfg(feature = "redis")]
pub use ampoule_store_redis::{RedisOptions, RedisStore};
#[cfg(feature = "sqlite-unbundled")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use ampoule_store_sqlite::{SqliteOptions, SqliteStore};

#[cfg(feature = "throttle")]
pub use self::auth::{
    FindAddress, KnownDevice, LoginAttempt, LoginAttempts, LoginRefused, LoginThrottle, LoginThrottleOptions,
    LoginThrottleService,
};
#[cfg(feature = "auth")]
pub use self::auth::{NextPage, RequireLogin, RequireLoginService, User, UserLayer, UserService, Users};
#[cfg(feature = "axum")]
pub use self::axum::MissingLayer;
#[cfg(feature = "forms")]
pub use self::csrf::{AuthenticateForm, CsrfLayer, CsrfRejection, CsrfService};
pub use self::csrf::{CsrfToken, SafeHtml};
#[cfg(feature = "error-pages")]
pub use self::error_pages::{
    ErrorHandler, ErrorHandlerService, FailedRequest, ServerError, Stack, StatusCodeRedirect, StatusCodeRedirectService,
};
pub use self::event::{Event, EventHook, EventKind};
pub use self::flash::old_input::OldInput;
pub use self::flash::{Flash, FlashMessage};
pub use self::http::error_response::error_response;
pub use self::http::set_cookie::{CookieExpires, CookieOptions, CookiePriority, CookieScope, HostPrefix, SameSite};
pub use self::http::transport::{FindToken, Transport};
#[cfg(feature = "language")]
pub use self::language::{Language, LanguageService, Languages, MissingLanguages};
pub use self::layer::SessionLayer;
#[cfg(feature = "sea-orm")]
pub use self::model::{Merged, merge};
#[cfg(feature = "metrics")]
pub use self::observe::describe_metrics;
pub use self::options::invalid::{BadOptions, InvalidOption};
pub use self::options::kind::Kind;
pub use self::options::settings::Settings;
pub use self::options::{Options, OutagePolicy, SessionLimitPolicy};
#[cfg(feature = "axum")]
pub use self::service::{SessionFuture, SessionService};
pub use self::session::Session;
pub use self::session::devices::SessionInfo;
pub use self::session::read_only::ReadOnly;
pub use self::session::typed::{SessionData, Typed};

/// Compiles the code of the README with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
