//! The keys of a cache's records in its store.

use std::borrow::Cow;

use ampoule_core::StoreKey;

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A cached value.
    Entry = 1,
    /// The generation of a namespace.
    Namespace = 2,
    /// The lease to create a value.
    Lease = 3,
    /// The generation of a tag.
    Tag = 4,
    /// The count of a rate limiter's key.
    Rate = 5,
}

const KINDS: [Kind; 5] = [Kind::Entry, Kind::Namespace, Kind::Lease, Kind::Tag, Kind::Rate];

impl Kind {
    /// The end of such a record's key: a checksum of the digest before it, and the kind. By it tools recognize the keys
    /// of caches among others. All bytes of a key are as good as random, so a store can distribute its keys by any of
    /// them.
    fn suffix(self, digest: &[u8]) -> [u8; 4] {
        let mark = u32::from_be_bytes([0xac, b'C', b'a', self as u8]);
        (crc32fast::hash(digest) ^ mark).to_be_bytes()
    }
}

/// The length of the digest in a key, in bytes.
const DIGEST_LEN: usize = 28;

/// The digest of these parts. Their lengths are included, so that different lists of parts have different digests.
pub(crate) fn digest(parts: &[&[u8]]) -> StoreKey {
    let mut text = Vec::with_capacity(128);
    for part in parts {
        text.extend_from_slice(&(part.len() as u64).to_le_bytes());
        text.extend_from_slice(part);
    }
    StoreKey::digest(&text)
}

fn record(kind: Kind, parts: &[&[u8]]) -> StoreKey {
    let mut bytes = *digest(parts).as_bytes();
    let suffix = kind.suffix(&bytes[..DIGEST_LEN]);
    bytes[DIGEST_LEN..].copy_from_slice(&suffix);
    StoreKey::new(bytes)
}

/// The longest namespace that is stored unchanged, in bytes.
const MAX_NAMESPACE_LEN: usize = 1_000;

/// A namespace as it is stored: one that is too long is shortened, and identified by its digest.
pub(crate) fn stored(namespace: &str) -> Cow<'_, str> {
    if namespace.len() <= MAX_NAMESPACE_LEN {
        return namespace.into();
    }
    let start: String = namespace.chars().take(200).collect();
    format!("{start}… {}", StoreKey::digest(namespace.as_bytes())).into()
}

/// The key of an entry, in the namespace and type that `values` identifies.
pub(crate) fn entry(values: StoreKey, key: &[u8]) -> StoreKey {
    record(Kind::Entry, &[b"entry", values.as_bytes(), key])
}

/// The lease to create an entry's value. Its digest differs from the entry's, so that a store does not keep both in the
/// same place.
pub(crate) fn lease(entry: StoreKey) -> StoreKey {
    record(Kind::Lease, &[b"lease", entry.as_bytes()])
}

/// The generation of a namespace, whatever the types of its values.
pub(crate) fn namespace(namespace: &str) -> StoreKey {
    record(Kind::Namespace, &[b"namespace", stored(namespace).as_bytes()])
}

/// The generation of a tag, in any namespace.
pub(crate) fn tag(tag: &str) -> StoreKey {
    record(Kind::Tag, &[b"tag", tag.as_bytes()])
}

/// The count of a rate limiter's key.
pub(crate) fn rate(namespace: &str, key: &str) -> StoreKey {
    record(Kind::Rate, &[b"rate", namespace.as_bytes(), key.as_bytes()])
}

/// The kind of a cache's record by its key; `None` for all other keys.
pub(crate) fn kind(key: StoreKey) -> Option<Kind> {
    let (digest, suffix) = key.as_bytes().split_at(DIGEST_LEN);
    KINDS.into_iter().find(|kind| kind.suffix(digest) == suffix)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn values(name: &str) -> StoreKey {
        digest(&[name.as_bytes()])
    }

    #[test]
    fn keys_show_their_kind_and_parts_do_not_run_together() {
        let one = entry(values("a"), b"bc");
        assert_eq!(
            [one, lease(one), tag("t"), namespace("n")].map(kind),
            [Some(Kind::Entry), Some(Kind::Lease), Some(Kind::Tag), Some(Kind::Namespace)]
        );
        assert_eq!(kind(StoreKey::digest(b"a session")), None);
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_ne!(entry(values("a"), b"c"), entry(values("b"), b"c"));
        assert_ne!(namespace("x"), tag("x"));
    }

    /// By any byte a store may choose a shard, a slot or a lock.
    #[test]
    fn every_byte_of_a_key_is_as_good_as_random() {
        let make: [fn(usize) -> StoreKey; 4] = [
            |number| entry(values("a"), &number.to_le_bytes()),
            |number| lease(entry(values("a"), &number.to_le_bytes())),
            |number| tag(&number.to_string()),
            |number| namespace(&number.to_string()),
        ];
        for make in make {
            let keys: Vec<StoreKey> = (0..2_000).map(make).collect();
            for at in 0..32 {
                let found: HashSet<u8> = keys.iter().map(|key| key.as_bytes()[at]).collect();
                assert!(found.len() > 240, "byte {at} has {} values", found.len());
            }
        }
    }

    #[test]
    fn the_keys_of_an_entry_and_its_lease_rarely_begin_alike() {
        let together = (0..2_000_usize).filter(|number| {
            let entry = entry(values("a"), &number.to_le_bytes());
            entry.as_bytes()[..2] == lease(entry).as_bytes()[..2]
        });
        assert!(together.count() < 5);
    }

    #[test]
    fn a_namespace_of_any_length_is_identified_by_all_of_it() {
        let long = "ä".repeat(70_000);
        let other = format!("{long}x");
        assert!(stored(&long).len() < MAX_NAMESPACE_LEN && stored(&long) != stored(&other));
        assert_eq!(stored(&stored(&long)), stored(&long));
        assert_eq!(namespace(&long), namespace(&stored(&long)));
    }
}
