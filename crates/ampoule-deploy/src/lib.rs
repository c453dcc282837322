//! Paste Deploy for tower services: an ini file describes the apps that a process serves, the filters around them, and
//! the address.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use ampoule_deploy::{Registry, app, load};
//! use axum::{Router, routing::get};
//! use tower::ServiceExt;
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("site.ini");
//! # std::fs::write(&path, "[composite:main]\nuse = egg:Paste#urlmap\n/ = home\n\n[app:home]\nuse = egg:hello\nname = Ada\n")?;
//! // site.ini:
//! //   [composite:main]
//! //   use = egg:Paste#urlmap
//! //   / = home
//! //
//! //   [app:home]
//! //   use = egg:hello
//! //   name = Ada
//! let mut registry = Registry::new();
//! registry.app("egg:hello", |conf| {
//!     let greeting = format!("Hello, {}.", conf.get("name").unwrap_or("you"));
//!     Ok(app(Router::new().route("/", get(|| async { greeting }))))
//! });
//! let deployment = load(&path, "main", &[], &registry)?;
//! let response = deployment.app.oneshot(http::Request::get("/").body(Default::default())?).await?;
//! assert_eq!(response.status(), 200);
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # The file
//!
//! | section | what it is |
//! |---|---|
//! | `[DEFAULT]` | global options; also `here`, the file's folder, and `__file__`, its path |
//! | `[app:NAME]` | an app: `use = egg:Dist#entry` names its factory, the other lines are its options |
//! | `[filter:NAME]` | a layer around apps |
//! | `[filter-app:NAME]` | a layer around the app that `next` names |
//! | `[pipeline:NAME]` | `pipeline = filter filter app`, no other option |
//! | `[composite:NAME]` | apps under paths, with `use = egg:Paste#urlmap` |
//! | `[server:NAME]` | where to listen: `use = egg:Paste#http`, `host`, `port`, or `listen`, or `unix_socket`; and [`TrustedProxies`] |
//!
//! `[application:NAME]` is another spelling of `[app:NAME]`, and `[composit:NAME]` of `[composite:NAME]`. `[app]` is
//! `[app:main]`, and `[NAME]` without a prefix is an app or filter of that name.
//!
//! A reference to an app or filter is the name of a section, `config:other.ini#name` for a section of another file
//! (`#main` by default; the path is relative to the file that contains the reference), or `egg:Dist#entry` for a
//! factory without options. `use` takes the same references; a section inherits the options of the section that it
//! uses. `set x = v` sets a global option for this section and those below it, `get x = y` copies one. `filter-with =
//! NAME` puts a filter around the app. `%(name)s` is the value of another option, of this section or else of
//! `[DEFAULT]`, and `%%` is a percent sign.
//!
//! A urlmap's options are `/path = app`, `domain HOST /path = app`, `domain HOST port N /path = app` and
//! `not_found_app`. Entries with a host and port are tried first, then those with a host, then the others; of these,
//! the longest path first. The app sees the path after its mount point, which is in the request's extensions as
//! [`MountPath`]. Paths are compared as sent, without percent-decoding, as axum's router does.
//!
//! # Sessions
//!
//! The filter `egg:Beaker#beaker_session`, or `egg:ampoule#session`, gives all apps below it one session. Its options
//! are those of [`ampoule::Settings`]. An app whose section has such options is wrapped in a session of its own, as
//! `make_app` of a Pylons project did. Its factory may call [`session_layer`] instead. A filter of the program's own
//! calls [`session_filter`].
//!
//! The filter `egg:Beaker#beaker_cache`, or `egg:ampoule#cache`, gives all apps below it one cache, with the options of
//! [`ampoule::cache::CacheSettings`]. Beaker had no such filter; programs added its `CacheMiddleware` themselves. An
//! app whose section has such options is wrapped in a cache of its own. Its factory may call [`cache_manager`] instead.
//!
//! [`load_with_environment`] also reads options from the environment, which win over those of the file; options of the
//! command line win over both.
//!
//! # Where we differ from Paste
//!
//! - An option of a section overrides the one of `[DEFAULT]` for that section, with a warning. Paste silently ignores
//!   it unless it is written with `set`.
//! - `%(name)s` finds an option of the command line even if `[DEFAULT]` has one of the same name.
//! - References in a section of another file are looked up in that file. Paste looks up those of a composite in the
//!   file that uses it.
//! - Duplicate sections and options are errors, and so are sections that refer to themselves. Each error has its line,
//!   and all are reported at once, in the order of the lines.
//! - A `;` after white space in a value is an error: Python 2 starts a comment there, and Python 3 does not.
//! - Options, sections and filters that have a meaning only in Python are ignored, each with a warning
//!   ([`Deployment::warnings`]).
//! - An app below a path sees `/` where Paste passes an empty path, which HTTP does not allow.
//! - A value that starts on the line after its option has no empty first line.
//! - The page for an unknown path does not list the mounted apps.
//! - No Python is called: `use = call:…` and `paste.app_factory = …` are errors.

// On docs.rs each item shows the feature that it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod app;
mod app_filters;
mod artifacts;
mod cache;
mod cascade;
mod conf;
mod deployment;
mod error;
mod family;
mod files;
mod find;
mod forwarded;
mod ini;
mod interpolate;
mod limits;
mod load;
mod log;
mod noop;
mod prefix;
mod proxies;
mod python;
mod raw_options;
mod registry;
mod replay;
mod section;
mod server;
mod session;
mod setting;
#[cfg(feature = "static")]
mod static_files;
mod unused;
mod urlmap;

pub use self::app::{App, Apps, Filter, app};
pub use self::cache::cache_manager;
pub use self::conf::Conf;
pub use self::deployment::Deployment;
pub use self::error::{Fault, Faults};
pub use self::ini::{Ini, parse};
pub use self::limits::Limits;
pub use self::load::{load, load_with_environment};
pub use self::log::log_filter;
pub use self::proxies::{Client, TrustedProxies};
pub use self::registry::Registry;
pub use self::server::{Listen, Server};
pub use self::session::{session_filter, session_layer};
pub use self::urlmap::MountPath;
