//! Tokens and envelopes over the public interface: whatever is not exactly ours is rejected alike.

use ampoule_seal::{KeyRing, Secret, fingerprint, mask, random_bytes, store_digest, verify_masked};
use proptest::prelude::*;

fn ring(secrets: &[&str]) -> KeyRing {
    KeyRing::new(secrets.iter().map(|secret| Secret::new(secret).unwrap()).collect()).unwrap()
}

const SECRET: &str = "golden secret of thirty-two bytes";
const OTHER: &str = "another secret, of many more bytes than 32";

#[test]
fn a_token_has_its_golden_text() {
    let token = ring(&[SECRET]).signer("session id of session").sign(&[7; 16]);
    assert_eq!(token.as_str(), "BwcHBwcHBwcHBwcHBwcHB2_6THSBnlqZyPAtCwdf8HVdIhS9Tw1w1mrLWTYB8yT4");
}

#[test]
fn digests_have_their_golden_bytes() {
    let hex: String = store_digest(&[7; 16]).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "fc2142477050038ca232379c883713154b996f4b951196ace19da1e0b4a3b8af");
    assert_eq!(fingerprint(&[7; 16]).to_string(), "g9jxj3a9");
}

#[test]
fn every_flipped_bit_truncation_and_extension_of_a_token_is_rejected() {
    let signer = ring(&[SECRET, OTHER]).signer("p");
    let token = signer.sign(&random_bytes());
    let text = token.as_str().as_bytes();
    assert!(signer.verify(text).is_some_and(|verified| verified.current));
    for bit in 0..text.len() * 8 {
        let mut flipped = text.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(signer.verify(&flipped).is_none(), "bit {bit}");
    }
    for len in 0..text.len() {
        assert!(signer.verify(&text[..len]).is_none(), "{len} bytes");
    }
    for more in [&b"A"[..], b"=", b"==", b" ", b"AAAA"] {
        assert!(signer.verify(&[text, more].concat()).is_none());
    }
}

#[test]
fn every_flipped_bit_truncation_and_extension_of_an_envelope_is_rejected() {
    let sealer = ring(&[SECRET, OTHER]).sealer("p");
    let text = sealer.seal_text(b"some content", b"name").into_bytes();
    assert!(sealer.open_text(&text, b"name").is_some_and(|opened| opened.current && opened.plain == b"some content"));
    for bit in 0..text.len() * 8 {
        let mut flipped = text.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(sealer.open_text(&flipped, b"name").is_none(), "bit {bit}");
    }
    for len in 0..text.len() {
        assert!(sealer.open_text(&text[..len], b"name").is_none(), "{len} bytes");
    }
    assert!(sealer.open_text(&[&text[..], b"AAAA"].concat(), b"name").is_none());
    assert!(sealer.open_text(&text, b"nam").is_none() && sealer.open_text(&text, b"").is_none());
}

#[test]
fn what_is_made_for_one_purpose_proves_nothing_for_another() {
    let ring = ring(&[SECRET]);
    let token = ring.signer("a").sign(&[1; 16]);
    assert!(ring.signer("b").verify(token.as_str().as_bytes()).is_none());
    assert!(ring.sealer("b").open(&ring.sealer("a").seal(b"x", b""), b"").is_none());
}

#[test]
fn an_older_secret_still_opens_and_says_so_until_it_is_removed() {
    let (old, both, new) = (ring(&[SECRET]), ring(&[OTHER, SECRET]), ring(&[OTHER]));
    let envelope = old.sealer("p").seal(b"x", b"");
    assert!(both.sealer("p").open(&envelope, b"").is_some_and(|opened| !opened.current));
    assert!(new.sealer("p").open(&envelope, b"").is_none());
    let token = old.signer("p").sign(&[1; 16]);
    assert!(both.signer("p").verify(token.as_str().as_bytes()).is_some_and(|verified| !verified.current));
    assert!(new.signer("p").verify(token.as_str().as_bytes()).is_none());
}

#[test]
fn nothing_secret_is_printed() {
    let ring = ring(&[SECRET]);
    let (signer, sealer) = (ring.signer("p"), ring.sealer("p"));
    let opened = sealer.open(&sealer.seal(b"content", b""), b"");
    let verified = signer.verify(signer.sign(&[7; 16]).as_str().as_bytes());
    let printed = format!("{ring:?} {signer:?} {sealer:?} {:?} {opened:?} {verified:?}", signer.sign(&[7; 16]));
    let expected = "KeyRing(1 secrets) Signer(1 keys) Sealer(1 keys) Token(..) Some(Opened(7 bytes, current: true)) \
                    Some(Verified(g9jxj3a9, current: true))";
    assert_eq!(printed, expected);
}

#[test]
fn a_masked_token_is_recognised_and_no_other() {
    let token = random_bytes();
    let text = mask(&token);
    assert!(verify_masked(&token, text.as_bytes()));
    assert!(!verify_masked(&random_bytes(), text.as_bytes()));
    for len in 0..text.len() {
        assert!(!verify_masked(&token, &text.as_bytes()[..len]));
    }
}

proptest! {
    #[test]
    fn whatever_is_sealed_is_opened(plain in proptest::collection::vec(any::<u8>(), 0..5_000), name in "\\PC{0,40}") {
        let sealer = ring(&[SECRET]).sealer("p");
        let text = sealer.seal_text(&plain, name.as_bytes());
        prop_assert_eq!(text.len(), ampoule_seal::sealed_text_len(plain.len()));
        prop_assert_eq!(sealer.open_text(text.as_bytes(), name.as_bytes()).map(|opened| opened.plain), Some(plain));
    }

    #[test]
    fn no_bytes_verify_or_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let ring = ring(&[SECRET]);
        prop_assert!(ring.signer("p").verify(&bytes).is_none());
        prop_assert!(ring.sealer("p").open(&bytes, b"").is_none());
        prop_assert!(ring.sealer("p").open_text(&bytes, b"").is_none());
    }
}
