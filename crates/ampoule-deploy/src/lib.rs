//! Paste Deploy for tower services: an ini file says which apps a process serves, under which filters, and where.
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
//! # What a file may say
//!
//! | section | what it is |
//! |---|---|
//! | `[DEFAULT]` | options for all; with `here`, the file's folder, and `__file__` |
//! | `[app:NAME]` | an app: `use = egg:Dist#entry` names its factory, all else is its options |
//! | `[filter:NAME]` | a layer around apps |
//! | `[filter-app:NAME]` | a layer around the app that `next` names |
//! | `[pipeline:NAME]` | `pipeline = filter filter app`, and nothing else |
//! | `[composite:NAME]` | apps under paths, with `use = egg:Paste#urlmap` |
//! | `[server:NAME]` | where to listen: `use = egg:Paste#http`, `host`, `port`, or `listen`, or `unix_socket`; and [`TrustedProxies`] |
//!
//! `[application:NAME]` and `[composit:NAME]` are the same as the shorter and the longer word; `[app]` is `[app:main]`,
//! and `[NAME]` alone is an app or filter of that name.
//!
//! Where an app or filter is named, there may stand the name of a section, `config:other.ini#name` for one of another
//! file (`#main` if none is said; relative to the file in which this stands), or `egg:Dist#entry` for a factory without
//! options. `use` takes the same; the options of a section that is used hold where this one says nothing. `set x = v`
//! sets a global option for this section and those below it, `get x = y` copies one. `filter-with = NAME` puts a filter
//! around. `%(name)s` is another option's value, of this section or else of `[DEFAULT]`, and `%%` a percent sign.
//!
//! A urlmap's options are `/path = app`, `domain HOST /path = app` and `domain HOST port N /path = app`, and
//! `not_found_app`. Entries for the host come first, those that say its port before the others; then the longest path.
//! The path under which an app hangs is taken from the request's, and kept as [`MountPath`]. Paths are compared as they
//! were sent, not percent-decoded, as axum's router compares them.
//!
//! # Sessions
//!
//! `egg:Beaker#beaker_session`, or `egg:ampoule#session`, is the filter that gives all apps below it one session. Its
//! options are those of [`ampoule::Settings`]. An app whose section has such options gets a session of its own around it,
//! as a Pylons project's `make_app` did; its factory may call [`session_layer`] instead, and a filter of the program's own
//! [`session_filter`].
//!
//! `egg:Beaker#beaker_cache`, or `egg:ampoule#cache`, gives them one cache, with the options of
//! [`ampoule::cache::CacheSettings`]; [`cache_manager`] is for an app's own. Beaker had no such filter: its
//! `CacheMiddleware` stood in the program. In an app's section they put a cache around it, as above.
//!
//! [`load_with_environment`] puts the options of the environment over those of the file, and those of the command line
//! over both.
//!
//! # Where we differ from Paste
//!
//! - An option that stands both in `[DEFAULT]` and in a section has, for that section, the section's value, and a note
//!   says so. Paste passes over it without a word unless it is written `set`.
//! - An option of the command line is seen by `%(name)s` even where `[DEFAULT]` has one of the name.
//! - The names in a section of another file are looked up in that file. Paste looks for those of a composite in the
//!   file that uses it.
//! - A section or option that stands twice is an error, and so are sections that lead to themselves; each error has its
//!   line, and all are said at once, in the order of the lines.
//! - What stands behind white space and a `;` is refused: it was a comment for Python 2, and is part of the value for 3.
//! - Options, sections and filters that mean something to Python alone are passed over, each with a warning
//!   ([`Deployment::warnings`]).
//! - An app below a path sees `/` where Paste gives it an empty path, which HTTP has not.
//! - A value that starts on the line below its option has no empty line before it.
//! - The page for what is not found does not list the apps that there are.
//! - Python is not called: there is no `use = call:…` and no `paste.app_factory = …`.

// Each item says its feature, where docs.rs builds the pages.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod app;
mod around;
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
mod made;
mod nothing;
mod prefix;
mod proxies;
mod python;
mod raw_options;
mod registry;
mod replay;
mod rest;
mod section;
mod server;
mod session;
mod setting;
#[cfg(feature = "static")]
mod static_files;
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
