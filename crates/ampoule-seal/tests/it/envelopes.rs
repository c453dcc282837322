//! Sealed content: only exact envelopes are opened.

use crate::support::{GOLDEN, OTHER, near_misses, ring};
use ampoule_seal::internal::sealed_text_len;
use proptest::prelude::*;

/// Sealed by OpenSSL's AES-GCM-SIV with the subkey of this purpose; the nonce is all fives, the associated data
/// `session`.
const GOLDEN_TEXT: &[u8] = b"AQUFBQUFBQUFBQUFBY6d16jMp2m4lq1MWAGinpbIZFo_6Snt";

#[test]
fn the_golden_envelope_is_opened() {
    let opened = ring(&[GOLDEN]).sealer("session cookie session").open_text(GOLDEN_TEXT, b"session").unwrap();
    assert_eq!((opened.plaintext.as_slice(), opened.current), (&b"content"[..], true));
}

#[test]
fn every_flipped_bit_truncation_and_extension_of_an_envelope_is_refused() {
    let sealer = ring(&[GOLDEN, OTHER]).sealer("p");
    for content in [&b""[..], b"some content", &[7; 200]] {
        let envelope = sealer.seal(content, b"name");
        assert!(sealer.open(&envelope, b"name").is_some_and(|opened| opened.plaintext == content));
        for miss in near_misses(&envelope) {
            assert!(sealer.open(&miss, b"name").is_none(), "{}", miss.escape_ascii());
        }
    }
}

#[test]
fn every_flipped_bit_truncation_and_extension_of_its_text_is_refused() {
    let sealer = ring(&[GOLDEN, OTHER]).sealer("p");
    // With these lengths the last character has zero, four and two trailing bits, which must be zero.
    for content in [&b"0123456789"[..], b"0123456789a", b"0123456789ab", &[7; 200]] {
        let text = sealer.seal_text(content, b"name");
        assert!(sealer.open_text(text.as_bytes(), b"name").is_some_and(|opened| opened.plaintext == content));
        for miss in near_misses(text.as_bytes()) {
            assert!(sealer.open_text(&miss, b"name").is_none(), "{}", miss.escape_ascii());
        }
    }
}

#[test]
fn another_purpose_other_data_or_a_signer_s_key_do_not_open() {
    let ring = ring(&[GOLDEN]);
    let envelope = ring.sealer("a").seal(b"x", b"name");
    assert!(ring.sealer("b").open(&envelope, b"name").is_none());
    for associated in [&b"nam"[..], b"names", b"Name", b"name\0", b""] {
        assert!(ring.sealer("a").open(&envelope, associated).is_none());
    }
    assert!(ring.signer("a").verify(&envelope).is_none());
}

#[test]
fn an_older_secret_opens_until_it_is_removed_and_is_not_current() {
    let envelope = ring(&[GOLDEN]).sealer("p").seal(b"content", b"");
    let opened = |secrets: &[&str]| {
        ring(secrets).sealer("p").open(&envelope, b"").map(|opened| (opened.plaintext, opened.current))
    };
    let third = "a third secret that precedes both others";
    assert_eq!(opened(&[GOLDEN, OTHER]), Some((b"content".to_vec(), true)));
    assert_eq!(opened(&[third, OTHER, GOLDEN]), Some((b"content".to_vec(), false)));
    assert_eq!(opened(&[third, OTHER]), None);
}

#[test]
fn the_same_content_is_sealed_differently_each_time() {
    let sealer = ring(&[GOLDEN]).sealer("p");
    let (first, second) = (sealer.seal(b"content", b""), sealer.seal(b"content", b""));
    assert_ne!(first[1..13], second[1..13], "the nonce");
    assert_ne!(first[13..], second[13..]);
}

proptest! {
    #[test]
    fn all_sealed_content_is_opened(plaintext in proptest::collection::vec(any::<u8>(), 0..5_000), name in "\\PC{0,40}") {
        let sealer = ring(&[GOLDEN]).sealer("p");
        let text = sealer.seal_text(&plaintext, name.as_bytes());
        prop_assert_eq!(text.len(), sealed_text_len(plaintext.len()));
        prop_assert_eq!(sealer.open_text(text.as_bytes(), name.as_bytes()).map(|opened| opened.plaintext), Some(plaintext));
    }

    #[test]
    fn random_bytes_neither_open_nor_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let sealer = ring(&[GOLDEN]).sealer("p");
        prop_assert!(sealer.open(&bytes, b"").is_none());
        prop_assert!(sealer.open_text(&bytes, b"").is_none());
        // With the right format byte the bytes reach the cipher.
        if let Some(format) = bytes.first_mut() {
            *format = 1;
        }
        prop_assert!(sealer.open(&bytes, b"").is_none());
    }
}
