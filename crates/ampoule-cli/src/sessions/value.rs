//! Converts stored values of any type to JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rmpv::Value as Packed;
use serde_json::{Map, Value, json};

/// The maximum nesting of values: deeper than programs nest them, shallow enough for the stack.
const MAX_DEPTH: usize = 100;

/// Converts MessagePack to JSON. Bytes become `{"$bytes": base64}`, extensions `{"$ext": type, "$bytes": …}`, and
/// undecodable bytes `{"$undecodable": base64, "$why": …}`.
pub(super) fn to_json(bytes: &[u8]) -> Value {
    let mut rest = bytes;
    match rmpv::decode::read_value_with_max_depth(&mut rest, MAX_DEPTH) {
        Ok(value) if rest.is_empty() => unpacked(value),
        Ok(_) => undecodable(bytes, "bytes follow its end"),
        Err(error) => undecodable(bytes, &error.to_string()),
    }
}

fn undecodable(bytes: &[u8], why: &str) -> Value {
    json!({ "$undecodable": STANDARD.encode(bytes), "$why": why })
}

fn raw(bytes: &[u8]) -> Value {
    json!({ "$bytes": STANDARD.encode(bytes) })
}

fn unpacked(value: Packed) -> Value {
    match value {
        Packed::Nil => Value::Null,
        Packed::Boolean(value) => value.into(),
        Packed::Integer(value) => match (value.as_u64(), value.as_i64()) {
            (Some(value), _) => value.into(),
            (None, value) => value.into(),
        },
        // Through text, so that 0.1 does not become 0.10000000149011612.
        Packed::F32(value) => float(value.to_string().parse().unwrap_or_else(|_| value.into())),
        Packed::F64(value) => float(value),
        Packed::String(text) => text.as_str().map_or_else(|| raw(text.as_bytes()), Value::from),
        Packed::Binary(bytes) => raw(&bytes),
        Packed::Array(values) => values.into_iter().map(unpacked).collect(),
        Packed::Map(entries) => Value::Object(entries.into_iter().map(entry).collect::<Map<_, _>>()),
        Packed::Ext(kind, bytes) => json!({ "$ext": kind, "$bytes": STANDARD.encode(bytes) }),
    }
}

/// JSON has no infinities.
fn float(value: f64) -> Value {
    if value.is_finite() { value.into() } else { value.to_string().into() }
}

/// A key that is not a string becomes its JSON text.
fn entry((key, value): (Packed, Packed)) -> (String, Value) {
    let key = match unpacked(key) {
        Value::String(text) => text,
        other => other.to_string(),
    };
    (key, unpacked(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_json() {
        let table: &[(&[u8], Value)] = &[
            (b"\xc0", Value::Null),
            (b"\xc3", json!(true)),
            (b"\xff", json!(-1)),
            (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", json!(u64::MAX)),
            (b"\xca\x3d\xcc\xcc\xcd", json!(0.1)),
            (b"\xcb\x7f\xf0\0\0\0\0\0\0", json!("inf")),
            (b"\xa2hi", json!("hi")),
            (b"\xa1\xff", json!({ "$bytes": "/w==" })),
            (b"\xc4\x02\x01\x02", json!({ "$bytes": "AQI=" })),
            (b"\x92\x01\xa1a", json!([1, "a"])),
            (b"\x82\xa1b\x01\x02\x03", json!({ "b": 1, "2": 3 })),
            (b"\xd4\x07\x09", json!({ "$ext": 7, "$bytes": "CQ==" })),
        ];
        for (bytes, expected) in table {
            assert_eq!(to_json(bytes), *expected);
        }
    }

    #[test]
    fn undecodable_values_are_marked() {
        for bytes in [&b""[..], b"\x92\x01", b"\x01\x02", &[0x91; 5_000]] {
            let value = to_json(bytes);
            assert_eq!(value["$undecodable"], STANDARD.encode(bytes), "{value}");
            assert!(value["$why"].as_str().is_some_and(|why| !why.is_empty()), "{value}");
        }
    }
}
