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
//! | `[pipeline:NAME]` | `pipeline = filter filter app` |
//! | `[composite:NAME]` | apps under paths, with `use = egg:Paste#urlmap` |
//! | `[server:NAME]` | where to listen: `use = egg:Paste#http`, `host`, `port` |
//!
//! `use` may also name another section, whose options then hold where this one says nothing, or `config:other.ini#name`.
//! `set x = v` sets a global option for this section and those it uses, `get x = y` copies one. `filter-with = NAME` puts
//! a filter around. `%(name)s` is another option's value and `%%` a percent sign.
//!
//! # Sessions
//!
//! `egg:Beaker#beaker_session`, or `egg:ampoule#session`, is the filter that gives all apps below it one session. Its
//! options are those of [`ampoule::Settings`]. An app that wants one of its own calls [`session_layer`].
//!
//! # Where we differ from Paste
//!
//! - An option that stands both in `[DEFAULT]` and in a section has, for that section, the section's value. Paste ignores
//!   it silently unless it is written `set`.
//! - A section or option that stands twice is an error, and so is a cycle of `use` or `next`; each error has its line.
//! - An app below a path sees `/` where Paste gives it an empty path, which HTTP has not.

#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod conf;
mod error;
mod ini;
mod interpolate;
mod load;
mod registry;
mod section;
mod session;
mod urlmap;

pub use self::conf::Conf;
pub use self::error::{Fault, Faults};
pub use self::ini::{Ini, parse};
pub use self::load::{Deployment, Server, load};
pub use self::registry::{App, Filter, Registry, app};
pub use self::session::session_layer;
pub use self::urlmap::MountPath;
