//! A serializer that writes nothing, and checks whether the value could be deserialized.
//!
//! Serde reads an internally tagged enum (`#[serde(tag)]`) and a flattened struct from a buffer that cannot hold
//! 128-bit integers, whatever the format. The derived code writes the tag, or the name of a flattened field, as a plain
//! `str`; a field or map of the user's own arrives as a reference to its type, `&str` or `String`.

use std::any::type_name;
use std::fmt;

use serde::ser::{self, Serialize, Serializer};

/// Checks that `value` could be deserialized.
pub(super) fn check<T: Serialize + ?Sized>(value: &T) -> Result<(), Unreadable> {
    value.serialize(Check { buffered: false })
}

/// The error for a value that could not be deserialized.
#[derive(Debug)]
pub(super) struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "serde cannot read a 128-bit integer in an enum with #[serde(tag)] or a struct with #[serde(flatten)]; \
             store it as text or as two integers of 64 bits",
        )
    }
}

impl std::error::Error for Unreadable {}

impl ser::Error for Unreadable {
    fn custom<T: fmt::Display>(_: T) -> Unreadable {
        Unreadable
    }
}

/// The serializer of one value; `buffered` is whether serde reads it through its buffer. As a compound, the serializer
/// of its fields.
#[derive(Clone, Copy)]
struct Check {
    buffered: bool,
}

impl Check {
    fn int128(self) -> Result<(), Unreadable> {
        if self.buffered { Err(Unreadable) } else { Ok(()) }
    }

    /// Notes that a tag, or the name of a flattened field, was written.
    fn note<T: ?Sized>(&mut self) {
        self.buffered |= type_name::<T>() == type_name::<str>();
    }
}

/// Methods of a serializer that accept their values as they are.
macro_rules! accept {
    ($($method:ident($($argument:ty),*))*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<(), Unreadable> { Ok(()) })*
    };
}

/// Methods of a serializer that begin a compound value.
macro_rules! begin {
    ($($method:ident -> $compound:ident($($argument:ty),*))*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<Check, Unreadable> { Ok(self) })*
    };
}

impl Serializer for Check {
    type Ok = ();
    type Error = Unreadable;
    type SerializeSeq = Check;
    type SerializeTuple = Check;
    type SerializeTupleStruct = Check;
    type SerializeTupleVariant = Check;
    type SerializeMap = Check;
    type SerializeStruct = Check;
    type SerializeStructVariant = Check;

    accept! {
        serialize_bool(bool) serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_f32(f32) serialize_f64(f64)
        serialize_char(char) serialize_str(&str) serialize_bytes(&[u8]) serialize_none() serialize_unit()
        serialize_unit_struct(&'static str) serialize_unit_variant(&'static str, u32, &'static str)
    }

    begin! {
        serialize_seq -> SerializeSeq(Option<usize>)
        serialize_tuple -> SerializeTuple(usize)
        serialize_tuple_struct -> SerializeTupleStruct(&'static str, usize)
        serialize_tuple_variant -> SerializeTupleVariant(&'static str, u32, &'static str, usize)
        serialize_map -> SerializeMap(Option<usize>)
        serialize_struct -> SerializeStruct(&'static str, usize)
        serialize_struct_variant -> SerializeStructVariant(&'static str, u32, &'static str, usize)
    }

    fn serialize_i128(self, _: i128) -> Result<(), Unreadable> {
        self.int128()
    }

    fn serialize_u128(self, _: u128) -> Result<(), Unreadable> {
        self.int128()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unreadable> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Unreadable> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unreadable> {
        value.serialize(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Compounds whose elements have no names.
macro_rules! elements {
    ($($compound:ident $method:ident)*) => {
        $(impl ser::$compound for Check {
            type Ok = ();
            type Error = Unreadable;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unreadable> {
                value.serialize(*self)
            }

            fn end(self) -> Result<(), Unreadable> {
                Ok(())
            }
        })*
    };
}

elements! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

/// Compounds whose fields have names.
macro_rules! fields {
    ($($compound:ident)*) => {
        $(impl ser::$compound for Check {
            type Ok = ();
            type Error = Unreadable;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Result<(), Unreadable> {
                self.note::<T>();
                value.serialize(*self)
            }

            fn end(self) -> Result<(), Unreadable> {
                Ok(())
            }
        })*
    };
}

fields! { SerializeStruct SerializeStructVariant }

impl ser::SerializeMap for Check {
    type Ok = ();
    type Error = Unreadable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unreadable> {
        key.serialize(*self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unreadable> {
        value.serialize(*self)
    }

    fn serialize_entry<K, V>(&mut self, key: &K, value: &V) -> Result<(), Unreadable>
    where
        K: Serialize + ?Sized,
        V: Serialize + ?Sized,
    {
        self.note::<K>();
        key.serialize(*self)?;
        value.serialize(*self)
    }

    fn end(self) -> Result<(), Unreadable> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::check;

    #[derive(Serialize)]
    struct Plain<'a> {
        kind: &'a str,
        number: u128,
    }

    #[derive(Serialize)]
    #[serde(tag = "kind", content = "value")]
    enum Adjacent {
        Wide(u128),
    }

    #[derive(Serialize)]
    #[serde(tag = "kind")]
    enum Internal {
        Map(std::collections::BTreeMap<String, u128>),
        Narrow { number: u64 },
    }

    #[test]
    fn a_128_bit_integer_is_unreadable_only_behind_a_tag() {
        let map = std::collections::BTreeMap::from([("a".to_owned(), 1)]);
        assert!(check(&Plain { kind: "Wide", number: 1 }).is_ok());
        assert!(check(&std::collections::BTreeMap::from([("a", 1_u128)])).is_ok());
        assert!(check(&Adjacent::Wide(1)).is_ok());
        assert!(check(&Internal::Narrow { number: 1 }).is_ok());
        assert!(check(&(Internal::Narrow { number: 1 }, 1_u128)).is_ok());
        assert!(check(&Internal::Map(map)).is_err());
    }
}
