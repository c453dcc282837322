//! Tokens: only exact tokens are verified.

use crate::support::{GOLDEN, OTHER, near_misses, ring};
use ampoule_seal::Credential;
use ampoule_seal::internal::random_bytes;
use proptest::prelude::*;

const ONE: fn() -> Credential = || Credential::new([1; 16], [2; 16]);

#[test]
fn a_token_has_its_golden_text() {
    let token = ring(&[GOLDEN]).signer("session token of session").sign(&Credential::new([7; 16], [9; 16]));
    // Computed with the `hmac` and `hashlib` of Python.
    assert_eq!(token.as_str(), "BwcHBwcHBwcHBwcHBwcHBwkJCQkJCQkJCQkJCQkJCQkLaoD7Fw8pPYV5zosfnPDp");
}

#[test]
fn every_flipped_bit_truncation_and_extension_of_a_token_is_refused() {
    let signer = ring(&[GOLDEN, OTHER]).signer("p");
    for credential in [Credential::random(), Credential::new([0; 16], [255; 16])] {
        let token = signer.sign(&credential);
        assert!(signer.verify(token.as_bytes()).is_some_and(|verified| verified.digest == credential.digest()));
        for miss in near_misses(token.as_str().as_bytes()) {
            assert!(signer.verify(&miss).is_none(), "{}", miss.escape_ascii());
        }
    }
}

#[test]
fn a_token_in_the_alphabet_of_plain_base64_is_refused() {
    let signer = ring(&[GOLDEN]).signer("p");
    let credentials = (0..64).map(|byte| Credential::new([byte | 0xc0; 16], [byte; 16]));
    let with_both = |text: &str| text.contains('-') && text.contains('_');
    let token = credentials.map(|credential| signer.sign(&credential)).find(|token| with_both(token.as_str())).unwrap();
    for (url_safe, plain) in [("-", "+"), ("_", "/")] {
        assert!(signer.verify(token.as_str().replace(url_safe, plain).as_bytes()).is_none());
    }
}

#[test]
fn another_purpose_or_a_sealer_s_key_do_not_verify() {
    let ring = ring(&[GOLDEN]);
    let token = ring.signer("session token of a").sign(&ONE());
    for purpose in ["session token of b", "session token of A", "session token of ", "session token of a ", ""] {
        assert!(ring.signer(purpose).verify(token.as_str().as_bytes()).is_none(), "{purpose:?}");
    }
    assert!(ring.sealer("session token of a").open_text(token.as_str().as_bytes(), b"").is_none());
}

#[test]
fn an_older_secret_verifies_until_it_is_removed_and_is_not_current() {
    let token = ring(&[GOLDEN]).signer("p").sign(&ONE());
    let current = |secrets: &[&str]| {
        let verified = ring(secrets).signer("p").verify(token.as_str().as_bytes());
        verified.map(|verified| (verified.credential.id(), verified.current))
    };
    assert_eq!(current(&[GOLDEN, OTHER]), Some(([1; 16], true)));
    assert_eq!(current(&[OTHER, GOLDEN]), Some(([1; 16], false)));
    assert_eq!(current(&[OTHER]), None);
}

#[test]
fn signing_and_verifying_do_not_allocate() {
    let signer = ring(&[OTHER, GOLDEN]).signer("p");
    let old = ring(&[GOLDEN]).signer("p").sign(&ONE());
    // The first random id of a thread creates its generator, which allocates.
    let credential = Credential::random();
    let allocations = allocation_counter::measure(|| {
        let token = signer.sign(&credential);
        assert!(signer.verify(token.as_str().as_bytes()).is_some());
        assert!(signer.verify(old.as_str().as_bytes()).is_some_and(|verified| !verified.current));
        assert!(signer.verify(&[b'A'; 64]).is_none());
    });
    assert_eq!(allocations.count_total, 0);
    assert_eq!(
        allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1)))).count_total,
        1,
        "the counter does not count"
    );
}

proptest! {
    #[test]
    fn every_signed_credential_is_verified(id: [u8; 16], secret: [u8; 16], purpose in "\\PC{0,40}") {
        let signer = ring(&[GOLDEN]).signer(&purpose);
        let verified = signer.verify(signer.sign(&Credential::new(id, secret)).as_bytes());
        prop_assert_eq!(verified.map(|verified| (verified.credential.id(), verified.current)), Some((id, true)));
    }

    #[test]
    fn random_bytes_neither_verify_nor_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(ring(&[GOLDEN]).signer("p").verify(&bytes).is_none());
    }

    #[test]
    fn a_random_text_of_the_right_form_does_not_verify(text in "[A-Za-z0-9_-]{64}") {
        prop_assert!(ring(&[GOLDEN, OTHER]).signer("p").verify(text.as_bytes()).is_none());
    }
}

#[test]
fn random_bytes_fill_every_length() {
    assert_eq!(random_bytes::<0>().len(), 0);
    // 64 zero bytes in a row do not happen by chance.
    assert!(random_bytes::<1_000>().chunks(64).all(|chunk| chunk.iter().any(|&byte| byte != 0)));
}
