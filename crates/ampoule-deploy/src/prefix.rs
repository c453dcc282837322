//! The path under which a proxy shows the app: the filter `egg:PasteDeploy#prefix`.

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

/// What is said to the app.
#[derive(Clone)]
struct Prefix {
    /// Without a slash at its end.
    path: String,
    scheme: Option<Scheme>,
    /// `Some(None)` takes the port away.
    port: Option<Option<u16>>,
}

/// The options are `prefix`, `scheme`, `force_port` and `translate_forwarded_server`.
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
        let message = "X-Forwarded-… is not believed of every client: name the proxy in `trusted_proxies` of [server:…], or \
                       write translate_forwarded_server = false";
        conf.made.borrow_mut().believing.push(conf.fault("translate_forwarded_server", message));
    }
    conf.made.borrow_mut().is_https |= scheme == Some(Scheme::HTTPS);
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
        // In place of what is there, as in Paste.
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
