//! The sessions that every subject stores.

use std::time::{SystemTime, UNIX_EPOCH};

/// The number of sessions at the start.
pub const COUNT: u64 = 1_000;

/// The value of each session.
pub const VALUE: [u8; 200] = [7; 200];

/// The lifetime of each session: longer than any run.
pub const LIFETIME_SECONDS: u32 = 24 * 3_600;

/// Returns the key of a session, as evenly distributed as a digest.
pub fn key(number: u64) -> [u8; 32] {
    let mut key = [0; 32];
    for (index, part) in (0_u64..).zip(key.chunks_exact_mut(8)) {
        let mut mixed = (number * 4 + index).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        part.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    key
}

/// Returns the current time, in milliseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Returns the deadline of a session that is written now, in milliseconds since 1970.
pub fn deadline() -> i64 {
    now() + i64::from(LIFETIME_SECONDS) * 1_000
}

/// Chooses the session of the next operation.
#[derive(Default)]
pub struct SessionNumbers {
    last: u64,
    created: u64,
}

impl SessionNumbers {
    /// Returns the number of an existing session, in a scattered order.
    pub fn existing(&mut self) -> u64 {
        self.last = (self.last + 389) % COUNT;
        self.last
    }

    /// Returns the number of a session that never existed.
    pub fn unused(&mut self) -> u64 {
        self.created += 1;
        COUNT + self.created
    }
}
