//! Files as people write them, loaded and asked over HTTP.

mod faults;
mod ini;
mod sections;
mod seed;
#[cfg(feature = "static")]
mod static_files;
mod support;
mod urlmap;
