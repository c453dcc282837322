//! The stores of other session libraries, on the same servers and settings.

pub mod axum_session;
pub mod tower_sessions;
