//! Runs `ampoule sessions` on stores that were filled through the library.

#[path = "sessions/copying.rs"]
mod copying;
#[path = "sessions/looking.rs"]
mod looking;
#[path = "sessions/revoking.rs"]
mod revoking;
#[path = "sessions/site.rs"]
mod site;
#[path = "sessions/sources.rs"]
mod sources;
#[path = "sessions/sweeping.rs"]
mod sweeping;
