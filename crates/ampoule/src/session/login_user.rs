//! Logins that end when a hash of the user changes, such as that of the password.

use ampoule_core::Error;
use ampoule_core::internal::Change;

use super::Session;
use super::state::Live;
use crate::auth::Users;
use crate::backend::Lineage;

impl Session {
    /// Logs this user in, as [`login`](Session::login) does, and binds the session to the user's
    /// [`auth_hash`](Users::auth_hash): when the hash changes, the session ends. Call it after the password was
    /// checked, and then call [`save`](Session::save).
    ///
    /// ```
    /// # use ampoule::{Error, Session, Users};
    /// async fn login<U: Users>(session: Session, users: U, user: U::User) -> Result<(), Error> {
    ///     session.login_user(&users, &user).await?;
    ///     session.save().await
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`login`](Session::login).
    pub async fn login_user<U: Users>(&self, users: &U, user: &U::User) -> Result<(), Error> {
        let principal = users.principal(user);
        self.login(&principal).await?;
        let digest = self.0.shared.auth_hashes.digest(&message(&principal, users.auth_hash(user).as_ref()));
        self.change(Change::AuthHash(digest))
    }

    /// Renews the login of a user whose password has just changed, ends all other sessions of the user, and returns how
    /// many; the one that this client had before counts too. Saves at once.
    ///
    /// The user continues in a new session, as after any login, bound to the new [`auth_hash`](Users::auth_hash); the
    /// client gets a new cookie. Sessions in cookies cannot be ended by others: they end when a request of theirs next
    /// loads its user.
    ///
    /// ```
    /// # use ampoule::{Error, Session, Users};
    /// async fn change_password<U: Users>(session: Session, users: U, changed: U::User) -> Result<String, Error> {
    ///     // The new hash is in the database now; `changed` is the user with it.
    ///     let ended = session.renew_login(&users, &changed).await?;
    ///     Ok(format!("The password is changed, and {ended} earlier sessions have ended."))
    /// }
    /// ```
    ///
    /// Change the database first. Until this method returns, another request of the same session that loads its user
    /// finds a changed hash and ends the session: the error is then [`ErrorKind::Gone`](ampoule_core::ErrorKind::Gone),
    /// and the user logs in with the new password.
    ///
    /// # Errors
    /// As [`save`](Session::save) and [`revoke_others`](Session::revoke_others). If only the latter fails, the login is
    /// renewed, and the other sessions end when a request of theirs next loads its user.
    pub async fn renew_login<U: Users>(&self, users: &U, user: &U::User) -> Result<usize, Error> {
        self.login_user(users, user).await?;
        self.save().await?;
        if self.0.shared.backend.is_cookie() { Ok(0) } else { self.revoke_others().await }
    }

    /// Whether the session's login was bound to this hash.
    pub(crate) async fn verify_auth_hash(&self, principal: &str, hash: &[u8]) -> Result<bool, Error> {
        let Some(kept) = self.peek(|record| record.auth_hash).await? else { return Ok(false) };
        let (hashes, message) = (&self.0.shared.auth_hashes, message(principal, hash));
        let verified = hashes.verify_digest(&message, &kept);
        if verified == Some(false) {
            self.renew_auth_hash(hashes.digest(&message)).await;
        }
        Ok(verified.is_some())
    }

    /// Replaces the digest of an older secret by one of the first secret, so that the older secret can be removed one
    /// day. If that fails, the next request tries again.
    async fn renew_auth_hash(&self, digest: [u8; 32]) {
        if self.state().is_changed() {
            return;
        }
        let renewed = match self.change(Change::AuthHash(digest)) {
            Ok(()) => self.save().await,
            Err(error) => Err(error),
        };
        if let Err(error) = renewed {
            self.revert();
            tracing::info!(session = %self.0.shared.name, error = %error.report(), "the digest of an older secret stays");
        }
    }

    /// Ends a session whose login is no longer valid, as if it were revoked. This request then has no session, and
    /// sends no cookie, since another response may be on its way with the cookie of a new login.
    pub(crate) async fn end_login(&self, why: &'static str) -> Result<(), Error> {
        let Some(live) = self.state().live().cloned() else { return Ok(()) };
        tracing::info!(session = %self.0.shared.name, id = %live.snapshot.id, why, "a login ends");
        self.revoke_unless_frozen(&live).await?;
        self.state().ended_elsewhere(self.0.shared.blank(self.now()), Lineage::of(&live.snapshot));
        Ok(())
    }

    /// Ends a session, unless a login has frozen it: then it ends by itself, or continues if that login is never
    /// confirmed.
    async fn revoke_unless_frozen(&self, live: &Live) -> Result<(), Error> {
        if self.0.shared.backend.is_cookie() || live.is_frozen() {
            return Ok(());
        }
        self.0.shared.revoke(live.snapshot.id).await.map(drop)
    }
}

/// The principal's length comes first, so that different pairs have different texts.
fn message(principal: &str, hash: &[u8]) -> Vec<u8> {
    [&(principal.len() as u64).to_le_bytes(), principal.as_bytes(), hash].concat()
}
