//! Proxies in front, and what is believed of what they say: `X-Forwarded-…`, or `Forwarded` (RFC 7239).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::{FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{Request, Uri};
use ipnet::IpNet;

use crate::conf::Conf;
use crate::error::{Fault, Faults, did_you_mean};
use crate::forwarded::{self, Element};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Headers that a proxy may set and a client may forge.
const FORGEABLE: [HeaderName; 8] = [
    FORWARDED,
    FOR,
    PROTO,
    X_HOST,
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-by"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-forwarded-scheme"),
];

/// The proxies whose word counts: the options `trusted_proxies` and `trusted_proxy_headers` of a server.
///
/// `trusted_proxies = 127.0.0.1 10.0.0.0/8` names addresses and networks, `unix` those that come by a Unix socket, and
/// `*` all. Each of them must set, or remove, every header that is believed: `x-forwarded-for x-forwarded-proto
/// x-forwarded-host`, if `trusted_proxy_headers` does not name some of these, or `forwarded` alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    unix: bool,
    headers: Vec<HeaderName>,
    /// Whether headers that are not believed reach the app.
    keep_untrusted: bool,
}

/// Whom a request comes from, as far as it is known: in its extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The client's address; `None` if it came by a Unix socket or a proxy hides it.
    pub ip: Option<IpAddr>,
    /// How it asked the outermost trusted proxy; `None` if none said so.
    pub scheme: Option<Scheme>,
}

impl TrustedProxies {
    /// Whether no proxy is trusted.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Puts what a trusted proxy says into the request: the host into `Host` and, with the scheme, into the URI, and the
    /// [`Client`] into its extensions. Where proxies are trusted, headers that are not believed are removed. `peer` is the
    /// other end of the connection; `None` for a Unix socket.
    pub fn apply<B>(&self, request: &mut Request<B>, peer: Option<IpAddr>) -> Client {
        let peer = peer.map(|ip| ip.to_canonical());
        let is_trusted = !self.is_empty() && peer.map_or(self.unix, |ip| self.trusts(ip));
        let said =
            if is_trusted { self.read(request.headers(), peer) } else { Element { ip: peer, ..Element::default() } };
        if !self.is_empty() && !self.keep_untrusted {
            let believed = |name: &HeaderName| is_trusted && self.headers.contains(name);
            FORGEABLE.iter().filter(|name| !believed(name)).for_each(|name| drop(request.headers_mut().remove(name)));
        }
        if let Some(value) = said.host.as_ref().and_then(|host| HeaderValue::try_from(host.as_str()).ok()) {
            request.headers_mut().insert(HOST, value);
        }
        set_origin(request, said.scheme.clone(), said.host);
        let client = Client { ip: said.ip, scheme: said.scheme };
        request.extensions_mut().insert(client.clone());
        client
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&ip))
    }

    fn read(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Element {
        let believed = |name: &HeaderName| if self.headers.contains(name) { all(headers, name) } else { String::new() };
        let elements = match self.headers.contains(&FORWARDED) {
            true => forwarded::parse(&believed(&FORWARDED)),
            false => forwarded::of_lists(&believed(&FOR), &believed(&PROTO), &believed(&X_HOST)),
        };
        let mut said = Element { ip: peer, ..Element::default() };
        // The last was added by the peer, the one before by the proxy that the last names, as long as that is trusted.
        for element in elements.into_iter().rev() {
            let names_a_proxy = element.ip.is_some_and(|ip| self.trusts(ip));
            said = Element {
                ip: if element.is_hidden { None } else { element.ip.or(said.ip) },
                is_hidden: element.is_hidden,
                scheme: element.scheme.or(said.scheme),
                host: element.host.or(said.host),
            };
            if !names_a_proxy {
                break;
            }
        }
        said
    }
}

/// All values of a header in one list.
fn all(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

/// Makes the URI absolute, with this scheme and host, or else those that the request has.
pub(crate) fn set_origin<B>(request: &mut Request<B>, scheme: Option<Scheme>, host: Option<Authority>) {
    if scheme.is_none() && host.is_none() {
        return;
    }
    let of_header = || request.headers().get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = request.uri().clone().into_parts();
    parts.authority = host.or(parts.authority).or_else(of_header);
    parts.scheme = scheme.or(parts.scheme).or(Some(Scheme::HTTP));
    // `OPTIONS *` has no absolute form, and stays as it is; so does a request without a host.
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

/// The options of a server's section. waitress's `trusted_proxy` alone believes `X-Forwarded-Proto`, as there.
pub(crate) fn read_proxies(conf: &Conf) -> Result<TrustedProxies, Faults> {
    let mut faults = Faults::default();
    let mut proxies = TrustedProxies::default();
    let (ours, waitress) = (conf.get("trusted_proxies"), conf.get("trusted_proxy"));
    if ours.is_some() && waitress.is_some() {
        faults.0.push(conf.fault("trusted_proxy", "`trusted_proxies` stands beside it; one of the two is enough"));
    }
    let option = if ours.is_some() { "trusted_proxies" } else { "trusted_proxy" };
    for word in words(ours.or(waitress).unwrap_or_default()) {
        match word {
            "*" => {
                proxies.networks.extend(["0.0.0.0/0", "::/0"].iter().filter_map(|all| all.parse::<IpNet>().ok()));
                proxies.unix = true;
            }
            "unix" => proxies.unix = true,
            "localhost" => proxies
                .networks
                .extend([IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()].map(IpNet::from)),
            _ => proxies.networks.extend(faults.keep(network(conf, option, word))),
        }
    }
    proxies.headers = faults.keep(headers(conf, waitress.is_some())).unwrap_or_default();
    proxies.keep_untrusted = faults.keep(conf.bool("clear_untrusted_proxy_headers", true)) == Some(false);
    if proxies.is_empty() {
        if ours.or(waitress).is_none() && conf.get("trusted_proxy_headers").is_some() {
            faults.0.push(conf.fault("trusted_proxy_headers", "it means nothing without `trusted_proxies`"));
        }
        proxies = TrustedProxies::default();
    }
    faults.if_none(|| proxies)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',', '\t', '\n']).filter(|word| !word.is_empty())
}

fn network(conf: &Conf, option: &str, word: &str) -> Result<IpNet, Fault> {
    let network = word.parse().or_else(|_| word.parse::<IpAddr>().map(IpNet::from));
    let expected = "expected addresses and networks such as 127.0.0.1 10.0.0.0/8, `unix`, or `*`";
    network.map_err(|_| conf.fault(option, format!("{expected}, found `{word}`")))
}

fn headers(conf: &Conf, is_of_waitress: bool) -> Result<Vec<HeaderName>, Fault> {
    let known = [FOR, PROTO, X_HOST, FORWARDED];
    let Some(text) = conf.get("trusted_proxy_headers") else {
        return Ok(if is_of_waitress { vec![PROTO] } else { vec![FOR, PROTO, X_HOST] });
    };
    let mut headers = Vec::new();
    for word in words(text).map(str::to_ascii_lowercase) {
        match known.iter().find(|header| header.as_str() == word) {
            Some(header) => headers.push(header.clone()),
            // What they say is in the others, or concerns none.
            None if ["x-forwarded-port", "x-forwarded-by"].contains(&word.as_str()) => {}
            None => {
                let hint = did_you_mean(&word, known.iter().map(HeaderName::as_str));
                let message =
                    format!("expected x-forwarded-for, x-forwarded-proto, x-forwarded-host or forwarded{hint}");
                return Err(conf.fault("trusted_proxy_headers", message));
            }
        }
    }
    match headers.contains(&FORWARDED) && headers.len() > 1 {
        true => {
            let message =
                "`forwarded` stands alone: a proxy sets either it or x-forwarded-…, and a client could forge the other";
            Err(conf.fault("trusted_proxy_headers", message))
        }
        false => Ok(headers),
    }
}
