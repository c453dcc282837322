//! The filter `egg:PasteDeploy#prefix`: the path, scheme and port at which a proxy serves the app.

use axum_core::body::Body;
use http::Request;
use http::header::{HOST, HeaderValue};
use http::uri::{Authority, Scheme};
use tower::util::MapRequest;

use crate::app::{Filter, app};
use crate::conf::Conf;
use crate::error::Faults;
use crate::proxies::set_origin;
use crate::urlmap::{MountPath, set_path};

/// The path, scheme and port that the app sees.
#[derive(Clone)]
struct Prefix {
    /// Without a trailing slash.
    path: String,
    scheme: Option<Scheme>,
    /// `Some(None)` removes the port.
    port: Option<Option<u16>>,
}

/// The factory, with the options `prefix`, `scheme`, `force_port` and `translate_forwarded_server`.
pub(crate) fn factory(conf: &Conf) -> Result<Filter, Faults> {
    let mut faults = Faults(conf.unknown(&["prefix", "scheme", "force_port", "translate_forwarded_server"]));
    let path = conf.get("prefix").unwrap_or("/").trim_end_matches('/').to_owned();
    if !path.is_empty() && !path.starts_with('/') {
        faults.0.push(conf.fault("prefix", "expected a path such as /shop"));
    }
    let scheme = match conf.get("scheme").map(Scheme::try_from) {
        None => None,
        Some(Ok(scheme)) if [Scheme::HTTP, Scheme::HTTPS].contains(&scheme) => Some(scheme),
        Some(_) => {
            faults.0.push(conf.fault("scheme", "expected http or https"));
            None
        }
    };
    let port = conf.get("force_port").map(|text| match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| conf.fault("force_port", "expected a port, or nothing")),
    });
    let port = port.and_then(|port| faults.keep(port));
    if faults.keep(conf.bool("translate_forwarded_server", true)) == Some(true) {
        let message = "X-Forwarded-… is not trusted from every client: name the proxy in `trusted_proxies` of [server:…], or \
                       write translate_forwarded_server = false";
        conf.artifacts.borrow_mut().trusting_filters.push(conf.fault("translate_forwarded_server", message));
    }
    conf.artifacts.borrow_mut().is_https |= scheme == Some(Scheme::HTTPS);
    let prefix = Prefix { path, scheme, port };
    faults.if_none(|| -> Filter {
        Box::new(move |inner| app(MapRequest::new(inner, move |request| prefix.apply(request))))
    })
}

impl Prefix {
    fn apply(&self, mut request: Request<Body>) -> Request<Body> {
        let rest =
            request.uri().path().strip_prefix(&self.path).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        if let Some(rest) = rest.map(str::to_owned) {
            set_path(&mut request, &rest);
        }
        // Replaces the outer path, as in Paste.
        request.extensions_mut().insert(MountPath(self.path.clone()));
        let host = self.port.and_then(|port| with_port(&request, port));
        if let Some(value) = host.as_ref().and_then(|host| HeaderValue::try_from(host.as_str()).ok()) {
            request.headers_mut().insert(HOST, value);
        }
        set_origin(&mut request, self.scheme.clone(), host);
        request
    }
}

fn with_port(request: &Request<Body>, port: Option<u16>) -> Option<Authority> {
    let header = || request.headers().get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let host = request.uri().authority().cloned().or_else(header)?;
    let text = match port {
        Some(port) => format!("{}:{port}", host.host()),
        None => host.host().to_owned(),
    };
    Authority::try_from(text).ok()
}
