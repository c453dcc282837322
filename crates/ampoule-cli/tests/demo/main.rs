//! The demo: over HTTP, as a visitor without scripts sees it, and in a real browser.

mod around;
mod browser;
mod pages;
#[path = "../support/mod.rs"]
mod support;
