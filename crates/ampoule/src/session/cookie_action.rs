//! Which cookie the response sends: decided in one place, once, at the end of the request.

/// The state of the session when the response begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionNow {
    /// There is no session, or none that this request may send a token of.
    Absent,
    /// This request ended the session.
    Ended,
    /// This request created the session: a new one, or a login.
    Made,
    /// The client's own session, with a token that this request rotated.
    Rotated {
        /// Whether a write after the handler verified that the new token is still current.
        renewed: bool,
    },
    /// The client's own session, with the token that the client sent.
    Kept {
        /// Whether the token should be sent to the client again.
        is_due: bool,
        /// Whether a write after the handler verified that the token is still valid.
        renewed: bool,
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
pub(super) fn cookie_action(session: SessionNow, holds_cookie: impl FnOnce() -> bool) -> CookieAction {
    match session {
        SessionNow::Made | SessionNow::Rotated { renewed: true } | SessionNow::Kept { is_due: true, renewed: true } => {
            CookieAction::Send
        }
        SessionNow::Ended if holds_cookie() => CookieAction::Remove,
        SessionNow::Absent | SessionNow::Ended | SessionNow::Rotated { .. } | SessionNow::Kept { .. } => {
            CookieAction::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_follows_from_where_the_session_stands() {
        use CookieAction::{Nothing, Remove, Send};
        let kept = |is_due, renewed| SessionNow::Kept { is_due, renewed };
        for (session, with_cookie, without) in [
            (SessionNow::Absent, Nothing, Nothing),
            (SessionNow::Ended, Remove, Nothing),
            (SessionNow::Made, Send, Send),
            (SessionNow::Rotated { renewed: true }, Send, Send),
            (SessionNow::Rotated { renewed: false }, Nothing, Nothing),
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
