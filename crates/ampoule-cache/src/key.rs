//! What the records of a cache are called in its store.

use std::borrow::Cow;

use ampoule_core::StoreKey;

/// How the keys of all records of caches end, so that tools know them among others; the last byte is the kind.
const MARK: [u8; 3] = *b"\xacCa";

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A cached value.
    Entry = 1,
    /// What the entries of a namespace or a tag must carry to count.
    Generation = 2,
    /// Who is creating a value.
    Lease = 3,
}

/// The key for these parts. Their lengths go in too, so that no two lists of parts are one text.
fn digest(kind: Kind, parts: &[&[u8]]) -> StoreKey {
    let mut text = Vec::with_capacity(128);
    for part in parts {
        text.extend_from_slice(&(part.len() as u64).to_le_bytes());
        text.extend_from_slice(part);
    }
    of_kind(StoreKey::digest(&text), kind)
}

fn of_kind(key: StoreKey, kind: Kind) -> StoreKey {
    let mut bytes = *key.as_bytes();
    bytes[28..31].copy_from_slice(&MARK);
    bytes[31] = kind as u8;
    StoreKey::new(bytes)
}

/// The longest namespace that is stored as it is, in bytes.
const LONGEST: usize = 1_000;

/// A namespace as it is stored: one that is too long is cut, and known by its digest.
pub(crate) fn stored(namespace: &str) -> Cow<'_, str> {
    if namespace.len() <= LONGEST {
        return namespace.into();
    }
    let start: String = namespace.chars().take(200).collect();
    format!("{start}… {}", StoreKey::digest(namespace.as_bytes())).into()
}

/// The value under a key of a namespace, of this shape.
pub(crate) fn entry(namespace: &str, shape: &[u8; 32], key: &str) -> StoreKey {
    digest(Kind::Entry, &[b"entry", namespace.as_bytes(), shape, key.as_bytes()])
}

/// The lease to create the value of this entry.
pub(crate) fn lease(entry: StoreKey) -> StoreKey {
    of_kind(entry, Kind::Lease)
}

/// The generation of a namespace, whatever the types of its values.
pub(crate) fn namespace(namespace: &str) -> StoreKey {
    digest(Kind::Generation, &[b"namespace", stored(namespace).as_bytes()])
}

/// The generation of a tag, in any namespace.
pub(crate) fn tag(tag: &str) -> StoreKey {
    digest(Kind::Generation, &[b"tag", tag.as_bytes()])
}

/// What kind of a cache's record this key is of; `None` for all other keys.
pub(crate) fn kind(key: StoreKey) -> Option<Kind> {
    let [mark @ .., kind] = key.as_bytes().last_chunk::<4>()?;
    let kinds = [Kind::Entry, Kind::Generation, Kind::Lease];
    kinds.into_iter().find(|known| *mark == MARK && *known as u8 == *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_its_kind_and_no_two_parts_run_together() {
        let one = entry("a", &[0; 32], "bc");
        assert_eq!(
            (kind(one), kind(lease(one)), kind(tag("t"))),
            (Some(Kind::Entry), Some(Kind::Lease), Some(Kind::Generation))
        );
        assert_eq!(kind(StoreKey::digest(b"a session")), None);
        assert_ne!(entry("ab", &[0; 32], "c"), entry("a", &[0; 32], "bc"));
        assert_ne!(entry("a", &[0; 32], "c"), entry("a", &[1; 32], "c"));
        assert_ne!(namespace("x"), tag("x"));
    }

    #[test]
    fn a_namespace_of_any_length_is_known_by_all_of_it() {
        let long = "ä".repeat(70_000);
        let other = format!("{long}x");
        assert!(stored(&long).len() < LONGEST && stored(&long) != stored(&other));
        assert_eq!(stored(&stored(&long)), stored(&long));
        assert_eq!(namespace(&long), namespace(&stored(&long)));
    }
}
