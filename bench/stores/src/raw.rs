//! Minimal code for each driver: the lower bound of a store's cost.

pub mod file;
pub mod mysql;
pub mod postgres;
pub mod sqlite;
