//! A digest of a type's schema as serde sees it. It is part of the key of the type's values, so that a program whose
//! type has other fields does not read what the program before it wrote.
//!
//! A deserializer records every call and returns empty values, and so walks through the type: names of structs, fields
//! and variants, and the types in them. Of an enum it records the names of all variants and the content of the first.
//! It stops where a type refuses an empty value, always at the same place.

use std::fmt;

use ampoule_core::StoreKey;
use serde::Deserializer;
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

type Refused = serde::de::value::Error;

/// The depth and length of the walk: types may contain themselves.
const MAX_DEPTH: u8 = 8;
const MAX_STEPS: u16 = 2_000;

/// The digest of a type's name and schema.
pub(crate) fn schema_fingerprint<T: DeserializeOwned>() -> [u8; 32] {
    let mut notes = Notes { text: format!("{}:", std::any::type_name::<T>()), steps: 0 };
    let refused = T::deserialize(Walk { notes: &mut notes, depth: 0 }).is_err();
    if refused {
        notes.text.push('!');
    }
    *StoreKey::digest(notes.text.as_bytes()).as_bytes()
}

struct Notes {
    text: String,
    steps: u16,
}

struct Walk<'a> {
    notes: &'a mut Notes,
    depth: u8,
}

impl Walk<'_> {
    fn note(&mut self, what: impl fmt::Display) -> Result<(), Refused> {
        self.notes.steps += 1;
        if self.notes.steps > MAX_STEPS || self.depth > MAX_DEPTH {
            return Err(Refused::custom("far enough"));
        }
        self.notes.text.push_str(&what.to_string());
        self.notes.text.push(' ');
        Ok(())
    }

    fn inside(&mut self) -> Walk<'_> {
        Walk { depth: self.depth + 1, notes: self.notes }
    }

    /// Whether to look into an optional part.
    fn may_recurse(&self) -> bool {
        self.depth < MAX_DEPTH && self.notes.steps < MAX_STEPS / 2
    }
}

/// Types for which one empty value is returned.
macro_rules! simple {
    ($($deserialize:ident $visit:ident $empty:expr;)*) => {$(
        fn $deserialize<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
            self.note(stringify!($visit))?;
            visitor.$visit($empty)
        }
    )*};
}

impl<'de> Deserializer<'de> for Walk<'_> {
    type Error = Refused;

    simple! {
        deserialize_bool visit_bool false;
        deserialize_i8 visit_i8 0;
        deserialize_i16 visit_i16 0;
        deserialize_i32 visit_i32 0;
        deserialize_i64 visit_i64 0;
        deserialize_i128 visit_i128 0;
        deserialize_u8 visit_u8 0;
        deserialize_u16 visit_u16 0;
        deserialize_u32 visit_u32 0;
        deserialize_u64 visit_u64 0;
        deserialize_u128 visit_u128 0;
        deserialize_f32 visit_f32 0.0;
        deserialize_f64 visit_f64 0.0;
        deserialize_char visit_char 'a';
        deserialize_str visit_borrowed_str "";
        deserialize_string visit_string String::new();
        deserialize_bytes visit_borrowed_bytes b"";
        deserialize_byte_buf visit_byte_buf Vec::new();
        deserialize_identifier visit_borrowed_str "";
    }

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        self.note("any")?;
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_any(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        self.note("unit")?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(mut self, name: &'static str, visitor: V) -> Result<V::Value, Refused> {
        self.note(format_args!("unit {name}"))?;
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        self.note("option")?;
        if self.may_recurse() { visitor.visit_some(self.inside()) } else { visitor.visit_none() }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.note(format_args!("newtype {name}"))?;
        visitor.visit_newtype_struct(self.inside())
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        self.note("seq")?;
        let left = usize::from(self.may_recurse());
        visitor.visit_seq(Parts { walk: self.inside(), names: [].iter(), left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(mut self, left: usize, visitor: V) -> Result<V::Value, Refused> {
        self.note(format_args!("tuple {left}"))?;
        visitor.visit_seq(Parts { walk: self.inside(), names: [].iter(), left })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.note(format_args!("tuple {name} {left}"))?;
        visitor.visit_seq(Parts { walk: self.inside(), names: [].iter(), left })
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        self.note("map")?;
        let left = usize::from(self.may_recurse());
        visitor.visit_map(Parts { walk: self.inside(), names: [].iter(), left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.note(format_args!("struct {name} {fields:?}"))?;
        visitor.visit_map(Parts { walk: self.inside(), names: fields.iter(), left: 0 })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.note(format_args!("enum {name} {variants:?}"))?;
        visitor.visit_enum(Parts { walk: self.inside(), names: variants.iter(), left: 0 })
    }

    /// As for MessagePack, in which the values are stored.
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The parts inside: a number of them, or those of these names.
struct Parts<'a> {
    walk: Walk<'a>,
    names: std::slice::Iter<'static, &'static str>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Parts<'_> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(Walk { notes: self.walk.notes, depth: self.walk.depth }).map(Some)
    }
}

impl<'de> MapAccess<'de> for Parts<'_> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refused> {
        if let Some(name) = self.names.next() {
            let name: StrDeserializer<'_, Refused> = name.into_deserializer();
            return seed.deserialize(name).map(Some);
        }
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(Walk { notes: self.walk.notes, depth: self.walk.depth }).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refused> {
        seed.deserialize(Walk { notes: self.walk.notes, depth: self.walk.depth })
    }
}

impl<'de> EnumAccess<'de> for Parts<'_> {
    type Error = Refused;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(mut self, seed: V) -> Result<(V::Value, Self), Refused> {
        let first = self.names.next().ok_or_else(|| Refused::custom("an enum without variants"))?;
        let first: StrDeserializer<'_, Refused> = (*first).into_deserializer();
        Ok((seed.deserialize(first)?, self))
    }
}

impl<'de> VariantAccess<'de> for Parts<'_> {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refused> {
        seed.deserialize(self.walk)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Refused> {
        self.walk.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Refused> {
        self.walk.deserialize_struct("", fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use serde::Deserialize;

    mod before {
        use serde::Deserialize;

        #[derive(Deserialize)]
        #[allow(dead_code, reason = "for its schema")]
        pub(super) struct Article {
            title: String,
            tags: Vec<String>,
            author: Option<Author>,
        }

        #[derive(Deserialize)]
        #[allow(dead_code, reason = "for its schema")]
        pub(super) struct Author {
            name: String,
        }
    }

    /// The notes of types of one name that differ deep inside, as those of two deployments do.
    fn notes<T: DeserializeOwned>() -> String {
        let mut notes = Notes { text: String::new(), steps: 0 };
        let _ = T::deserialize(Walk { notes: &mut notes, depth: 0 });
        notes.text
    }

    #[test]
    fn an_added_field_changes_the_fingerprint_at_any_depth() {
        #[derive(Deserialize)]
        #[allow(dead_code, reason = "for its schema")]
        struct Article {
            title: String,
            tags: Vec<String>,
            author: Option<Author>,
        }

        #[derive(Deserialize)]
        #[allow(dead_code, reason = "for its schema")]
        struct Author {
            name: String,
            age: u8,
        }

        assert_ne!(notes::<Article>(), notes::<before::Article>());
        assert!(notes::<before::Article>().contains("struct Author [\"name\"]"));
    }

    #[test]
    fn inner_types_count_too() {
        assert_ne!(notes::<Vec<u8>>(), notes::<Vec<u16>>());
        assert_ne!(notes::<HashMap<String, u8>>(), notes::<HashMap<String, bool>>());
        assert_ne!(notes::<(u8, Option<i64>)>(), notes::<(u8, Option<f64>)>());
        assert_ne!(notes::<Result<u8, String>>(), notes::<Result<i8, String>>());
        assert_ne!(schema_fingerprint::<String>(), schema_fingerprint::<Box<str>>());
        assert_eq!(schema_fingerprint::<before::Article>(), schema_fingerprint::<before::Article>());
    }

    #[test]
    fn the_walk_of_a_recursive_type_ends() {
        #[derive(Deserialize)]
        #[allow(dead_code, reason = "for its schema")]
        struct Tree {
            left: Vec<Tree>,
            middle: Vec<Tree>,
            right: Option<Box<Tree>>,
            more: HashMap<String, Tree>,
        }

        #[derive(Deserialize)]
        #[allow(dead_code, reason = "for its schema")]
        enum Endless {
            Deeper(Box<Endless>),
            Leaf,
        }

        assert!(notes::<Tree>().len() < 200_000);
        assert!(notes::<Endless>().contains("Leaf"));
    }
}
