//! The stores that surround a store: each is as good a store as the one inside.

mod guarded;
mod moody;
mod sealed;
