//! Loads files as people write them, and sends requests to the apps.

mod cascade;
mod environment;
mod faults;
mod ini;
mod old_files;
mod proxies;
mod sections;
mod seed;
mod servers;
#[cfg(feature = "static")]
mod static_files;
mod support;
mod urlmap;
