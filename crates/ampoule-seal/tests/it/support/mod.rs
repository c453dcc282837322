//! Helpers that several tests share.
#![allow(dead_code, reason = "each test file uses only some of them")]

use ampoule_seal::{KeyRing, Secret};

/// The secret of the golden values.
pub(crate) const GOLDEN: &str = "golden secret of thirty-two bytes";
pub(crate) const OTHER: &str = "another secret, of many more bytes than 32";

pub(crate) fn ring(secrets: &[&str]) -> KeyRing {
    // The golden values were computed with a sentence, which `Secret::new` refuses.
    let secrets = secrets.iter().map(|secret| Secret::insecure_weak(secret).expect("it is not empty"));
    KeyRing::new(secrets.collect()).expect("at least one")
}

/// Returns variants of some bytes: with one bit flipped, with one end truncated, or with bytes added at one end.
pub(crate) fn near_misses(bytes: &[u8]) -> Vec<Vec<u8>> {
    let flipped = (0..bytes.len() * 8).map(|bit| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    });
    let cut = (0..bytes.len()).flat_map(|at| [bytes[..at].to_vec(), bytes[bytes.len() - at..].to_vec()]);
    let more = [&b"A"[..], b"AA", b"AAAA", b"=", b"==", b" ", b"\n", b"\0", b";"];
    let longer = more.into_iter().flat_map(|more| [[bytes, more].concat(), [more, bytes].concat()]);
    flipped.chain(cut).chain(longer).collect()
}
