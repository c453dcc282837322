//! The layer over HTTP, and the features around it: one file for each subject.

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod attack;
mod cache;
mod cache_keys;
mod cache_outages;
mod cached;
mod cookies;
mod csrf;
mod ended;
mod environment;
mod error_pages;
mod first_hour;
mod flash;
mod handles;
mod histories;
mod language;
mod login;
mod outages;
mod principals;
mod protected;
mod response_cache;
mod sealed;
mod set_cookie;
mod settings;
mod stale_lists;
mod transports;
mod unused_forms;
mod users;
