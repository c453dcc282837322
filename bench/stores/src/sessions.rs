//! The sessions that every subject keeps.

use std::time::{SystemTime, UNIX_EPOCH};

/// The number of sessions at the start.
pub const COUNT: u64 = 1_000;

/// The value of each session.
pub const VALUE: [u8; 200] = [7; 200];

/// The lifetime of each session: longer than any run.
pub const LIFETIME_SECONDS: u32 = 24 * 3_600;

/// The key of a session, as spread out as a digest.
pub fn key(number: u64) -> [u8; 32] {
    let mut key = [0; 32];
    for (place, part) in (0_u64..).zip(key.chunks_exact_mut(8)) {
        let mut mixed = (number * 4 + place).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        part.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    key
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The deadline of a session that is written now, in milliseconds since 1970.
pub fn deadline() -> i64 {
    now() + i64::from(LIFETIME_SECONDS) * 1_000
}

/// The next session.
#[derive(Default)]
pub struct Turn {
    last: u64,
    made: u64,
}

impl Turn {
    /// An existing session, in a scattered order.
    pub fn existing(&mut self) -> u64 {
        self.last = (self.last + 389) % COUNT;
        self.last
    }

    /// A session that never existed.
    pub fn new_one(&mut self) -> u64 {
        self.made += 1;
        COUNT + self.made
    }
}
