//! Whose a request is, on its span: as fingerprints, which tell nothing to a reader of logs.

use ampoule_seal::Signer;

use super::Session;

impl Session {
    /// Tells the request's span whose the session is, where the options ask for it.
    pub(super) fn trace(&self) {
        let (Some(span), Some(signer)) = (&self.0.span, &self.0.shared.fingerprints) else { return };
        let (id, principal) = {
            let state = self.state();
            let Some(live) = state.live() else { return };
            (live.snapshot.id.to_string(), live.snapshot.record.principal().map(|user| fingerprint(signer, user)))
        };
        // Not under the state's lock: a subscriber is the application's code.
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
