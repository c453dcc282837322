//! `CacheKey`: types that can be part of a cached value's key.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ampoule_core::Bytes;

/// A type whose values can be part of a cached value's key: different values write different bytes.
///
/// Derive it for types of your own: `#[derive(CacheKey)]` (in `ampoule::cache`) writes the names of the type, of the
/// variant and of its fields, and then the fields. It is implemented for std's scalars, strings, paths, addresses,
/// tuples, arrays, slices, ordered collections and pointers to these.
///
/// It is not implemented for types without a value of their own: locks, cells, atomics, connections, `&mut` references,
/// a request, a session; nor for maps and sets without an order. Floating-point numbers are written as bits, so that
/// 0.0 and -0.0 are two keys, and every NaN is one.
///
/// ```
/// use ampoule_cache::{CacheKey, KeyWriter};
///
/// struct Page {
///     number: u32,
///     words: Vec<String>,
/// }
///
/// impl CacheKey for Page {
///     fn write_key(&self, key: &mut KeyWriter) {
///         self.number.write_key(key);
///         self.words.write_key(key);
///     }
/// }
///
/// let words = |words: &[&str]| Page { number: 1, words: words.iter().map(|word| word.to_string()).collect() };
/// assert_ne!(KeyWriter::key_of(&words(&["a", "bc"])), KeyWriter::key_of(&words(&["ab", "c"])));
/// ```
///
/// A manual implementation writes the same parts, in the same order, for every value of its type. If their number or
/// types differ, it first writes what distinguishes them, such as the number.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of the key of a cached value",
    label = "`{Self}` does not implement `CacheKey`",
    note = "derive `ampoule::cache::CacheKey` for a type of your own",
    note = "or say what the value depends on: `#[cached(key = \"...\")]`, with expressions such as `user.id` in braces",
    note = "or leave the argument out, if the value does not depend on it: `#[cached(skip = [argument])]`"
)]
pub trait CacheKey {
    /// Writes bytes that distinguish this value from all others of its type.
    fn write_key(&self, key: &mut KeyWriter);
}

/// The buffer that a [`CacheKey`] is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyWriter(Vec<u8>);

/// The first byte of a key that was written. No text starts with it, so the key differs from every text key.
const PREFIX: u8 = 0xff;

impl KeyWriter {
    /// Creates a key without parts.
    ///
    /// ```
    /// use ampoule_cache::{CacheKey, KeyWriter};
    ///
    /// let mut key = KeyWriter::new();
    /// 7_u32.write_key(&mut key);
    /// "en".write_key(&mut key);
    /// assert_eq!(key, KeyWriter::key_of(&(7_u32, "en")));
    /// ```
    pub fn new() -> KeyWriter {
        KeyWriter(vec![PREFIX])
    }

    /// Creates a key of this value alone.
    pub fn key_of(value: &(impl CacheKey + ?Sized)) -> KeyWriter {
        let mut key = KeyWriter::new();
        value.write_key(&mut key);
        key
    }

    /// Writes bytes of variable length, after their length.
    ///
    /// ```
    /// use ampoule_cache::KeyWriter;
    ///
    /// let (mut one, mut other) = (KeyWriter::new(), KeyWriter::new());
    /// one.write(b"a");
    /// one.write(b"bc");
    /// other.write(b"ab");
    /// other.write(b"c");
    /// assert_ne!(one, other);
    /// ```
    pub fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    /// Writes bytes of fixed length.
    fn write_fixed<const N: usize>(&mut self, bytes: [u8; N]) {
        self.0.extend_from_slice(&bytes);
    }

    fn write_all<'a, T: CacheKey + 'a>(&mut self, values: impl ExactSizeIterator<Item = &'a T>) {
        values.len().write_key(self);
        values.for_each(|value| value.write_key(self));
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl Default for KeyWriter {
    fn default() -> KeyWriter {
        KeyWriter::new()
    }
}

/// `$value` is a value of the type, `$written` the bytes to write.
macro_rules! implement {
    ($($type:ty: $value:ident => $written:expr;)*) => {$(
        impl CacheKey for $type {
            fn write_key(&self, key: &mut KeyWriter) {
                let $value = self;
                key.write_fixed($written);
            }
        }
    )*};
}

macro_rules! implement_numbers {
    ($($type:ty)*) => {
        implement! { $($type: number => number.to_le_bytes();)* }
        $(
            impl CacheKey for NonZero<$type> {
                fn write_key(&self, key: &mut KeyWriter) {
                    self.get().write_key(key);
                }
            }
        )*
    };
}

implement_numbers! { u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 }

implement! {
    // As wide on every machine, since processes share a store.
    usize: number => (*number as u64).to_le_bytes();
    isize: number => (*number as i64).to_le_bytes();
    f32: number => if number.is_nan() { f32::NAN } else { *number }.to_bits().to_le_bytes();
    f64: number => if number.is_nan() { f64::NAN } else { *number }.to_bits().to_le_bytes();
    bool: truth => [u8::from(*truth)];
    char: letter => u32::from(*letter).to_le_bytes();
    Ipv4Addr: address => address.octets();
    Ipv6Addr: address => address.octets();
    Duration: length => length.as_nanos().to_le_bytes();
    (): _unit => [];
}

/// Types that are written as the bytes that they hold.
macro_rules! implement_bytes {
    ($($type:ty: $value:ident => $bytes:expr;)*) => {$(
        impl CacheKey for $type {
            fn write_key(&self, key: &mut KeyWriter) {
                let $value = self;
                key.write($bytes);
            }
        }
    )*};
}

implement_bytes! {
    str: text => text.as_bytes();
    String: text => text.as_bytes();
    Bytes: bytes => bytes;
    OsStr: text => text.as_encoded_bytes();
    OsString: text => text.as_encoded_bytes();
    Path: path => path.as_os_str().as_encoded_bytes();
    PathBuf: path => path.as_os_str().as_encoded_bytes();
}

/// Types that are written as what they point to.
macro_rules! implement_pointers {
    ($($type:ty)*) => {$(
        impl<T: CacheKey + ?Sized> CacheKey for $type {
            fn write_key(&self, key: &mut KeyWriter) {
                (**self).write_key(key);
            }
        }
    )*};
}

implement_pointers! { &T Box<T> Rc<T> Arc<T> }

impl<T: CacheKey + ToOwned + ?Sized> CacheKey for Cow<'_, T> {
    fn write_key(&self, key: &mut KeyWriter) {
        (**self).write_key(key);
    }
}

impl<T: ?Sized> CacheKey for PhantomData<T> {
    fn write_key(&self, _: &mut KeyWriter) {}
}

impl<T: CacheKey> CacheKey for Option<T> {
    fn write_key(&self, key: &mut KeyWriter) {
        self.is_some().write_key(key);
        self.iter().for_each(|value| value.write_key(key));
    }
}

impl<T: CacheKey, E: CacheKey> CacheKey for Result<T, E> {
    fn write_key(&self, key: &mut KeyWriter) {
        self.is_ok().write_key(key);
        match self {
            Ok(value) => value.write_key(key),
            Err(error) => error.write_key(key),
        }
    }
}

impl CacheKey for IpAddr {
    fn write_key(&self, key: &mut KeyWriter) {
        match self {
            IpAddr::V4(address) => key.write(&address.octets()),
            IpAddr::V6(address) => key.write(&address.octets()),
        }
    }
}

impl<T: CacheKey> CacheKey for [T] {
    fn write_key(&self, key: &mut KeyWriter) {
        key.write_all(self.iter());
    }
}

impl<T: CacheKey, const N: usize> CacheKey for [T; N] {
    fn write_key(&self, key: &mut KeyWriter) {
        key.write_all(self.iter());
    }
}

impl<T: CacheKey> CacheKey for Vec<T> {
    fn write_key(&self, key: &mut KeyWriter) {
        key.write_all(self.iter());
    }
}

impl<T: CacheKey> CacheKey for BTreeSet<T> {
    fn write_key(&self, key: &mut KeyWriter) {
        key.write_all(self.iter());
    }
}

impl<K: CacheKey, V: CacheKey> CacheKey for BTreeMap<K, V> {
    fn write_key(&self, key: &mut KeyWriter) {
        self.len().write_key(key);
        for (name, value) in self {
            name.write_key(key);
            value.write_key(key);
        }
    }
}

macro_rules! implement_tuples {
    ($($name:ident)+) => {
        impl<$($name: CacheKey),+> CacheKey for ($($name,)+) {
            #[allow(non_snake_case, reason = "a part is called as its type")]
            fn write_key(&self, key: &mut KeyWriter) {
                let ($($name,)+) = self;
                $($name.write_key(key);)+
            }
        }
        implement_tuples! { @shorter $($name)+ }
    };
    (@shorter $first:ident $($rest:ident)+) => { implement_tuples! { $($rest)+ } };
    (@shorter $last:ident) => {};
}

implement_tuples! { A B C D E F G H I J K L }

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(value: impl CacheKey) -> KeyWriter {
        KeyWriter::key_of(&value)
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(key(("a", "bc")), key(("ab", "c")));
        assert_ne!(key((vec!["a"], vec!["b", "c"])), key((vec!["a", "b"], vec!["c"])));
        assert_ne!(key(vec![Vec::<u8>::new(), vec![0]]), key(vec![vec![0], Vec::new()]));
        assert_ne!(key((None::<u8>, Some(1_u8))), key((Some(1_u8), None::<u8>)));
        assert_ne!(key(Some(None::<u8>)), key(None::<Option<u8>>));
        assert_ne!(key(Ok::<u8, u8>(1)), key(Err::<u8, u8>(1)));
        assert_ne!(key(0.0_f64), key(-0.0_f64));
        assert_ne!(key(BTreeMap::from([(1_u8, "2")])), key(BTreeMap::from([(2_u8, "1")])));
        assert_ne!(key(IpAddr::from([0, 0, 0, 1])), key(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])));
    }

    #[test]
    fn pointers_write_the_value_that_they_point_to() {
        let expected = key("text");
        assert_eq!(key(Cow::Borrowed("text")), expected);
        assert_eq!(key("text".to_owned()), expected);
        assert_eq!(key(Arc::<str>::from("text")), expected);
        assert_eq!(key(Box::new(Cow::Borrowed("text"))), expected);
        assert_eq!(key(Box::new("text") as Box<dyn CacheKey>), expected);
        assert_eq!(key(7_usize), key(7_u64));
        assert_eq!(key(f64::NAN), key(-f64::NAN));
    }

    #[test]
    fn written_keys_differ_from_text_keys() {
        assert!(std::str::from_utf8(&KeyWriter::new().into_bytes()).is_err());
    }

    type Parts = (String, Vec<Option<String>>, Option<Vec<u8>>, [i16; 2], Result<bool, char>);

    fn parts() -> impl Strategy<Value = Parts> {
        let short = || "[ab]{0,3}";
        let texts = proptest::collection::vec(proptest::option::of(short()), 0..3);
        let bytes = proptest::option::of(proptest::collection::vec(0..2_u8, 0..3));
        (short(), texts, bytes, [0..2_i16, 0..2], proptest::result::maybe_ok(any::<bool>(), any::<char>()))
    }

    proptest! {
        #[test]
        fn different_values_have_different_keys(one in parts(), other in parts()) {
            prop_assert_eq!(one == other, key(&one) == key(&other));
        }
    }
}
