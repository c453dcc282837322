//! What the crates of Ampoule share, and no program needs.
//!
//! It is public only because Ampoule is several crates: a patch release may change or remove any of it.

pub use crate::credential::same_digest;
pub use crate::mask::{mask, verify_masked};
pub use crate::random::random_bytes;
pub use crate::sealer::sealed_text_len;
