//! Which secrets are refused, and what is never printed.

mod support;

use ampoule_seal::{KeyRing, Secret, Weakness, fingerprint, mask, random_bytes, store_digest, verify_masked};
use proptest::prelude::*;
use support::{GOLDEN, OTHER, near_misses, ring};

#[test]
fn weak_secrets_are_refused_with_the_reason() {
    let cases = [
        ("", Weakness::Short { bytes: 0 }),
        ("somesecret", Weakness::Short { bytes: 10 }),
        ("i_wear_two_layers_of_socks", Weakness::Short { bytes: 26 }),
        ("3sB7cNq1vJ8kT4xWfH2mZ6yRdL9pGaU", Weakness::Short { bytes: 31 }),
        ("I_wear_two_layers_of_socks and one more", Weakness::Known),
        ("development-only-secret-change-me-please", Weakness::Known),
        ("\"somesecret\"                        ", Weakness::Known),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Weakness::Uniform),
        ("abcdefgabcdefggfedcbaabcdefgaabb", Weakness::Uniform),
        ("hunter2!1hunter2!1hunter2!1hunter2!1hun", Weakness::Uniform),
    ];
    for (text, weakness) in cases {
        assert_eq!(Secret::new(text).unwrap_err(), weakness, "{text}");
    }
}

#[test]
fn good_secrets_of_every_usual_form_are_taken() {
    let fresh = Secret::generate();
    assert_eq!(fresh.len(), 43);
    assert_ne!(*fresh, *Secret::generate());
    let (hex, digits, uuid) = (
        "5d41402abc4b2a76b9719d911017c592",
        "31415926535897932384626433832795",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    );
    for text in [fresh.as_str(), "3sB7cNq1vJ8kT4xWfH2mZ6yRdL9pGaUe", hex, digits, uuid, "ein längeres Geheimnis mit Ü"]
    {
        assert_eq!(
            Secret::new(text).err(),
            (text.len() < 32).then_some(Weakness::Short { bytes: text.len() }),
            "{text}"
        );
    }
}

#[test]
fn a_message_says_what_is_needed_and_how_to_get_it_but_never_the_secret() {
    let message = Secret::new("hunter2").unwrap_err().to_string();
    let expected = "the secret has 7 bytes, where at least 32 are needed; `ampoule make-config` writes an ini file with a good one";
    assert_eq!(message, expected);
    for secret in ["somesecret_somesecret_somesecret_", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        let message = Secret::new(secret).unwrap_err().to_string();
        assert!(message.contains("make-config") && !message.contains(&secret[..8]), "{message}");
    }
}

#[test]
fn a_weak_secret_works_where_it_is_asked_for_by_name() {
    assert!(Secret::insecure_weak("").is_none());
    let ring = KeyRing::new(vec![Secret::insecure_weak("somesecret").unwrap()]).unwrap();
    assert!(ring.signer("p").verify(ring.signer("p").sign(&[7; 16]).as_str().as_bytes()).is_some());
}

#[test]
fn a_ring_without_secrets_is_refused() {
    assert!(KeyRing::new(Vec::new()).unwrap_err().to_string().contains("make-config"));
}

#[test]
fn secrets_are_equal_by_their_bytes() {
    assert_eq!(Secret::new(GOLDEN), Secret::new(GOLDEN.as_bytes()));
    assert_ne!(Secret::new(GOLDEN), Secret::new(OTHER));
    assert_ne!(Secret::new(GOLDEN), Secret::new(&GOLDEN.as_bytes()[1..]));
}

#[test]
fn nothing_secret_is_printed() {
    let ring = ring(&[GOLDEN]);
    let (signer, sealer, secret) = (ring.signer("p"), ring.sealer("p"), Secret::new(GOLDEN));
    let token = signer.sign(&[7; 16]);
    let opened = sealer.open(&sealer.seal(b"content", b""), b"");
    let verified = signer.verify(token.as_str().as_bytes());
    let printed = format!("{secret:?} {ring:?} {signer:?} {sealer:?} {token:?} {opened:?} {verified:?}");
    let expected = "Ok(Secret(..)) KeyRing(1 secrets) Signer(1 keys) Sealer(1 keys) Token(..) \
                    Some(Opened(7 bytes, current: true)) Some(Verified(g9jxj3a9, current: true))";
    assert_eq!(printed, expected);
}

#[test]
fn digests_have_their_golden_bytes() {
    // Computed with the `hashlib` of Python.
    let hex: String = store_digest(&[7; 16]).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "fc2142477050038ca232379c883713154b996f4b951196ace19da1e0b4a3b8af");
    assert_eq!(fingerprint(&[7; 16]).to_string(), "g9jxj3a9");
    assert_eq!(format!("{:>10}|", fingerprint(&[7; 16])), "  g9jxj3a9|");
}

#[test]
fn a_masked_token_is_recognised_and_no_other() {
    let token = random_bytes();
    let text = mask(&token);
    assert_eq!(text.len(), 86);
    assert!(verify_masked(&token, text.as_bytes()));
    assert!(!verify_masked(&random_bytes(), text.as_bytes()));
    for miss in near_misses(text.as_bytes()) {
        assert!(!verify_masked(&token, &miss), "{}", miss.escape_ascii());
    }
}

proptest! {
    #[test]
    fn whatever_is_masked_is_recognised(token: [u8; 32]) {
        prop_assert!(verify_masked(&token, mask(&token).as_bytes()));
    }

    #[test]
    fn no_bytes_are_a_masked_token_or_panic(token: [u8; 32], bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        prop_assert!(!verify_masked(&token, &bytes));
    }

    #[test]
    fn what_has_under_32_bytes_is_too_short_whatever_it_is(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(Secret::new(&bytes) == Err(Weakness::Short { bytes: bytes.len() }), bytes.len() < 32);
        prop_assert_eq!(Secret::insecure_weak(&bytes).is_none(), bytes.is_empty());
    }
}
