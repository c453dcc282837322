//! Cookies: found in what the client sent, cut into pieces, and written.

pub(crate) mod attributes;
pub(crate) mod pieces;
pub(crate) mod scan;
