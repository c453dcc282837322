//! The figures of the crate's documentation: what signing and sealing cost, and the two candidates for sealing.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Instant;

use ampoule_seal::{KeyRing, Secret, random_id, store_digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

/// Nanoseconds a call: the fastest of seven rounds, since noise only adds.
fn time<R>(mut call: impl FnMut() -> R) -> f64 {
    let round = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..20_000).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / 20_000.0
    };
    let mut call = || drop(black_box(call()));
    (0..7).map(|_| round(&mut call)).fold(f64::MAX, f64::min)
}

fn main() {
    let secret = Secret::new(Secret::generate().as_str()).unwrap();
    let ring = KeyRing::new(vec![secret]).unwrap();
    let signer = ring.signer("measure");
    let id = random_id();
    let token = signer.sign(&id);
    println!("random id     {:8.0} ns", time(random_id));
    println!("store digest  {:8.0} ns", time(|| store_digest(black_box(&id))));
    println!("sign          {:8.0} ns", time(|| signer.sign(black_box(&id))));
    println!("verify        {:8.0} ns", time(|| signer.verify(black_box(token.as_str().as_bytes()))));
    let sealer = ring.sealer("measure");
    let chacha = XChaCha20Poly1305::new(&[7; 32].into());
    let nonce = XNonce::from([3; 24]);
    for size in [100, 1_024, 3_584] {
        let plain = vec![0x5a; size];
        let envelope = sealer.seal(&plain, b"name");
        let text = sealer.seal_text(&plain, b"name");
        let mut buffer = plain.clone();
        let tag = chacha.encrypt_inout_detached(&nonce, b"name", buffer.as_mut_slice().into()).unwrap();
        println!("{size} bytes");
        println!(
            "  AES-256-GCM-SIV     seal {:6.0} ns  open {:6.0} ns",
            time(|| sealer.seal(&plain, b"name")),
            time(|| sealer.open(&envelope, b"name"))
        );
        let chacha_seal = time(|| {
            let mut buffer = plain.clone();
            chacha.encrypt_inout_detached(&nonce, b"name", buffer.as_mut_slice().into()).unwrap()
        });
        let chacha_open = time(|| {
            let mut plain = buffer.clone();
            chacha.decrypt_inout_detached(&nonce, b"name", plain.as_mut_slice().into(), &tag)
        });
        println!("  XChaCha20-Poly1305  seal {chacha_seal:6.0} ns  open {chacha_open:6.0} ns");
        println!(
            "  base64 alone        to   {:6.0} ns  from {:6.0} ns",
            time(|| URL_SAFE_NO_PAD.encode(&envelope)),
            time(|| URL_SAFE_NO_PAD.decode(&text))
        );
        println!(
            "  as text             seal {:6.0} ns  open {:6.0} ns",
            time(|| sealer.seal_text(&plain, b"name")),
            time(|| sealer.open_text(text.as_bytes(), b"name"))
        );
    }
}
