//! Secrets, signed tokens and sealed cookies: the only crate of Ampoule that names a cipher.
//!
//! | what | how | why |
//! |---|---|---|
//! | subkeys | HKDF-SHA-256 (RFC 5869), one for each purpose | what is made for one purpose proves nothing for another |
//! | token | 16 random bytes of id, 16 of secret, and their HMAC-SHA-256 (RFC 2104) truncated to 128 bits, base64url | a guess costs no look-up in the store |
//! | stored secret | SHA-256 of the secret | a leaked store cannot be used to hijack sessions |
//! | sealed cookie | AES-256-GCM-SIV (RFC 8452), random nonce | see below |
//! | random bytes | a CSPRNG seeded by the operating system | a system call for each id costs thirty times more |
//!
//! A process starts with [`Secret`]s on a [`KeyRing`], takes a [`Signer`] or [`Sealer`] for each purpose, and drops the
//! ring. Whatever holds a key wipes it when it is dropped, and prints none.
//!
//! # The cipher of sealed cookies
//!
//! Nonces are random and not counted, so the cipher must bear that. Measured on an AMD EPYC with AES, SHA and
//! AVX-512 instructions, one seal or open of the cipher alone, in microseconds. The first three are pure Rust and are
//! measured again by `cargo run --release -p ampoule-seal --example measure`; the last is aws-lc-rs 1.19.
//!
//! | plain text | AES-256-GCM-SIV | XAES-256-GCM | XChaCha20-Poly1305 | AES-256-GCM-SIV in C |
//! |---|---|---|---|---|
//! | 100 B | 0.41 / 0.39 | 0.30 / 0.31 | 1.8 / 1.8 | 0.20 / 0.21 |
//! | 1 KB | 0.67 / 0.65 | 0.61 / 0.60 | 2.2 / 2.2 | 0.43 / 0.40 |
//! | 3.5 KB | 1.6 / 1.5 | 1.6 / 1.6 | 4.0 / 4.0 | 1.2 / 0.95 |
//!
//! AES-256-GCM-SIV, in pure Rust:
//!
//! - A nonce that comes twice under one key, whatever the reason, tells only whether two plain texts are equal. With
//!   the other two it breaks the secrecy of both and helps to forge. With 96 random bits, 2^32 cookies may be sealed
//!   under one key before a repetition has a chance of 2^-33.
//! - It is a standard (RFC 8452) with other implementations to compare with. XAES-256-GCM is as fast, but its nonce of
//!   24 bytes makes each cookie 16 characters longer.
//! - aws-lc-rs saves up to 0.6 us a cookie, and takes a C compiler and a minute of the build. It signs more slowly: an
//!   HMAC takes 0.21 us, where `hmac` takes 0.13 us.
//!
//! From release 0.9.3 the crate `aes` asks for Rust 1.89 and is slower for short texts: 0.85 us for 100 bytes, 1.1 us
//! for 1 KB, 2.0 us for 3.5 KB.
//!
//! # What it costs
//!
//! On the same machine, with base64 and all: a random id 11 ns, the digest of a secret 50 ns, signing 118 ns, verifying
//! 135 ns without taking memory from the heap. [`Sealer::open_text`] takes 0.45, 0.76 and 1.8 us for 100 B, 1 KB and
//! 3.5 KB, and [`Sealer::seal_text`] 0.46, 0.87 and 2.1 us. With the crates `hmac` and `base64` in place of our code for
//! messages of one length, verifying a token takes 1.35 times as long, and signing 1.1 to 1.3 times.
//!
//! # What it does not do
//!
//! It knows no time: a deadline belongs into what is signed or sealed. It hides no length. Secrets are used as they
//! are, without the slow hash that a password would need, which is why weak ones are refused.

#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod block;
mod credential;
#[doc(hidden)]
pub mod internal;
mod mask;
mod random;
mod ring;
mod sealer;
mod secret;
mod signer;
mod subkey;
mod text;
mod weakness;

pub use self::credential::Credential;
pub use self::ring::{EmptyRing, KeyRing};
pub use self::sealer::{Opened, Sealer};
pub use self::secret::Secret;
pub use self::signer::{Signer, Token, Verified};
pub use self::weakness::Weakness;
