//! The least that could work with each driver: the floor that a store stands on.

pub mod file;
pub mod mysql;
pub mod postgres;
pub mod sqlite;
