//! SHA-256 of a message that ends within one block: the compression function, and nothing around it.
//!
//! What we hash for each request is 16 to 37 bytes long and of a length that is known when we compile. A hasher that
//! takes any message, in pieces, spends as much time on its buffer as on the hash: `examples/measure.rs` has the figures
//! beside the crate `hmac`.

/// The state of a hash between two blocks.
pub(crate) type State = [u32; 8];

/// The state before the first block (FIPS 180-4 section 5.3.3).
pub(crate) const START: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The bytes of a block.
pub(crate) const BLOCK: usize = 64;

/// The most that a last block can hold: one byte marks the end of the message, and eight say how long it was.
const LAST: usize = BLOCK - 9;

/// The state after one more block.
pub(crate) fn next(mut state: State, block: &[u8; BLOCK]) -> State {
    sha2::block_api::compress256(&mut state, std::slice::from_ref(block));
    state
}

/// The hash of so many whole blocks before, which led to this state, and of the message's end (FIPS 180-4 section 5.1.1).
pub(crate) fn finish<const BEFORE: usize, const N: usize>(state: State, end: &[u8; N]) -> [u8; 32] {
    let mut block = const { last::<BEFORE, N>() };
    block[..N].copy_from_slice(end);
    let state = next(state, &block);
    let mut hash = [0; 32];
    for (bytes, word) in hash.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    hash
}

/// A last block but for the end of the message, which is made when we compile: a processor waits for bytes that were
/// written one by one a moment before it reads them together.
const fn last<const BEFORE: usize, const N: usize>() -> [u8; BLOCK] {
    assert!(N <= LAST);
    let mut block = [0; BLOCK];
    block[N] = 0x80;
    let bits = ((BEFORE * BLOCK + N) as u64 * 8).to_be_bytes();
    let (_, length) = block.split_at_mut(LAST + 1);
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
        fn it_is_sha_256(
            block in proptest::collection::vec(any::<u8>(), BLOCK),
            short: [u8; 16],
            long in proptest::collection::vec(any::<u8>(), LAST),
        ) {
            let (block, long): ([u8; BLOCK], [u8; LAST]) = (block.try_into().unwrap(), long.try_into().unwrap());
            prop_assert_eq!(finish::<0, _>(START, &[]), <[u8; 32]>::from(Sha256::digest(b"")));
            prop_assert_eq!(finish::<0, _>(START, &long), <[u8; 32]>::from(Sha256::digest(long)));
            let two = [&block[..], &short[..]].concat();
            prop_assert_eq!(finish::<1, _>(next(START, &block), &short), <[u8; 32]>::from(Sha256::digest(two)));
        }
    }
}
