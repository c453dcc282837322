//! A session's id, as its owner sees it and as a log may.

use std::fmt;

use ampoule_seal::Token;

/// 128 random bits.
pub(crate) type Id = [u8; 16];

/// A session's id.
///
/// Printed it is a short fingerprint that is safe in a log: the same for the same session, and of no use to a thief.
/// [`SessionId::token`] is the real thing: whoever has it has the session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionId {
    id: Id,
    token: Option<Token>,
}

impl SessionId {
    pub(crate) fn new(id: Id, token: Option<Token>) -> SessionId {
        SessionId { id, token }
    }

    /// The signed id: 64 characters of the URL-safe base64 alphabet, as the cookie holds it. `None` for a cookie
    /// session, which has no id that stands for it.
    ///
    /// ```
    /// # fn hand_out(id: ampoule::SessionId) -> Option<String> {
    /// // An application that sends ids by itself tells its client this, over TLS only:
    /// id.token().map(str::to_owned)
    /// # }
    /// ```
    pub fn token(&self) -> Option<&str> {
        self.token.as_ref().map(Token::as_str)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ampoule_seal::fingerprint(&self.id).fmt(f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}
