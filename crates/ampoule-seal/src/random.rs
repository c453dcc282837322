//! Random bytes that nobody can guess.

use rand::Rng;

/// Random bytes from a generator of this thread (ChaCha, 12 rounds), seeded by the operating system and again every
/// 64 KiB. A tenth of the cost of a system call for each id.
///
/// A process that forks must not go on making ids in both halves; threads and `exec` are safe.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// A session's id: 128 random bits, twice what OWASP asks for.
pub fn random_id() -> [u8; 16] {
    random_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_do_not_repeat_across_threads() {
        let make = || (0..5_000).map(|_| random_id()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(make)).collect();
        let ids: HashSet<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(ids.len(), 20_000);
    }
}
