//! Which cookie the response sends: decided in one place, once, at the end of the request.

/// The state of the session when the response begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FinalState {
    /// There is no session, or none that this request may send a token of.
    Absent,
    /// This request ended the session.
    Ended,
    /// This request created the session: a new one, or a login.
    Created,
    /// The client's own session, with a token that this request rotated.
    Rotated {
        /// Whether a write after the handler verified that the new token is still current.
        is_verified: bool,
    },
    /// The client's own session, with the token that the client sent.
    Kept {
        /// Whether the token should be sent to the client again.
        is_due: bool,
        /// Whether a write after the handler verified that the token is still valid.
        is_verified: bool,
    },
}

/// The cookie that the response sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CookieAction {
    /// None: the client's cookie, or the lack of one, is right.
    Nothing,
    /// The session's token, or the sealed session.
    Send,
    /// A removal of the client's cookie.
    Remove,
}

/// Decides the cookie by the session's state, and by whether the client holds a cookie of that name.
pub(super) fn cookie_action(session: FinalState, holds_cookie: impl FnOnce() -> bool) -> CookieAction {
    match session {
        FinalState::Created
        | FinalState::Rotated { is_verified: true }
        | FinalState::Kept { is_due: true, is_verified: true } => CookieAction::Send,
        FinalState::Ended if holds_cookie() => CookieAction::Remove,
        FinalState::Absent | FinalState::Ended | FinalState::Rotated { .. } | FinalState::Kept { .. } => {
            CookieAction::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_follows_from_the_final_state() {
        use CookieAction::{Nothing, Remove, Send};
        let kept = |is_due, is_verified| FinalState::Kept { is_due, is_verified };
        for (session, with_cookie, without) in [
            (FinalState::Absent, Nothing, Nothing),
            (FinalState::Ended, Remove, Nothing),
            (FinalState::Created, Send, Send),
            (FinalState::Rotated { is_verified: true }, Send, Send),
            (FinalState::Rotated { is_verified: false }, Nothing, Nothing),
            (kept(false, false), Nothing, Nothing),
            (kept(false, true), Nothing, Nothing),
            (kept(true, false), Nothing, Nothing),
            (kept(true, true), Send, Send),
        ] {
            assert_eq!(cookie_action(session, || true), with_cookie, "{session:?} with a cookie");
            assert_eq!(cookie_action(session, || false), without, "{session:?} without one");
        }
    }
}
