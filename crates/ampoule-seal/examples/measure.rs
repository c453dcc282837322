//! Measures the figures of the crate's documentation: signing, sealing, and the candidates for sealing.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Instant;

use aes_gcm_siv::Aes256GcmSiv;
use ampoule_seal::{Credential, KeyRing, Sealer, Secret, Signer};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{AeadInOut, KeyInit, Nonce};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use xaes_256_gcm::Xaes256Gcm;

fn main() {
    let secret = Secret::new(Secret::generate().as_str()).unwrap();
    let ring = KeyRing::new(vec![secret]).unwrap();
    measure_tokens(&ring.signer("measure"));
    for size in [100, 1_024, 3_584] {
        println!("{size} bytes");
        measure_candidate::<Aes256GcmSiv>("AES-256-GCM-SIV", size);
        measure_candidate::<Xaes256Gcm>("XAES-256-GCM", size);
        measure_candidate::<XChaCha20Poly1305>("XChaCha20-Poly1305", size);
        measure_sealer(&ring.sealer("measure"), size);
    }
}

fn measure_tokens(signer: &Signer) {
    let credential = Credential::random();
    let token = signer.sign(&credential);
    print("random credential", time(Credential::random));
    print("digest of a secret", time(|| black_box(&credential).digest()));
    print("sign", time(|| signer.sign(black_box(&credential))));
    print("verify", time(|| signer.verify(black_box(token.as_str().as_bytes()))));
    measure_general_crates(&credential.digest(), token.as_bytes());
}

/// Measures the same steps with the crates `hmac` and `base64`, which accept messages of any length.
fn measure_general_crates(message: &[u8; 32], token: &[u8]) {
    let mac = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
    let tag = || mac.clone().chain_update(black_box(message)).finalize().into_bytes();
    let sign = || {
        let mut bytes = [0; 48];
        bytes[..32].copy_from_slice(message);
        bytes[32..].copy_from_slice(&tag()[..16]);
        let mut text = [0; 64];
        URL_SAFE_NO_PAD.encode_slice(bytes, &mut text).unwrap();
        text
    };
    let verify = || {
        let mut bytes = [0; 48];
        URL_SAFE_NO_PAD.decode_slice(black_box(token), &mut bytes).unwrap();
        (Sha256::digest(&bytes[16..32]), tag()[..16].ct_eq(&bytes[32..]))
    };
    print("sign (hmac, base64)", time(sign));
    print("verify (hmac, base64)", time(verify));
}

/// Measures the cipher alone, including the copy into a new buffer that a cookie needs.
fn measure_candidate<C: AeadInOut + KeyInit>(name: &str, size: usize) {
    let cipher = C::new_from_slice(&[7; 32]).unwrap();
    let nonce = Nonce::<C>::default();
    let plaintext = vec![0x5a; size];
    let seal = || {
        let mut sealed = Vec::with_capacity(size + 64);
        sealed.extend_from_slice(&plaintext);
        let tag = cipher.encrypt_inout_detached(&nonce, b"name", sealed.as_mut_slice().into()).unwrap();
        (sealed, tag)
    };
    let (sealed, tag) = seal();
    let open = || {
        let mut opened = sealed.clone();
        cipher.decrypt_inout_detached(&nonce, b"name", opened.as_mut_slice().into(), &tag).unwrap();
        opened
    };
    print(&format!("{name} seal"), time(seal));
    print(&format!("{name} open"), time(open));
}

fn measure_sealer(sealer: &Sealer, size: usize) {
    let plaintext = vec![0x5a; size];
    let (envelope, text) = (sealer.seal(&plaintext, b"name"), sealer.seal_text(&plaintext, b"name"));
    print("base64 encode", time(|| URL_SAFE_NO_PAD.encode(&envelope)));
    print("base64 decode", time(|| URL_SAFE_NO_PAD.decode(&text)));
    print("Sealer::seal", time(|| sealer.seal(&plaintext, b"name")));
    print("Sealer::open", time(|| sealer.open(&envelope, b"name")));
    print("Sealer::seal_text", time(|| sealer.seal_text(&plaintext, b"name")));
    print("Sealer::open_text", time(|| sealer.open_text(text.as_bytes(), b"name")));
}

/// Returns the nanoseconds of a call in the fastest of many rounds, since noise only adds time.
fn time<R>(mut call: impl FnMut() -> R) -> f64 {
    let calls = 2_000;
    let mut round = || {
        let start = Instant::now();
        (0..calls).for_each(|_| drop(black_box(call())));
        start.elapsed().as_nanos() as f64 / f64::from(calls)
    };
    (0..50).map(|_| round()).fold(f64::MAX, f64::min)
}

fn print(what: &str, nanoseconds: f64) {
    println!("  {what:24}{nanoseconds:6.0} ns");
}
