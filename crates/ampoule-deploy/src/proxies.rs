//! Trusted proxies, and the headers that are trusted from them: `X-Forwarded-…`, or `Forwarded` (RFC 7239).

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

/// The trusted proxies: the options `trusted_proxies` and `trusted_proxy_headers` of a server.
///
/// `trusted_proxies = 127.0.0.1 10.0.0.0/8` lists addresses and networks; `unix` stands for all connections by a Unix
/// socket, and `*` for all connections. `trusted_proxy_headers` lists the headers that are trusted, by default
/// `x-forwarded-for x-forwarded-proto x-forwarded-host`; otherwise some of these, or `forwarded` alone. Each proxy must
/// set or remove every trusted header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    unix: bool,
    headers: Vec<HeaderName>,
    /// Whether untrusted headers reach the app.
    keep_untrusted: bool,
}

/// The client of a request, in the request's extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The client's address; `None` if it connects by a Unix socket or a proxy hides it.
    pub ip: Option<IpAddr>,
    /// The scheme that the client used for the outermost trusted proxy; `None` if no proxy reported it.
    pub scheme: Option<Scheme>,
}

impl TrustedProxies {
    /// Returns whether no proxy is trusted.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Applies the headers of a trusted proxy to the request and returns the client: the host replaces `Host`, scheme
    /// and host replace those of the URI, and the [`Client`] is added to the extensions. If any proxy is trusted,
    /// untrusted headers are removed. `peer` is the address of the connection's other end; `None` for a Unix socket.
    ///
    /// ```
    /// use ampoule_deploy::TrustedProxies;
    ///
    /// let mut request = http::Request::new(());
    /// let peer = "192.0.2.1".parse()?;
    /// let client = TrustedProxies::default().apply(&mut request, Some(peer));
    /// assert_eq!(client.ip, Some(peer));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
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
        let believed =
            |name: &HeaderName| if self.headers.contains(name) { joined_values(headers, name) } else { String::new() };
        let elements = match self.headers.contains(&FORWARDED) {
            true => forwarded::parse(&believed(&FORWARDED)),
            false => forwarded::from_lists(&believed(&FOR), &believed(&PROTO), &believed(&X_HOST)),
        };
        let mut said = Element { ip: peer, ..Element::default() };
        // The peer added the last element. Each element before it was added by the proxy that the next one names, and
        // counts only if that proxy is trusted.
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

/// All values of a header, joined by commas.
fn joined_values(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

/// Makes the URI absolute, with this scheme and host; if one is `None`, with the request's own.
pub(crate) fn set_origin<B>(request: &mut Request<B>, scheme: Option<Scheme>, host: Option<Authority>) {
    if scheme.is_none() && host.is_none() {
        return;
    }
    let of_header = || request.headers().get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = request.uri().clone().into_parts();
    parts.authority = host.or(parts.authority).or_else(of_header);
    parts.scheme = scheme.or(parts.scheme).or(Some(Scheme::HTTP));
    // `OPTIONS *` has no absolute form and stays unchanged, as does a request without a host.
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

/// Reads the options of a server's section. With waitress's option `trusted_proxy`, only `X-Forwarded-Proto` is trusted
/// by default, as in waitress.
pub(crate) fn read_proxies(conf: &Conf) -> Result<TrustedProxies, Faults> {
    let mut faults = Faults::default();
    let mut proxies = TrustedProxies::default();
    let (ours, waitress) = (conf.get("trusted_proxies"), conf.get("trusted_proxy"));
    if ours.is_some() && waitress.is_some() {
        faults.0.push(conf.fault("trusted_proxy", "conflicts with `trusted_proxies`; write only one of them"));
    }
    let option = if ours.is_some() { "trusted_proxies" } else { "trusted_proxy" };
    for word in list_items(ours.or(waitress).unwrap_or_default()) {
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
            faults.0.push(conf.fault("trusted_proxy_headers", "has no effect without `trusted_proxies`"));
        }
        proxies = TrustedProxies::default();
    }
    faults.if_none(|| proxies)
}

fn list_items(text: &str) -> impl Iterator<Item = &str> {
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
    for word in list_items(text).map(str::to_ascii_lowercase) {
        match known.iter().find(|header| header.as_str() == word) {
            Some(header) => headers.push(header.clone()),
            // Accepted without effect: the other headers contain the port, and no app needs the proxy's name.
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
            let message = "expected `forwarded` alone: a proxy sets either it or x-forwarded-…, and a client could forge the other";
            Err(conf.fault("trusted_proxy_headers", message))
        }
        false => Ok(headers),
    }
}
