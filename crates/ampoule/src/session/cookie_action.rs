//! What the client is told about its token: derived in one place, once, at the end of the request.

/// Where the session stands for its client when the response begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionNow {
    /// There is none, or none that this request may speak for.
    Absent,
    /// This request ended it.
    Ended,
    /// This request made it: it is new, or a login.
    Made,
    /// The client's own session, under a token that this request rotated.
    Rotated {
        /// Whether a write after the handler proved that the new token is still current.
        renewed: bool,
    },
    /// The client's own session, under the token that it has.
    Kept {
        /// Whether the client should have the token again.
        is_due: bool,
        /// Whether a write after the handler proved that it is still good.
        renewed: bool,
    },
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CookieAction {
    /// Nothing: what the client has, or has not, is right.
    Nothing,
    /// The session's token.
    Send,
    /// That the client's cookie is no more.
    Remove,
}

/// What is sent to a client whose session stands so, and which holds a cookie of the name or not.
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
