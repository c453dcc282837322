//! A leaked store cannot be used to hijack sessions.

use ampoule_core::{Entry, StoreKey};

use crate::on_each_store;
use crate::support::{BackendKind, Site};

on_each_store! {
    p8_a_leaked_store_opens_no_session;
}

async fn p8_a_leaked_store_opens_no_session(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    let mut tokens = Vec::new();
    for path in ["/set/a/1", "/login/ada", "/set/a/2", "/regenerate", "/set/a/3"] {
        client.post(path).await;
        tokens.push(client.jar["sid"].clone());
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 3, "an anonymous session, its login, and that rotated");
    let written: Vec<(StoreKey, Entry)> = site.spy.written.lock().unwrap().clone();
    assert!(written.len() >= 5);
    for (key, entry) in written {
        let stored = [key.as_bytes().as_slice(), &entry.value].concat();
        let holds = |part: &[u8]| stored.windows(part.len()).any(|window| window == part);
        for token in &tokens {
            let bytes = decoded(token);
            // A token is the handle, which is not secret, the secret, and their signature.
            let (secret, signature) = bytes[16..].split_at(16);
            for part in [token.as_bytes(), &token.as_bytes()[..24], secret, signature, &secret[..8], &signature[..8]] {
                assert!(!holds(part), "a part of the token is in the store");
            }
        }
        for forged in
            [format!("sid={key}"), format!("sid={key}{}", "A".repeat(21)), format!("sid={}", &key.to_string()[..22])]
        {
            assert_eq!(client.ask("GET", "/get/user", &forged).await.text, "none");
        }
        // The handle with a secret of the thief's own, and the signature of a token that is known.
        let forged = format!("sid={}{}{}", &tokens[2][..21], "A".repeat(22), &tokens[2][43..]);
        assert_eq!(client.ask("GET", "/get/user", &forged).await.text, "none");
    }
    assert_eq!(client.value("user").await, "ada");
}

/// The bytes of a token, which is URL-safe base64 without padding.
fn decoded(token: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let value = |byte: u8| ALPHABET.iter().position(|other| *other == byte).unwrap() as u32;
    let group = |four: &[u8]| four.iter().fold(0, |bits, byte| bits << 6 | value(*byte)).to_be_bytes()[1..].to_vec();
    assert_eq!(token.len(), 64);
    token.as_bytes().chunks(4).flat_map(group).collect()
}
