//! Devices that have logged in before, recognized by a signed cookie.

use ampoule_core::{Error, ErrorKind, SessionId, StoreKey};
use ampoule_seal::{Credential, KeyRing, Signer};
use http::{HeaderMap, HeaderValue};

use crate::http::cookies::Cookies;
use crate::http::set_cookie::{MAX_AGE, set_cookie};
use crate::shared::Shared;

/// The most principals that one device is known for: the last that logged in.
const MAX_PRINCIPALS: usize = 4;

/// The length of the number in a mark; the rest is its digest.
const NUMBER_LEN: usize = 22;

/// Creates and reads the cookie. It holds a mark for each principal that has logged in on the device: a random number,
/// and the keyed digest of the number and the principal.
pub(super) struct KnownDevices {
    signer: Signer,
    cookie: String,
    attributes: String,
}

/// The marks in a client's cookie, unverified.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks(Vec<String>);

impl KnownDevices {
    pub(super) fn of(shared: &Shared) -> Result<KnownDevices, Error> {
        let ring = KeyRing::new(shared.options.secrets.clone())
            .map_err(|cause| Error::new(ErrorKind::Config, "Options::secrets").because(cause))?;
        Ok(KnownDevices {
            signer: ring.signer(&format!("known device of {}", shared.name)),
            cookie: format!("{}-device", shared.name),
            attributes: shared.attributes.clone(),
        })
    }

    pub(super) fn marks(&self, headers: &HeaderMap) -> Marks {
        let cookies = Cookies::of(headers);
        let texts = cookies.named(&self.cookie).filter_map(|value| str::from_utf8(value).ok());
        let marks = texts.flat_map(|text| text.split('.')).filter(|mark| parse(mark).is_some());
        Marks(marks.take(2 * MAX_PRINCIPALS).map(str::to_owned).collect())
    }

    /// The number of the device, if it has a verified mark of this principal.
    pub(super) fn number(&self, marks: &Marks, principal: &str) -> Option<String> {
        let mark = marks.0.iter().find(|mark| self.is_of(mark, principal))?;
        mark.get(..NUMBER_LEN).map(str::to_owned)
    }

    fn is_of(&self, mark: &str, principal: &str) -> bool {
        parse(mark).is_some_and(|(number, digest)| {
            self.signer.verify_digest(&message(number, principal), digest.as_bytes()).is_some()
        })
    }

    /// The cookie of a device on which this principal has just logged in, with a new number.
    pub(super) fn remember(&self, marks: &Marks, principal: &str) -> Result<HeaderValue, Error> {
        let number = SessionId::new(Credential::random().id());
        let mark = format!("{number}{}", StoreKey::new(self.signer.digest(&message(number, principal))));
        let others = marks.0.iter().filter(|mark| !self.is_of(mark, principal)).take(MAX_PRINCIPALS - 1);
        let value = std::iter::once(mark.as_str()).chain(others.map(String::as_str)).collect::<Vec<_>>().join(".");
        set_cookie(&self.cookie, Some(value.as_bytes()), &self.attributes, Some(MAX_AGE))
    }
}

fn parse(mark: &str) -> Option<(SessionId, StoreKey)> {
    Some((SessionId::parse(mark.get(..NUMBER_LEN)?)?, StoreKey::parse(mark.get(NUMBER_LEN..)?)?))
}

fn message(number: SessionId, principal: &str) -> Vec<u8> {
    [number.as_bytes(), principal.as_bytes()].concat()
}
