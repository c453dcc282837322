//! Any bytes as a record: nothing panics, and what is read is written and read again as the same.
#![no_main]

use ampoule_core::internal::Content;
use ampoule_core::{Bytes, ErrorKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut signed = data.to_vec();
    // With a checksum that fits, the fuzzer gets past it.
    signed.extend(crc(data).to_le_bytes());
    for bytes in [Bytes::copy_from_slice(data), Bytes::from(signed)] {
        match Content::decode(bytes) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt),
            Ok(content) => assert_eq!(Content::decode(content.encode()).expect("what we wrote we read"), content),
        }
    }
});

/// CRC-32 of IEEE 802.3, written once more so that the target does not trust the code that it tests.
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
