//! Devices that have logged in before, recognized by a signed cookie.

use ampoule_core::{Error, ErrorKind, SessionId, StoreKey};
use ampoule_seal::{Credential, KeyRing, Signer};
use http::{HeaderMap, HeaderValue};

use crate::http::cookies::Cookies;
use crate::http::set_cookie::{MAX_AGE, set_cookie};
use crate::shared::Shared;

/// The most principals that one device is known for: the last that logged in.
const MAX_PRINCIPALS: usize = 4;

/// The length of the device's id in a token; the rest is its digest.
const DEVICE_ID_LEN: usize = 22;

/// Creates and reads the cookie. It holds a token for each principal that has logged in on the device: a random id of
/// the device, and the keyed digest of this id and the principal.
pub(super) struct KnownDevices {
    signer: Signer,
    cookie: String,
    attributes: String,
}

/// The tokens in a client's cookie, unverified.
#[derive(Clone, Debug, Default)]
pub(super) struct DeviceTokens(Vec<String>);

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

    pub(super) fn tokens(&self, headers: &HeaderMap) -> DeviceTokens {
        let cookies = Cookies::of(headers);
        let texts = cookies.named(&self.cookie).filter_map(|value| str::from_utf8(value).ok());
        let tokens = texts.flat_map(|text| text.split('.')).filter(|token| parse(token).is_some());
        DeviceTokens(tokens.take(2 * MAX_PRINCIPALS).map(str::to_owned).collect())
    }

    /// The device's id, if it has a verified token of this principal.
    pub(super) fn device_id(&self, tokens: &DeviceTokens, principal: &str) -> Option<String> {
        let token = tokens.0.iter().find(|token| self.is_of(token, principal))?;
        token.get(..DEVICE_ID_LEN).map(str::to_owned)
    }

    fn is_of(&self, token: &str, principal: &str) -> bool {
        parse(token).is_some_and(|(device_id, digest)| {
            self.signer.verify_digest(&message(device_id, principal), digest.as_bytes()).is_some()
        })
    }

    /// The cookie of a device on which this principal has just logged in, with a new id of the device.
    pub(super) fn remember(&self, tokens: &DeviceTokens, principal: &str) -> Result<HeaderValue, Error> {
        let device_id = SessionId::new(Credential::random().id());
        let token = format!("{device_id}{}", StoreKey::new(self.signer.digest(&message(device_id, principal))));
        let others = tokens.0.iter().filter(|token| !self.is_of(token, principal)).take(MAX_PRINCIPALS - 1);
        let value = std::iter::once(token.as_str()).chain(others.map(String::as_str)).collect::<Vec<_>>().join(".");
        set_cookie(&self.cookie, Some(value.as_bytes()), &self.attributes, Some(MAX_AGE))
    }
}

fn parse(token: &str) -> Option<(SessionId, StoreKey)> {
    Some((SessionId::parse(token.get(..DEVICE_ID_LEN)?)?, StoreKey::parse(token.get(DEVICE_ID_LEN..)?)?))
}

fn message(device_id: SessionId, principal: &str) -> Vec<u8> {
    [device_id.as_bytes(), principal.as_bytes()].concat()
}
