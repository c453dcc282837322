//! SHA-256 of a message whose end fits one block, directly by the compression function.
//!
//! The messages that each request hashes have at most 42 bytes, and their lengths are known at compile time. A general
//! hasher, which accepts messages of any length in pieces, spends as much time on its buffer as on the hash.
//! `examples/measure.rs` compares this code with the crate `hmac`.

/// The state of a hash between two blocks.
pub(crate) type State = [u32; 8];

/// The state before the first block (FIPS 180-4 section 5.3.3).
pub(crate) const INITIAL_STATE: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The length of a block in bytes.
pub(crate) const BLOCK_LEN: usize = 64;

/// The most bytes of a message in its last block, which also has one byte that marks the end and eight for the length.
const MAX_TAIL: usize = BLOCK_LEN - 9;

/// Returns the state after one more block.
pub(crate) fn compress(mut state: State, block: &[u8; BLOCK_LEN]) -> State {
    sha2::block_api::compress256(&mut state, std::slice::from_ref(block));
    state
}

/// Returns the hash of a message: `BLOCKS` whole blocks, which led to this state, and the tail after them (FIPS 180-4
/// section 5.1.1).
pub(crate) fn finish<const BLOCKS: usize, const N: usize>(state: State, tail: &[u8; N]) -> [u8; 32] {
    let mut block = const { padding::<BLOCKS, N>() };
    block[..N].copy_from_slice(tail);
    let state = compress(state, &block);
    let mut hash = [0; 32];
    for (bytes, word) in hash.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    hash
}

/// Returns the last block without the tail of the message. It is computed at compile time: at run time, a processor
/// would stall when it reads a word whose bytes were just written one by one.
const fn padding<const BLOCKS: usize, const N: usize>() -> [u8; BLOCK_LEN] {
    assert!(N <= MAX_TAIL);
    let mut block = [0; BLOCK_LEN];
    block[N] = 0x80;
    let bits = ((BLOCKS * BLOCK_LEN + N) as u64 * 8).to_be_bytes();
    let (_, length) = block.split_at_mut(MAX_TAIL + 1);
    length.copy_from_slice(&bits);
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    proptest! {
        #[test]
        fn the_hash_is_sha_256(
            block in proptest::collection::vec(any::<u8>(), BLOCK_LEN),
            short: [u8; 16],
            long in proptest::collection::vec(any::<u8>(), MAX_TAIL),
        ) {
            let block: [u8; BLOCK_LEN] = block.try_into().unwrap();
            let long: [u8; MAX_TAIL] = long.try_into().unwrap();
            prop_assert_eq!(finish::<0, _>(INITIAL_STATE, &[]), <[u8; 32]>::from(Sha256::digest(b"")));
            prop_assert_eq!(finish::<0, _>(INITIAL_STATE, &long), <[u8; 32]>::from(Sha256::digest(long)));
            let two = [&block[..], &short[..]].concat();
            let state = compress(INITIAL_STATE, &block);
            prop_assert_eq!(finish::<1, _>(state, &short), <[u8; 32]>::from(Sha256::digest(two)));
        }
    }
}
