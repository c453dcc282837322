//! Reads requests' headers and writes responses' headers. Nothing here knows a session or a store.

pub(crate) mod cookies;
pub(crate) mod credentials;
pub(crate) mod edit;
pub(crate) mod error_response;
pub(crate) mod pieces;
pub(crate) mod scopes;
pub(crate) mod set_cookie;
pub(crate) mod transport;
