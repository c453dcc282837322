//! Which secrets are refused, and that no secret is printed.

use crate::support::{GOLDEN, OTHER, near_misses, ring};
use ampoule_seal::internal::{mask, random_bytes, verify_masked};
use ampoule_seal::{Credential, KeyRing, Secret, Weakness};
use proptest::prelude::*;

#[test]
fn weak_secrets_are_refused_with_the_reason() {
    let cases = [
        ("", Weakness::Short { bytes: 0 }),
        ("somesecret", Weakness::Short { bytes: 10 }),
        ("i_wear_two_layers_of_socks", Weakness::Short { bytes: 26 }),
        ("Tn7Qx2Lw9Rk4Vd8Hs3Jc6Yf1Bm5Gp0Z", Weakness::Short { bytes: 31 }),
        ("I_wear_two_layers_of_socks and one more", Weakness::Known),
        ("development-only-secret-change-me-please", Weakness::Known),
        ("\"somesecret\"                        ", Weakness::Known),
        ("3sB7cNq1vJ8kT4xWfH2mZ6yRdL9pGaUe", Weakness::Known),
        ("x3sB7cNq1vJ8kT4xWfH2mZ6yRdL9pGaUe8", Weakness::Known),
        ("MyPassword1234567890987654321!!xyz", Weakness::Known),
        ("qwertyuiopasdfghjklzxcvbnm1234567", Weakness::Known),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Weakness::Uniform),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", Weakness::Uniform),
        ("0110100110010110100101100110100101101001", Weakness::Uniform),
        ("abcabcabcabcabcabcabcabcabcabcabcabc", Weakness::Uniform),
        ("hunter2!1hunter2!1hunter2!1hunter2!1hun", Weakness::Uniform),
        ("hunter2!1hunter2!1hunter2!1hunter2!1huN7", Weakness::Uniform),
        ("abcdefgabcdefggfedcbaabcdefgaabb", Weakness::Sequence),
        ("0123456789abcdefghijklmnopqrstuvwxyz", Weakness::Sequence),
        ("ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210", Weakness::Sequence),
        ("aabbccddeeffgghhiijjkkllmmnnoopp", Weakness::Sequence),
        ("acegikmoqsuwybdfhjlnprtvxz02468acegik", Weakness::Sequence),
    ];
    for (text, weakness) in cases {
        assert_eq!(Secret::new(text).unwrap_err(), weakness, "{text}");
    }
}

#[test]
fn sentences_are_refused_with_any_separator_or_none() {
    let cases = [
        "a secret for tests, of 40 bytes and some",
        "the old secret: with spaces, and a comma",
        "this-is-my-production-secret-2024!",
        "correct_horse_battery_staple_correct",
        "MY.SECRET.KEY.FOR.PRODUCTION.SITES",
        "Ein-längeres-Geheimnis-mit-Umlauten-Ü",
        "my/very/long/secret/for/the/session",
        "mysecretkeyforproductionuseonlyplease",
        "Unserlanggeheimesproduktionskennwort",
    ];
    for text in cases {
        assert_eq!(Secret::new(text).unwrap_err(), Weakness::Words, "{text}");
    }
}

#[test]
fn characters_that_a_file_or_a_paste_adds_are_refused_with_the_reason() {
    let good = "Tn7Qx2Lw9Rk4Vd8Hs3Jc6Yf1Bm5Gp0Za+";
    assert!(Secret::new(good).is_ok());
    for (before, after, weakness) in [
        (" ", "", Weakness::Whitespace),
        ("", " ", Weakness::Whitespace),
        ("", "\u{a0}", Weakness::Whitespace),
        ("Tn7Q x2Lw ", "", Weakness::Whitespace),
        ("", "\n", Weakness::Control),
        ("", "\r", Weakness::Control),
        ("\t", "", Weakness::Control),
        ("", "\0", Weakness::Control),
        ("\x7f", "", Weakness::Control),
        ("", "\u{200b}", Weakness::Control),
        ("\u{feff}", "", Weakness::ByteOrderMark),
        ("\"", "\"", Weakness::Quoted),
        ("'", "'", Weakness::Quoted),
        ("`", "`", Weakness::Quoted),
        (" \"", "\" ", Weakness::Quoted),
        ("\u{201c}", "\u{201d}", Weakness::Quoted),
    ] {
        let text = format!("{before}{good}{after}");
        assert_eq!(Secret::new(&text).unwrap_err(), weakness, "{text:?}");
        let message = weakness.to_string();
        assert!(message.starts_with("the secret ") && message.ends_with("writes an ini file with a good one"));
    }
}

#[test]
fn random_secrets_in_every_usual_form_are_accepted() {
    let fresh = Secret::generate();
    assert_eq!(fresh.len(), 43);
    assert_ne!(*fresh, *Secret::generate());
    let good = [
        fresh.as_str(),
        "5d41402abc4b2a76b9719d911017c592",
        "31415926535897932384626433832795",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "q8/+Zx1Yw7Tb==Kd3Lm5Nv9Rs2Jc6Hf4Gp0",
    ];
    for text in good {
        assert_eq!(Secret::new(text).err(), None, "{text}");
    }
}

/// Checks twenty thousand secrets of each form, in the minimum length and in a usual one. They are the same in each
/// run, since they are digits of the SHA-256 of a counter.
#[test]
fn no_random_secret_is_refused() {
    const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const BASE64URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let alphabets = [BASE64, BASE64URL, &BASE64[..62], b"0123456789abcdef", b"0123456789"];
    let check = |number: u128| {
        let halves = [2 * number, 2 * number + 1].map(|half| Credential::new([0; 16], half.to_be_bytes()).digest());
        assert_eq!(Secret::new(halves[0]).err(), None, "{}", halves[0].escape_ascii());
        let len = if number.is_multiple_of(2) { 32 } else { 44 };
        for alphabet in alphabets {
            let letter = |byte: &u8| alphabet[usize::from(*byte) % alphabet.len()];
            let secret: Vec<u8> = halves.as_flattened().iter().take(len).map(letter).collect();
            assert_eq!(Secret::new(&secret).err(), None, "{}", secret.escape_ascii());
        }
    };
    std::thread::scope(|scope| {
        for start in [0, 10_000] {
            scope.spawn(move || (start..start + 10_000).for_each(check));
        }
    });
}

#[test]
fn a_message_says_what_is_required_and_never_contains_the_secret() {
    let message = Secret::new("hunter2").unwrap_err().to_string();
    let expected = "the secret has 7 bytes, where at least 32 are needed; `ampoule make-config` writes an ini file with a good one";
    assert_eq!(message, expected);
    for secret in ["somesecret_somesecret_somesecret_", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        let message = Secret::new(secret).unwrap_err().to_string();
        assert!(message.contains("make-config") && !message.contains(&secret[..8]), "{message}");
    }
}

#[test]
fn insecure_weak_accepts_a_weak_secret() {
    assert!(Secret::insecure_weak("").is_none());
    let ring = KeyRing::new(vec![Secret::insecure_weak("somesecret").unwrap()]).unwrap();
    assert!(ring.signer("p").verify(ring.signer("p").sign(&Credential::random()).as_str().as_bytes()).is_some());
}

#[test]
fn a_ring_without_secrets_is_refused() {
    assert!(KeyRing::new(Vec::new()).unwrap_err().to_string().contains("make-config"));
}

#[test]
fn secrets_are_compared_by_their_bytes() {
    let secret = |bytes: &[u8]| Secret::insecure_weak(bytes);
    assert_eq!(secret(GOLDEN.as_bytes()), Secret::insecure_weak(GOLDEN));
    assert_ne!(secret(GOLDEN.as_bytes()), secret(OTHER.as_bytes()));
    assert_ne!(secret(GOLDEN.as_bytes()), secret(&GOLDEN.as_bytes()[1..]));
}

#[test]
fn nothing_secret_is_printed() {
    let ring = ring(&[GOLDEN]);
    let (signer, sealer, secret) = (ring.signer("p"), ring.sealer("p"), Secret::new(Secret::generate().as_str()));
    let token = signer.sign(&Credential::random());
    let opened = sealer.open(&sealer.seal(b"content", b""), b"");
    let verified = signer.verify(token.as_str().as_bytes());
    let printed = format!("{secret:?} {ring:?} {signer:?} {sealer:?} {token:?} {opened:?} {verified:?}");
    let expected = "Ok(Secret(..)) KeyRing(1 secrets) Signer(1 keys) Sealer(1 keys) Token(..) \
                    Some(Opened(7 bytes, current: true)) Some(Verified(Credential(..), current: true))";
    assert_eq!(printed, expected);
}

#[test]
fn only_the_masked_token_is_verified() {
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
    fn every_masked_token_is_verified(token: [u8; 32]) {
        prop_assert!(verify_masked(&token, mask(&token).as_bytes()));
    }

    #[test]
    fn random_bytes_neither_verify_as_a_masked_token_nor_panic(
        token: [u8; 32],
        bytes in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        prop_assert!(!verify_masked(&token, &bytes));
    }

    #[test]
    fn fewer_than_32_bytes_are_always_too_short(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(Secret::new(&bytes) == Err(Weakness::Short { bytes: bytes.len() }), bytes.len() < 32);
        prop_assert_eq!(Secret::insecure_weak(&bytes).is_none(), bytes.is_empty());
    }
}
