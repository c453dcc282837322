//! How a value becomes bytes: MessagePack with field names, so that tools can show what a session holds.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};

/// Encodes a value as MessagePack, structs as maps of their field names.
///
/// # Errors
/// [`ErrorKind::Value`] if the value's `Serialize` fails.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(32);
    encode_to(&mut bytes, value).map(|()| bytes)
}

/// As [`encode`], behind what is there already.
pub(crate) fn encode_to<T: Serialize + ?Sized>(mut out: &mut impl std::io::Write, value: &T) -> Result<(), Error> {
    rmp_serde::encode::write_named(&mut out, value).map_err(|cause| {
        let message = format!("a value of type {} cannot be encoded", std::any::type_name::<T>());
        Error::new(ErrorKind::Value, message).because(cause)
    })
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
