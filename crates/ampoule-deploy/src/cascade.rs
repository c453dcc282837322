//! Apps that are tried in order until one answers: Paste's cascade.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::body::Body;
use http::{Request, Response, StatusCode};
use tower::{Service, ServiceExt};

use crate::app::{App, Apps, app};
use crate::conf::Conf;
use crate::error::Faults;
use crate::replay::Replay;

/// The apps in the order in which they are tried.
#[derive(Clone)]
struct Cascade {
    apps: Vec<App>,
    catch: Arc<[StatusCode]>,
}

/// The factory of `egg:Paste#cascade`: `app1`, `app2`, … are tried in the order of their names; `catch` lists the
/// statuses after which the next app is tried, 404 by default.
pub(crate) fn factory(conf: &Conf, apps: &mut Apps<'_>) -> Result<App, Faults> {
    let mut faults = Faults::default();
    let mut names: Vec<&str> = conf.local.iter().map(|local| local.name.as_str()).collect();
    names.retain(|name| *name != "catch" && !conf.is_foreign(name));
    names.sort_unstable();
    let mut cascade = Vec::new();
    for name in names {
        match name.starts_with("app") {
            true => cascade.extend(faults.keep(apps.app(name))),
            false => faults.0.push(conf.fault(name, "expected the apps as `app1 = …`, `app2 = …`, or `catch = 404`")),
        }
    }
    let codes = conf.get("catch").unwrap_or("404").split_whitespace();
    let codes = codes.map(|code| code.parse().map_err(|_| conf.fault("catch", "expected statuses such as 404 405")));
    let catch: Vec<StatusCode> = codes.filter_map(|code| faults.keep(code)).collect();
    if cascade.is_empty() && faults.0.is_empty() {
        faults.0.push(conf.missing("app1", "expected the name of an app"));
    }
    faults.if_none(|| app(Cascade { apps: cascade, catch: catch.into() }))
}

impl Cascade {
    async fn respond(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let Cascade { mut apps, catch } = self;
        let Some(last) = apps.pop() else { return Ok(Response::new(Body::empty())) };
        let (head, body) = request.into_parts();
        let body = Replay::new(body);
        for app in apps {
            let response = app.oneshot(Request::from_parts(head.clone(), Body::new(body.reader()))).await?;
            if !catch.contains(&response.status()) || !body.can_replay() {
                return Ok(response);
            }
        }
        last.oneshot(Request::from_parts(head, Body::new(body.reader()))).await
    }
}

impl Service<Request<Body>> for Cascade {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().respond(request))
    }
}
