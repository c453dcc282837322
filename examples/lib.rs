//! One runnable example for each question:
//!
//! | question | command |
//! |---|---|
//! | How do I add a session to an axum app? | `cargo run -p ampoule-examples --example counter` |
//! | How do I keep the session in its cookie? | `cargo run -p ampoule-examples --example cookie_session` |
//! | How do I keep two sessions apart in one app? | `cargo run -p ampoule-examples --example two_sessions` |
//! | How do I use it without a framework? | `cargo run -p ampoule-examples --example without_framework` |
