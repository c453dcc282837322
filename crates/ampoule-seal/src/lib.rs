//! Secrets, signed ids and sealed cookies: the only crate of Ampoule that names a cipher.
//!
//! | what | how | why |
//! |---|---|---|
//! | subkeys | HKDF-SHA-256 (RFC 5869), one for each purpose | what is made for one purpose proves nothing for another |
//! | signed id | 16 random bytes and their HMAC-SHA-256 (RFC 2104), base64url | a guess costs no look-up in the store |
//! | key of a store | SHA-256 of the id | who reads the store learns no id |
//! | sealed cookie | AES-256-GCM-SIV (RFC 8452), random nonce | see below |
//! | random bytes | a CSPRNG seeded by the operating system | |
//!
//! # The cipher of sealed cookies
//!
//! Nonces are random and nobody counts them, so the cipher must bear that. Of the two in pure Rust, which build
//! everywhere without a C compiler, measured by `cargo run --release --example measure` on an AMD EPYC with AES and
//! AVX-512 instructions, in microseconds for one seal or open:
//!
//! | plain text | AES-256-GCM-SIV seal / open | XChaCha20-Poly1305 seal / open |
//! |---|---|---|
//! | 100 B | 0.45 / 0.45 | 1.8 / 1.9 |
//! | 1 KB | 0.85 / 0.77 | 2.6 / 2.7 |
//! | 3.5 KB | 2.2 / 1.6 | 4.4 / 4.2 |
//!
//! AES-256-GCM-SIV: a nonce that comes twice under one key, whatever the reason, tells only whether the two plain texts
//! are equal, while any other cipher of the kind loses its authentication. With 96 random bits under one key, 2^32
//! cookies may be sealed before a repetition has a chance of 2^-32.

mod digest;
mod mask;
mod random;
mod ring;
mod sealer;
mod secret;
mod signer;
mod text;

pub use self::digest::{Fingerprint, fingerprint, store_digest};
pub use self::mask::{mask, verify_masked};
pub use self::random::{random_bytes, random_id};
pub use self::ring::{EmptyRing, KeyRing};
pub use self::sealer::{Opened, Sealer, sealed_text_len};
pub use self::secret::{Secret, Weakness};
pub use self::signer::{Signer, Token, Verified};
