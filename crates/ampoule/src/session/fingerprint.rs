//! Fingerprints of a session and its user on the request's span: they reveal neither to a reader of the logs.

use ampoule_seal::Signer;

use super::Session;

impl Session {
    /// Records the session's fingerprints on the request's span, if the options ask for it.
    pub(super) fn trace(&self) {
        let (Some(span), Some(signer)) = (&self.0.span, &self.0.shared.fingerprints) else { return };
        let (id, principal) = {
            let state = self.state();
            let Some(live) = state.live() else { return };
            (live.snapshot.id.to_string(), live.snapshot.record.principal().map(|user| fingerprint(signer, user)))
        };
        // Called without the state's lock, since a subscriber is the application's code.
        span.record("session", fingerprint(signer, &id));
        if let Some(user) = principal {
            span.record("user", user);
        }
    }
}

/// 64 bits of the keyed digest of a text, in hexadecimal digits.
pub(crate) fn fingerprint(signer: &Signer, text: &str) -> String {
    signer.digest(text.as_bytes())[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
