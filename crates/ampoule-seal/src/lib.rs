//! Secrets, signed tokens and sealed cookies: the only crate of Ampoule that names a cipher.
//!
//! | what | how | why |
//! |---|---|---|
//! | subkeys | HKDF-SHA-256 (RFC 5869), one for each purpose | a token of one purpose is not valid for another |
//! | token | an id and a secret of 16 random bytes each, and their HMAC-SHA-256 (RFC 2104) truncated to 128 bits, in base64url | a guessed token is rejected without a look-up in the store |
//! | stored secret | SHA-256 of the secret | a leaked store cannot be used to hijack sessions |
//! | sealed cookie | AES-256-GCM-SIV (RFC 8452) with a random nonce | see below |
//! | random bytes | a CSPRNG seeded by the operating system | a system call for each id costs thirty times more |
//!
//! A process puts its [`Secret`]s on a [`KeyRing`], takes a [`Signer`] or [`Sealer`] from it for each purpose, and
//! drops the ring. All types that contain a key wipe it when they are dropped, and never print it.
//!
//! ```
//! use ampoule_seal::{Credential, KeyRing, Secret};
//!
//! let secret = Secret::new(Secret::generate().as_str())?;
//! let ring = KeyRing::new(vec![secret])?;
//! let (signer, sealer) = (ring.signer("session token"), ring.sealer("session cookie"));
//!
//! let token = signer.sign(&Credential::random());
//! assert!(signer.verify(token.as_bytes()).is_some());
//!
//! let cookie = sealer.seal_text(b"cart: 7", b"session");
//! assert!(sealer.open_text(cookie.as_bytes(), b"session").is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The cipher of sealed cookies
//!
//! Nonces are random, since processes do not share a counter, so the cipher must tolerate a repeated nonce. The table
//! has the microseconds that one seal and one open take, of the cipher alone, on an AMD EPYC with AES, SHA and AVX-512
//! instructions. `cargo run --release -p ampoule-seal --example measure` measures the first three, which are pure Rust;
//! the last is aws-lc-rs 1.19.
//!
//! | plain text | AES-256-GCM-SIV | XAES-256-GCM | XChaCha20-Poly1305 | AES-256-GCM-SIV in C |
//! |---|---|---|---|---|
//! | 100 B | 0.41 / 0.39 | 0.30 / 0.31 | 1.8 / 1.8 | 0.20 / 0.21 |
//! | 1 KB | 0.67 / 0.65 | 0.61 / 0.60 | 2.2 / 2.2 | 0.43 / 0.40 |
//! | 3.5 KB | 1.6 / 1.5 | 1.6 / 1.6 | 4.0 / 4.0 | 1.2 / 0.95 |
//!
//! The choice is AES-256-GCM-SIV in pure Rust:
//!
//! - If a nonce repeats under one key, an attacker learns only whether the two plaintexts are equal. With the other two
//!   ciphers the attacker learns the exclusive or of the plaintexts, which often reveals both, and is helped to forge.
//!   With nonces of 96 random bits, 2^32 cookies can be sealed under one key before the probability of a repetition
//!   reaches 2^-33.
//! - It is a standard (RFC 8452), and other implementations exist to test against. XAES-256-GCM is as fast, but its
//!   nonce of 24 bytes makes each cookie 16 characters longer.
//! - aws-lc-rs is up to 0.6 us faster per cookie, but needs a C compiler and adds a minute to the build. It is slower
//!   at signing: an HMAC takes 0.21 us; with the crate `hmac` it takes 0.13 us.
//!
//! Version 0.9.3 of the crate `aes` and later ones require Rust 1.89 and are slower for short texts: 0.85 us for 100
//! bytes, 1.1 us for 1 KB, 2.0 us for 3.5 KB.
//!
//! # Performance
//!
//! On the same machine, including base64: a random id takes 11 ns, the digest of a secret 50 ns, signing a token 118
//! ns, verifying it 135 ns. None of them allocates. [`Sealer::open_text`] takes 0.45, 0.76 and 1.8 us for 100 B, 1 KB
//! and 3.5 KB, and [`Sealer::seal_text`] 0.46, 0.87 and 2.1 us. The code for SHA-256 and base64 of tokens is
//! specialized for their one length: with the crates `hmac` and `base64`, verifying a token takes 1.35 times as long,
//! and signing 1.1 to 1.3 times.
//!
//! # What it does not do
//!
//! Signatures and envelopes do not expire: put a deadline into the content. The length of sealed content is not hidden.
//! Secrets are not stretched by a slow hash, as a password would have to be, so weak secrets are refused.

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
