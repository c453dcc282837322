//! The app that serves the files of a folder: `egg:Paste#static`.

use std::convert::Infallible;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum_core::body::Body;
use http::header::{ALLOW, CACHE_CONTROL, HeaderValue, LOCATION};
use http::{Method, Request, Response, StatusCode, Uri};
use tower::{Service, ServiceExt};
use tower_http::services::ServeDir;

use crate::app::{App, app};
use crate::conf::Conf;
use crate::error::Faults;
use crate::urlmap::MountPath;

/// The factory, with the options `document_root`, the folder, and `cache_max_age`, the `max-age` of files in seconds.
pub(crate) fn factory(conf: &Conf) -> Result<App, Faults> {
    const MAX_AGE: u64 = 365 * 86_400;
    let mut faults = Faults(conf.unknown(&["document_root", "cache_max_age"]));
    let seconds = faults.keep(conf.number("cache_max_age", 0, 0..=MAX_AGE)).filter(|seconds| *seconds > 0);
    let root = conf.get("document_root").filter(|root| Path::new(root).is_dir());
    if root.is_none() {
        faults.0.push(conf.fault("document_root", "expected an existing folder, such as %(here)s/public"));
    }
    let max_age = seconds.and_then(|seconds| HeaderValue::try_from(format!("max-age={seconds}")).ok());
    faults.if_none(|| app(StaticFiles { files: ServeDir::new(root.unwrap_or_default()), max_age }))
}

#[derive(Clone)]
struct StaticFiles {
    files: ServeDir,
    max_age: Option<HeaderValue>,
}

impl Service<Request<Body>> for StaticFiles {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // Without scheme and host, so that `ServeDir` redirects to a path.
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map(Into::into).unwrap_or_default();
        let mount = request.extensions().get::<MountPath>().cloned().unwrap_or_default();
        let (files, max_age) = (self.files.clone(), self.max_age.clone());
        Box::pin(async move {
            if ![Method::GET, Method::HEAD].contains(request.method()) {
                return reject_method(files, request.uri().clone()).await;
            }
            let mut response = files.oneshot(request).await?.map(Body::new);
            let good = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
            if let Some(max_age) = max_age.filter(|_| good) {
                response.headers_mut().insert(CACHE_CONTROL, max_age);
            }
            add_mount_path(&mount, &mut response);
            Ok(response)
        })
    }
}

/// Answers a method other than GET and HEAD: 405 if the file exists, 404 if not, so that a cascade tries its next app.
async fn reject_method(files: ServeDir, uri: Uri) -> Result<Response<Body>, Infallible> {
    let mut head = Request::new(Body::empty());
    *head.method_mut() = Method::HEAD;
    *head.uri_mut() = uri;
    let mut response = Response::new(Body::empty());
    let is_there = files.oneshot(head).await?.status() != StatusCode::NOT_FOUND;
    *response.status_mut() = if is_there { StatusCode::METHOD_NOT_ALLOWED } else { StatusCode::NOT_FOUND };
    if is_there {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    Ok(response)
}

/// Adds the mount path to the redirect from `/folder` to `/folder/`, since `ServeDir` does not know it.
fn add_mount_path(mount: &MountPath, response: &mut Response<Body>) {
    let Some(path) = response.headers().get(LOCATION).and_then(|path| path.to_str().ok()) else { return };
    if let Some(path) =
        path.strip_prefix('/').and_then(|rest| HeaderValue::try_from(format!("{}/{rest}", mount.0)).ok())
    {
        response.headers_mut().insert(LOCATION, path);
    }
}
