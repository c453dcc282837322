//! Random bytes that cannot be guessed.

use rand::Rng;

/// Random bytes from a generator of this thread: ChaCha with 12 rounds, seeded by the operating system, and again after
/// every 64 KiB. For an id it takes 11 ns, where a call of the operating system takes 360 ns.
///
/// A process that forks without `exec` has the generator twice: it must not make ids in both halves. Rust's web servers
/// do not fork.
///
/// ```
/// let token: [u8; 32] = ampoule_seal::internal::random_bytes();
/// assert_ne!(token, ampoule_seal::internal::random_bytes());
/// ```
///
/// # Panics
/// If the operating system gives no seed. Nothing can be secret then.
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
        let make = || (0..5_000).map(|_| random_bytes::<16>()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(make)).collect();
        let ids: HashSet<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(ids.len(), 20_000);
    }
}
