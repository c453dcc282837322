//! How a value is encoded: MessagePack with field names, so that tools can show what a session contains.

mod readable;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::error::{Error, ErrorKind};

/// How deep lists and maps may be nested, as in `serde_json`: decoding 1,000 levels overflows a thread's stack.
const MAX_DEPTH: usize = 128;

/// The first bytes of a 128-bit integer, which rmp-serde writes as 16 bytes, since MessagePack has none.
const INT128_HEAD: [u8; 2] = [0xc4, 16];

/// Encodes a value as MessagePack, structs as maps of their field names.
///
/// # Errors
/// [`ErrorKind::Value`] if the value's `Serialize` fails, or if [`decode`] could not read its output.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(32);
    write(&mut bytes, value)?;
    check(&bytes, value)?;
    Ok(bytes)
}

/// Appends what [`encode`] returns.
pub(crate) fn encode_to<T: Serialize + ?Sized>(out: &mut SmallVec<[u8; 32]>, value: &T) -> Result<(), Error> {
    let start = out.len();
    write(&mut *out, value)?;
    check(&out[start..], value)
}

fn write<T: Serialize + ?Sized>(mut out: impl std::io::Write, value: &T) -> Result<(), Error> {
    rmp_serde::encode::write_named(&mut out, value).map_err(|cause| value_error::<T>("encoded").because(cause))
}

/// Refuses what [`decode`] could not read. For flat values without a 128-bit integer this only inspects their bytes.
fn check<T: Serialize + ?Sized>(bytes: &[u8], value: &T) -> Result<(), Error> {
    if bytes.iter().filter(|byte| matches!(byte, 0x80..=0x9f | 0xdc..=0xdf)).count() > MAX_DEPTH {
        let mut decoder = rmp_serde::Deserializer::from_read_ref(bytes);
        decoder.set_max_depth(MAX_DEPTH);
        IgnoredAny::deserialize(&mut decoder).map_err(|cause| value_error::<T>("read back").because(cause))?;
    }
    if bytes.windows(INT128_HEAD.len()).any(|pair| pair == INT128_HEAD) {
        readable::check(value).map_err(|cause| value_error::<T>("read back").because(cause))?;
    }
    Ok(())
}

fn value_error<T: ?Sized>(verb: &str) -> Error {
    let name = std::any::type_name::<T>().trim_start_matches('&');
    Error::new(ErrorKind::Value, format!("a value of type {name} cannot be {verb}"))
}

/// Decodes what [`encode`] wrote.
///
/// # Errors
/// [`ErrorKind::Value`] if the bytes are not of that type.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    rmp_serde::from_slice(bytes).map_err(|cause| {
        let message = format!("the stored value is not of type {}", std::any::type_name::<T>());
        Error::new(ErrorKind::Value, message).because(cause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_type_is_an_error_that_names_it() {
        let bytes = encode("text").unwrap();
        assert_eq!(decode::<String>(&bytes).unwrap(), "text");
        let error = decode::<u32>(&bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Value);
        assert!(error.to_string().starts_with("the stored value is not of type u32"), "{error}");
    }
}
