//! What the records of a cache are called in its store.

use std::borrow::Cow;

use ampoule_core::StoreKey;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A cached value.
    Entry = 1,
    /// What the entries of a namespace must carry to count.
    Namespace = 2,
    /// The right to create a value.
    Lease = 3,
    /// What the entries with a tag must carry to count.
    Tag = 4,
    /// When what a rate limits may happen again.
    Rate = 5,
}

const KINDS: [Kind; 5] = [Kind::Entry, Kind::Namespace, Kind::Lease, Kind::Tag, Kind::Rate];

impl Kind {
    /// How the key of such a record ends: a checksum of the digest before it, and the kind. Tools know the keys of caches
    /// among others by it, and all bytes of a key are as good as random, whichever of them a store spreads its keys by.
    fn suffix(self, digest: &[u8]) -> [u8; 4] {
        let mark = u32::from_be_bytes([0xac, b'C', b'a', self as u8]);
        (crc32fast::hash(digest) ^ mark).to_be_bytes()
    }
}

/// How many bytes of a key are its digest's.
const DIGEST: usize = 28;

/// The digest of these parts. Their lengths go in too, so that no two lists of parts are one text.
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
    let suffix = kind.suffix(&bytes[..DIGEST]);
    bytes[DIGEST..].copy_from_slice(&suffix);
    StoreKey::new(bytes)
}

/// The longest namespace that is stored as it is, in bytes.
const MAX_NAMESPACE: usize = 1_000;

/// A namespace as it is stored: one that is too long is cut, and known by its digest.
pub(crate) fn stored(namespace: &str) -> Cow<'_, str> {
    if namespace.len() <= MAX_NAMESPACE {
        return namespace.into();
    }
    let start: String = namespace.chars().take(200).collect();
    format!("{start}… {}", StoreKey::digest(namespace.as_bytes())).into()
}

/// The value under a key, of the namespace and type that this digest stands for.
pub(crate) fn entry(values: StoreKey, key: &[u8]) -> StoreKey {
    record(Kind::Entry, &[b"entry", values.as_bytes(), key])
}

/// The lease to create the value of this entry. Its digest is another one, so that a store does not keep the two in one
/// place.
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

/// What kind of a cache's record this key is of; `None` for all other keys.
pub(crate) fn kind(key: StoreKey) -> Option<Kind> {
    let (digest, suffix) = key.as_bytes().split_at(DIGEST);
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
    fn a_key_says_its_kind_and_no_two_parts_run_together() {
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

    /// Whichever byte a store chooses a shard, a slot or a lock by.
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
    fn an_entry_and_its_lease_lie_in_different_places() {
        let together = (0..2_000_usize).filter(|number| {
            let entry = entry(values("a"), &number.to_le_bytes());
            entry.as_bytes()[..2] == lease(entry).as_bytes()[..2]
        });
        assert!(together.count() < 5);
    }

    #[test]
    fn a_namespace_of_any_length_is_known_by_all_of_it() {
        let long = "ä".repeat(70_000);
        let other = format!("{long}x");
        assert!(stored(&long).len() < MAX_NAMESPACE && stored(&long) != stored(&other));
        assert_eq!(stored(&stored(&long)), stored(&long));
        assert_eq!(namespace(&long), namespace(&stored(&long)));
    }
}
