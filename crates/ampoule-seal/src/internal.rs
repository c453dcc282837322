//! Items that the other crates of Ampoule use, and applications do not need.
//!
//! The module is public only because Ampoule has several crates. A patch release may change or remove any item of it.

pub use crate::credential::same_digest;
pub use crate::mask::{mask, verify_masked};
pub use crate::random::random_bytes;
pub use crate::sealer::sealed_text_len;
