//! Decodes any bytes as a record: nothing panics, and a decoded record is the same after it is encoded and decoded
//! again.
#![no_main]

use ampoule_core::internal::Content;
use ampoule_core::{Bytes, ErrorKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut valid = data.to_vec();
    // A valid checksum lets the fuzzer reach the code behind its check.
    valid.extend(crc(data).to_le_bytes());
    for bytes in [Bytes::copy_from_slice(data), Bytes::from(valid)] {
        match Content::decode(bytes) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt),
            Ok(content) => assert_eq!(Content::decode(content.encode()).expect("an encoded record is valid"), content),
        }
    }
});

/// CRC-32 of IEEE 802.3, implemented again so that the target does not rely on the code that it tests.
fn crc(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
